package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Token lets one machine join a cluster. It is shown once, as text; the cluster
// keeps only [Token.Hash] under its ID.
//
//	belay-1-ID-SECRET-FINGERPRINT-CHECK
//
// All parts are lower-case base32 (RFC 4648, section 6) without padding. CHECK
// is the CRC-32 of what stands before it: it tells a slip of the pen from a wrong
// secret, and protects nothing.
type Token struct {
	ID          string // 8 characters
	Secret      string // 26 characters: 128 random bits
	Fingerprint string // of the cluster's authority
}

const (
	tokenPrefix    = "belay-1-"
	tokenMaxBytes  = 256
	tokenIDBytes   = 5
	tokenSecBytes  = 16
	fingerprintLen = 52
)

// ErrToken says that a text is no token.
var ErrToken = errors.New("not a join token")

var base32lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func encode32(b []byte) string { return base32lower.EncodeToString(b) }

// NewToken draws a token for the cluster of that authority.
func NewToken(ca *CA) (Token, error) {
	var b [tokenIDBytes + tokenSecBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Token{}, fmt.Errorf("draw a join token: %w", err)
	}
	return Token{ID: encode32(b[:tokenIDBytes]), Secret: encode32(b[tokenIDBytes:]), Fingerprint: ca.Fingerprint()}, nil
}

// Text is what people copy.
func (t Token) Text() string {
	s := tokenPrefix + t.ID + "-" + t.Secret + "-" + t.Fingerprint
	return s + "-" + checksum(s)
}

// String hides the secret, so that a token in a log line gives nothing away.
func (t Token) String() string { return tokenPrefix + t.ID + "-..." }

// ParseToken reads a token; capitals, and spaces and line ends from copying, do
// no harm. Its errors never repeat the text.
func ParseToken(text string) (Token, error) {
	if len(text) > 2*tokenMaxBytes {
		return Token{}, fmt.Errorf("%w: too long", ErrToken)
	}
	text = strings.ToLower(strings.Join(strings.Fields(text), ""))
	body, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		if strings.HasPrefix(text, "belay-") {
			return Token{}, fmt.Errorf("%w: it is of another version; make one with the release that runs here", ErrToken)
		}
		return Token{}, fmt.Errorf("%w: it does not begin with %q", ErrToken, tokenPrefix)
	}
	parts := strings.Split(body, "-")
	if len(parts) != 4 {
		return Token{}, fmt.Errorf("%w: a part is missing; copy it as a whole", ErrToken)
	}
	if end := strings.LastIndexByte(text, '-'); checksum(text[:end]) != parts[3] {
		return Token{}, fmt.Errorf("%w: a character is wrong; copy it again", ErrToken)
	}
	t := Token{ID: parts[0], Secret: parts[1], Fingerprint: parts[2]}
	for _, p := range []struct {
		text string
		size int
	}{{t.ID, tokenIDBytes}, {t.Secret, tokenSecBytes}, {t.Fingerprint, sha256.Size}} {
		if b, err := base32lower.DecodeString(p.text); err != nil || len(b) != p.size {
			return Token{}, fmt.Errorf("%w: a part has the wrong length", ErrToken)
		}
	}
	return t, nil
}

// Hash is what the cluster stores of a token: SHA-256 of its ID and secret, as
// base64. A secret of 128 random bits needs no salt and no slow hash.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t.ID + "-" + t.Secret))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Matches compares a token with a stored hash, in a time that tells nothing.
func (t Token) Matches(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Hash()), []byte(hash)) == 1
}

func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	return encode32([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
