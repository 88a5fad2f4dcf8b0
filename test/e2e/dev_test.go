package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/status"
)

// devCluster is a cluster that "belay dev" runs, with its management daemons.
type devCluster struct {
	t   *testing.T
	dir string
}

type devNode struct {
	Name   string `json:"name"`
	Socket string `json:"socket"`
	PID    int    `json:"pid"`
	REST   string `json:"rest"`
}

// devFile is what the tests read of dev.json.
type devFile struct {
	Nodes   []devNode `json:"nodes"`
	CA      string    `json:"ca"`
	CIM     string    `json:"cim"`
	CIMHTTP string    `json:"cim_http"`
	Users   []struct {
		Name     string `json:"name"`
		Password string `json:"password"`
		Role     string `json:"role"`
	} `json:"users"`
	SNMP struct {
		Address  string `json:"address"`
		User     string `json:"user"`
		Auth     string `json:"auth"`
		AuthPass string `json:"auth_passphrase"`
		Priv     string `json:"priv"`
		PrivPass string `json:"priv_passphrase"`
	} `json:"snmp"`
}

func belay(t *testing.T) string {
	t.Helper()
	return filepath.Join(os.Getenv("BELAY_BIN"), "belay")
}

// startDev starts a cluster and ends it with the test.
func startDev(t *testing.T, args ...string) *devCluster {
	t.Helper()
	d := &devCluster{t, filepath.Join(t.TempDir(), "dev")}
	run := func(ctx context.Context, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(ctx, belay(t), append([]string{"dev", "--dir", d.dir}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("belay dev %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(d.dir, "n*", "belay-mgmtd.log"))
			for _, l := range logs {
				b, _ := os.ReadFile(l)
				t.Logf("%s:\n%s", l, b[max(0, len(b)-4000):])
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		run(ctx, "--stop")
	})
	run(t.Context(), append([]string{"--detach"}, args...)...)
	if t.Failed() {
		t.FailNow()
	}
	return d
}

func (d *devCluster) file() *devFile {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, "dev.json"))
	must(d.t, err)
	f := &devFile{}
	must(d.t, json.Unmarshal(b, f))
	return f
}

// status asks the engine of a node.
func (d *devCluster) status(node int) (*status.Summary, error) {
	d.t.Helper()
	c := client.New(d.file().Nodes[node].Socket)
	defer c.Close()
	return c.Status(d.t.Context(), true)
}

// web is a client that trusts the cluster's authority.
func (d *devCluster) web() *http.Client {
	d.t.Helper()
	pem, err := os.ReadFile(d.file().CA)
	must(d.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}, Timeout: 20 * time.Second}
}

// rest reads a path of the REST API as the user with a role.
func (d *devCluster) rest(role, path string, into any) {
	d.t.Helper()
	d.request(role, http.MethodGet, path, nil, into)
}

// request asks the REST API as the user with a role; nil: the answer is not looked at.
func (d *devCluster) request(role, method, path string, body []byte, into any) {
	d.t.Helper()
	f, web := d.file(), d.web()
	defer web.CloseIdleConnections()
	ask := func(method, path, token string, body []byte, into any) {
		d.t.Helper()
		req, err := http.NewRequestWithContext(d.t.Context(), method, f.Nodes[0].REST+path, bytes.NewReader(body))
		must(d.t, err)
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := web.Do(req)
		must(d.t, err)
		defer resp.Body.Close()
		if resp.StatusCode >= http.StatusMultipleChoices {
			d.t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
		if into != nil {
			must(d.t, json.NewDecoder(resp.Body).Decode(into))
		}
	}
	for _, u := range f.Users {
		if u.Role != role {
			continue
		}
		login, err := json.Marshal(map[string]string{"user": u.Name, "password": u.Password})
		must(d.t, err)
		var session struct {
			Token string `json:"token"`
		}
		ask(http.MethodPost, "/v1/session", "", login, &session)
		ask(method, path, session.Token, body, into)
		return
	}
	d.t.Fatalf("nobody is %s", role)
}

// Two nodes of "belay dev" with an arbitrator: one loses its power, and the other one
// runs the service, with a store of its own.
func TestQuorumDev(t *testing.T) {
	d := startDev(t, "--nodes", "2", "--quorumd", "--no-mgmt", "--no-reboot")
	until(t, 30*time.Second, "both are voters", func() string {
		s, err := d.status(0)
		if err != nil || len(s.Quorum.Voters) != 2 {
			return "not yet"
		}
		return ""
	})
	s, err := d.status(0)
	must(t, err)
	on := s.Resource("demo").Nodes[0]
	other := 0
	if on == "n1" {
		other = 1
	}
	out, err := exec.CommandContext(t.Context(), belay(t), "dev", "power", "off", on, "--dir", d.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	until(t, 60*time.Second, "the service runs on the other one", func() string {
		s, err := d.status(other)
		if err != nil {
			return err.Error()
		}
		if r := s.Resource("demo"); r.State != status.ResourceRunning || r.Nodes[0] == on {
			return r.State.String()
		}
		return ""
	})
}

// A fence device that unfences: every node has itself switched on by it, writes that
// down, and does it again when the device is another one.
func TestUnfencingDev(t *testing.T) {
	d := startDev(t, "--nodes", "2", "--no-mgmt")
	c := client.New(d.file().Nodes[0].Socket)
	defer c.Close()
	snap, err := c.Snapshot(t.Context())
	must(t, err)
	var id string
	for id = range snap.Config.FenceDevices {
		break
	}
	was := map[string]string{}
	dir, file := filepath.Split(snap.Config.FenceDevices[id].Parameters["socket"])
	elsewhere, err := json.Marshal(dir + "./" + file) // the same socket by another name
	must(t, err)
	for _, patch := range []string{`{"unfencing": true}`, `{"parameters": {"socket": ` + string(elsewhere) + `}}`} {
		_, err := c.Change(t.Context(), &api.Change{Action: api.ActionPatch, Object: "fence-device/" + id, Value: []byte(patch)})
		must(t, err)
		until(t, 30*time.Second, "both are unfenced", func() string {
			s, err := c.Snapshot(t.Context())
			if err != nil {
				return err.Error()
			}
			for _, n := range []string{"n1", "n2"} {
				a := s.Status.Attributes[n]
				if !s.Config.Unfencing() || a == nil || a.Values[cib.AttributeUnfencedDigests] == was[n] || s.Config.UnfencingDue(n, s.Status.Nodes[n].BootID, a) != "" {
					return n
				}
			}
			for _, n := range []string{"n1", "n2"} {
				was[n] = s.Status.Attributes[n].Values[cib.AttributeUnfencedDigests]
			}
			return ""
		})
	}
	s, err := d.status(0)
	must(t, err)
	if r := s.Resource("demo"); r.State != status.ResourceRunning {
		t.Errorf("the service is %s", r.State)
	}
}
