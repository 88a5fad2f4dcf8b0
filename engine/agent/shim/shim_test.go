package shim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// engine is a Backend in memory: two members, one of them away.
type engine struct {
	mu     sync.Mutex // for attrs and log
	down   bool
	quorum bool
	nodes  []Node
	attrs  []Attribute
	params map[string]string // resource/table/name
	bans   []string
	status *Status
	log    []string // requests that change something
}

func newEngine() *engine {
	e := &engine{
		quorum: true,
		nodes:  []Node{{2, "n2", false, false}, {1, "n1", true, false}, {3, "r1", true, true}},
		params: map[string]string{"d1/parameters/fake": "hi", "d1/meta/priority": "5"},
	}
	t := time.Date(2026, 11, 22, 12, 38, 0, 0, time.UTC)
	on := func(id, agent, role string, nodes ...string) StatusResource {
		return StatusResource{ID: id, Agent: agent, Role: role, Nodes: nodes, Managed: true}
	}
	const dummy, stateful = "ocf:pacemaker:Dummy", "ocf:pacemaker:Stateful"
	e.status = &Status{
		Updated: t, Changed: t.Add(-2 * time.Second), ChangedBy: "root via belay on n1", Cluster: "ref", DC: "n1",
		Quorate: true, Symmetric: true, NoQuorum: "stop",
		Nodes: []StatusNode{
			{Node: e.nodes[1], Online: true, Running: 5, Attributes: map[string]string{"master-st": "10"}},
			{Node: e.nodes[0]},
		},
		Resources: []StatusResource{
			on("d1", dummy, "Started", "n1"),
			{ID: "g", Kind: Group, Managed: true, Members: []StatusResource{on("ga", dummy, "Started", "n1"), on("gb", dummy, "Started", "n1")}},
			{ID: "cl", Kind: Clone, Managed: true, Inner: "c", Members: []StatusResource{on("c", "ocf:heartbeat:Dummy", "Started", "n1"), on("c", "ocf:heartbeat:Dummy", "Stopped")}},
			{ID: "ms", Kind: Clone, Managed: true, Inner: "st", Promoted: true, Members: []StatusResource{on("st", stateful, "Promoted", "n1"), on("st", stateful, "Stopped")}},
		},
		History: []Operation{
			{"n1", "d1", dummy, 24, "start", 0, 0, false, t.Add(-time.Second), 24 * time.Millisecond, 0},
			{"n1", "d1", dummy, 28, "monitor", 10 * time.Second, 0, false, t.Add(-time.Second), 8 * time.Millisecond, 3 * time.Millisecond},
			{"n1", "st", stateful, 31, "monitor", 11 * time.Second, 8, false, t.Add(-time.Second), 9 * time.Millisecond, 0},
			{"n1", "ga", dummy, -1, "stop", 0, 193, true, t, 0, 0},
		},
	}
	return e
}

func (e *engine) ok() error {
	if e.down {
		return fmt.Errorf("dial: %w", ErrUnavailable)
	}
	return nil
}

func (e *engine) Local(context.Context) (Local, error) { return Local{"n1", e.quorum}, e.ok() }
func (e *engine) Nodes(context.Context) ([]Node, error) {
	return slices.Clone(e.nodes), e.ok()
}
func (e *engine) Status(context.Context) (*Status, error) { return e.status, e.ok() }

func (e *engine) find(q Attribute) int {
	return slices.IndexFunc(e.attrs, func(a Attribute) bool {
		return a.Scope == q.Scope && a.Node == q.Node && a.Set == q.Set && a.Name == q.Name
	})
}

func (e *engine) QueryAttribute(_ context.Context, q Attribute) ([]Attribute, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []Attribute
	for _, a := range e.attrs {
		if a.Scope == q.Scope && (q.Node == "" || a.Node == q.Node) && (q.Name == "" || a.Name == q.Name) && (q.Set == "" || a.Set == q.Set) {
			found = append(found, a)
		}
	}
	return found, e.ok()
}

func (e *engine) SetAttribute(_ context.Context, a Attribute, dampen time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ok(); err != nil {
		return err
	}
	e.log = append(e.log, fmt.Sprintf("set %s node=%s set=%s %s=%q private=%v dampen=%v", a.Scope, a.Node, a.Set, a.Name, a.Value, a.Private, dampen))
	if i := e.find(a); i >= 0 {
		e.attrs[i] = a
	} else {
		e.attrs = append(e.attrs, a)
	}
	return nil
}

func (e *engine) DeleteAttribute(_ context.Context, a Attribute, dampen time.Duration) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ok(); err != nil {
		return false, err
	}
	e.log = append(e.log, fmt.Sprintf("delete %s node=%s set=%s %s dampen=%v", a.Scope, a.Node, a.Set, a.Name, dampen))
	i := e.find(a)
	if i >= 0 {
		e.attrs = slices.Delete(e.attrs, i, i+1)
	}
	return i >= 0, nil
}

func (e *engine) Resource(_ context.Context, q ResourceRequest) (ResourceReply, error) {
	if err := e.ok(); err != nil {
		return ResourceReply{}, err
	}
	if q.Verb != VerbGet {
		e.log = append(e.log, strings.TrimRight(fmt.Sprintf("%s %s node=%s promoted=%v lifetime=%s timeout=%v %s %s %s", q.Verb, q.Resource, q.Node, q.Promoted, q.Lifetime, q.Timeout, q.Table, q.Parameter, q.Value), " "))
	}
	if q.Resource == "nosuch" {
		return ResourceReply{}, ErrNoResource
	}
	if q.Node == "nosuch" {
		return ResourceReply{}, ErrNoNode
	}
	key := q.Resource + "/" + string(q.Table) + "/" + q.Parameter
	old, had := e.params[key]
	switch q.Verb {
	case VerbGet:
		return ResourceReply{Found: had, Value: old}, nil
	case VerbSet:
		e.params[key] = q.Value
	case VerbDelete:
		delete(e.params, key)
		return ResourceReply{Found: had}, nil
	case VerbBan:
		node := q.Node
		if node == "" {
			node = "n1"
		}
		id := "cli-ban-" + q.Resource + "-on-" + node
		e.bans = append(e.bans, id)
		return ResourceReply{Node: node, Constraint: id}, nil
	case VerbClear:
		var reply ResourceReply
		e.bans = slices.DeleteFunc(e.bans, func(id string) bool {
			hit := strings.HasPrefix(id, "cli-ban-"+q.Resource+"-on-"+q.Node)
			if hit {
				reply.Cleared = append(reply.Cleared, id)
			}
			return hit
		})
		slices.Sort(reply.Cleared)
		reply.Cleared = slices.Compact(reply.Cleared)
		return reply, nil
	case VerbMove, VerbCleanup, VerbRefresh, VerbFail, VerbWait:
	}
	return ResourceReply{}, nil
}

// words cuts a command line at spaces, but not within backquotes.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "`") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// TestTools runs command lines against one engine for each file.
//
//	run       the lines are commands, "env NAME=value ... command" sets variables
//	engine    changes it: down, up, no-quorum
func TestTools(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		e := newEngine()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			switch d.Cmd {
			case "engine":
				e.down, e.quorum = d.HasArg("down"), !d.HasArg("no-quorum")
				return ""
			case "run":
				for line := range strings.Lines(d.Input) {
					out.WriteString(runLine(e, strings.TrimSpace(line)))
				}
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return out.String()
		})
	})
}

// runLine shows standard output with ">", standard error with "2>", then what
// the engine was asked to change, then the exit status unless it is 0.
func runLine(e *engine, line string) string {
	args, env := words(line), map[string]string{}
	if args[0] == "env" {
		for args = args[1:]; strings.Contains(args[0], "="); args = args[1:] {
			name, value, _ := strings.Cut(args[0], "=")
			env[name] = value
		}
	}
	e.log = nil
	var stdout, stderr bytes.Buffer
	rc := Main(context.Background(), args, func(k string) string { return env[k] }, e, &stdout, &stderr)
	var out strings.Builder
	out.WriteString("$ " + line + "\n")
	for l := range strings.Lines(stdout.String()) {
		out.WriteString("> " + strings.TrimSuffix(l, "\n") + "\n")
	}
	for l := range strings.Lines(stderr.String()) {
		out.WriteString("2> " + strings.TrimSuffix(l, "\n") + "\n")
	}
	for _, l := range e.log {
		out.WriteString("= " + l + "\n")
	}
	if rc != 0 {
		fmt.Fprintf(&out, "rc=%d\n", rc)
	}
	return out.String()
}

func TestNames(t *testing.T) {
	var out, errs bytes.Buffer
	none := func(string) string { return "" }
	for _, args := range [][]string{{"/usr/lib/belay/shim/crm_node", "-n"}, {"belay-shim", "crm_node", "-n"}, {"./bin/belay-shim", "/x/crm_node", "-n"}} {
		out.Reset()
		if rc := Main(context.Background(), args, none, newEngine(), &out, &errs); rc != 0 || out.String() != "n1\n" {
			t.Errorf("%v: %d, %q, %q", args, rc, out.String(), errs.String())
		}
	}
	for _, args := range [][]string{nil, {"belay-shim"}, {"belay-shim", "rm"}, {"rm", "crm_node"}} {
		if rc := Main(context.Background(), args, none, newEngine(), &out, &errs); rc != exitUsage {
			t.Errorf("%v: %d", args, rc)
		}
	}
}

// The table of tools and what each does with nonsense: no panic, no success.
func FuzzCommandLine(f *testing.F) {
	for _, tool := range Tools() {
		f.Add(tool + "\x00-n\x00x\x00-v\x00value+=1\x00-N\x00n1")
		f.Add(tool + "\x00--name=x\x00-D\x00-Q\x00--promotion\x00-r\x00d1")
		f.Add(tool + "\x00-1rfA\x00--output-as\x00xml\x00--\x00-Z\x00-=")
	}
	f.Fuzz(func(t *testing.T, line string) {
		var out, errs bytes.Buffer
		rc := Main(context.Background(), strings.Split(line, "\x00"), func(string) string { return "" }, newEngine(), &out, &errs)
		if rc < 0 || rc > 255 {
			t.Errorf("exit status %d", rc)
		}
		if rc != 0 && errs.Len() == 0 && rc != exitError {
			t.Errorf("status %d without a word", rc)
		}
	})
}
