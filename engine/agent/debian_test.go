package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// each calls f for every name, two at a time.
func each(names []string, f func(string)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, n := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(n)
		})
	}
	wg.Wait()
}

// Every resource agent of the distribution describes itself, and its own
// defaults are valid.
func TestDebianResourceAgents(t *testing.T) {
	need(t, "/usr/lib/ocf/resource.d/heartbeat/Dummy", "/usr/lib/ocf/resource.d/pacemaker/Dummy")
	r := testRunner(t, func(c *Config) { c.OCFRoots = []string{"/usr/lib/ocf"}; c.LSBDir = "/nowhere" })
	var names []string
	for _, id := range r.List(context.Background()) {
		if id.Class == ClassOCF {
			names = append(names, id.String())
		}
	}
	if len(names) < 100 {
		t.Fatalf("only %d agents: run make setup", len(names))
	}
	var mu sync.Mutex
	each(names, func(name string) {
		m, err := r.Metadata(context.Background(), mustID(t, name))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
			return
		}
		checkMetadata(t, name, m)
		for _, op := range []string{"start", "stop", "monitor", "meta-data"} {
			if !m.HasAction(op) {
				t.Errorf("%s: no action %s", name, op)
			}
		}
	})
}

// Every fence agent of the distribution does, too, but one that asks a human.
func TestDebianFenceAgents(t *testing.T) {
	need(t, "/usr/sbin/fence_dummy", "/usr/sbin/fence_ipmilan")
	r := testRunner(t, func(c *Config) { c.FenceDirs = []string{"/usr/sbin"} })
	var names []string
	for _, name := range r.ListFence() {
		if name != "fence_ack_manual" {
			names = append(names, name)
		}
	}
	if len(names) < 50 {
		t.Fatalf("only %d agents: run make setup", len(names))
	}
	var mu sync.Mutex
	each(names, func(name string) {
		m, err := r.FenceMetadata(context.Background(), name)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
			return
		}
		checkMetadata(t, name, m)
	})
}

func checkMetadata(t *testing.T, name string, m *meta.Metadata) {
	if m.Name == "" || m.LongDesc == "" && m.ShortDesc == "" {
		t.Errorf("%s: %+v", name, m)
	}
	params := map[string]string{}
	for _, p := range m.Parameters {
		if p.Type == meta.Other {
			t.Errorf("%s: parameter %s has type %q", name, p.Name, p.TypeName)
		}
		if p.HasDefault && !p.Deprecated {
			params[p.Name] = p.Default
		}
	}
	for _, f := range m.Validate(params) {
		if f.Kind != meta.Missing {
			t.Errorf("%s: its defaults: %v", name, f)
		}
	}
	again, err := meta.Parse(m.Kind, m.Marshal())
	if err != nil || len(again.Parameters) != len(m.Parameters) || len(again.Actions) != len(m.Actions) {
		t.Errorf("%s: written and read again: %v", name, err)
	}
}

func TestDebianDummyRoundTrip(t *testing.T) {
	need(t, "/usr/lib/ocf/resource.d/heartbeat/Dummy", "/usr/lib/ocf/resource.d/pacemaker/Dummy")
	r := testRunner(t)
	for _, agent := range []string{"ocf:heartbeat:Dummy", "ocf:pacemaker:Dummy"} {
		params := map[string]string{"state": filepath.Join(t.TempDir(), "state")}
		expect(t, agent, ops(t, r, agent, "d", params, "monitor", "start", "monitor", "validate-all", "stop", "monitor", "nonsense"), 7, 0, 0, 0, 0, 7, 3)
	}
	// What an agent logs reaches the operator, and the reason stands alone.
	res := r.Run(context.Background(), Request{Agent: mustID(t, "ocf:heartbeat:Dummy"), Instance: "d", Op: "start", Params: map[string]string{"state": "/no/such/dir/state"}})
	if res.RC == 0 || !strings.Contains(res.Stderr, "/no/such/dir/state") {
		t.Errorf("%+v", res)
	}
}

func TestDebianFenceDummy(t *testing.T) {
	need(t, "/usr/sbin/fence_dummy")
	r := testRunner(t)
	file := filepath.Join(t.TempDir(), "status")
	ask := func(action FenceAction) FenceResult {
		return r.RunFence(context.Background(), FenceRequest{
			Agent: "fence_dummy", Action: action, Target: "n2", Timeout: 30 * time.Second,
			Params: map[string]string{"type": "file", "status_file": file},
		})
	}
	if err := os.WriteFile(file, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action FenceAction
		power  Power
	}{{FenceStatus, PowerOn}, {FenceOff, PowerUnknown}, {FenceStatus, PowerOff}, {FenceOn, PowerUnknown}, {FenceStatus, PowerOn}, {FenceReboot, PowerUnknown}, {FenceMonitor, PowerUnknown}} {
		if res := ask(c.action); !res.OK || res.Status != cib.OpDone || res.Power != c.power {
			t.Errorf("%s: %+v", c.action, res)
		}
	}
}

// The ones whose parameters say which machine is meant.
func TestDebianPlugParameter(t *testing.T) {
	need(t, "/usr/sbin/fence_ipmilan")
	r := testRunner(t, func(c *Config) { c.FenceDirs = []string{"/usr/sbin"} })
	for agent, want := range map[string]string{"fence_ipmilan": "plug", "fence_apc": "plug", "fence_virsh": "plug", "fence_scsi": "plug", "fence_kdump": "nodename", "fence_dummy": ""} {
		m, err := r.FenceMetadata(context.Background(), agent)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.PlugParameter(); got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
	}
}
