package dev

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// managed is a cluster with management daemons, all real programs.
type managed struct {
	*File
	t     *testing.T
	belay string
	dir   string
	web   *http.Client
}

func startManaged(t *testing.T) *managed {
	t.Helper()
	m := &managed{t: t, belay: build(t), dir: t.TempDir()}
	cmd := exec.Command("go", "build", "-o", filepath.Dir(m.belay)+"/", "../../belay-mgmtd", "../../belay-mgmtd-pam")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Cleanup(func() { _, _ = stopDir(context.Background(), m.dir) })
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if _, log, err := run(t, m.belay, "dev", "--detach", "--dir", m.dir); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var err error
	if m.File, err = readFile(m.dir); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(m.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	m.web = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	t.Cleanup(m.web.CloseIdleConnections)
	return m
}

func (m *managed) password(user string) string {
	for _, u := range m.Users {
		if u.Name == user {
			return u.Password
		}
	}
	m.t.Fatalf("there is no user %s", user)
	return ""
}

// ask makes a request and returns the status and the answer.
func (m *managed) ask(method, url, token string, body any) (int, []byte) {
	m.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	if body == nil {
		b = nil
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, url, bytes.NewReader(b))
	if err != nil {
		m.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := m.web.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, out
}

type begun struct {
	Token   string
	Session struct{ Local bool }
}

func (m *managed) login(rest, user string) begun {
	m.t.Helper()
	status, b := m.ask(http.MethodPost, rest+"/v1/session", "", map[string]string{"user": user, "password": m.password(user)})
	var out begun
	if err := json.Unmarshal(b, &out); err != nil || status != http.StatusCreated || out.Token == "" {
		m.t.Fatalf("log-in of %s: %d %s", user, status, b)
	}
	return out
}

// A cluster is managed from outside: real PAM, real sessions on every node, the same
// commands with the same answers, and what is left without quorum.
func TestManagement(t *testing.T) {
	m := startManaged(t)
	t.Run("sessions", m.sessions)
	t.Run("commands", m.commands)
	t.Run("without quorum", m.withoutQuorum)
}

func (m *managed) sessions(t *testing.T) {
	status, b := m.ask(http.MethodPost, m.REST+"/v1/session", "", map[string]string{"user": "admin", "password": "wrong"})
	if status != http.StatusUnauthorized || !bytes.Contains(b, []byte(api.CodeLoginRefused)) {
		t.Errorf("a wrong password: %d %s", status, b)
	}
	viewer := m.login(m.REST, "viewer").Token
	// The session is good on every node, soon.
	for _, n := range m.Nodes {
		eventually(t, "the session on "+n.Name, func() string {
			if status, b := m.ask(http.MethodGet, n.REST+"/v1/status", viewer, nil); status != http.StatusOK {
				return string(b)
			}
			return ""
		})
	}
	if status, b := m.ask(http.MethodPost, m.REST+"/v1/resources/web/actions/stop", viewer, nil); status != http.StatusForbidden {
		t.Errorf("a viewer stops: %d %s", status, b)
	}
	// A role that is taken away ends the sessions of those who held it, everywhere.
	admin := m.login(m.Nodes[1].REST, "security-admin").Token
	change := map[string]any{"action": "delete", "object": "role-binding/viewer"}
	if status, b := m.ask(http.MethodPost, m.Nodes[1].REST+"/v1/change", admin, change); status != http.StatusOK {
		t.Fatalf("delete a binding: %d %s", status, b)
	}
	for _, n := range m.Nodes {
		eventually(t, "the end of the session on "+n.Name, func() string {
			if status, b := m.ask(http.MethodGet, n.REST+"/v1/session", viewer, nil); status != http.StatusUnauthorized {
				return string(b)
			}
			return ""
		})
	}
}

// commands compares what the commands print at the socket and from elsewhere.
func (m *managed) commands(t *testing.T) {
	cmd := exec.Command(m.belay, "--server", m.REST, "--ca-file", m.CA, "login", "--user", "admin", "--password-stdin")
	cmd.Stdin = strings.NewReader(m.password("admin") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	for _, line := range []string{
		"get -o json", "get resource web -o yaml", "history -o json", "agents -o json", "explain resource web", "plan -o json", "resource list -o json",
		"constraint list -o json", "fence device list -o json", "node show n1 -o json", "resource show nothing", "get resource nothing", "stop nothing",
		"resource stop web --dry-run -o json", "resource stop nothing", "apply -f /dev/null",
	} {
		args := strings.Fields(line)
		here, hereErr, err1 := run(t, m.belay, append([]string{"--socket", m.Nodes[0].Socket}, args...)...)
		there, thereErr, err2 := run(t, m.belay, append([]string{"--server", m.REST}, args...)...)
		if args[0] == "node" || args[0] == "resource" && len(args) > 3 { // times and request ids differ
			here, there = "", ""
		}
		if here != there || hereErr != thereErr || exit(err1) != exit(err2) {
			t.Errorf("belay %s:\nat the socket: %d\n%s%s\nfrom elsewhere: %d\n%s%s", line, exit(err1), here, hereErr, exit(err2), there, thereErr)
		}
	}
	if out, log, err := run(t, m.belay, "--server", m.REST, "move", "demo", "--to", "n2", "--wait"); err != nil {
		t.Errorf("move: %v\n%s%s", err, out, log)
	}
	if _, log, err := run(t, m.belay, "--server", m.REST, "logout"); err != nil {
		t.Errorf("logout: %v\n%s", err, log)
	}
	if _, log, err := run(t, m.belay, "--server", m.REST, "status"); err == nil || !strings.Contains(log, api.CodeLogin) {
		t.Errorf("after the log-out: %v\n%s", err, log)
	}
}

func (m *managed) withoutQuorum(t *testing.T) {
	rest := m.Nodes[0].REST
	before := m.login(rest, "operator")
	for _, n := range []string{"n2", "n3"} {
		if _, log, err := run(t, m.belay, "dev", "power", "off", n, "--dir", m.dir); err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
	}
	eventually(t, "no quorum", func() string {
		status, b := m.ask(http.MethodGet, rest+"/v1/quorum", before.Token, nil)
		if status != http.StatusOK || !bytes.Contains(b, []byte("lost")) && !bytes.Contains(b, []byte("no-quorum")) && !bytes.Contains(b, []byte("inquorate")) {
			return string(b)
		}
		return ""
	})
	after := m.login(rest, "operator")
	if !after.Session.Local {
		t.Error("a session that began without quorum is not local")
	}
	for _, s := range []begun{before, after} {
		for _, path := range []string{"/v1/status", "/v1/events", "/v1/session"} {
			if status, b := m.ask(http.MethodGet, rest+path, s.Token, nil); status != http.StatusOK {
				t.Errorf("GET %s: %d %s", path, status, b)
			}
		}
		status, b := m.ask(http.MethodPost, rest+"/v1/resources/web/actions/stop", s.Token, nil)
		p := &api.Problem{}
		if json.Unmarshal(b, p) != nil || status != http.StatusServiceUnavailable || p.Remedy == "" {
			t.Errorf("a change without quorum: %d %s", status, b)
		}
	}
}

func exit(err error) int {
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // of a command that was just run
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func eventually(t *testing.T, what string, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		why := wrong()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, why)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The users of a demo: what is kept of their passwords opens nothing else.
func TestUsers(t *testing.T) {
	dir := t.TempDir()
	users, err := makeUsers(dir, "/opt/my belay]/belay")
	if err != nil {
		t.Fatal(err)
	}
	passwd, err := os.ReadFile(filepath.Join(dir, dirUsers, filePasswd))
	if err != nil {
		t.Fatal(err)
	}
	service, err := os.ReadFile(filepath.Join(dir, dirUsers, pamService))
	if err != nil || !strings.Contains(string(service), `[/opt/my belay\]/belay] dev pam-check`) {
		t.Errorf("service file: %v\n%s", err, service)
	}
	u := users[0]
	for _, c := range []struct {
		kind, user, password string
		ok                   bool
	}{
		{"auth", u.Name, u.Password, true},
		{"auth", u.Name, "x", false},
		{"auth", u.Name, "", false},
		{"auth", "", "", false},
		{"auth", "root", u.Password, false},
		{"account", u.Name, "", true},
		{"account", "root", "", false},
		{"session", u.Name, u.Password, false},
		{"auth", u.Name + ":" + digest(u.Password), "", false},
	} {
		if err := checkUser(string(passwd), c.kind, c.user, c.password); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if strings.Contains(string(passwd), u.Password) {
		t.Error("a password is kept")
	}
}
