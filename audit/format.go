package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is a form of records for other programs. Only [FormatJSON] can be verified.
type Format string

// The formats.
const (
	FormatJSON Format = "json" // an export of this package: the records as they are, with what verifies them
	FormatCSV  Format = "csv"  // RFC 4180, for spreadsheets
	FormatCEF  Format = "cef"  // Common Event Format, version 0, for SIEM systems
	FormatCADF Format = "cadf" // DMTF DSP0262, one JSON event a line
)

// Formats lists all.
var Formats = []Format{FormatJSON, FormatCSV, FormatCEF, FormatCADF}

// Head is what stands before the first record in a format; "" where nothing does.
func (f Format) Head() string {
	if f != FormatCSV {
		return ""
	}
	return strings.Join(csvColumns, ",") + "\r\n"
}

// Write writes a record as a line, with its end. product is the version that CEF
// names.
func (f Format) Write(r *Record, line []byte, product string) ([]byte, error) {
	switch f {
	case FormatJSON:
		return append(bytes.Clone(line), '\n'), nil
	case FormatCSV:
		return csvLine(r)
	case FormatCEF:
		return []byte(cefLine(r, product) + "\n"), nil
	case FormatCADF:
		b, err := json.Marshal(cadfEvent(r))
		return append(b, '\n'), err
	}
	return nil, fmt.Errorf("there is no format %q: json, csv, cef, cadf", string(f))
}

var csvColumns = []string{
	"seq", "time", "cluster", "node", "phase", "user", "uid", "login_user", "via", "authn", "roles", "address", "session", "action", "object", "result",
	"reason", "rule", "code", "request_id", "change_ref", "generation_before", "generation_after", "changes", "hash",
}

func csvLine(r *Record) ([]byte, error) {
	number := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	a := &r.Actor
	fields := []string{
		number(r.Seq), stamp(r.Time), r.Cluster, r.Node, string(r.Phase), a.User, strconv.FormatUint(uint64(a.UID), 10), a.LoginUID, a.Via, a.Authn,
		strings.Join(a.Roles, " "), a.Address, a.Session, r.Action, r.Object, r.Result, r.Reason, r.Rule, r.Code, r.RequestID, r.ChangeRef,
		number(r.Before), number(r.After), string(r.Changes), r.Hash,
	}
	for i, f := range fields {
		// A spreadsheet would take these as formulas.
		if f != "" && strings.ContainsRune("=+-@\t\r", rune(f[0])) {
			fields[i] = "'" + f
		}
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	_ = w.Write(fields) // to memory
	w.Flush()
	return b.Bytes(), w.Error()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// severity is that of CEF: 0 to 10.
func severity(r *Record) int {
	switch {
	case r.Result == ResultRefused:
		return 6
	case r.Result == ResultFailed || r.Result == ResultUnknown:
		return 7
	case r.Actor.Via == "engine":
		return 4
	}
	return 3
}

var (
	cefHead  = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\n", " ", "\r", " ")
	cefValue = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// cefLine writes a record in the Common Event Format.
func cefLine(r *Record, product string) string {
	var b strings.Builder
	name := strings.TrimSpace(r.Action + " " + r.Object)
	id := string(r.Phase) + ":" + r.Action
	fmt.Fprintf(&b, "CEF:0|Belay|Belay|%s|%s|%s|%d|", cefHead.Replace(product), cefHead.Replace(id), cefHead.Replace(name), severity(r))
	ext := map[string]string{
		"rt": strconv.FormatInt(r.Time.UnixMilli(), 10), "dvchost": r.Node, "externalId": strconv.FormatUint(r.Seq, 10), "suser": r.Actor.User,
		"suid": strconv.FormatUint(uint64(r.Actor.UID), 10), "act": r.Action, "outcome": string(r.Phase), "reason": r.Reason, "app": r.Actor.Via,
		"cs1": r.Object, "cs2": r.RequestID, "cs3": r.Rule, "cs4": r.Actor.LoginUID, "cs5": r.ChangeRef, "cs6": r.Cluster,
	}
	if r.Result != "" {
		ext["outcome"] = r.Result
	}
	if host, _, ok := strings.Cut(r.Actor.Address, ":"); ok && strings.Count(r.Actor.Address, ":") == 1 {
		ext["src"] = host
	} else {
		ext["src"] = r.Actor.Address
	}
	for k, label := range map[string]string{"cs1": "object", "cs2": "requestId", "cs3": "rule", "cs4": "loginUser", "cs5": "changeRef", "cs6": "cluster"} {
		if ext[k] != "" {
			ext[k+"Label"] = label
		}
	}
	first := true
	for _, k := range slices.Sorted(maps.Keys(ext)) {
		if ext[k] == "" {
			continue
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(k + "=" + cefValue.Replace(ext[k]))
	}
	return b.String()
}

// A CADF event (DSP0262, section 6), as far as it is used.
type cadf struct {
	TypeURI     string       `json:"typeURI"`
	ID          string       `json:"id"`
	EventType   string       `json:"eventType"`
	EventTime   string       `json:"eventTime"`
	Action      string       `json:"action"`
	Outcome     string       `json:"outcome"`
	Reason      *cadfReason  `json:"reason,omitempty"`
	Initiator   cadfResource `json:"initiator"`
	Target      cadfResource `json:"target"`
	Observer    cadfResource `json:"observer"`
	Severity    string       `json:"severity,omitempty"`
	Attachments []cadfThing  `json:"attachments,omitempty"`
}

type cadfReason struct {
	ReasonType string `json:"reasonType"`
	ReasonCode string `json:"reasonCode"`
	PolicyType string `json:"policyType,omitempty"`
	PolicyID   string `json:"policyId,omitempty"`
}

type cadfResource struct {
	ID      string    `json:"id"`
	TypeURI string    `json:"typeURI"`
	Name    string    `json:"name,omitempty"`
	Host    *cadfHost `json:"host,omitempty"`
}

type cadfHost struct {
	Address string `json:"address,omitempty"`
	Agent   string `json:"agent,omitempty"`
}

type cadfThing struct {
	Name    string `json:"name"`
	TypeURI string `json:"typeURI"`
	Content any    `json:"content"`
}

// cadfActions are the actions of DSP0262's own taxonomy; others are named below ours.
var cadfActions = map[string]string{
	"create": "create", "update": "update", "patch": "update", "apply": "update", "delete": "delete", "start": "start", "stop": "stop", "read": "read",
	"backup": "backup", "login": "authenticate/login", "logout": "authenticate/logout",
}

func cadfEvent(r *Record) *cadf {
	e := &cadf{
		TypeURI: "http://schemas.dmtf.org/cloud/audit/1.0/event", ID: fmt.Sprintf("%s:%s:%d", r.Cluster, r.Node, r.Seq), EventType: "activity",
		EventTime: stamp(r.Time), Action: cadfActions[r.Action], Severity: strconv.Itoa(severity(r)),
		Initiator: cadfResource{ID: "belay:user:" + r.Actor.User, TypeURI: "data/security/account/user", Name: r.Actor.User, Host: &cadfHost{Address: r.Actor.Address, Agent: r.Actor.Via}},
		Target:    cadfResource{ID: "belay:" + r.Cluster + ":cluster", TypeURI: "service/compute/cluster", Name: r.Cluster},
		Observer:  cadfResource{ID: "belay:" + r.Cluster + ":node/" + r.Node, TypeURI: "service/compute/node", Name: r.Node},
	}
	if e.Action == "" {
		e.Action = "belay/" + r.Action
	}
	if r.Actor.Via == "engine" {
		e.Initiator.TypeURI = "service/compute/cluster"
	}
	if kind, name, ok := strings.Cut(r.Object, "/"); ok {
		e.Target = cadfResource{ID: "belay:" + r.Cluster + ":" + r.Object, TypeURI: "service/compute/" + kind, Name: name}
	}
	e.Outcome = map[string]string{ResultSuccess: "success", ResultRefused: "failure", ResultFailed: "failure"}[r.Result]
	switch {
	case r.Phase == Intent:
		e.Outcome = "pending"
	case e.Outcome == "":
		e.Outcome = "unknown"
	}
	if r.Reason != "" || r.Rule != "" {
		e.Reason = &cadfReason{ReasonType: "belay", ReasonCode: r.Reason, PolicyID: r.Rule}
		if r.Rule != "" {
			e.Reason.PolicyType = "belay/role"
		}
	}
	about := map[string]any{"phase": r.Phase, "requestId": r.RequestID, "hash": r.Hash}
	if r.ChangeRef != "" {
		about["changeRef"] = r.ChangeRef
	}
	if r.Actor.LoginUID != "" {
		about["loginUser"] = r.Actor.LoginUID
	}
	if r.After != 0 {
		about["generationBefore"], about["generationAfter"] = r.Before, r.After
	}
	e.Attachments = append(e.Attachments, cadfThing{"belay", "application/json", about})
	if len(r.Changes) > 0 {
		e.Attachments = append(e.Attachments, cadfThing{"changes", "application/json", r.Changes})
	}
	return e
}
