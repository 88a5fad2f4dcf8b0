package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
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
