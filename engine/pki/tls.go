package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Identity is what a process shows to its peers and checks them with. The
// certificate may be replaced while it is in use: the next handshake has the new
// one.
type Identity struct {
	ca   *CA
	key  *ecdsa.PrivateKey
	leaf atomic.Pointer[x509.Certificate]
}

// NewIdentity joins a key with its certificate.
func NewIdentity(ca *CA, cert *x509.Certificate, key *ecdsa.PrivateKey) (*Identity, error) {
	id := &Identity{ca: ca, key: key}
	return id, id.Replace(cert)
}

// Replace takes a renewed certificate of the same key into use.
func (id *Identity) Replace(cert *x509.Certificate) error {
	pub, err := PublicKeyOf(id.key)
	if err != nil {
		return err
	}
	if pub != PublicKey(cert) {
		return fmt.Errorf("the certificate of %s belongs to another key", cert.Subject.CommonName)
	}
	if err := cert.CheckSignatureFrom(id.ca.Cert); err != nil {
		return fmt.Errorf("the certificate of %s is not of this cluster: %w", cert.Subject.CommonName, err)
	}
	id.leaf.Store(cert)
	return nil
}

// Name is the node's name.
func (id *Identity) Name() string { return id.Cert().Subject.CommonName }

// Cert is the certificate in use.
func (id *Identity) Cert() *x509.Certificate { return id.leaf.Load() }

// CA is the authority that peers are checked with.
func (id *Identity) CA() *CA { return id.ca }

// Key is the private key.
func (id *Identity) Key() *ecdsa.PrivateKey { return id.key }

// PublicKey is the key as it stands in the configuration.
func (id *Identity) PublicKey() string { return PublicKey(id.Cert()) }

// Save writes certificate and key; an empty name means the node's own files.
func (id *Identity) Save(dir, certFile, keyFile string) error {
	data, err := EncodeKey(id.key)
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(dir, orElse(keyFile, FileNodeKey)), data, keyMode); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, orElse(certFile, FileNode)), EncodeCert(id.Cert()), certMode)
}

// LoadIdentity reads what [Identity.Save] wrote.
func LoadIdentity(ca *CA, dir, certFile, keyFile string) (*Identity, error) {
	certFile, keyFile = filepath.Join(dir, orElse(certFile, FileNode)), filepath.Join(dir, orElse(keyFile, FileNodeKey))
	data, err := ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("load a certificate: %w", err)
	}
	cert, err := DecodeCert(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", certFile, err)
	}
	st, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("load a key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load %s: mode %04o lets others read it; chmod 600 it, and renew the certificate if somebody did", keyFile, st.Mode().Perm())
	}
	if data, err = ReadFile(keyFile); err != nil {
		return nil, fmt.Errorf("load a key: %w", err)
	}
	key, err := DecodeKey(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", keyFile, err)
	}
	id, err := NewIdentity(ca, cert, key)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", certFile, err)
	}
	return id, nil
}

func orElse(name, def string) string {
	if name == "" {
		return def
	}
	return name
}

// Check says which peers are accepted. Its functions are called from handshakes,
// several at a time.
type Check struct {
	// Peer is the name that the peer's certificate must carry; empty: any of the
	// cluster.
	Peer string
	// Pinned reports whether the configuration names that public key for that
	// node. Nil: every certificate that the cluster's authority signed will do.
	Pinned func(node, publicKey string) bool
	// Expired is told of a pinned peer whose certificate is not valid at this
	// time, and makes that tolerated. Nil: refused.
	Expired func(node string, notAfter time.Time)
	// Anonymous accepts clients without a certificate: for joining nodes. Servers only.
	Anonymous bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ErrPeer is wrapped by every refusal of a peer's certificate.
var ErrPeer = errors.New("peer refused")

// ServerConfig is for listeners. The peer must show a certificate of the cluster.
func (id *Identity) ServerConfig(c Check) *tls.Config {
	auth := tls.RequireAnyClientCert // checked below, where the time can be chosen
	if c.Anonymous {
		auth = tls.RequestClientCert
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     auth,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.chain(), nil },
		VerifyConnection: func(st tls.ConnectionState) error {
			if len(st.PeerCertificates) == 0 && c.Anonymous {
				return nil
			}
			return id.ca.verify(st.PeerCertificates, x509.ExtKeyUsageClientAuth, c)
		},
	}
}

// ClientConfig is for dialling. What the peer's certificate says is checked
// against the cluster and [Check], not against the address that was dialled.
func (id *Identity) ClientConfig(c Check) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		InsecureSkipVerify:   true, //nolint:gosec // VerifyConnection does it, at a time that it chooses
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.chain(), nil },
		VerifyConnection: func(st tls.ConnectionState) error {
			return id.ca.verify(st.PeerCertificates, x509.ExtKeyUsageServerAuth, c)
		},
	}
}

// JoinConfig is for a node that has nothing but a token: it accepts a server
// whose certificate was signed by the authority with that fingerprint, and shows
// none itself. The authority's certificate is the last of the peer's chain.
func JoinConfig(fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection pins the authority
		VerifyConnection: func(st tls.ConnectionState) error {
			_, err := JoinedCA(st, fingerprint)
			return err
		},
	}
}

// JoinedCA returns the authority of the server behind a connection made with
// [JoinConfig], checked against the fingerprint. The clock is not looked at: a
// wrong one is told apart by the answer to the join itself.
func JoinedCA(st tls.ConnectionState, fingerprint string) (*CA, error) {
	n := len(st.PeerCertificates)
	if n < 2 {
		return nil, fmt.Errorf("%w: it does not show the cluster's authority", ErrPeer)
	}
	cert := st.PeerCertificates[n-1]
	if !cert.IsCA || Fingerprint(cert) != fingerprint {
		return nil, fmt.Errorf("%w: it belongs to another cluster than the token", ErrPeer)
	}
	ca := &CA{Cert: cert}
	check := Check{Pinned: func(string, string) bool { return true }, Expired: func(string, time.Time) {}}
	if err := ca.verify(st.PeerCertificates, x509.ExtKeyUsageServerAuth, check); err != nil {
		return nil, err
	}
	return ca, nil
}

// NodeOf is the name of the peer of a connection; empty for one that showed no
// certificate.
func NodeOf(st tls.ConnectionState) string {
	if len(st.PeerCertificates) == 0 {
		return ""
	}
	return st.PeerCertificates[0].Subject.CommonName
}

// chain is the certificate with the authority behind it, for joining nodes.
func (id *Identity) chain() *tls.Certificate {
	leaf := id.Cert()
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, id.ca.Cert.Raw}, PrivateKey: id.key, Leaf: leaf}
}

// verify decides whether the holder of a certificate is one of the cluster.
func (ca *CA) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage, c Check) error {
	if len(certs) == 0 {
		return fmt.Errorf("%w: no certificate", ErrPeer)
	}
	leaf, now := certs[0], time.Now
	if c.Now != nil {
		now = c.Now
	}
	node, at := leaf.Subject.CommonName, now()
	if c.Peer != "" && node != c.Peer {
		return fmt.Errorf("%w: it is %q, not %q", ErrPeer, node, c.Peer)
	}
	pinned := c.Pinned == nil || c.Pinned(node, PublicKey(leaf))
	if !pinned {
		return fmt.Errorf("%w: the key of %q is not the one in the configuration", ErrPeer, node)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	opts := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at}
	_, err := leaf.Verify(opts)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && c.Pinned != nil && c.Expired != nil {
		opts.CurrentTime = within(at, leaf, ca.Cert)
		if _, err = leaf.Verify(opts); err == nil {
			c.Expired(node, leaf.NotAfter)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: certificate of %q: %w", ErrPeer, node, err)
	}
	return nil
}

// within returns the time nearest to at when all the certificates are valid.
func within(at time.Time, certs ...*x509.Certificate) time.Time {
	for _, c := range certs {
		if at.After(c.NotAfter) {
			at = c.NotAfter
		}
	}
	for _, c := range certs {
		if at.Before(c.NotBefore) {
			at = c.NotBefore
		}
	}
	return at
}
