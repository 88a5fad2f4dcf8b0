package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func newCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("c1", now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newIdentity(t *testing.T, ca *CA, node string, issued time.Time) *Identity {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(Names{Node: node, Addresses: []string{"10.0.0.1", "fd00::1"}}, key.Public(), issued)
	if err != nil {
		t.Fatal(err)
	}
	id, err := NewIdentity(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// shake makes a connection and returns what each side thinks of the other.
func shake(t *testing.T, server, client *tls.Config) (st tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		// With TLS 1.3 the client learns of the server's verdict when it reads.
		_, clientErr = c.Read(make([]byte, 1))
	}
	b.Close()
	serverErr = <-done
	return s.ConnectionState(), serverErr, clientErr
}

func TestMutualTLS(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	n1, n2 := newIdentity(t, ca, "n1", now), newIdentity(t, ca, "n2", now)
	foreign := newIdentity(t, other, "n2", now)
	plain := Check{Now: at(now)}
	pins := func(ids ...*Identity) func(string, string) bool {
		return func(node, key string) bool {
			for _, id := range ids {
				if id.Name() == node && id.PublicKey() == key {
					return true
				}
			}
			return false
		}
	}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"same cluster", n1.ServerConfig(plain), n2.ClientConfig(plain), true},
		{"expected name", n1.ServerConfig(plain), n2.ClientConfig(Check{Peer: "n1", Now: at(now)}), true},
		{"other name than expected", n1.ServerConfig(plain), n2.ClientConfig(Check{Peer: "n3", Now: at(now)}), false},
		{"client of another cluster", n1.ServerConfig(plain), foreign.ClientConfig(Check{Now: at(now), Pinned: nil}), false},
		{"server of another cluster", foreign.ServerConfig(plain), n2.ClientConfig(plain), false},
		{"client without certificate", n1.ServerConfig(plain), JoinConfig(ca.Fingerprint()), false},
		{"joining client", n1.ServerConfig(Check{Anonymous: true, Now: at(now)}), JoinConfig(ca.Fingerprint()), true},
		{"joining client, wrong cluster", n1.ServerConfig(Check{Anonymous: true, Now: at(now)}), JoinConfig(other.Fingerprint()), false},
		{"pinned", n1.ServerConfig(Check{Pinned: pins(n2), Now: at(now)}), n2.ClientConfig(plain), true},
		{"key not pinned", n1.ServerConfig(Check{Pinned: pins(n1), Now: at(now)}), n2.ClientConfig(plain), false},
		{"client knows TLS 1.2 only", n1.ServerConfig(plain), func() *tls.Config {
			c := n2.ClientConfig(plain)
			c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12
			return c
		}(), false},
	} {
		st, serverErr, clientErr := shake(t, c.server, c.client)
		if ok := serverErr == nil && clientErr == nil; ok != c.ok {
			t.Errorf("%s: server says %v, client says %v", c.name, serverErr, clientErr)
		}
		if c.ok && len(st.PeerCertificates) > 0 && NodeOf(st) != "n2" {
			t.Errorf("%s: the peer is %q", c.name, NodeOf(st))
		}
	}
}

// A certificate that has run out, or a clock that was reset, must not keep a
// known member out; it must keep everybody else out.
func TestExpired(t *testing.T) {
	ca := newCA(t)
	n1, n2 := newIdentity(t, ca, "n1", now), newIdentity(t, ca, "n2", now)
	for _, c := range []struct {
		name   string
		now    time.Time
		pinned func(string, string) bool
		told   bool
		ok     bool
	}{
		{"in time", now, func(string, string) bool { return true }, false, true},
		{"run out, no pins", now.Add(2 * NodeLife), nil, false, false},
		{"run out, pinned", now.Add(2 * NodeLife), func(_, key string) bool { return key == n2.PublicKey() }, true, true},
		{"run out, other pin", now.Add(2 * NodeLife), func(_, key string) bool { return key == n1.PublicKey() }, false, false},
		{"authority run out too, pinned", now.Add(2 * CALife), func(string, string) bool { return true }, true, true},
		{"clock reset, pinned", time.Unix(0, 0), func(string, string) bool { return true }, true, true},
	} {
		var told string
		check := Check{Now: at(c.now), Pinned: c.pinned, Expired: func(node string, end time.Time) { told = node }}
		_, serverErr, _ := shake(t, n1.ServerConfig(check), n2.ClientConfig(Check{Now: at(now)}))
		if (serverErr == nil) != c.ok || (told == "n2") != c.told {
			t.Errorf("%s: %v, told %q", c.name, serverErr, told)
		}
		if serverErr != nil && !errors.Is(serverErr, ErrPeer) {
			t.Errorf("%s: %v is no ErrPeer", c.name, serverErr)
		}
	}
}

func TestRenewedCertificateIsShown(t *testing.T) {
	ca := newCA(t)
	n1, n2 := newIdentity(t, ca, "n1", now.Add(-NodeLife)), newIdentity(t, ca, "n2", now)
	server, client := n1.ServerConfig(Check{Now: at(now)}), n2.ClientConfig(Check{Now: at(now.Add(time.Hour))})
	if _, _, err := shake(t, server, client); err == nil {
		t.Fatal("a certificate that has run out was accepted")
	}
	req, err := NewRequest("n1", n1.Key())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(req, Names{Node: "n1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := n1.Replace(cert); err != nil {
		t.Fatal(err)
	}
	if _, _, err := shake(t, server, client); err != nil {
		t.Error(err)
	}
	if err := n1.Replace(n2.Cert()); err == nil {
		t.Error("took the certificate of another key")
	}
}

func TestSignTakesNamesFromTheCaller(t *testing.T) {
	ca := newCA(t)
	key, _ := NewKey()
	req, err := NewRequest("n1", key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(req, Names{Node: "n7", Addresses: []string{"10.0.0.7", "n7.example"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != "n7" || len(cert.IPAddresses) != 1 || len(cert.DNSNames) != 2 {
		t.Errorf("names are %v %v %v", cert.Subject, cert.IPAddresses, cert.DNSNames)
	}
	req[len(req)/2] ^= 1
	if _, err := ca.Sign(req, Names{Node: "n7"}, now); err == nil {
		t.Error("signed a damaged request")
	}
	if _, err := ca.Sign([]byte("nonsense"), Names{Node: "n7"}, now); err == nil {
		t.Error("signed nonsense")
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t)
	id := newIdentity(t, ca, "n1", now)
	if err := errors.Join(ca.Save(dir), id.Save(dir, "", "")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FileCAKey, FileNodeKey} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	ca2, err := LoadCA(dir)
	if err != nil || ca2.Fingerprint() != ca.Fingerprint() || !ca2.CanIssue() {
		t.Fatalf("%v %v", ca2, err)
	}
	id2, err := LoadIdentity(ca2, dir, "", "")
	if err != nil || id2.PublicKey() != id.PublicKey() || id2.Name() != "n1" {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, FileNodeKey), 0o644)
	if _, err := LoadIdentity(ca2, dir, "", ""); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a key that others may read was loaded: %v", err)
	}
	os.Remove(filepath.Join(dir, FileCAKey))
	ca3, err := LoadCA(dir)
	if err != nil || ca3.CanIssue() {
		t.Fatal(err)
	}
	if _, err := ca3.Issue(Names{Node: "n2"}, id.Key().Public(), now); err == nil {
		t.Error("issued without a key")
	}
	if _, err := ParseCA(EncodeCert(id.Cert()), nil); err == nil {
		t.Error("took a node's certificate for an authority")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), nil, 0o600); err == nil {
		t.Error("wrote into a directory that is not there")
	}
}

func TestRevocationList(t *testing.T) {
	ca := newCA(t)
	der, err := ca.RevocationList([]*big.Int{big.NewInt(7)}, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil || len(list.RevokedCertificateEntries) != 1 || list.CheckSignatureFrom(ca.Cert) != nil {
		t.Errorf("%v %v", list, err)
	}
}

func TestRenewAuthority(t *testing.T) {
	ca := newCA(t)
	id := newIdentity(t, ca, "n1", now)
	fp := ca.Fingerprint()
	if err := ca.Renew("c1", now.Add(CALife/2)); err != nil {
		t.Fatal(err)
	}
	if ca.Fingerprint() != fp || id.Cert().CheckSignatureFrom(ca.Cert) != nil {
		t.Error("the renewed authority does not stand for what it signed before")
	}
}

func TestToken(t *testing.T) {
	ca := newCA(t)
	tok, err := NewToken(ca)
	if err != nil {
		t.Fatal(err)
	}
	text := tok.Text()
	back, err := ParseToken(" " + strings.ToUpper(text[:40]) + "\n" + text[40:] + "\n")
	if err != nil || back != tok {
		t.Fatalf("%v: %+v", err, back)
	}
	if !back.Matches(tok.Hash()) {
		t.Error("does not match its own hash")
	}
	other, _ := NewToken(ca)
	if other.Matches(tok.Hash()) || strings.Contains(tok.String(), tok.Secret) || strings.Contains(tok.Hash(), tok.Secret) {
		t.Error("matches another, or shows its secret")
	}
	for i := range text {
		b := []byte(text)
		if b[i] == 'x' {
			b[i] = 'y'
		} else {
			b[i] = 'x'
		}
		if _, err := ParseToken(string(b)); err == nil {
			t.Fatalf("a slip at %d was not noticed", i)
		} else if strings.Contains(err.Error(), tok.Secret) {
			t.Fatalf("the error shows the secret: %v", err)
		}
	}
	if _, err := ParseToken(strings.Replace(text, "belay-1-", "belay-2-", 1)); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("another version: %v", err)
	}
}

func TestSeal(t *testing.T) {
	k, b, err := NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), FileSeal)
	if err := SaveSealKey(path, b); err != nil {
		t.Fatal(err)
	}
	k2, _, err := LoadSealKey(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal("config/resource/web#password", "hunter2")
	if err != nil || !IsSealed(sealed) || strings.Contains(sealed, "hunter2") {
		t.Fatalf("%q %v", sealed, err)
	}
	if again, _ := k.Seal("config/resource/web#password", "hunter2"); again == sealed {
		t.Error("the same secret looks the same twice")
	}
	if v, err := k2.Open("config/resource/web#password", sealed); err != nil || v != "hunter2" {
		t.Errorf("%q %v", v, err)
	}
	if v, err := k2.Open("anything", "plain"); err != nil || v != "plain" {
		t.Errorf("%q %v", v, err)
	}
	k3, _, _ := NewSealKey()
	for name, f := range map[string]func() (string, error){
		"moved":       func() (string, error) { return k.Open("config/resource/web#description", sealed) },
		"foreign key": func() (string, error) { return k3.Open("config/resource/web#password", sealed) },
		"damaged":     func() (string, error) { return k.Open("config/resource/web#password", sealed[:len(sealed)-5]) },
		"empty":       func() (string, error) { return k.Open("config/resource/web#password", sealPrefix) },
	} {
		if v, err := f(); !errors.Is(err, ErrSeal) || v != "" {
			t.Errorf("%s: %q %v", name, v, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("belay-1-aaaaaaaa-bbbb-cccc-dddd")
	f.Fuzz(func(t *testing.T, text string) {
		if tok, err := ParseToken(text); err == nil {
			if back, err := ParseToken(tok.Text()); err != nil || back != tok {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
