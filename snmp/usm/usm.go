// Package usm names the users of SNMPv3 (RFC 3414), as targets of notifications and the
// private agent have them.
package usm

import (
	"crypto/sha1" //nolint:gosec // HMAC-SHA-96 is what RFC 3414 names SHA
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// User is a user of SNMPv3. Both protocols are always used: authPriv.
type User struct {
	Name     string
	Auth     string // one of AuthProtocols
	AuthPass string
	Priv     string // one of PrivProtocols
	PrivPass string
}

// AuthProtocols authenticate (RFC 3414, RFC 7860), the default first. MD5 is not among
// them.
var AuthProtocols = []string{"SHA-256", "SHA-512", "SHA"}

// PrivProtocols encrypt (RFC 3826 and its extension to 256 bits), the default first. DES
// is not among them.
var PrivProtocols = []string{"AES", "AES-256"}

// PassMin is the length of the shortest pass phrase (RFC 3414, section 11.2), PassMax of
// the longest that is taken.
const (
	PassMin = 8
	PassMax = 128
)

// Check says what is wrong with a user. It never repeats a pass phrase.
func (u *User) Check() error {
	if u == nil || u.Name == "" || len(u.Name) > 32 || strings.ContainsFunc(u.Name, special) {
		return fmt.Errorf("the name of an SNMP user has 1 to 32 letters, digits, or - _ . @")
	}
	if !slices.Contains(AuthProtocols, u.Auth) {
		return fmt.Errorf("SNMP user %s: %q does not authenticate: use one of %s", u.Name, u.Auth, strings.Join(AuthProtocols, ", "))
	}
	if !slices.Contains(PrivProtocols, u.Priv) {
		return fmt.Errorf("SNMP user %s: %q does not encrypt: use one of %s", u.Name, u.Priv, strings.Join(PrivProtocols, ", "))
	}
	for _, pass := range []string{u.AuthPass, u.PrivPass} {
		if len(pass) < PassMin || len(pass) > PassMax || strings.ContainsFunc(pass, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("SNMP user %s: a pass phrase has %d to %d printable ASCII characters, without quotation mark and backslash", u.Name, PassMin, PassMax)
		}
	}
	return nil
}

func special(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.@", r)
}

// Localize makes the keys of one engine from the pass phrases (RFC 3414, section 2.6 and
// appendix A.2; RFC 7860, section 9.3). Who reads them can be the user towards that engine
// only, and does not learn the phrases. The second key is as long as the hash; a cipher
// takes its first octets, or extends it.
func (u *User) Localize(engineID []byte) (auth, priv []byte) {
	return localize(hashOf(u.Auth), u.AuthPass, engineID), localize(hashOf(u.Auth), u.PrivPass, engineID)
}

func hashOf(protocol string) hash.Hash {
	switch protocol {
	case "SHA":
		return sha1.New() //nolint:gosec // see the import
	case "SHA-512":
		return sha512.New()
	default:
		return sha256.New()
	}
}

// expanded is how many octets of a repeated pass phrase are hashed.
const expanded = 1 << 20

func localize(h hash.Hash, phrase string, engineID []byte) []byte {
	if phrase == "" {
		return nil
	}
	block := []byte(strings.Repeat(phrase, expanded/len(phrase)+1))
	h.Write(block[:expanded])
	key := h.Sum(nil)
	h.Reset()
	h.Write(slices.Concat(key, engineID, key))
	return h.Sum(nil)
}
