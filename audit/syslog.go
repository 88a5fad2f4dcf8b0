package audit

import (
	"encoding/json"
	"strconv"
	"strings"
)

// enterprise is the number in the name of our structured data (RFC 5424, section
// 7.2.2), as in the MIB.
const enterprise = 32473

// messageMaxBytes bounds a syslog message: what every receiver takes is less (RFC
// 5424, section 6.1), but the common ones take 8 KiB.
const messageMaxBytes = 8000

// Facility and severities of syslog (RFC 5424, section 6.2.1).
const (
	facilityAudit    = 13
	severityWarning  = 4
	severityNotice   = 5
	syslogTime       = "2006-01-02T15:04:05.000000Z07:00"
	syslogNameMax    = 255
	syslogMessageMax = 32
)

// syslogMessage writes a record as RFC 5424 has it. The text is the record in JSON or
// CEF; what a filter needs stands in the structured data. Where the changes make it
// too long they are left out: the hash says which record is meant.
func syslogMessage(r *Record, line []byte, form Format, product string) ([]byte, error) {
	text, err := syslogText(r, line, form, product)
	if err != nil {
		return nil, err
	}
	short := ""
	head := syslogHead(r)
	if len(head)+len(text) > messageMaxBytes {
		less := *r
		less.Changes, less.Reason = nil, strings.ToValidUTF8(less.Reason[:min(len(less.Reason), 1000)], "?")
		short = ` short="1"`
		if line, err = json.Marshal(&less); err == nil {
			text, err = syslogText(&less, line, form, product)
		}
	}
	if err != nil {
		return nil, err
	}
	return []byte(head + short + "] " + text), nil
}

func syslogText(r *Record, line []byte, form Format, product string) (string, error) {
	b, err := form.Write(r, line, product)
	return strings.TrimRight(string(b), "\r\n"), err
}

// syslogHead is all that stands before the end of the structured data.
func syslogHead(r *Record) string {
	level := severityNotice
	if r.Result == ResultRefused || r.Result == ResultFailed || r.Result == ResultUnknown {
		level = severityWarning
	}
	var b strings.Builder
	b.WriteString("<" + strconv.Itoa(facilityAudit*8+level) + ">1 " + r.Time.UTC().Format(syslogTime) + " " + printable(r.Node, syslogNameMax) + " belay - " +
		printable(r.Action, syslogMessageMax) + " [audit@" + strconv.Itoa(enterprise))
	for _, p := range [][2]string{
		{"seq", strconv.FormatUint(r.Seq, 10)},
		{"cluster", r.Cluster},
		{"phase", string(r.Phase)},
		{"user", r.Actor.User},
		{"loginUser", r.Actor.LoginUID},
		{"via", r.Actor.Via},
		{"address", r.Actor.Address},
		{"object", r.Object},
		{"result", r.Result},
		{"rule", r.Rule},
		{"requestId", r.RequestID},
		{"changeRef", r.ChangeRef},
		{"hash", r.Hash},
	} {
		if p[1] != "" {
			b.WriteString(" " + p[0] + `="` + syslogValue.Replace(strings.ToValidUTF8(p[1][:min(len(p[1]), 500)], "?")) + `"`)
		}
	}
	return b.String()
}

// syslogValue escapes a value of structured data (RFC 5424, section 6.3.3).
var syslogValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`, "\n", " ")

// printable makes a field of the header: printable ASCII without spaces, "-" for
// nothing.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), limit)]
}
