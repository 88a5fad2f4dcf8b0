package mgmtd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/pki"
)

// start runs a daemon whose engine does not answer: enough to see how it listens.
func start(t *testing.T, set func(*Options)) string {
	t.Helper()
	ready := make(chan []string, 1)
	o := Options{
		Socket: filepath.Join(t.TempDir(), "none"), PAMSocket: filepath.Join(t.TempDir(), "none"), Listen: []string{"127.0.0.1:0"}, StateDir: t.TempDir(),
		Log: slog.New(slog.DiscardHandler), Connections: 20, PerAddress: 10, HeaderTime: 300 * time.Millisecond, Ready: func(a []string) { ready <- a },
	}
	if set != nil {
		set(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-ready:
		return a[0]
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not listen")
	}
	return ""
}

func dial(t *testing.T, address string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	config.InsecureSkipVerify = true
	d := tls.Dialer{Config: config}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*tls.Conn), nil
}

// TLS 1.3 only, unless older clients are to be served.
func TestTLSVersion(t *testing.T) {
	old := &tls.Config{MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12}
	if _, err := dial(t, start(t, nil), old); err == nil {
		t.Error("TLS 1.2 is served")
	}
	if _, err := dial(t, start(t, func(o *Options) { o.TLS12 = true }), old); err != nil {
		t.Errorf("TLS 1.2 was to be served: %v", err)
	}
}

// Who sends a request one byte after the other, or nothing at all, is cut off.
func TestSlowRequests(t *testing.T) {
	address := start(t, nil)
	for _, text := range []string{"", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "} {
		c, err := dial(t, address, &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as it comes
				t.Errorf("%q: the connection stays open", text)
			}
		}
	}
	// A connection that never speaks TLS is cut off, too.
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a silent connection gets an answer")
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as it comes
		t.Error("a silent connection stays open")
	}
}

// One address has its share of the connections only.
func TestConnections(t *testing.T) {
	address := start(t, func(o *Options) { o.PerAddress, o.HeaderTime = 3, time.Minute })
	for i := range 4 {
		_, err := dial(t, address, &tls.Config{MinVersion: tls.VersionTLS13})
		if (err == nil) != (i < 3) {
			t.Errorf("connection %d: %v", i+1, err)
		}
	}
}

// A certificate that was brought along is reloaded when its files change; one that
// can't be read leaves the one before in use.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	c := &certificates{certFile: filepath.Join(dir, "c"), keyFile: filepath.Join(dir, "k"), log: slog.New(slog.DiscardHandler)}
	write := func() *x509.Certificate {
		t.Helper()
		cert, err := selfSigned(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for file, b := range map[string][]byte{c.certFile: pki.EncodeCert(leaf), c.keyFile: pemKey(key)} {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return leaf
	}
	first := write()
	if err := c.open(); err != nil || !c.current.Load().Leaf.Equal(first) {
		t.Fatal(err)
	}
	second := write()
	if err := c.step(t.Context()); err != nil || !c.current.Load().Leaf.Equal(second) {
		t.Errorf("not reloaded: %v", err)
	}
	if err := os.WriteFile(c.keyFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.step(t.Context()); err == nil || !c.current.Load().Leaf.Equal(second) {
		t.Errorf("a broken key: %v", err)
	}
}

func pemKey(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Without an engine the daemon lives, is not ready, and says so.
func TestWithoutEngine(t *testing.T) {
	address := start(t, nil)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}}
	defer web.CloseIdleConnections()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/status": 401, "/": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || bytes.Contains(b, []byte("panic")) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
}
