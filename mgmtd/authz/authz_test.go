package authz

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
)

// world is the cluster that the cases are about: the resources of two teams.
const world = `{"cluster": {"name": "c"},
 "nodes": {"n1": {"id": 1, "addresses": ["10.0.0.1"]}, "n2": {"id": 2, "addresses": ["10.0.0.2"]}},
 "resources": {"db": {"group": ["db-ip", "db-pg"]}, "db-ip": {"agent": "belay:dummy"}, "db-pg": {"agent": "belay:dummy"},
  "web": {"agent": "belay:dummy"}, "webs": {"clone": {"resource": "web"}}},
 "constraints": {"db-home": {"location": {"resource": "db", "node": "n1", "score": 100}},
  "web-after-db": {"order": {"first": "db", "then": "webs"}}}}`

func worldConfig(t testing.TB, access string) *cib.Config {
	t.Helper()
	c, faults := cib.ParseConfig([]byte(world))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if access == "" {
		c.RoleBindings = cib.DefaultBindings()
		return c
	}
	a, faults := cib.ParseConfig([]byte(access))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	c.Roles, c.RoleBindings = a.Roles, a.RoleBindings
	return c
}

// objects are one of each kind, in the order of the table.
func objects() []string {
	var out []string
	for _, kind := range cib.AccessKinds() {
		switch kind {
		case "cluster", "audit":
			out = append(out, kind)
		case "node":
			out = append(out, "node/n1", "node/n2")
		case "resource":
			out = append(out, "resource/db", "resource/db-pg", "resource/web")
		case "constraint":
			out = append(out, "constraint/db-home", "constraint/web-after-db")
		default:
			out = append(out, kind+"/x")
		}
	}
	return out
}

// TestDecide runs the cases in testdata/decide:
//
//	config: the roles and bindings of the following cases; none: those of a new cluster
//	faults: what validation says of them
//	table user=.. groups=(..): every action that is allowed, by object
//	held, can .. action=.. object=..: one question
//	change .. action=.. object=..: with the configuration as it would be after it
func TestDecide(t *testing.T) {
	datadriven.Walk(t, "testdata/decide", func(t *testing.T, path string) {
		access := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var s Subject
			var action, object string
			for _, a := range d.CmdArgs {
				switch a.Key {
				case "user":
					s.User = a.Vals[0]
				case "groups":
					s.Groups = a.Vals
				case "only":
					s.Only = a.Vals
				case "root":
					s.BreakGlass = true
				case "action":
					action = a.Vals[0]
				case "object":
					object = a.Vals[0]
				}
			}
			c := worldConfig(t, access)
			if d.Cmd == "config" {
				access = d.Input
				var out strings.Builder
				for _, f := range cib.Validate(worldConfig(t, access)) {
					if !strings.HasPrefix(f.Path, "nodes") {
						fmt.Fprintf(&out, "%s: %s\n", f.Path, f.Text)
					}
				}
				return out.String()
			}
			e, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			switch d.Cmd {
			case "table":
				for _, o := range objects() {
					var can []string
					for _, a := range cib.AccessActions {
						if e.Can(s, a.Name, o).Allowed {
							can = append(can, a.Name)
						}
					}
					fmt.Fprintf(&out, "%-24s %s\n", o, strings.Join(can, " "))
				}
			case "held":
				h := e.Held(s)
				fmt.Fprintf(&out, "%s through %s", strings.Join(h.Roles, ", "), strings.Join(h.Bindings, ", "))
				if h.Conflict != "" {
					fmt.Fprintf(&out, "\nconflict: %s", h.Conflict)
				}
			case "can":
				write(&out, e.Can(s, action, object))
			case "change":
				after, err := cib.Edit(c, cib.EditRequest{Action: "apply", Object: "cluster", Value: json.RawMessage(d.Input), Merge: true})
				if err != nil {
					t.Fatal(err)
				}
				write(&out, e.CanChange(s, action, object, cib.Diff(c, after)))
			default:
				t.Fatalf("no command %q", d.Cmd)
			}
			return out.String()
		})
	})
}

func write(out *strings.Builder, d Decision) {
	word := "no"
	if d.Allowed {
		word = "yes"
	}
	fmt.Fprintf(out, "%s: %s", word, d.Reason)
	if d.Rule != "" {
		fmt.Fprintf(out, " [%s]", d.Rule)
	}
}

// TestDenyOverrides adds random rules that deny to random bindings: none of them
// ever makes more possible, and what they cover is never allowed.
func TestDenyOverrides(t *testing.T) {
	actions := make([]string, len(cib.AccessActions))
	for i, a := range cib.AccessActions {
		actions[i] = a.Name
	}
	rapid.Check(t, func(r *rapid.T) {
		c := worldConfig(t, "")
		role := rapid.SampledFrom(slices.Sorted(maps.Keys(cib.BuiltinRoles))).Draw(r, "role")
		c.RoleBindings = map[string]*cib.RoleBinding{"a": {Role: role, Users: []string{"anna"}}}
		before, err := New(c)
		if err != nil {
			r.Fatal(err)
		}
		rule := cib.AccessRule{
			Deny:    true,
			Actions: rapid.SliceOfN(rapid.SampledFrom(append(actions, "*", "operate", "configure", "read")), 1, 3).Draw(r, "actions"),
			Objects: rapid.SliceOfN(rapid.SampledFrom(append(objects(), "*", "resource/*", "node/*")), 1, 3).Draw(r, "objects"),
		}
		c.Roles = map[string]*cib.AccessRole{"less": {Rules: []cib.AccessRule{rule}}}
		c.RoleBindings["b"] = &cib.RoleBinding{Role: "less", Users: []string{"anna"}}
		after, err := New(c)
		if err != nil {
			r.Fatal(err)
		}
		s := Subject{User: "anna"}
		for _, o := range rapid.SliceOfN(rapid.SampledFrom(objects()), 1, 5).Draw(r, "asked objects") {
			for _, a := range rapid.SliceOfN(rapid.SampledFrom(actions), 1, 5).Draw(r, "asked actions") {
				was, is := before.Can(s, a, o).Allowed, after.Can(s, a, o).Allowed
				if want := was && !rule.Covers(a, o); is != want {
					r.Fatalf("%s of %s: before %v, after %v, wanted %v", a, o, was, is, want)
				}
			}
		}
	})
}

// TestConcurrent asks one enforcer from many goroutines, for the race detector.
func TestConcurrent(t *testing.T) {
	e, err := New(worldConfig(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if !e.Can(Subject{User: "o", Groups: []string{"belay-operator"}}, "stop", "resource/web").Allowed {
					t.Error("an operator may stop a resource")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCan(b *testing.B) {
	e, err := New(worldConfig(b, ""))
	if err != nil {
		b.Fatal(err)
	}
	s := Subject{User: "anna", Groups: []string{"users", "belay-viewer"}}
	for b.Loop() {
		e.Can(s, "read", "resource/web")
	}
}
