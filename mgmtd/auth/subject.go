package auth

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/belay-ha/belay/engine/api"
)

// Method says how somebody was authenticated.
type Method string

// The methods.
const (
	ByPassword    Method = "password"
	ByCertificate Method = "certificate"
	ByToken       Method = "token"
)

// Subject is who asks, as authentication found out.
type Subject struct {
	User    string   `json:"user"`
	Groups  []string `json:"groups,omitempty"` // of the operating system, at the log-in
	Roles   []string `json:"roles,omitempty"`  // held at the log-in
	Only    []string `json:"only,omitempty"`   // of a token: the roles that may be used, as far as they are held
	Method  Method   `json:"method"`
	Session string   `json:"session,omitempty"` // public name of the session or token
	Address string   `json:"address,omitempty"` // where the caller comes from
	Via     string   `json:"via"`               // rest, gui, cim
	// Scope limits a token to objects: patterns of path.Match such as "resource/web*".
	// Empty: no limit.
	Scope []string `json:"scope,omitempty"`
	// Local says that this node alone knows the session: it began without quorum.
	Local bool `json:"local,omitempty"`
}

// Actor is the subject as the engine records it.
func (s *Subject) Actor() *api.Actor {
	return &api.Actor{User: s.User, Via: s.Via, Address: s.Address, Session: s.Session, Authn: string(s.Method), Roles: s.Roles}
}

// Covers reports whether the scope of a token lets it reach an object. An object of
// the whole cluster is out of reach of every scope but "*" and its own name.
func (s *Subject) Covers(object string) bool {
	if len(s.Scope) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Scope, func(p string) bool {
		ok, err := path.Match(p, object)
		return err == nil && ok || p == "*"
	})
}

// userMaxBytes bounds a user's name.
const userMaxBytes = 128

// ValidUser reports whether a text may be a user's name: it goes to PAM, into the
// audit log and into the name of a document.
func ValidUser(name string) bool {
	return name != "" && len(name) <= userMaxBytes && name[0] != '-' && !strings.ContainsAny(name, ":/,;\"'`$&|<>*?") &&
		strings.IndexFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}
