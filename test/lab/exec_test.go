package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	l := start(t, Config{Hosts: 1})
	h := l.Host(1)
	c := h.Command(t.Context(), "sh", "-c", "cat; echo $X; pwd; echo err >&2; exit 3")
	c.Env, c.Dir, c.Stdin = []string{"X=y"}, "/var", strings.NewReader("in\n")
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if string(out) != "in\ny\n/var\n" || errs.String() != "err\n" || ExitCode(err) != 3 {
		t.Errorf("output %q, errors %q, %v", out, errs.String(), err)
	}
	if _, err := h.Exec(t.Context(), "no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a missing program: %v", err)
	}
	// A daemon left behind keeps the pipe, but not the caller.
	began := time.Now()
	if out, err := h.Exec(t.Context(), "sh", "-c", "echo started; sleep 1000 &"); err != nil || out != "started\n" {
		t.Errorf("a daemon start: %q, %v", out, err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("a daemon start took %s", d)
	}
	// The end of the context ends everything that the command started.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.Exec(ctx, "sh", "-c", "sleep 2000; true"); ExitCode(err) != -1 {
		t.Errorf("a cancelled command: %v", err)
	}
	if got := sh(t, h, "pgrep -fx 'sleep 2000' | wc -l"); got != "0" {
		t.Errorf("%s processes of a cancelled command are left", got)
	}
	// In the switch, the lab's own addresses are local.
	if out, err := l.Command(t.Context(), "ip", "-o", "addr").CombinedOutput(); err != nil || !strings.Contains(string(out), l.Addr(1).String()+"/24") {
		t.Errorf("in the switch: %s, %v", out, err)
	}
}

func TestServiceLogs(t *testing.T) {
	l := start(t, Config{Hosts: 1})
	h := l.Host(1)
	svc, err := h.StartCommand("talker", h.Command(t.Context(), "sh", "-c", "echo out; echo err >&2; sleep 1000"))
	must(t, err)
	eventually(t, 5*time.Second, "the log has both", func() bool {
		b, _ := os.ReadFile(svc.Log())
		return string(b) == "out\nerr\n"
	})
	svc.KillGroup()
	svc.KillGroup() // what is dead stays dead
	if got := sh(t, h, "pgrep -fx 'sleep 1000' | wc -l"); got != "0" {
		t.Errorf("%s processes of the service are left", got)
	}
	svc, err = h.StartCommand("talker", h.Command(t.Context(), "echo", "again"))
	must(t, err)
	must(t, svc.Wait())
	if b, _ := os.ReadFile(svc.Log()); string(b) != "out\nerr\nagain\n" {
		t.Errorf("log: %q", b)
	}
}

func TestFiles(t *testing.T) {
	bind := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bind, "f"), []byte("bound"), 0o600))
	l := Start(t, Config{Hosts: 1, Binds: []Bind{{Source: bind, Target: "/opt/bound", ReadOnly: true}}})
	h := l.Host(1)
	must(t, h.WriteFile("/usr/local/bin/hello", []byte("#!/bin/sh\necho hello\n"), 0o755)) // off
	must(t, h.PowerOn(t.Context()))
	if got := sh(t, h, "hello; stat -c %a /usr/local/bin /usr/local/bin/hello; cat /opt/bound/f"); got != "hello\n755\n755\nbound" {
		t.Errorf("in the host: %q", got)
	}
	if _, err := h.Exec(t.Context(), "touch", "/opt/bound/g"); err == nil {
		t.Error("a read-only bind can be written")
	}
	// A link leads where it leads in the host, and not into the machine.
	sh(t, h, "mkdir /run/real; ln -s /run/real /var/lib/link")
	must(t, h.WriteFile("/var/lib/link/file", []byte("via"), 0o600)) // on
	if got := sh(t, h, "cat /run/real/file"); got != "via" {
		t.Errorf("through a link: %q", got)
	}
	b, err := h.ReadFile("/var/lib/link/file")
	if err != nil || string(b) != "via" {
		t.Errorf("read through a link: %q, %v", b, err)
	}
	if _, err := os.Stat("/run/real"); err == nil {
		t.Error("the machine has the file")
	}
}

// A program outside reaches services of the host: over its networks, its loopback and its sockets.
func TestReachServices(t *testing.T) {
	l := start(t, Config{Hosts: 1, Boot: bootWeb})
	h := l.Host(1)
	var web net.Conn
	eventually(t, 5*time.Second, "the server listens", func() bool {
		var err error
		web, err = h.DialContext(t.Context(), "tcp", "127.0.0.1:80")
		return err == nil
	})
	must(t, web.Close())
	for _, addr := range []netip.Addr{h.Addr(0), h.Addr(1)} {
		resp, err := l.HTTPClient().Get("http://" + addr.String())
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		if string(body) != "n1" {
			t.Errorf("%s answers %q", addr, body)
		}
	}
	conn, err := l.DialContext(t.Context(), "tcp", h.Addr(1).String()+":80")
	must(t, err)
	must(t, conn.Close())

	_, err = h.Start("python3", "-c", "import socket; s=socket.socket(socket.AF_UNIX); s.bind('/run/test.sock'); s.listen(); c,_=s.accept(); c.send(b'hello')")
	must(t, err)
	socket, err := h.Path("/run/test.sock")
	must(t, err)
	var unixConn net.Conn
	eventually(t, 5*time.Second, "the socket is there", func() bool {
		unixConn, err = net.Dial("unix", socket)
		return err == nil
	})
	if b, err := io.ReadAll(unixConn); err != nil || string(b) != "hello" {
		t.Errorf("over the socket: %q, %v", b, err)
	}
	must(t, unixConn.Close())

	// And hosts reach services of the lab.
	listener, err := l.Listen(t.Context(), "tcp", l.Addr(1).String()+":0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		if c, err := listener.Accept(); err == nil {
			_, _ = c.Write([]byte("from the lab"))
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if got := sh(t, h, "curl -s telnet://"+l.Addr(1).String()+":"+port+" </dev/null"); got != "from the lab" {
		t.Errorf("the host got %q", got)
	}
}
