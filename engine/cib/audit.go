package cib

import (
	"encoding/pem"
	"strconv"
	"strings"
	"time"
)

// AuditRule says what becomes of the audit log's records: one of its three kinds. Its
// id is the key.
type AuditRule struct {
	Description string        `json:"description,omitempty"`
	Keep        *AuditKeep    `json:"keep,omitempty"`
	Hold        *AuditHold    `json:"hold,omitempty"`
	Forward     *AuditForward `json:"forward,omitempty"`
}

// AuditKeep lets each node remove records after their time, in whole files, the
// oldest first. Without such a rule they are kept for ever; of several the longest
// counts.
type AuditKeep struct {
	Days int `json:"days"` // at least 30; a common rule is seven years, 2557 days
}

// AuditHold keeps records from being removed, whatever their age: a legal hold.
type AuditHold struct {
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"` // RFC 3339; default: from the beginning
	To     string `json:"to,omitempty"`   // RFC 3339; default: to the end
}

// AuditForward sends every node's records to a syslog server over TLS (RFC 5425),
// each at least once. What can't be delivered is sent when the server is back.
type AuditForward struct {
	Address    string `json:"address"`               // host:port; the common port is 6514
	ServerName string `json:"server-name,omitempty"` // in its certificate; default: the host
	CA         string `json:"ca,omitempty"`          // PEM certificates that vouch for it; default: the system's
	CertFile   string `json:"cert-file,omitempty"`   // on each node: a certificate to show, PEM
	KeyFile    string `json:"key-file,omitempty"`    // on each node: its key
	Format     string `json:"format,omitempty"`      // of the text: json (default) or cef
}

// Range returns the times of a hold; zero where there is no limit. A time that can't
// be read is no limit: rather too much is kept.
func (h *AuditHold) Range() (from, to time.Time) {
	from, _ = time.Parse(time.RFC3339, h.From)
	to, _ = time.Parse(time.RFC3339, h.To)
	return from, to
}

// auditDaysMin keeps a slip of the finger from removing what was just written.
const auditDaysMin = 30

func (v *validator) auditRule(id string, r *AuditRule) {
	p := join("audit-rules", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, r != nil) {
		return
	}
	kinds := 0
	if k := r.Keep; k != nil {
		kinds++
		if k.Days < auditDaysMin || k.Days > 100_000 {
			v.fault(p+".keep.days", "%d is outside the limits: %d to 100000", k.Days, auditDaysMin)
		}
	}
	if h := r.Hold; h != nil {
		kinds++
		if strings.TrimSpace(h.Reason) == "" {
			v.fault(p+".hold.reason", "is empty: say why, and for whom")
		}
		v.moment(p+".hold.from", h.From)
		v.moment(p+".hold.to", h.To)
	}
	if f := r.Forward; f != nil {
		kinds++
		v.auditForward(p+".forward", f)
	}
	if kinds != 1 {
		v.fault(p, "is exactly one of keep, hold and forward")
	}
}

func (v *validator) moment(path, text string) {
	if text == "" {
		return
	}
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		v.fault(path, "%q is no time such as 2026-01-31T10:00:00Z", shorten(text))
	}
}

func (v *validator) auditForward(p string, f *AuditForward) {
	i := strings.LastIndexByte(f.Address, ':')
	host := strings.Trim(f.Address[:max(0, i)], "[]")
	n, err := strconv.Atoi(f.Address[i+1:])
	if err != nil || host == "" || n < 1 || n > 65535 || strings.ContainsAny(host, " /") || strings.Contains(host, ":") != strings.HasPrefix(f.Address, "[") {
		v.fault(p+".address", "%q is no host:port, such as siem.example:6514", shorten(f.Address))
	}
	v.oneOf(p+".format", f.Format, "json", "cef")
	if (f.CertFile == "") != (f.KeyFile == "") {
		v.fault(p+".cert-file", "a certificate needs its key, and the other way round: set both or none")
	}
	for _, x := range [][2]string{{"cert-file", f.CertFile}, {"key-file", f.KeyFile}} {
		if x[1] != "" && !strings.HasPrefix(x[1], "/") {
			v.fault(p+"."+x[0], "%q is not the whole path of a file", shorten(x[1]))
		}
	}
	if f.CA == "" {
		return
	}
	rest, found := []byte(f.CA), false
	for block, after := pem.Decode(rest); block != nil; block, after = pem.Decode(after) {
		if block.Type != "CERTIFICATE" {
			v.fault(p+".ca", "has something in it that is no certificate; a key does not belong here")
			return
		}
		found = true
	}
	if !found {
		v.fault(p+".ca", "has no PEM certificate in it")
	}
}
