package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
)

// roleNames are the roles that there are: built in and configured.
func (s *State) roleNames() []string {
	out := slices.Concat(sortedKeys(cib.BuiltinRoles), sortedKeys(s.config.Roles))
	slices.Sort(out)
	return out
}

func rolePath(name string) *object.Path {
	return object.NewPath(Root, roleClass, "CreationClassName", roleClass, "Name", name)
}

func (s *Source) roles(y yield) {
	for _, name := range s.roleNames() {
		i := s.new(roleClass)
		i.Set("CreationClassName", roleClass)
		i.Set("Name", name)
		i.Set("ElementName", name)
		i.Set("CommonName", name)
		if r := s.config.AccessRoleOf(name); r != nil {
			text(i, "Description", r.Description)
		}
		characteristics := []int{}
		if cib.BuiltinRoles[name] != nil {
			characteristics = []int{2}
		}
		i.Set("RoleCharacteristics", characteristics)
		if !y(i) {
			return
		}
	}
}

func (s *Source) ownedRoles(y yield) {
	for _, name := range s.roleNames() {
		if !y(s.link(Root, "CIM_OwningCollectionElement", "OwningElement", s.clusterPath(), "OwnedElement", rolePath(name))) {
			return
		}
	}
}

func privilegeID(role string, n int) string {
	return "Belay:Privilege:" + role + ":" + strconv.Itoa(n+1)
}

// eachPrivilege calls f with each rule of each role, without those of the roles that it
// includes: they are theirs.
func (s *State) eachPrivilege(f func(role string, n int, r *cib.AccessRule) bool) {
	for _, name := range s.roleNames() {
		role := s.config.AccessRoleOf(name)
		for n := range role.Rules {
			if !f(name, n, &role.Rules[n]) {
				return
			}
		}
	}
}

// activityOf is the value of CIM_Privilege.Activities for an action.
func activityOf(action string) int {
	switch action {
	case "create", "join":
		return 2
	case "delete", "remove":
		return 3
	case "read", "simulate", "verify", "export", "report":
		return 5
	case "update", "patch", "apply", "rollback", "voter", "attribute":
		return 6
	}
	return 7
}

func (s *Source) privileges(y yield) {
	s.eachPrivilege(func(role string, n int, r *cib.AccessRule) bool {
		i := s.new("CIM_Privilege")
		i.Set("InstanceID", privilegeID(role, n))
		i.Set("ElementName", fmt.Sprintf("%s %d", role, n+1))
		i.Set("PrivilegeGranted", !r.Deny)
		by := map[int][]string{}
		for _, a := range cib.AccessActions {
			if slices.Contains(r.Actions, "*") || slices.Contains(r.Actions, a.Name) || a.Set != "" && slices.Contains(r.Actions, string(a.Set)) {
				by[activityOf(a.Name)] = append(by[activityOf(a.Name)], a.Name)
			}
		}
		activities, qualifiers := []int{}, []string{}
		for _, a := range []int{2, 3, 5, 6, 7} {
			if len(by[a]) > 0 {
				activities, qualifiers = append(activities, a), append(qualifiers, strings.Join(by[a], ",")+" "+strings.Join(r.Objects, ","))
			}
		}
		i.Set("Activities", activities)
		i.Set("ActivityQualifiers", qualifiers)
		i.Set("RepresentsAuthorizationRights", slices.ContainsFunc(r.Objects, func(o string) bool { return strings.HasPrefix(o, "role") }) && !slices.Equal(activities, []int{5}))
		return y(i)
	})
}

func (s *Source) rolePrivileges(y yield) {
	s.eachPrivilege(func(role string, n int, _ *cib.AccessRule) bool {
		return y(s.link(Root, "CIM_MemberOfCollection", "Collection", rolePath(role), "Member", byID("CIM_Privilege", privilegeID(role, n))))
	})
}

func (s *Source) logPath() *object.Path { return byID("CIM_RecordLog", auditID+s.access.Node) }

func (s *Source) recordLog(y yield) {
	if s.access.Audit == nil {
		return
	}
	i := s.new("CIM_RecordLog")
	i.Set("InstanceID", auditID+s.access.Node)
	i.Set("Name", "audit")
	i.Set("ElementName", "Audit log of node "+s.access.Node)
	condition{opOK, healthOK, enabled}.set(i, "recording", "")
	i.Set("RequestedState", 12)
	i.Set("MaxNumberOfRecords", 0)
	i.Set("OverwritePolicy", 7)
	y(i)
}

func (s *Source) useOfLog(y yield) {
	if s.access.Audit != nil {
		y(s.link(Root, "CIM_UseOfLog", "Antecedent", s.logPath(), "Dependent", s.clusterPath()))
	}
}

// auditRecord is what of a record of the audit log has a property of its own.
type auditRecord struct {
	Seq   uint64    `json:"seq"`
	Time  time.Time `json:"time"`
	Phase string    `json:"phase"`
	Actor struct {
		User string `json:"user"`
	} `json:"actor"`
	Action    string `json:"action"`
	Object    string `json:"object"`
	RequestID string `json:"requestId"`
	Result    string `json:"result"`
	Reason    string `json:"reason"`
	Code      string `json:"code"`
}

// auditPage is how many records are read at a time.
const auditPage = 500

// eachRecord reads the audit log of this node, or the one record that near names.
func (s *Source) eachRecord(near *object.Path, f func(r *auditRecord, raw json.RawMessage) bool) error {
	if s.access.Audit == nil {
		return nil
	}
	after, limit, once := uint64(0), auditPage, false
	if near != nil && near.Class == "CIM_LogEntry" {
		n, err := strconv.ParseUint(strings.TrimPrefix(near.Text("InstanceID"), auditID+s.access.Node+":"), 10, 64)
		if err != nil || n == 0 {
			return nil //nolint:nilerr // there is no such record
		}
		after, limit, once = n-1, 1, true
	}
	for {
		records, next, err := s.access.Audit(after, limit)
		if err != nil {
			return err
		}
		for _, raw := range records {
			r := &auditRecord{}
			if err := json.Unmarshal(raw, r); err != nil {
				return fmt.Errorf("read a record of the audit log: %w", err)
			}
			if !f(r, raw) {
				return nil
			}
		}
		if next <= after || once {
			return nil
		}
		after = next
	}
}

func (s *Source) recordID(r *auditRecord) string {
	return auditID + s.access.Node + ":" + strconv.FormatUint(r.Seq, 10)
}

func (s *Source) logEntries(near *object.Path, y yield) error {
	return s.eachRecord(near, func(r *auditRecord, raw json.RawMessage) bool {
		i := s.new("CIM_LogEntry")
		i.Set("InstanceID", s.recordID(r))
		i.Set("ElementName", "Record "+strconv.FormatUint(r.Seq, 10))
		i.Set("LogInstanceID", auditID+s.access.Node)
		i.Set("LogName", "audit")
		i.Set("RecordID", strconv.FormatUint(r.Seq, 10))
		i.Set("RecordFormat", "JSON")
		i.Set("RecordData", string(raw))
		severity := 2
		if r.Result == "refused" || r.Result == "failed" {
			severity = 3
		}
		i.Set("PerceivedSeverity", severity)
		at(i, "CreationTimeStamp", r.Time)
		i.Set("OwningEntity", "Belay")
		text(i, "MessageID", r.Code)
		message := strings.Join(slices.DeleteFunc([]string{r.Actor.User, r.Phase, r.Action, r.Object, r.Result, r.Reason}, func(x string) bool { return x == "" }), " ")
		i.Set("Message", message)
		i.Set("MessageArguments", []string{r.Actor.User, r.Phase, r.Action, r.Object, r.Result, r.Reason, r.RequestID})
		return y(i)
	})
}

func (s *Source) logManagesRecord(near *object.Path, y yield) error {
	return s.eachRecord(near, func(r *auditRecord, _ json.RawMessage) bool {
		return y(s.link(Root, "CIM_LogManagesRecord", "Log", s.logPath(), "Record", byID("CIM_LogEntry", s.recordID(r))))
	})
}
