package mgmtd

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/pki"
)

// certificates are what the daemon shows to its clients: brought along in files, or
// made by the cluster, or, before there is a cluster, its own.
type certificates struct {
	certFile, keyFile string // brought along; "" otherwise
	dir               string // where those that the cluster made are kept
	engine            *client.Client
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]
	own     bool // the current one is its own
	stamp   string
}

// certificateEvery is how often files are looked at and renewals are judged.
const certificateEvery = 10 * time.Second

// Names of files in the state directory.
const (
	fileCert = "rest.pem"
	fileKey  = "rest.key"
)

// open finds a first certificate, so that the daemon can listen.
func (c *certificates) open() error {
	if c.certFile != "" {
		return c.reload()
	}
	if err := c.load(filepath.Join(c.dir, fileCert), filepath.Join(c.dir, fileKey)); err == nil {
		return nil
	}
	cert, err := selfSigned(time.Now())
	if err != nil {
		return err
	}
	c.own = true
	c.current.Store(cert)
	c.log.Info("until the cluster has made a certificate, the daemon shows its own", "sha256", fingerprint(cert))
	return nil
}

// run keeps the certificate right until ctx ends.
func (c *certificates) run(ctx context.Context) {
	pause := time.Second // the engine may not be there yet
	for {
		err := c.step(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Debug("certificate", "err", err)
		}
		if err == nil || c.certFile != "" {
			pause = certificateEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, certificateEvery)
	}
}

func (c *certificates) step(ctx context.Context) error {
	if c.certFile != "" {
		err := c.reload()
		if err != nil {
			c.log.Error("the certificate's files can't be used; the one before stays", "err", err)
		}
		return err
	}
	if leaf := c.current.Load().Leaf; !c.own && time.Now().Before(pki.RenewAt(leaf, pki.NodeLife)) {
		return nil
	}
	return c.renew(ctx)
}

// reload reads the files that were brought along, where they have changed.
func (c *certificates) reload() error {
	var times strings.Builder
	for _, f := range []string{c.certFile, c.keyFile} {
		st, err := os.Stat(f)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		fmt.Fprint(&times, st.ModTime().UnixNano(), " ", st.Size(), ";")
	}
	stamp := times.String()
	if stamp == c.stamp {
		return nil
	}
	if err := c.load(c.certFile, c.keyFile); err != nil {
		return err
	}
	if c.stamp != "" {
		c.log.Info("the certificate was reloaded", "file", c.certFile, "sha256", fingerprint(c.current.Load()))
	}
	c.stamp = stamp
	return nil
}

func (c *certificates) load(certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.own = false
	c.current.Store(&cert)
	return nil
}

// renew asks the engine for a certificate of the cluster.
func (c *certificates) renew(ctx context.Context) error {
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	req, err := pki.NewRequest("belay-mgmtd", key)
	if err != nil {
		return err
	}
	out, err := c.engine.Certificate(ctx, &api.CertificateRequest{Request: string(req)})
	if err != nil {
		return err
	}
	pemKey, err := pki.EncodeKey(key)
	if err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(c.dir, fileCert), filepath.Join(c.dir, fileKey)
	if err := errors.Join(pki.WriteFile(keyFile, pemKey, 0o600), pki.WriteFile(certFile, []byte(out.Cert+out.CA), 0o600)); err != nil {
		return err
	}
	if err := c.load(certFile, keyFile); err != nil {
		return err
	}
	c.log.Info("the cluster made a certificate", "sha256", fingerprint(c.current.Load()))
	return nil
}

func fingerprint(c *tls.Certificate) string {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return ""
	}
	return pki.Fingerprint(leaf)
}

// selfSigned makes a certificate that nobody signed.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "localhost"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(pki.NodeLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return pair(der, key)
}

func pair(der []byte, key *ecdsa.PrivateKey) (*tls.Certificate, error) {
	pemKey, err := pki.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pemKey)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &cert, nil
}

// config is for the listener. A client may show a certificate, which auth judges by
// its key: nobody needs to have signed it.
func (c *certificates) config(minVersion uint16) *tls.Config {
	return &tls.Config{
		MinVersion:     minVersion,
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}
}
