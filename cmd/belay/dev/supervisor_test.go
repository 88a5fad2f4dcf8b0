package dev

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeEngine is a belayd that only starts a resource, which outlives it.
const fakeEngine = `#!/bin/sh
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
exec sleep 1000
`

type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, text)
}

func (n *notes) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.list, func(s string) bool { return strings.Contains(s, text) })
}

// startMachines starts machines whose engine is a script.
func startMachines(t *testing.T, engine string, names ...string) (*supervisor, *notes) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := &notes{}
	s := &supervisor{dir: t.TempDir(), program: program, belayd: script(t, engine), logLevel: "info", note: n.add, changed: func() {}}
	for _, name := range names {
		s.nodes = append(s.nodes, &node{name: name, dir: filepath.Join(s.dir, name)})
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
		if left := marked(t, s.dir); len(left) > 0 {
			t.Errorf("left after the end: %v", left)
		}
	})
	for _, node := range s.nodes {
		if err := s.powerOn(node); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range s.nodes {
		await(t, "the processes of "+node.name, func() bool { return len(tree(t, s, node)) == 2 })
	}
	return s, n
}

// tree lists the processes that were started on a node.
func tree(t *testing.T, s *supervisor, n *node) []proc {
	t.Helper()
	s.mu.Lock()
	m := n.machine
	s.mu.Unlock()
	if m.PID == 0 {
		return nil
	}
	all, err := below(m.PID)
	if err != nil {
		t.Fatal(err)
	}
	var out []proc
	for _, p := range all {
		if line, err := os.ReadFile(filepath.Join("/proc", number(p.PID), "cmdline")); err == nil && strings.HasPrefix(string(line), "sleep\x00") {
			out = append(out, p)
		}
	}
	return out
}

func alive(list []proc) bool { return slices.ContainsFunc(list, proc.alive) }

func (s *supervisor) view(i int) view { return s.views()[i] }

func TestPower(t *testing.T) {
	s, _ := startMachines(t, fakeEngine, "n1", "n2")
	one, two := tree(t, s, s.nodes[0]), tree(t, s, s.nodes[1])
	first := s.view(0).machine
	if err := s.off("n1"); err != nil {
		t.Fatal(err)
	}
	if alive(one) {
		t.Error("off, and something still runs")
	}
	if on, err := s.status("n1"); on || err != nil {
		t.Errorf("status after off: %v, %v", on, err)
	}
	if v := s.view(0); v.machine != 0 || v.engine != 0 {
		t.Errorf("off, and it has processes: %+v", v)
	}
	for _, p := range two {
		if !p.alive() {
			t.Error("the other node lost a process")
		}
	}
	if err := s.off("n1"); err != nil {
		t.Errorf("off again: %v", err)
	}
	for range 2 {
		if err := s.on("n1"); err != nil {
			t.Fatal(err)
		}
	}
	if v := s.view(0); v.state != on || v.machine == first || v.machine == 0 {
		t.Errorf("after on: %+v", v)
	}
	if err := s.off("n7"); err == nil {
		t.Error("a node that does not exist was switched off")
	}
}

// kill -9 of a machine ends what was started on it, and nothing else; it stays off.
func TestMachineKilled(t *testing.T) {
	s, n := startMachines(t, fakeEngine, "n1", "n2", "n3")
	gone := append(tree(t, s, s.nodes[0]), tree(t, s, s.nodes[1])...)
	stays := tree(t, s, s.nodes[2])
	for i := range 2 { // both at once
		s.mu.Lock()
		m := s.nodes[i].machine
		s.mu.Unlock()
		if err := m.signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "power lost", func() bool { return s.view(0).state == off && s.view(1).state == off })
	if alive(gone) {
		t.Error("off, and something still runs")
	}
	for _, p := range stays {
		if !p.alive() {
			t.Error("the third node lost a process")
		}
	}
	await(t, "it is told", func() bool { return n.has("n1: power lost: its machine was ended by SIGKILL") })
	if err := s.off("n1"); err != nil {
		t.Error(err)
	}
	if err := s.on("n1"); err != nil {
		t.Error(err)
	}
	await(t, "n1 is back", func() bool { return len(tree(t, s, s.nodes[0])) == 2 })
}

// The end of belayd alone leaves resources running, and belayd is started again.
func TestEngineKilled(t *testing.T) {
	s, _ := startMachines(t, fakeEngine, "n1")
	await(t, "the engine is known", func() bool { return s.view(0).engine != 0 })
	v := s.view(0)
	var resource proc
	for _, p := range tree(t, s, s.nodes[0]) {
		if p.PID != v.engine {
			resource = p
		}
	}
	engine, err := identify(v.engine)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "a new engine", func() bool { e := s.view(0).engine; return e != 0 && e != v.engine })
	if now := s.view(0); now.machine != v.machine || now.ends != 1 {
		t.Errorf("the machine was %+v and is %+v", v, now)
	}
	if !resource.alive() {
		t.Error("the resource did not outlive the engine")
	}
	// It belongs to the machine still.
	if err := s.off("n1"); err != nil || resource.alive() {
		t.Errorf("the resource outlives the power: %v", err)
	}
}

// A node that fences itself is gone as a whole, and boots again.
func TestSelfFence(t *testing.T) {
	s, n := startMachines(t, `#!/bin/sh
mark="$(dirname "$0")/fenced"
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
[ -e "$mark" ] && exec sleep 1000
sleep 1000 & 
touch "$mark"
while [ ! -e "$mark.now" ]; do sleep 0.01; done
exit 86
`, "n1")
	before := s.view(0).machine
	gone := tree(t, s, s.nodes[0])
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.belayd), "fenced.now"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "it boots again", func() bool { v := s.view(0); return v.state == on && v.machine != before })
	if alive(gone) {
		t.Error("it boots, and something of the boot before still runs")
	}
	if !n.has("n1: reset itself") {
		t.Error("nobody was told")
	}
}

// Without its supervisor a machine ends, with everything on it.
func TestMachineOutlivesNobody(t *testing.T) {
	s, _ := startMachines(t, fakeEngine, "n1")
	list := tree(t, s, s.nodes[0])
	s.mu.Lock()
	life := s.nodes[0].life
	s.mu.Unlock()
	_ = life.Close() // as the kernel does when the supervisor is killed
	await(t, "its end", func() bool { return !alive(list) && s.view(0).state == off })
}

func TestWrongBelayd(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := &notes{}
	dir := t.TempDir()
	s := &supervisor{dir: dir, program: program, belayd: filepath.Join(dir, "none"), logLevel: "info", note: n.add, changed: func() {}}
	s.nodes = []*node{{name: "n1", dir: filepath.Join(dir, "n1")}}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.end() }()
	if err := s.powerOn(s.nodes[0]); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() bool { return s.view(0).state == off && n.has("exited with status 1") })
	if log := strings.Join(tail(s.nodes[0].log(), 5), "\n"); !strings.Contains(log, "no such file") {
		t.Errorf("the log does not tell why: %q", log)
	}
}
