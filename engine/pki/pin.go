package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A pin names a key: "sha256:" and the base64 of the SHA-256 of its subject public
// key info, as in RFC 7469 section 2.4. Between a cluster and belay-quorumd there is
// no authority: each side knows the other's pin, and nothing else counts.
const pinPrefix = "sha256:"

// ErrPin is wrapped by every refusal of a key.
var ErrPin = errors.New("key refused")

// Pin returns the pin of a certificate's key.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return pinPrefix + base64.StdEncoding.EncodeToString(sum[:])
}

// ParsePin reads a pin, or the base64 of a whole subject public key info, which is
// how a node's key stands in the configuration.
func ParsePin(text string) (string, error) {
	text = strings.TrimSpace(text)
	hash, isPin := strings.CutPrefix(text, pinPrefix)
	raw, err := base64.StdEncoding.DecodeString(hash)
	switch {
	case err != nil:
		return "", fmt.Errorf("%.80q is no pin: sha256: and base64 expected", text)
	case isPin && len(raw) == sha256.Size:
		return text, nil
	case isPin:
		return "", fmt.Errorf("%.80q is no pin: it has %d bytes, not %d", text, len(raw), sha256.Size)
	}
	if _, err := x509.ParsePKIXPublicKey(raw); err != nil {
		return "", fmt.Errorf("%.80q is neither a pin nor a public key", text)
	}
	sum := sha256.Sum256(raw)
	return pinPrefix + base64.StdEncoding.EncodeToString(sum[:]), nil
}

// PinnedServer is for a listener whose clients are known by their keys. Check is
// told the pin of each and when its certificate ends; what it returns refuses the
// client. The certificate is nothing but the wrapping of the key: its dates and
// names are for people.
func PinnedServer(own *tls.Certificate, check func(pin string, notAfter time.Time) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{*own},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // each connection proves its key
		VerifyConnection: func(st tls.ConnectionState) error {
			if len(st.PeerCertificates) == 0 {
				return fmt.Errorf("%w: it shows no certificate", ErrPin)
			}
			leaf := st.PeerCertificates[0]
			return check(Pin(leaf), leaf.NotAfter)
		},
	}
}

// PinnedClient is for dialling a server that is known by its key: one of some pins.
func PinnedClient(own *tls.Certificate, pins ...string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		InsecureSkipVerify:   true, //nolint:gosec // VerifyConnection compares the key
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil },
		VerifyConnection: func(st tls.ConnectionState) error {
			got := "none"
			for i := range st.PeerCertificates[:min(1, len(st.PeerCertificates))] {
				got = Pin(st.PeerCertificates[i])
			}
			if slices.Contains(pins, got) {
				return nil
			}
			return fmt.Errorf("%w: the server's key is %s, which is not the one that is expected", ErrPin, got)
		},
	}
}

// Pinnable joins a node's key with its certificate for [PinnedClient].
func (id *Identity) Pinnable() *tls.Certificate { return id.chain() }

// SelfSigned makes a certificate around a key that is known by its pin.
func SelfSigned(name string, key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(30, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// LoadOrMakeKey reads a private key, or makes one where there is no file, and
// returns it with a certificate around it.
func LoadOrMakeKey(path, name string, now time.Time) (*tls.Certificate, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		var key *ecdsa.PrivateKey
		if key, err = NewKey(); err != nil {
			return nil, err
		}
		if data, err = EncodeKey(key); err != nil {
			return nil, err
		}
		err = WriteFile(path, data, keyMode)
	}
	if err != nil {
		return nil, fmt.Errorf("load a key: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load a key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load %s: mode %04o lets others read it; chmod 600 it, and make a new one if somebody did", path, st.Mode().Perm())
	}
	key, err := DecodeKey(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return SelfSigned(name, key, now)
}
