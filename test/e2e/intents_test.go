package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/client"
)

// checkAudit compares the audit logs of all nodes with the configuration's history.
func (d *devCluster) checkAudit() {
	d.t.Helper()
	dir := func(node string) string { return filepath.Join(d.dir, node, "state", "audit") }
	nodes := d.file().Nodes
	var logs []auditLog
	for _, n := range nodes {
		l := auditLog{node: n.Name, dir: dir(n.Name)}
		for _, other := range nodes {
			if other.Name == n.Name {
				continue
			}
			held, err := audit.Held(dir(other.Name), n.Name)
			must(d.t, err)
			l.held = append(l.held, held...)
		}
		logs = append(logs, l)
	}
	engine := client.New(nodes[0].Socket)
	defer engine.Close()
	compareAudit(d.t.Context(), d.t, logs, engine)
}

// session is a log-in over REST.
type session struct {
	*devCluster
	web   *http.Client
	token string
}

func (d *devCluster) login(role string) *session {
	d.t.Helper()
	s := &session{devCluster: d, web: d.web()}
	d.t.Cleanup(s.web.CloseIdleConnections)
	body := map[string]string{"user": role, "password": d.password(role)}
	status, answer := s.ask(0, http.MethodPost, "/v1/session", body)
	var out struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(answer, &out) != nil || out.Token == "" {
		d.t.Fatalf("log-in of %s: %d %s", role, status, answer)
	}
	s.token = out.Token
	return s
}

func (d *devCluster) password(role string) string {
	d.t.Helper()
	for _, u := range d.file().Users {
		if u.Role == role {
			return u.Password
		}
	}
	d.t.Fatalf("nobody is %s", role)
	return ""
}

// ask makes a request of a node; header are pairs.
func (s *session) ask(node int, method, path string, body any, header ...string) (int, []byte) {
	s.t.Helper()
	var in []byte
	if body != nil {
		var err error
		in, err = json.Marshal(body)
		must(s.t, err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.file().Nodes[node].REST+path, bytes.NewReader(in))
	must(s.t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.web.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, out
}

// Whatever way a change takes, by REST on any node, by the command line here and from
// elsewhere, by CIM, alone or against another one, carried out, repeated or refused: each
// generation has one intent and one outcome, and the reverse.
func TestIntents(t *testing.T) {
	d := startDev(t, "--cim-http")
	f := d.file()
	admin, viewer := d.login("admin"), d.login("viewer")
	want := func(s *session, node, status int, method, path string, body any, header ...string) {
		t.Helper()
		if got, answer := s.ask(node, method, path, body, header...); got != status {
			t.Errorf("%s %s: %d, not %d: %s", method, path, got, status, answer)
		}
	}
	type doc = map[string]any
	for node := range f.Nodes {
		id := "/v1/config/attribute-test-" + f.Nodes[node].Name
		want(admin, node, http.StatusNotFound, http.MethodPut, id, doc{}, "If-Match", "*")
		want(admin, node, http.StatusOK, http.MethodPatch, "/v1/config", doc{"cluster": doc{"properties": doc{"test": doc{"n": f.Nodes[node].Name}}}}, "If-Match", "*")
	}
	dummy := doc{"agent": "belay:dummy"}
	want(admin, 1, http.StatusCreated, http.MethodPost, "/v1/config/resource/extra", dummy, "If-Match", "*", "Idempotency-Key", "one")
	want(admin, 2, http.StatusCreated, http.MethodPost, "/v1/config/resource/extra", dummy, "If-Match", "*", "Idempotency-Key", "one") // done once
	want(admin, 0, http.StatusConflict, http.MethodPost, "/v1/config/resource/extra", dummy, "If-Match", "*")
	want(admin, 0, http.StatusPreconditionFailed, http.MethodPatch, "/v1/config/resource/extra", doc{"description": "late"}, "If-Match", `"1"`)
	want(admin, 0, http.StatusUnprocessableEntity, http.MethodPatch, "/v1/config/resource/extra", doc{"agent": "nonsense"}, "If-Match", "*")
	want(viewer, 0, http.StatusForbidden, http.MethodDelete, "/v1/config/resource/extra", nil, "If-Match", "*")
	want(admin, 0, http.StatusAccepted, http.MethodPost, "/v1/resources/extra/actions/stop", nil)
	// Two that want the next generation at once.
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5 {
			_, _ = d.engineChange(`{"cluster": {"properties": {"test": {"here": "1"}}}}`)
			_, _ = d.engineChange(`{"cluster": {"properties": {"test": {"here": "2"}}}}`)
		}
	}()
	for range 5 {
		for node := range f.Nodes {
			admin.ask(node, http.MethodPatch, "/v1/config", doc{"cluster": doc{"properties": doc{"test": doc{"race": string(rune('a' + node))}}}}, "If-Match", "*")
		}
	}
	<-done
	// From elsewhere.
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	remote := []string{"--server", f.Nodes[1].REST, "--ca-file", f.CA}
	login := exec.CommandContext(t.Context(), belay(t), append(remote, "login", "--user", "admin", "--password-stdin")...)
	login.Stdin = strings.NewReader(d.password("admin") + "\n")
	out, err := login.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{"resource start extra", "node standby n3", "node online n3", "resource delete extra"} {
		if out, err := exec.CommandContext(t.Context(), belay(t), append(remote, strings.Fields(line)...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	// By CIM.
	u := strings.Replace(f.CIMHTTP, "://", "://admin:"+d.password("admin")+"@", 1)
	node := u + `/root/cimv2:Belay_Node.CreationClassName="Belay_Node",Name="n2"`
	for _, value := range []string{"TRUE", "FALSE"} {
		// It writes back what it has read, which is refused where that has changed meanwhile.
		until(t, 30*time.Second, "wbemcli changes a node", func() string {
			if out, err := exec.CommandContext(t.Context(), "wbemcli", "mi", node, "Maintenance="+value).CombinedOutput(); err != nil {
				return string(out)
			}
			return ""
		})
	}
	engine := client.New(f.Nodes[0].Socket)
	defer engine.Close()
	history, err := engine.History(t.Context())
	must(t, err)
	via := map[string]bool{}
	for _, n := range f.Nodes {
		if _, err := audit.Verify(filepath.Join(d.dir, n.Name, "state", "audit"), func(r *audit.Record) {
			if r.Phase == audit.Outcome && r.Result == audit.ResultSuccess && r.After > r.Before {
				via[r.Actor.Via] = true
			}
		}); err != nil {
			t.Error(err)
		}
	}
	for _, way := range []string{"rest", "socket", "cim"} {
		if !via[way] {
			t.Errorf("no change came by %s: %v", way, via)
		}
	}
	if len(history) < 10 {
		t.Errorf("only %d generations", len(history))
	}
	d.checkAudit()
}

// engineChange merges a part into the configuration at the socket of a node.
func (d *devCluster) engineChange(part string) (string, error) {
	cmd := exec.CommandContext(context.Background(), belay(d.t), "--socket", d.file().Nodes[2].Socket, "apply", "--merge", "-f", "-")
	cmd.Stdin = strings.NewReader(part)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
