package cib

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SNMP is how the cluster shows itself over SNMP. It can never be changed over it.
type SNMP struct {
	Listen    string   `json:"listen,omitempty"`           // where a private agent answers on every node, "udp:0.0.0.0:1161" or "udp6:[::]:1161"; default: none
	AgentX    string   `json:"agentx,omitempty"`           // master agent to register with, "unix:/var/agentx/master" or "tcp:127.0.0.1:705"; default: none
	Heartbeat Duration `json:"heartbeat,omitzero"`         // between two notifications that only say that the sender lives; default: none
	PEN       uint32   `json:"enterprise-number,omitzero"` // private enterprise number that the MIB hangs from; default 32473, which is for documentation
}

// Enterprise returns enterprise-number.
func (s *SNMP) Enterprise() uint32 {
	const documentation = 32473 // RFC 5612
	if s.PEN == 0 {
		return documentation
	}
	return s.PEN
}

// SNMPUser is whom SNMP knows: a user of version 3 with both pass phrases, or a
// community of version 2c.
type SNMPUser struct {
	Auth     string `json:"auth,omitempty"`            // SHA-256 (default), SHA-512 or SHA
	Priv     string `json:"priv,omitempty"`            // AES (default) or AES-256
	AuthPass string `json:"auth-passphrase,omitempty"` // 8 to 128 characters
	PrivPass string `json:"priv-passphrase,omitempty"` // 8 to 128 characters

	Community string `json:"community,omitempty"` // makes it a community of version 2c, which is sent in the clear
	Agent     bool   `json:"agent,omitempty"`     // may read from the private agent
}

// V2c reports whether it is a community.
func (u *SNMPUser) V2c() bool { return u.Community != "" }

// AuthProtocol returns auth.
func (u *SNMPUser) AuthProtocol() string { return orDefault(u.Auth, snmpAuth[0]) }

// PrivProtocol returns priv.
func (u *SNMPUser) PrivProtocol() string { return orDefault(u.Priv, snmpPriv[0]) }

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

var (
	snmpAuth = []string{"SHA-256", "SHA-512", "SHA"}
	snmpPriv = []string{"AES", "AES-256"}
)

// SNMPTarget receives notifications.
type SNMPTarget struct {
	Number      uint32    `json:"number,omitempty"`      // given by the cluster, kept and never used again; index in SNMP
	Address     string    `json:"address"`               // host:port, where the port is mostly 162
	User        string    `json:"user"`                  // an SNMP user
	Inform      bool      `json:"inform,omitempty"`      // wait for the answer and send again without it
	MinSeverity Severity  `json:"min-severity,omitzero"` // default: everything. The end of an alarm is as severe as the alarm
	Events      []string  `json:"events,omitempty"`      // only these codes, such as BLY3002; default: all that are marked for it
	Timeout     *Duration `json:"timeout,omitempty"`     // for the answer to an inform; default 5s
	Retries     *int      `json:"retries,omitempty"`     // of an inform before it counts as not arrived, and waits; default 3
	Disabled    bool      `json:"disabled,omitempty"`    // nothing is sent; what happens meanwhile is sent later, as far as it is kept
	Description string    `json:"description,omitempty"`
}

// AnswerTime returns timeout.
func (t *SNMPTarget) AnswerTime() time.Duration { return set(t.Timeout, Duration(5*time.Second)).D() }

// Tries returns retries.
func (t *SNMPTarget) Tries() int { return set(t.Retries, 3) }

// secrets of a user by name.
func (u *SNMPUser) secrets() map[string]string {
	m := map[string]string{"auth-passphrase": u.AuthPass, "priv-passphrase": u.PrivPass, "community": u.Community}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

func (u *SNMPUser) withSecrets(m map[string]string) *SNMPUser {
	out := *u
	out.AuthPass, out.PrivPass, out.Community = m["auth-passphrase"], m["priv-passphrase"], m["community"]
	return &out
}

// OpenSNMPUsers returns the SNMP users of a configuration with their secrets opened.
func OpenSNMPUsers(c *Config, open func(object, value string) (string, error)) (map[string]*SNMPUser, error) {
	part := &Config{SNMPUsers: c.SNMPUsers}
	out, err := mapSecrets(part, nil, func(at place, value string) (string, error) { return open(at.object(), value) })
	return out.SNMPUsers, err
}

// snmp checks everything about SNMP.
func (v *validator) snmp() {
	s, p := &v.c.Cluster.SNMP, "cluster.snmp"
	if s.Listen != "" && !snmpListen(s.Listen) {
		v.fault(p+".listen", "%q is no address to listen at: write udp:ADDRESS:PORT or udp6:[ADDRESS]:PORT", s.Listen)
	}
	if network, at, _ := strings.Cut(s.AgentX, ":"); s.AgentX != "" && (network != "unix" && network != "tcp" || at == "" || strings.ContainsAny(at, " \n")) {
		v.fault(p+".agentx", "%q is no address of a master agent: write unix:PATH or tcp:HOST:PORT", s.AgentX)
	}
	v.zeroOr(p+".heartbeat", s.Heartbeat, time.Second, 24*time.Hour)
	for _, id := range slices.Sorted(maps.Keys(v.c.SNMPUsers)) {
		v.snmpUser(id, v.c.SNMPUsers[id])
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.SNMPTargets)) {
		v.snmpTarget(id, v.c.SNMPTargets[id])
	}
}

func snmpListen(text string) bool {
	network, at, _ := strings.Cut(text, ":")
	where, err := netip.ParseAddrPort(at)
	return (network == "udp" || network == "udp6") && err == nil && where.Port() > 0
}

// hostPort reports whether text is a name or address with a port; an IPv6 address
// stands in brackets.
func hostPort(text string) bool {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Port() > 0
	}
	host, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && host != "" && !strings.ContainsAny(host, " \t\n[]/")
}

const snmpUserMax = 32 // RFC 3414, usmUserName

func (v *validator) snmpUser(id string, u *SNMPUser) {
	p := join("snmp-users", id, false)
	v.id(p, id, snmpUserMax)
	if u == nil {
		v.fault(p, "is empty")
		return
	}
	if u.V2c() {
		if u.Auth+u.Priv+u.AuthPass+u.PrivPass != "" {
			v.fault(p, "is a community of version 2c or a user of version 3, not both")
		}
		v.snmpSecret(p+".community", u.Community, 1)
		return
	}
	v.oneOf(p+".auth", u.AuthProtocol(), snmpAuth...)
	v.oneOf(p+".priv", u.PrivProtocol(), snmpPriv...)
	v.snmpSecret(p+".auth-passphrase", u.AuthPass, 8)
	v.snmpSecret(p+".priv-passphrase", u.PrivPass, 8)
}

// snmpSecret checks a secret that may be sealed already.
func (v *validator) snmpSecret(path, s string, low int) {
	const most = 128
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == '#' }
	if !Sealed(s) && (len(s) < low || len(s) > most || strings.ContainsFunc(s, bad)) {
		v.fault(path, "has %d to %d printable ASCII characters, without space, quotation mark, # and backslash", low, most)
	}
}

func (v *validator) snmpTarget(id string, t *SNMPTarget) {
	p := join("snmp-targets", id, false)
	v.id(p, id, IDMax)
	if t == nil {
		v.fault(p, "is empty")
		return
	}
	if !hostPort(t.Address) {
		v.fault(p+".address", "%q is no host:port", t.Address)
	}
	if v.c.SNMPUsers[t.User] == nil {
		v.fault(p+".user", "there is no SNMP user %q", t.User)
	}
	enum(v, p+".min-severity", Severities, t.MinSeverity)
	const retriesMax = 20
	v.eventCodes(p+".events", t.Events)
	v.optional(p+".timeout", t.Timeout, 100*time.Millisecond, time.Minute)
	if t.Retries != nil {
		v.number(p+".retries", *t.Retries, retriesMax)
	}
}
