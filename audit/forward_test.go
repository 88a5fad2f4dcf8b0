package audit

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// certificate makes a certificate for localhost that is its own authority.
func certificate(t *testing.T, dir string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	doc := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, doc, doc, key.Public(), key)
	must(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600))
	pair, err := tls.X509KeyPair(cert, keyPEM)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pair, pool
}

// receiver is a syslog server that keeps what it gets.
type receiver struct {
	ln   net.Listener
	mu   sync.Mutex
	got  []string
	conn net.Conn
}

func receive(t *testing.T, address string, pair tls.Certificate) *receiver {
	t.Helper()
	ln, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	must(t, err)
	r := &receiver{ln: ln}
	t.Cleanup(r.stop)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conn = c
			r.mu.Unlock()
			go r.read(c)
		}
	}()
	return r
}

func (r *receiver) read(c net.Conn) {
	for in := bufio.NewReader(c); ; {
		size, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, string(b))
		r.mu.Unlock()
	}
}

// stop cuts the connection, as a crash does.
func (r *receiver) stop() {
	_ = r.ln.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
	}
}

// seqs are the numbers of the records that came, each once.
func (r *receiver) seqs() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return seqsOf(r.got)
}

func seqsOf(messages []string) []uint64 {
	var out []uint64
	for _, m := range messages {
		_, rest, _ := strings.Cut(m, ` seq="`)
		n, _, _ := strings.Cut(rest, `"`)
		seq, err := strconv.ParseUint(n, 10, 64)
		if err == nil && !slices.Contains(out, seq) {
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out
}

func upTo(n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i + 1)
	}
	return out
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// forwarding runs a forwarder until the function that it returns is called.
func forwarding(t *testing.T, dir string, target Target) (*Forwarder, func()) {
	t.Helper()
	f, err := NewForwarder(dir, target)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return f, stop
}

// TestForward sends everything, over restarts of both sides and a change of the
// segment, and nothing again that was delivered for good.
func TestForward(t *testing.T) {
	dir := t.TempDir()
	pair, pool := certificate(t, t.TempDir())
	log := filepath.Join(dir, "log")
	l := open(t, log)
	change(t, l, 5)
	r := receive(t, "127.0.0.1:0", pair)
	address := r.ln.Addr().String()
	target := Target{Name: "siem", Address: address, TLS: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, Format: FormatJSON}
	f, stop := forwarding(t, log, target)
	await(t, "the first ten", func() bool { return slices.Equal(r.seqs(), upTo(10)) })
	await(t, "that they count as delivered", func() bool { return f.Status().Delivered == 10 })

	// The receiver goes away; what is written meanwhile comes when it is back.
	r.stop()
	change(t, l, 5)
	await(t, "that the outage is told", func() bool { return f.Status().Problem != "" })
	must(t, l.RotateAfter(0))
	change(t, l, 5)
	second := receive(t, address, pair)
	await(t, "what was missed", func() bool { return slices.Equal(append(upTo(10), second.seqs()...), upTo(30)) })
	await(t, "that it counts as delivered", func() bool { return f.Status().Delivered == 30 })

	// This side is restarted.
	stop()
	change(t, l, 5)
	second.mu.Lock()
	second.got = nil
	second.mu.Unlock()
	_, _ = forwarding(t, log, target)
	await(t, "the rest", func() bool { s := second.seqs(); return len(s) > 0 && s[len(s)-1] == 40 })
	if s := second.seqs(); s[0] != 31 {
		t.Errorf("sent again from record %d", s[0])
	}
}

// TestForwardRsyslog sends to Debian's rsyslog over TLS, whose parser must
// understand all of it.
func TestForwardRsyslog(t *testing.T) {
	dir := t.TempDir()
	_, pool := certificate(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := ln.Addr().(*net.TCPAddr).Port
	must(t, ln.Close())
	conf := fmt.Sprintf(`
global(workDirectory="%[1]s" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%[1]s/cert.pem"
  defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
module(load="mmpstrucdata")
input(type="imtcp" port="%[2]d" address="127.0.0.1")
template(name="t" type="string" string="%%app-name%%\t%%msgid%%\t%%hostname%%\t%%syslogfacility-text%%.%%syslogseverity-text%%\t%%structured-data%%\t%%msg%%\n")
action(type="omfile" file="%[1]s/out" template="t")
`, dir, port)
	must(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600))
	run := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "rsyslogd", "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid"))
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Log(out)
			}
		})
		return cmd
	}
	first := run()
	log := filepath.Join(dir, "log")
	l := open(t, log)
	nasty := hostile()
	nasty.Object = `a "quoted]" \object`
	must(t, l.Append(sample(), nasty))
	big := sample()
	big.Changes = json.RawMessage(`"` + strings.Repeat("x", 20000) + `"`)
	must(t, l.Append(big, sample()))
	f, _ := forwarding(t, log, Target{
		Name: "rsyslog", Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Format: FormatJSON,
		TLS: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12},
	})
	got := func() []string {
		b, err := readFile(filepath.Join(dir, "out"))
		must(t, err)
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	await(t, "four messages", func() bool { return slices.Equal(seqsOf(got()), upTo(4)) })
	for i, line := range got()[:4] {
		parts := strings.SplitN(line, "\t", 6)
		if len(parts) != 6 || parts[0] != "belay" || parts[1] != "update" || parts[2] != "n1" || parts[3] != "audit.notice" && !strings.HasSuffix(parts[3], ".notice") {
			t.Fatalf("line %d: %q", i, line)
		}
		var r Record
		if err := json.Unmarshal([]byte(parts[5]), &r); err != nil || r.Seq != uint64(i+1) || r.Hash == "" {
			t.Errorf("line %d: %v in %q", i, err, parts[5])
		}
		if i == 2 && (len(r.Changes) != 0 || !strings.Contains(parts[4], `short="1"`)) {
			t.Errorf("a record that is too long: %q", parts[4])
		}
	}
	if want := `object="a \"quoted\]\" \\object"`; !strings.Contains(got()[1], want) {
		t.Errorf("%s is not in %q", want, got()[1])
	}
	// It crashes, and comes back: nothing is lost.
	await(t, "that they count as delivered", func() bool { return f.Status().Delivered == 4 })
	must(t, first.Process.Kill())
	_ = first.Wait()
	must(t, l.Append(sample(), sample()))
	await(t, "that the outage is told", func() bool { return !f.Status().Connected })
	_ = os.Remove(filepath.Join(dir, "pid"))
	run()
	await(t, "the rest", func() bool { return slices.Equal(seqsOf(got()), upTo(6)) })
}

// TestForwardRefuses a receiver that nobody vouches for.
func TestForwardRefuses(t *testing.T) {
	dir := t.TempDir()
	pair, _ := certificate(t, t.TempDir())
	_, other := certificate(t, t.TempDir())
	l := open(t, dir)
	change(t, l, 1)
	r := receive(t, "127.0.0.1:0", pair)
	f, _ := forwarding(t, dir, Target{Name: "x", Address: r.ln.Addr().String(), TLS: &tls.Config{RootCAs: other, ServerName: "localhost", MinVersion: tls.VersionTLS12}, Format: FormatJSON})
	await(t, "the reason", func() bool { return strings.Contains(f.Status().Problem, "certificate") })
	if len(r.seqs()) > 0 {
		t.Error("it got something")
	}
}
