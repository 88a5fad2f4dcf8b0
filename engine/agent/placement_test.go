package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// TestRunPlacement runs programs that answer, fail, and hang.
func TestRunPlacement(t *testing.T) {
	r := testRunner(t)
	q := graph.Question{Nodes: []graph.QuestionNode{{Name: "n1", Usable: true, Capacity: map[string]int{"memory": 4}}}, Resources: []graph.QuestionResource{{ID: "web", Kind: "primitive"}}}
	example, err := filepath.Abs("../../deploy/examples/placement-program")
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.RunPlacement(t.Context(), example, q, time.Minute)
	if err != nil || a.Scores["web"]["n1"] != cib.Score(10) {
		t.Errorf("the example answers %+v, %v", a, err)
	}
	for _, c := range []struct{ script, want string }{
		{"echo nonsense", "is not understood"},
		{"echo '{}'", "has no scores"},
		{"echo broken >&2; exit 3", "ended with 3: broken"},
		{"sleep 60", "did not answer within"},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := r.RunPlacement(t.Context(), program, q, 2*time.Second); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.script, err, c.want)
		}
	}
	if _, err := r.RunPlacement(t.Context(), "/nowhere/program", q, time.Second); err == nil {
		t.Error("a program that is not there answers")
	}
}
