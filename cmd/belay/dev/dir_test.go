package dev

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPrepareDir(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := file("letter.txt")
	if _, err := prepareDir(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not of belay dev") {
		t.Errorf("a directory with other files: %v", err)
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	w, err := prepareDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepareDir(t.Context(), dir); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), "(process ") {
		t.Errorf("a directory in use: %v", err)
	}
	if err := w.release(false); err != nil {
		t.Fatal(err)
	}
	old := file(fileDev)
	if w, err = prepareDir(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what an earlier cluster left is still there")
	}
	if err := w.release(false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("a directory that was named is removed")
	}
	if _, err := prepareDir(t.Context(), "/tmp/"+strings.Repeat("x", dirMax)); err == nil || !strings.Contains(err.Error(), "unix sockets") {
		t.Errorf("a name that is too long: %v", err)
	}
	if w, err = prepareDir(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := w.release(false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.path); err == nil {
		t.Error("a temporary directory is left")
	}
}

// Stopping ends what a cluster left that was killed with all its machines, says
// nothing when there is nothing, and touches no other process.
func TestStopLeftovers(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if len(dir) > dirMax {
			continue
		}
		if stopped, err := stopDir(t.Context(), dir); stopped || err != nil {
			t.Errorf("stop of nothing: %v, %v", stopped, err)
		}
	}
	w, err := prepareDir(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(w.path, "n1", "run", "agent", "process")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(logs, "web.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	start := func(cmd *exec.Cmd) proc {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		p, err := identify(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	marked, resource, stranger := exec.Command("sleep", "1000"), exec.Command("sleep", "1000"), exec.Command("sleep", "1000")
	marked.Env = []string{envDir + "=" + w.path}
	resource.Env, resource.Stdout = []string{"A=B"}, log
	stranger.Env = []string{envDir + "=" + w.path + "2"}
	stranger.Dir = w.path
	m, r, s := start(marked), start(resource), start(stranger)
	_ = w.lock.Close() // as the kernel does when the supervisor is killed
	if stopped, err := stopDir(t.Context(), w.path); stopped || err != nil {
		t.Errorf("%v, %v", stopped, err)
	}
	if m.alive() || r.alive() {
		t.Error("a process of the cluster is left")
	}
	if !s.alive() {
		t.Error("a process of somebody else was ended")
	}
	if _, err := os.Stat(w.path); err == nil {
		t.Error("its temporary directory is left")
	}
}

// docs/dev.md shows every field of dev.json, and no other.
func TestFileIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/dev.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```json\n(\\{\n  \"version\".*?)```").FindSubmatch(doc)
	if m == nil {
		t.Fatal("docs/dev.md has no example of dev.json")
	}
	var shown any
	if err := json.Unmarshal(m[1], &shown); err != nil {
		t.Fatal(err)
	}
	var have []string
	fields(reflect.TypeFor[File](), "", &have)
	var want []string
	keys(shown, "", &want)
	slices.Sort(have)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(have, want) {
		t.Errorf("fields of dev.json\n%v\nin docs/dev.md\n%v", have, want)
	}
}

func fields(t reflect.Type, prefix string, out *[]string) {
	switch {
	case t.Kind() == reflect.Slice:
		fields(t.Elem(), prefix, out)
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			*out = append(*out, prefix+name)
			fields(f.Type, prefix+name+".", out)
		}
	}
}

func keys(v any, prefix string, out *[]string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			keys(e, prefix, out)
		}
	case map[string]any:
		for k, e := range v {
			*out = append(*out, prefix+k)
			keys(e, prefix+k+".", out)
		}
	}
}

// Who reads the file while it is replaced sees a whole one.
func TestFileIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	f := &File{Version: 1, Nodes: []FileNode{{Name: "n1", Addresses: []string{"127.9.1.1"}}}}
	if err := f.write(dir); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 300 {
			f.Nodes[0].PID = i
			if err := f.write(dir); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got, err := readFile(dir)
		if err != nil || len(got.Nodes) != 1 || got.Nodes[0].Name != "n1" {
			t.Fatalf("%+v, %v", got, err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}
