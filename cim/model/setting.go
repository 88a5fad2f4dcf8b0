package model

import (
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func (s *Source) resourceSettings(near *object.Path, y yield) error {
	s.eachConfigured(near, func(id string, r *cib.Resource) bool { return y(s.setting(id, r)) })
	return nil
}

// eachConfigured calls f with each resource of the configuration, or with the one that
// near names.
func (s *State) eachConfigured(near *object.Path, f func(id string, r *cib.Resource) bool) {
	if id, ok := resourceOf(near); ok {
		if r := s.config.Resources[id]; r != nil {
			f(id, r)
		}
		return
	}
	for _, id := range sortedKeys(s.config.Resources) {
		if !f(id, s.config.Resources[id]) {
			return
		}
	}
}

func (s *State) setting(id string, r *cib.Resource) *object.Instance {
	i := s.new(settingClass)
	i.Set("InstanceID", settingID+id)
	i.Set("ElementName", id)
	i.Set("ResourceName", id)
	number(i, "ResourceType", r.Kind())
	text(i, "Agent", r.Agent)
	members := r.Group
	if r.Clone != nil {
		members = []string{r.Clone.Resource}
		setFields(i, cloneFields, r)
	}
	texts(i, "Members", members)
	parameters(i, r.Parameters)
	names, intervals, timeouts := []string{}, []int64{}, []int64{}
	for k := range r.Operations {
		op := &r.Operations[k]
		names, intervals, timeouts = append(names, op.Name), append(intervals, shortMillis(op.Interval)), append(timeouts, shortMillis(op.Timeout))
	}
	i.Set("OperationNames", names)
	i.Set("OperationIntervals", intervals)
	i.Set("OperationTimeouts", timeouts)
	for _, f := range metaFields {
		if v := f.get(r); v != nil && i.Class().Property(f.name) != nil {
			i.Set(f.name, v)
		}
	}
	i.Set("Document", shown(r))
	i.Set("ConfigGeneration", s.Config.Generation)
	return i
}

// shortMillis is a length of time as a uint32 of milliseconds.
func shortMillis(d cib.Duration) int64 {
	return min(max(0, d.D()), (1<<32-1)*time.Millisecond).Milliseconds()
}

func (s *Source) resourceSettingData(near *object.Path, y yield) error {
	s.eachConfigured(near, func(id string, _ *cib.Resource) bool {
		if s.resources[id] == nil {
			return true
		}
		i := s.link(Root, "Belay_ResourceSettingData", "ManagedElement", s.ResourcePath(id), "SettingData", byID(settingClass, settingID+id))
		i.Set("IsDefault", 1)
		i.Set("IsCurrent", 1)
		return y(i)
	})
	return nil
}

// The values of Belay_Constraint.ConstraintType.
const (
	kindLocation = iota + 1
	kindColocation
	kindOrder
	kindTicket
)

func (s *Source) constraints(near *object.Path, y yield) error {
	if near != nil && near.Class == constraintClass {
		id := strings.TrimPrefix(near.Text("InstanceID"), constraintID)
		if c := s.config.Constraints[id]; c != nil {
			y(s.constraint(id, c))
		}
		return nil
	}
	for _, id := range sortedKeys(s.config.Constraints) {
		if !y(s.constraint(id, s.config.Constraints[id])) {
			return nil
		}
	}
	return nil
}

func (s *State) constraint(id string, c *cib.Constraint) *object.Instance {
	i := s.new(constraintClass)
	i.Set("InstanceID", constraintID+id)
	i.Set("ElementName", id)
	i.Set("ConstraintName", id)
	mandatory := func(score cib.Score) { i.Set("Mandatory", score >= cib.Infinity || score <= -cib.Infinity) }
	switch {
	case c.Location != nil:
		i.Set("ConstraintType", kindLocation)
		setFields(i, locationFields, c.Location)
		mandatory(c.Location.Score)
	case c.Colocation != nil:
		i.Set("ConstraintType", kindColocation)
		setFields(i, colocationFields, c.Colocation)
		mandatory(c.Colocation.Score)
	case c.Order != nil:
		i.Set("ConstraintType", kindOrder)
		setFields(i, orderFields, c.Order)
		i.Set("Mandatory", c.Order.Kind == 0 || c.Order.Kind == cib.OrderMandatory)
	case c.Ticket != nil:
		i.Set("ConstraintType", kindTicket)
		setFields(i, ticketFields, c.Ticket)
		i.Set("Mandatory", true)
	}
	i.Set("Document", shown(c))
	i.Set("ConfigGeneration", s.Config.Generation)
	return i
}

func constrained(c *cib.Constraint) []string {
	switch {
	case c.Location != nil && c.Location.Pattern != "":
		return nil // whatever it fits
	case c.Location != nil:
		return []string{c.Location.Resource}
	case c.Colocation != nil:
		return []string{c.Colocation.Resource, c.Colocation.With}
	case c.Order != nil:
		return []string{c.Order.First, c.Order.Then}
	case c.Ticket != nil:
		return []string{c.Ticket.Resource}
	}
	return nil
}

func (s *Source) constraintSettingData(near *object.Path, y yield) error {
	only, named := resourceOf(near)
	for _, id := range sortedKeys(s.config.Constraints) {
		if near != nil && near.Class == constraintClass && near.Text("InstanceID") != constraintID+id {
			continue
		}
		seen := ""
		for _, r := range constrained(s.config.Constraints[id]) {
			if named && r != only || s.resources[r] == nil || r == seen {
				continue
			}
			seen = r
			i := s.link(Root, "Belay_ConstraintSettingData", "ManagedElement", s.ResourcePath(r), "SettingData", byID(constraintClass, constraintID+id))
			i.Set("IsDefault", 1)
			i.Set("IsCurrent", 1)
			if !y(i) {
				return nil
			}
		}
	}
	return nil
}

func (s *Source) fenceDevices(y yield) {
	for k := range s.Summary.FenceDevices {
		if !y(s.fenceDevice(&s.Summary.FenceDevices[k])) {
			return
		}
	}
}

func (s *State) fenceDevice(d *status.FenceDevice) *object.Instance {
	i := s.new(fenceDeviceClass)
	hosted(i, clusterClass, s.name, d.ID)
	fenceDeviceStates[d.State].set(i, d.State.String(), d.Reason)
	i.Set("RequestedState", 12)
	i.Set("StartMode", "Automatic")
	i.Set("Started", d.State == status.FenceDeviceAvailable)
	number(i, "DeviceState", d.State)
	text(i, "StateReason", d.Reason)
	at(i, "LastCheck", d.Checked)
	at(i, "LastUsed", d.LastUsed)
	i.Set("Succeeded", max(0, d.Succeeded))
	i.Set("Agent", d.Agent)
	if c := s.config.FenceDevices[d.ID]; c != nil {
		setFields(i, fenceDeviceFields, c)
		i.Set("Targets", names(c.Targets))
		i.Set("TargetPorts", valuesOf(c.Targets))
		parameters(i, c.Parameters)
		i.Set("Document", shown(c))
	}
	i.Set("ConfigGeneration", s.Config.Generation)
	return i
}
