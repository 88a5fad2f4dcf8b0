package render

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/status"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var ages = regexp.MustCompile(`"@(-?[0-9a-z]+)"`)

// snapshot reads lines of a key and its document; "@-5m" is five minutes ago.
func snapshot(t *testing.T, text string) *cib.Snapshot {
	t.Helper()
	s := cib.Empty()
	for i, line := range strings.Split(text, "\n") {
		key, doc, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		doc = ages.ReplaceAllStringFunc(doc, func(m string) string {
			d, err := time.ParseDuration(ages.FindStringSubmatch(m)[1])
			if err != nil {
				t.Fatal(err)
			}
			return strconv.Quote(now.Add(d).Format(time.RFC3339))
		})
		s = s.Apply([]cib.KV{{Key: key, Value: []byte(doc), ModRev: int64(i + 1)}}, int64(i+1))
	}
	for key, fault := range s.Faults {
		t.Fatal(key, fault)
	}
	return s
}

// TestRender shows pages. The command names the page; "cluster" keeps a snapshot
// for the commands that follow; color and unicode are arguments.
func TestRender(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s *status.Summary
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			st := Style{Color: d.HasArg("color"), Unicode: d.HasArg("unicode")}
			d.MaybeScanArgs(t, "width", &st.Width)
			arg := ""
			d.MaybeScanArgs(t, "of", &arg)
			switch d.Cmd {
			case "cluster":
				s = status.Summarize(snapshot(t, d.Input), now)
				return ""
			case "status":
				return Status(s, st)
			case "links":
				return Links(s, st)
			case "store":
				return Store(s, st)
			case "quorum":
				return Quorum(s, st)
			case "cluster-status":
				return Cluster(s, st)
			case "fence-status":
				return FenceStatus(s, st)
			case "fence-history":
				return FenceHistory(s, arg, st)
			case "node":
				return Node(s, s.Node(arg), st)
			case "resource":
				return Resource(s, s.Resource(arg), st)
			case "failures":
				return Failures(s, arg, st)
			case "changes":
				var v []cib.Changed
				read(t, d.Input, &v)
				return Changes(v, st)
			case "plan":
				var v api.PlanSummary
				read(t, d.Input, &v)
				return Plan(&v, st)
			case "history":
				var v []api.GenerationInfo
				read(t, d.Input, &v)
				return History(v, st)
			case "explanation":
				var v graph.Explanation
				read(t, d.Input, &v)
				return Explanation(&v, st)
			case "local":
				var v api.Local
				read(t, d.Input, &v)
				return Local(&v, st)
			case "problem":
				var v api.Problem
				read(t, d.Input, &v)
				return strings.ReplaceAll(Problem(&v, st), "\x1b", "ESC")
			case "event":
				var v cib.Event
				read(t, d.Input, &v)
				return Event(&v, st)
			case "agent":
				doc, err := yaml.YAMLToJSON([]byte(d.Input))
				if err != nil {
					t.Fatal(err)
				}
				return Agent("ocf:heartbeat:Dummy", doc, st)
			}
			t.Fatalf("no page %s", d.Cmd)
			return ""
		})
	})
}

func read(t *testing.T, text string, v any) {
	t.Helper()
	doc, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(doc, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestColorsOnlyColor: without colours the text is the same.
func TestColorsOnlyColor(t *testing.T) {
	p := &api.PlanSummary{Steps: []api.Step{{Text: "start web on n1", State: "running"}}, Start: []string{"web on n1"}}
	escape := regexp.MustCompile("\x1b\\[[0-9;]*m")
	if got, want := escape.ReplaceAllString(Plan(p, Style{Color: true}), ""), Plan(p, Style{}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
