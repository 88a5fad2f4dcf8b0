package pki

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// SealKeySize is the size of the key that a cluster seals secrets with.
const SealKeySize = 32

// sealPrefix marks a sealed value; what follows is base64 of nonce and ciphertext.
const sealPrefix = "sealed:v1:"

// SealKey seals secret parameters, so that the store, its backups, history and
// reports never hold them in the clear. Every node of the cluster has it; it is
// not in the store.
type SealKey struct{ aead cipher.AEAD }

// ErrSeal says that a sealed value cannot be opened.
var ErrSeal = errors.New("cannot be unsealed")

// NewSealKey draws the key of a new cluster and returns it with its bytes, to be
// kept in a file of mode 0600.
func NewSealKey() (SealKey, []byte, error) {
	b := make([]byte, SealKeySize)
	if _, err := rand.Read(b); err != nil {
		return SealKey{}, nil, fmt.Errorf("draw the cluster's secret key: %w", err)
	}
	k, err := ParseSealKey(b)
	return k, b, err
}

// ParseSealKey takes a key's bytes.
func ParseSealKey(b []byte) (SealKey, error) {
	if len(b) != SealKeySize {
		return SealKey{}, fmt.Errorf("the cluster's secret key has %d bytes instead of %d", len(b), SealKeySize)
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return SealKey{}, fmt.Errorf("use the cluster's secret key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	return SealKey{aead}, err
}

// SaveSealKey writes a key's bytes.
func SaveSealKey(path string, b []byte) error {
	if len(b) != SealKeySize {
		return fmt.Errorf("the cluster's secret key has %d bytes instead of %d", len(b), SealKeySize)
	}
	return WriteFile(path, []byte(base64.StdEncoding.EncodeToString(b)+"\n"), keyMode)
}

// LoadSealKey reads what [SaveSealKey] wrote.
func LoadSealKey(path string) (SealKey, []byte, error) {
	data, err := ReadFile(path)
	if err != nil {
		return SealKey{}, nil, fmt.Errorf("load the cluster's secret key: %w", err)
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return SealKey{}, nil, fmt.Errorf("load the cluster's secret key from %s: not base64", path)
	}
	k, err := ParseSealKey(b)
	return k, b, err
}

// IsSealed reports whether a value is sealed.
func IsSealed(value string) bool { return strings.HasPrefix(value, sealPrefix) }

// Seal encrypts a value. The object is what it belongs to, such as
// "config/resource/web#password": the value opens only for the same object, so
// that nobody can read a secret by moving it to where it is shown. A copy, as in
// an operation's history, is opened under the object it was sealed for.
func (k SealKey) Seal(object, value string) (string, error) {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(value)+k.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("seal %s: %w", object, err)
	}
	return sealPrefix + base64.StdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, []byte(value), []byte(object))), nil
}

// Open decrypts a sealed value. One that is not sealed is returned as it is.
func (k SealKey) Open(object, value string) (string, error) {
	text, ok := strings.CutPrefix(value, sealPrefix)
	if !ok {
		return value, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < k.aead.NonceSize() {
		return "", fmt.Errorf("%s %w: it is damaged", object, ErrSeal)
	}
	plain, err := k.aead.Open(nil, b[:k.aead.NonceSize()], b[k.aead.NonceSize():], []byte(object))
	if err != nil {
		return "", fmt.Errorf("%s %w: sealed for another object, or with another cluster's key", object, ErrSeal)
	}
	return string(plain), nil
}
