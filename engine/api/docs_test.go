package api_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// docs/api.md lists every code and every action.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for _, d := range api.Codes {
		line := fmt.Sprintf("| %s | %s | %d | %d | %s |\n", d.Code, d.Title, d.Status, d.Exit, d.Remedy)
		if !strings.Contains(doc, line) {
			t.Errorf("docs/api.md lacks: %s", line)
		}
	}
	for _, a := range api.Actions {
		if !strings.Contains(doc, "`"+string(a.Action)+"`") {
			t.Errorf("docs/api.md lacks the action %s", a.Action)
		}
	}
}

// A role can allow every action and every kind of object of a change.
func TestAccessVocabulary(t *testing.T) {
	known := map[string]bool{}
	for _, a := range cib.AccessActions {
		known[a.Name] = true
	}
	for _, a := range api.Actions {
		if !known[string(a.Action)] {
			t.Errorf("no role can allow %s: cib.AccessActions lacks it", a.Action)
		}
	}
	for _, kind := range cib.ObjectKinds() {
		if !slices.Contains(cib.AccessKinds(), kind) {
			t.Errorf("no role can be about a %s: cib.AccessKinds lacks it", kind)
		}
	}
}
