package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Lifetimes of certificates.
const (
	CALife   = 10 * 365 * 24 * time.Hour
	NodeLife = 365 * 24 * time.Hour
)

// RootName is the common name of the certificate that may administer the store:
// its members, its accounts, its space. No node may have this name.
const RootName = "root"

// beginning is before the build of any system that runs this. A certificate that
// starts here is not refused by a machine whose clock battery is empty.
var beginning = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// CA is the authority of one cluster. Only who holds its key can issue.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey // nil: can check, but not issue
}

// NewKey makes a private key of the kind used everywhere here: ECDSA P-256.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a private key: %w", err)
	}
	return key, nil
}

// NewCA makes the authority of a new cluster.
func NewCA(cluster string, now time.Time) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	ca := &CA{key: key}
	return ca, ca.Renew(cluster, now)
}

// Renew replaces the certificate of the authority by one that lives longer. The
// key stays, so that everything it signed stays valid.
func (ca *CA) Renew(cluster string, now time.Time) error {
	if ca.key == nil {
		return errNoKey
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "belay cluster " + cluster, Organization: []string{cluster}},
		NotBefore:             beginning,
		NotAfter:              now.Add(CALife).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, ca.key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("sign the cluster's own certificate: %w", err)
	}
	ca.Cert, err = x509.ParseCertificate(der)
	return err
}

var errNoKey = errors.New("the key of the cluster's certificate authority is not on this node")

// CanIssue reports whether the authority's key is here.
func (ca *CA) CanIssue() bool { return ca.key != nil }

// Fingerprint names the authority: it stays when its certificate is renewed.
func (ca *CA) Fingerprint() string { return Fingerprint(ca.Cert) }

// Names is what a certificate says about its holder.
type Names struct {
	Node      string   // common name, and first DNS name
	Addresses []string // IP addresses, and further host names
	Life      time.Duration
	// ServerOnly makes a certificate that opens nothing: it shows who answers, and
	// neither the store nor another node takes it from a client.
	ServerOnly bool
}

// Issue signs a certificate for a node's public key. It serves as server and as
// client. The names come from the caller, who has checked them against the
// configuration: never from what the node asked for.
func (ca *CA) Issue(names Names, pub crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if ca.key == nil {
		return nil, errNoKey
	}
	if names.Node == "" || len(names.Node) > 64 {
		return nil, fmt.Errorf("issue a certificate: %q is no name of 1 to 64 characters", names.Node)
	}
	if _, ok := pub.(*ecdsa.PublicKey); !ok {
		return nil, fmt.Errorf("issue a certificate for %s: its key is %T, not ECDSA", names.Node, pub)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if names.Life <= 0 {
		names.Life = NodeLife
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: names.Node},
		NotBefore:             beginning,
		NotAfter:              now.Add(names.Life).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if names.ServerOnly {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if names.Node != RootName {
		tmpl.DNSNames = append(tmpl.DNSNames, names.Node)
	}
	for _, a := range names.Addresses {
		if ip := net.ParseIP(a); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if a != "" && a != names.Node {
			tmpl.DNSNames = append(tmpl.DNSNames, a)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", names.Node, err)
	}
	return x509.ParseCertificate(der)
}

// Sign answers a request made by [NewRequest]: it checks that the asker holds the
// key, and issues for that key under the names given here.
func (ca *CA) Sign(request []byte, names Names, now time.Time) (*x509.Certificate, error) {
	req, err := ParseRequest(request)
	if err != nil {
		return nil, err
	}
	return ca.Issue(names, req.PublicKey, now)
}

// NewRequest asks for a certificate of a key, as PEM.
func NewRequest(node string, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: node}}, key)
	if err != nil {
		return nil, fmt.Errorf("ask for a certificate for %s: %w", node, err)
	}
	return encodePEM(pemRequest, der), nil
}

// ParseRequest reads a request and checks that who made it holds its key.
func ParseRequest(request []byte) (*x509.CertificateRequest, error) {
	der, err := decodePEM(pemRequest, request)
	if err != nil {
		return nil, err
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read the request for a certificate: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check the request for a certificate: %w", err)
	}
	return req, nil
}

// RevocationList says which certificates are void although their time has not
// come: those of removed nodes. It is DER, as etcd wants its list; number must
// rise with every new list.
func (ca *CA) RevocationList(serials []*big.Int, number int64, now time.Time) ([]byte, error) {
	if ca.key == nil {
		return nil, errNoKey
	}
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: beginning, NextUpdate: now.Add(CALife)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: s, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the list of void certificates: %w", err)
	}
	return der, nil
}

// PublicKey returns the public key of a certificate as it stands in the
// configuration: base64 of its SubjectPublicKeyInfo (RFC 5280, 4.1).
func PublicKey(cert *x509.Certificate) string {
	return base64.StdEncoding.EncodeToString(cert.RawSubjectPublicKeyInfo)
}

// PublicKeyOf returns the same of a private key.
func PublicKeyOf(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// Fingerprint is the SHA-256 of a certificate's public key, in the base32 that
// tokens use: 52 characters.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return encode32(sum[:])
}

// RenewAt says when a certificate is due for renewal: after two thirds of its
// life, counted back from its end, since its beginning tells nothing.
func RenewAt(cert *x509.Certificate, life time.Duration) time.Time {
	if life <= 0 {
		life = NodeLife
	}
	return cert.NotAfter.Add(-life / 3)
}

func newSerial() (*big.Int, error) {
	// 20 octets at most, positive (RFC 5280, 4.1.2.2).
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}
