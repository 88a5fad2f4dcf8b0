package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// killedEngine runs an agent in another process and kills that process, so
// that the agent is left over.
func killedEngine(t *testing.T, agent string) (state string, pid int) {
	t.Helper()
	dir := t.TempDir()
	state = filepath.Join(dir, "state")
	abs, err := filepath.Abs("testdata/ocf")
	if err != nil {
		t.Fatal(err)
	}
	pidfile := filepath.Join(dir, "pid")
	cmd, _ := child(t, "run", state, abs, agent, pidfile)
	pid = readPID(t, pidfile)
	eventually(t, "the record has the process", func() bool { return len(records(t, state)) == 1 && records(t, state)[0].Process.PID > 0 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !running(pid) {
		t.Fatal("the agent ended with its engine")
	}
	return state, pid
}

func records(t *testing.T, state string) []record {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "runs", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []record
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var rec record
		if err := json.Unmarshal(raw, &rec); err != nil {
			t.Fatal(err)
		}
		list = append(list, rec)
	}
	return list
}

func TestLeftovers(t *testing.T) {
	for _, agent := range []string{"hang", "stubborn", "groups"} {
		t.Run(agent, func(t *testing.T) {
			t.Parallel()
			state, pid := killedEngine(t, agent)
			r := testRunner(t, func(c *Config) { c.StateDir = state })
			list, err := r.Leftovers()
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			l := list[0]
			if l.ActionID != "7.1" || l.Instance != "web" || l.Agent != "ocf:test:"+agent || l.Op != "start" || time.Since(l.Began) > time.Minute {
				t.Errorf("%+v", l)
			}
			if list, err = r.KillLeftovers(context.Background()); err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			if running(pid) || running(l.PID) {
				t.Error("still running")
			}
			if list, err := r.Leftovers(); err != nil || len(list) != 0 {
				t.Errorf("left after that: %+v, %v", list, err)
			}
		})
	}
}

// The engine may die between starting an agent and writing down its number.
func TestLeftoverWithoutNumber(t *testing.T) {
	state, pid := killedEngine(t, "hang")
	rec := records(t, state)[0]
	rec.Process = process{}
	if err := writeJSON(filepath.Join(state, "runs", rec.Run+".json"), rec); err != nil {
		t.Fatal(err)
	}
	r := testRunner(t, func(c *Config) { c.StateDir = state })
	if list, err := r.KillLeftovers(context.Background()); err != nil || len(list) != 1 || list[0].PID != pid {
		t.Fatalf("%+v, %v", list, err)
	}
	if running(pid) {
		t.Error("still running")
	}
}

// A number that another process has now is not ours to kill, and neither is
// anything of another boot.
func TestLeftoverNumberUsedAgain(t *testing.T) {
	state, pid := killedEngine(t, "hang")
	rec := records(t, state)[0]
	for _, other := range []process{
		{rec.Process.PID, rec.Process.Start - 1, rec.Process.Boot},
		{rec.Process.PID, rec.Process.Start, "another boot"},
	} {
		changed := rec
		changed.Process = other
		if err := writeJSON(filepath.Join(state, "runs", rec.Run+".json"), changed); err != nil {
			t.Fatal(err)
		}
		r := testRunner(t, func(c *Config) { c.StateDir = state })
		if list, err := r.KillLeftovers(context.Background()); err != nil || len(list) != 0 {
			t.Errorf("%+v: %+v, %v", other, list, err)
		}
		if !running(pid) {
			t.Fatal("killed a process that is not ours")
		}
		if len(records(t, state)) != 0 {
			t.Error("the record stays")
		}
	}
	endSession(rec.Process, 0)
}

func TestCorruptRecordIsMovedAside(t *testing.T) {
	r := testRunner(t)
	for name, text := range map[string]string{"a": "{broken", "b": `{"run":"c"}`, "c": ""} {
		if err := os.WriteFile(filepath.Join(r.runs.dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.Leftovers()
	if len(list) != 0 || err == nil {
		t.Fatalf("%+v, %v", list, err)
	}
	aside, _ := filepath.Glob(filepath.Join(r.runs.dir, "*.corrupt"))
	if len(aside) != 3 {
		t.Errorf("moved aside: %v", aside)
	}
	if _, err := r.Leftovers(); err != nil {
		t.Errorf("reported twice: %v", err)
	}
}

func TestOwnRunsAreNoLeftovers(t *testing.T) {
	r := testRunner(t)
	ctx, cancel := context.WithCancel(context.Background())
	pidfile := filepath.Join(t.TempDir(), "pid")
	done := make(chan Result, 1)
	go func() {
		done <- r.Run(ctx, Request{Agent: mustID(t, "ocf:test:hang"), Op: "start", Params: map[string]string{"pidfile": pidfile}, Timeout: time.Hour})
	}()
	readPID(t, pidfile)
	if list, err := r.KillLeftovers(context.Background()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	cancel()
	<-done
	if files, _ := filepath.Glob(filepath.Join(r.runs.dir, "*")); len(files) > 0 {
		t.Errorf("records that stay: %v", files)
	}
}

func TestParseStat(t *testing.T) {
	for in, want := range map[string]procStat{
		"12 (sh) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9":          {'S', 1, 12, 12, 4711},
		"12 (a) Z (b) c) Z 1 13 14 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9":  {'Z', 1, 13, 14, 4711},
		"12 (\n) ) R 10 13 14 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99999999999 9 ": {'R', 10, 13, 14, 99999999999},
	} {
		if got, err := parseStat([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "12 (sh", "12 (sh) S", "12 (sh) S x y z 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 q"} {
		if got, err := parseStat([]byte(in)); err == nil {
			t.Errorf("%q: accepted as %+v", in, got)
		}
	}
}
