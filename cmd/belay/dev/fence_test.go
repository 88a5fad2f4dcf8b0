package dev

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/cib"
)

// lamps are a power switch without machines.
type lamps struct {
	mu    sync.Mutex
	state map[string]bool
	stuck string
}

func (l *lamps) names() []string { return []string{"n1", "n2"} }

func (l *lamps) set(name string, on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.state[name]; !ok {
		return errors.New("there is no such\nnode")
	}
	if name == l.stuck {
		return errors.New("process 7 does not end")
	}
	l.state[name] = on
	return nil
}

func (l *lamps) on(name string) error  { return l.set(name, true) }
func (l *lamps) off(name string) error { return l.set(name, false) }

func (l *lamps) status(name string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state[name], nil
}

func startFence(t *testing.T) (*lamps, string) {
	t.Helper()
	l := &lamps{state: map[string]bool{"n1": true, "n2": true}}
	path := filepath.Join(t.TempDir(), "fence.sock")
	d, err := serveFence(t.Context(), path, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return l, path
}

func TestFenceProtocol(t *testing.T) {
	l, path := startFence(t)
	l.stuck = "n2"
	for _, c := range [][2]string{
		{"status n1", "on"},
		{"off n1", "ok"},
		{"off n1", "ok"},
		{"status n1", "off"},
		{"on n1", "ok"},
		{"  status   n1  ", "on"},
		{"list", "ok n1 n2"},
		{"off n9", "error there is no such node"},
		{"off n2", "error process 7 does not end"},
		{"status n2", "on"},
		{"", "error a request is on, off or status with a node, or list"},
		{"off", "error a request is on, off or status with a node, or list"},
		{"reset n1", `error there is no request "reset"`},
		{"off n1 n2", "error a request is on, off or status with a node, or list"},
	} {
		got, err := askFence(t.Context(), path, c[0])
		if err != nil {
			got = "error " + err.Error()
		}
		if got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

// Whoever sends nothing, or far too much, does not keep others waiting.
func TestFenceBadCallers(t *testing.T) {
	_, path := startFence(t)
	for range 8 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	big, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	_, _ = io.WriteString(big, strings.Repeat("off ", 1<<20))
	if got, err := askFence(t.Context(), path, "status n1"); err != nil || got != "on" {
		t.Errorf("%q, %v", got, err)
	}
}

// The engine's own agent and the device understand each other.
func TestFenceAgent(t *testing.T) {
	l, path := startFence(t)
	r, err := agent.New(agent.Config{Node: "n1", StateDir: t.TempDir(), RscTmp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ask := func(a agent.FenceAction) agent.FenceResult {
		return r.RunFence(t.Context(), agent.FenceRequest{
			Device: deviceID, Agent: deviceAgent, Action: a, Params: map[string]string{"socket": path}, Target: "n2", Plug: "n2", Timeout: 10 * time.Second,
		})
	}
	for _, c := range []struct {
		action agent.FenceAction
		ok     bool
		power  agent.Power
		on     bool
	}{
		{agent.FenceMonitor, true, 0, true},
		{agent.FenceStatus, true, agent.PowerOn, true},
		{agent.FenceOff, true, 0, false},
		{agent.FenceStatus, true, agent.PowerOff, false},
		{agent.FenceOn, true, 0, true},
		{agent.FenceReboot, true, 0, true},
	} {
		res := ask(c.action)
		if res.OK != c.ok || res.Power != c.power || l.state["n2"] != c.on || res.Status != cib.OpDone {
			t.Errorf("%s: %+v, node on: %v", c.action, res, l.state["n2"])
		}
	}
	l.stuck = "n2"
	if res := ask(agent.FenceOff); res.OK || !strings.Contains(res.Reason, "process 7 does not end") {
		t.Errorf("off of a node that does not end: %+v", res)
	}
}
