package auth

import (
	"time"
)

// Session is one log-in.
type Session struct {
	ID       string    `json:"id"` // public
	User     string    `json:"user"`
	Groups   []string  `json:"groups,omitempty"`
	Roles    []string  `json:"roles"`
	Method   Method    `json:"method"`
	Address  string    `json:"address,omitempty"`
	Client   string    `json:"client,omitempty"` // User-Agent
	Node     string    `json:"node,omitempty"`   // whose management daemon began it
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used"`    // last, a few minutes less exact than on the node itself
	Expires  time.Time `json:"expires"` // whatever happens
	IdleSecs int       `json:"idleSeconds"`
	Local    bool      `json:"local,omitempty"` // of this node alone: there was no quorum
}

// over says why a session is over; "" while it is not. used is when this node saw it
// last.
func (s *Session) over(now, used time.Time) string {
	if used.Before(s.Used) {
		used = s.Used
	}
	switch {
	case !now.Before(s.Expires):
		return "the session has reached its greatest age"
	case now.Sub(used) >= time.Duration(s.IdleSecs)*time.Second:
		return "the session was not used for too long"
	}
	return ""
}

// Token is an API token: a named, limited right for a program.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	User    string    `json:"user"` // who made it, and on whose behalf it acts
	Groups  []string  `json:"groups,omitempty"`
	Roles   []string  `json:"roles"`           // that may be used, as far as the user holds them
	Scope   []string  `json:"scope,omitempty"` // see Subject
	Hash    string    `json:"hash,omitempty"`  // SHA-256 of the secret; never shown
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"` // last, to the hour
}

// Certificate lets the holder of a key in by the key's client certificate.
type Certificate struct {
	Key     string    `json:"key"` // SHA-256 of the SubjectPublicKeyInfo, in hex
	User    string    `json:"user"`
	Note    string    `json:"note,omitempty"`
	By      string    `json:"by"` // who entered it
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// Kinds of documents.
const (
	kindSession     = "session/"
	kindToken       = "token/"
	kindCertificate = "certificate/"
)
