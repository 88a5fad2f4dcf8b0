package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// secretBytes is the length of what a session or a token is known by: 256 bits.
const secretBytes = 32

// tokenPrefix begins every API token, so that scanners of repositories and logs find
// those that leak.
const tokenPrefix = "belay_"

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// hash is what is kept of a secret. It needs no salt and no slow function: nobody
// guesses 256 random bits.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// publicID names a session in lists and records: the beginning of its hash.
func publicID(h string) string { return h[:16] }

// CSRFToken is the second secret of a session that comes in a cookie: pages of this
// server know it, and no other site does.
func CSRFToken(session string) string { return hash("csrf " + session)[:43] }

// splitToken reads an API token: belay_ID_SECRET.
func splitToken(text string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && len(id) == tokenIDLen && len(secret) == base64.RawURLEncoding.EncodedLen(secretBytes)
}

const tokenIDLen = 10
