package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// healthy is a cluster of three nodes in which nothing is wrong.
const healthy = `
config/cluster {"name": "prod", "options": {}}
config/generation {"generation": 7, "time": "@-1h"}
config/node/n1 {"id": 1, "addresses": ["10.0.0.1", "10.1.0.1"], "voter": true}
config/node/n2 {"id": 2, "addresses": ["10.0.0.2", "10.1.0.2"], "voter": true}
config/node/n3 {"id": 3, "addresses": ["10.0.0.3", "10.1.0.3"], "voter": true}
config/fence-device/ipmi {"agent": "fence_ipmilan"}
status/generation {"number": 1, "nonce": 99}
status/dc {"node": "n1", "incarnation": 1, "since": "@-1h"}
status/view {"number": 5, "members": [{"node": "n1", "incarnation": 1, "bootId": "b1"}, {"node": "n2", "incarnation": 1, "bootId": "b2"}, {"node": "n3", "incarnation": 1, "bootId": "b3"}], "dc": "n1", "reason": "n3 joined", "formed": "@-1h"}
status/voters {"epoch": 3, "voters": ["n1", "n2", "n3"], "since": "@-1h"}
status/member/n1 {"node": "n1", "incarnation": 1, "bootId": "b1", "version": "1.0", "featureLevel": 1, "cores": 2, "started": "@-1h"}
status/member/n2 {"node": "n2", "incarnation": 1, "bootId": "b2", "version": "1.0", "featureLevel": 1, "cores": 2, "started": "@-1h"}
status/member/n3 {"node": "n3", "incarnation": 1, "bootId": "b3", "version": "1.0", "featureLevel": 1, "cores": 2, "started": "@-1h"}
status/node/n1 {"state": "online", "bootId": "b1", "since": "@-1h"}
status/node/n2 {"state": "online", "bootId": "b2", "since": "@-1h"}
status/node/n3 {"state": "online", "bootId": "b3", "since": "@-1h"}
status/fencing/ready/n1/ipmi {"device": "ipmi", "ok": true, "time": "@-1m"}
status/fencing/ready/n2/ipmi {"device": "ipmi", "ok": true, "time": "@-1m"}
status/store/n1 {"node": "n1", "member": true, "leader": "n1", "sizeBytes": 1000, "inUseBytes": 500, "quotaBytes": 100000, "latencyNs": 2000000, "time": "@-10s"}
status/store/n2 {"node": "n2", "member": true, "leader": "n1", "sizeBytes": 1000, "inUseBytes": 500, "quotaBytes": 100000, "latencyNs": 3000000, "time": "@-10s"}
status/store/n3 {"node": "n3", "member": true, "leader": "n1", "sizeBytes": 1000, "inUseBytes": 500, "quotaBytes": 100000, "latencyNs": 2000000, "time": "@-10s"}
status/links/n1 {"node": "n1", "time": "@-10s", "peers": [{"peer": "n2", "link": 0, "up": true, "rttNs": 300000, "changed": "@-1h"}, {"peer": "n2", "link": 1, "up": true, "rttNs": 300000, "changed": "@-1h"}]}
config/resource/vip {"agent": "ocf:heartbeat:IPaddr2", "operations": [{"name": "monitor", "interval": "10s"}]}
run n1 vip probe:7 start:0 monitor/10s:0
run n2 vip probe:7
run n3 vip probe:7
`

// TestSummarize changes the healthy cluster and shows parts of the summary. A line
// of input is a key and its document, "drop KEY", "run NODE INSTANCE RESULT...",
// "do NODE INSTANCE OP", "event AGE NAME ARG=VALUE...", or "observe ...".
func TestSummarize(t *testing.T) {
	datadriven.Walk(t, "testdata/summarize", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			in := newInput(t, healthy+"\n"+d.Input)
			s := SummarizeFor(in.snapshot, now, in.observer)
			if d.Cmd == "json" {
				b, err := json.MarshalIndent(s, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				return string(b) + "\n"
			}
			return dump(s, d.Cmd)
		})
	})
}

type input struct {
	snapshot *cib.Snapshot
	observer *Observer
	rev      int64
}

var ages = regexp.MustCompile(`"@(-?[0-9a-z]+)"`)

func newInput(t testing.TB, text string) *input {
	in := &input{snapshot: cib.Empty()}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		in.rev++
		words := strings.Fields(line)
		switch words[0] {
		case "run":
			in.run(t, words[1], words[2], words[3:])
		case "do":
			in.do(words)
		case "event":
			in.event(t, words[1:])
		case "observe":
			in.observer = &Observer{Node: words[1], Quorate: words[2] == "quorate", StoreOK: words[2] == "quorate", Reason: strings.Join(words[3:], " "), SnapshotAge: 20 * time.Second}
		case "alone":
			in.observer.StoreAlone = strings.Join(words[1:], " ")
		case "drop":
			in.apply(words[1], nil)
		default:
			key, doc, _ := strings.Cut(line, " ")
			doc = ages.ReplaceAllStringFunc(doc, func(s string) string {
				d, err := time.ParseDuration(ages.FindStringSubmatch(s)[1])
				if err != nil {
					t.Fatal(err)
				}
				return strconv.Quote(now.Add(d).Format(time.RFC3339Nano))
			})
			in.apply(key, []byte(doc))
		}
	}
	for key, fault := range in.snapshot.Faults {
		t.Fatalf("%s: %s", key, fault)
	}
	return in
}

func (in *input) apply(key string, value []byte) {
	in.snapshot = in.snapshot.Apply([]cib.KV{{Key: key, Value: value, ModRev: in.rev}}, in.rev)
}

func (in *input) put(key string, doc any) {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	in.apply(key, b)
}

// run writes the history of an instance: each result is op[/interval]:rc or
// op:status, a minute after the one before, the last one a minute ago.
func (in *input) run(t testing.TB, node, instance string, results []string) {
	resource, _, _ := strings.Cut(instance, ":")
	h := cib.History{Instance: instance, Resource: resource, Agent: "ocf:heartbeat:x", BootID: "b" + node[1:], Incarnation: 1}
	for i, text := range results {
		if v, ok := strings.CutPrefix(text, "fails="); ok {
			h.FailCount, _ = cib.ParseScore(v)
			h.LastFailure = now.Add(-time.Minute)
			continue
		}
		what, rc, _ := strings.Cut(text, ":")
		op, interval, _ := strings.Cut(what, "/")
		at := now.Add(time.Duration(i-len(results)) * time.Minute)
		r := cib.OpResult{Seq: uint64(i + 1), Op: op, Status: cib.OpDone, Started: at, Ended: at, Exec: 30 * time.Millisecond}
		if op == "probe" {
			r.Op, r.Probe, r.Expected = cib.OpMonitor, true, cib.NotRunning
		}
		if interval != "" {
			r.Interval, _ = cib.ParseDuration(interval)
		}
		n, err := strconv.Atoi(rc)
		if err != nil {
			if r.Status, err = cib.OpStatuses.Parse(rc); err != nil {
				t.Fatal(text, err)
			}
			n = 1
		}
		r.RC = n
		if n == cib.GenericError {
			r.Reason = "it says so"
		}
		h.Ops = append(h.Ops, r)
	}
	in.put(cib.HistoryKey(node, instance), h)
}

func (in *input) do(words []string) {
	resource, _, _ := strings.Cut(words[2], ":")
	in.put(cib.PendingKey(words[1], words[2]), cib.Pending{
		Action: cib.Action{ID: "42." + words[3], Op: words[3], Instance: words[2], Resource: resource, Node: words[1], Probe: words[3] == cib.OpMonitor, Why: cib.Why{Cause: "wanted"}},
		State:  cib.ActionRunning, Asked: now.Add(-time.Second),
	})
}

func (in *input) event(t testing.TB, words []string) {
	d, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range event.Catalogue {
		if event.Catalogue[i].Name != words[1] {
			continue
		}
		var args []string
		for _, w := range words[2:] {
			k, v, _ := strings.Cut(w, "=")
			args = append(args, k, v)
		}
		ev := event.New(event.Catalogue[i].Number, args...)
		ev.Time, ev.Source = now.Add(d), "n1"
		in.put(cib.EventKey("n1", 1, uint64(in.rev)), ev)
		return
	}
	t.Fatalf("no event %s", words[1])
}

// dump shows parts of a summary.
func dump(s *Summary, parts string) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
	}
	for part := range strings.SplitSeq(parts, "+") {
		switch part {
		case "cluster":
			c := s.Cluster
			line("cluster %s: %s: %s", c.Name, c.State, c.Reason)
			line("  nodes %d online %d offline %d unclean %d; rows %d running %d failed %d; instances %d", c.Counts.Nodes, c.Counts.NodesOnline, c.Counts.NodesOffline, c.Counts.NodesUnclean, c.Counts.Resources, c.Counts.ResourcesRunning, c.Counts.ResourcesFailed, c.Counts.Instances)
		case "quorum":
			line("quorum %s: %s", s.Quorum.State, s.Quorum.Reason)
		case "nodes":
			for _, n := range s.Nodes {
				line("node %s: %s %s votes %d running %d failed %d health %s %s", n.Name, n.State, n.Role, n.Votes, n.Running, n.Failed, n.Health, n.Reason)
				line("  fence %s: %s", n.Fence, n.FenceReason)
			}
		case "resources":
			for _, r := range s.Resources {
				line("%s%s: %s %d/%d on %v wanted %s managed %t fails %s %s", strings.Repeat("  ", r.Depth), r.ID, r.State, r.Active, r.Expected, r.Nodes, r.Wanted, r.Managed, r.FailCount, r.Reason)
				for _, x := range r.Instances {
					if x.State != InstanceStopped {
						line("%s  %s on %s: %s %s %s %s", strings.Repeat("  ", r.Depth), x.Instance, x.Node, x.State, x.Role, x.Pending, x.Reason)
					}
				}
			}
		case "alarms":
			for _, a := range s.Alarms {
				line("%s %s: %s (%s)", a.Severity, a.ID, a.Text, a.Remedy)
			}
		case "links":
			for _, l := range s.Links {
				line("%s (%s) to %s (%s) link %d: %s", l.Node, l.Address, l.Peer, l.PeerAddress, l.Link, l.State)
			}
		case "fencing":
			for _, d := range s.FenceDevices {
				line("device %s: %s %s targets %v succeeded %d", d.ID, d.State, d.Reason, d.Targets, d.Succeeded)
			}
			for _, f := range s.Fencing {
				line("fencing %s of %s: %s %s by %s: %s", f.Op, f.Target, f.State, f.Result, f.Executor, f.Reason)
				if f.Proof != nil {
					line("  proof %s by %s %s", f.Proof.Kind, f.Proof.By, f.Proof.Void)
				}
			}
		case "store":
			line("store %s leader %s: %s", s.Store.State, s.Store.Leader, s.Store.Reason)
			for _, m := range s.Store.Members {
				leader := ""
				if m.Leader {
					leader = "leader"
				}
				line("  %s: %s %s%s", m.Node, m.State, leader, m.Alarm)
			}
		case "actions":
			for _, a := range s.Actions {
				line("%s: %s (%s)", a.ID, a.Text, a.State)
			}
		case "failovers":
			for _, f := range s.Failovers {
				line("%s from %s to %s: %s %s %s", f.Resource, f.From, f.To, f.Cause, f.Result, f.Duration)
			}
		default:
			line("no part %s", part)
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// TestEnums: numbers run from 1 without gaps, and names come back.
func TestEnums(t *testing.T) {
	check(t, ClusterStates)
	check(t, QuorumStates)
	check(t, NodeStates)
	check(t, AdminStates)
	check(t, Healths)
	check(t, NodeRoles)
	check(t, LinkStates)
	check(t, ResourceStates)
	check(t, InstanceStates)
	check(t, FenceDeviceStates)
	check(t, FenceReadinesses)
	check(t, FenceResults)
	check(t, StoreStates)
	check(t, FailoverCauses)
	check(t, FailoverResults)
	var v NodeState
	if err := json.Unmarshal([]byte(`"unclean"`), &v); err != nil || v != NodeUnclean {
		t.Error(v, err)
	}
	if err := json.Unmarshal([]byte(`"dead"`), &v); err == nil {
		t.Error("unknown name accepted")
	}
	if _, err := json.Marshal(NodeState(99)); err == nil {
		t.Error("unknown number accepted")
	}
}

func check[T ~uint8](t *testing.T, e cib.Enum[T]) {
	t.Helper()
	for i, x := range e {
		if int(x.Value) != i+1 || x.Name == "" || x.Text == "" {
			t.Errorf("%T %d: %+v", e, i, x)
		}
		if v, err := e.Parse(x.Name); err != nil || v != x.Value {
			t.Errorf("%T %s: %v %v", e, x.Name, v, err)
		}
	}
}

// TestSummaryNeverContradictsItself: whatever part of the state is missing, a
// summary can be made, is the same each time, survives JSON, and its counts are
// those of its rows.
func TestSummaryNeverContradictsItself(t *testing.T) {
	extra, err := filepath.Glob("testdata/summarize/*")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(healthy, "\n")
	for _, path := range extra {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			if regexp.MustCompile(`^(config/|status/|run |do |event )`).MatchString(line) {
				lines = append(lines, line)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(lines)-1), 0, 40).Draw(rt, "lines") {
			text.WriteString(lines[i] + "\n")
		}
		in := newInput(t, text.String())
		s := Summarize(in.snapshot, now)
		one, err := json.Marshal(s)
		if err != nil {
			rt.Fatal(err)
		}
		two, _ := json.Marshal(Summarize(in.snapshot, now))
		if !bytes.Equal(one, two) {
			rt.Fatalf("differs:\n%s\n%s", one, two)
		}
		var back Summary
		if err := json.Unmarshal(one, &back); err != nil {
			rt.Fatal(err)
		}
		if three, _ := json.Marshal(back); !bytes.Equal(one, three) {
			rt.Fatalf("JSON:\n%s\n%s", one, three)
		}
		k := s.Cluster.Counts
		if k.ResourcesRunning+k.ResourcesStopped+k.ResourcesFailed+k.ResourcesChanging+k.ResourcesUnknown != len(s.Resources) {
			rt.Fatalf("resources: %+v of %d", k, len(s.Resources))
		}
		ids := map[string]bool{}
		for _, a := range s.Alarms {
			if ids[a.ID] {
				rt.Fatalf("alarm %s stands twice", a.ID)
			}
			ids[a.ID] = true
		}
		for _, r := range s.Resources {
			if r.State == 0 || (r.State == ResourceRunning) && r.Active == 0 || r.State == ResourceStopped && r.Active > 0 && r.Kind == cib.KindPrimitive {
				rt.Fatalf("%+v", r)
			}
		}
	})
}

// big is a cluster of 100 nodes with 10 000 resources.
func big() *cib.Snapshot {
	s := cib.Empty()
	rng := rand.New(rand.NewPCG(1, 2))
	view := &cib.View{Number: 1}
	for i := range 100 {
		n := fmt.Sprintf("n%03d", i)
		s.Config.Nodes[n] = &cib.Node{ID: uint32(i + 1), Addresses: []string{fmt.Sprintf("10.0.0.%d", i)}, Voter: i < 3}
		s.Status.Members[n] = &cib.Member{Node: n, BootID: "b", Incarnation: 1, FeatureLevel: 1, Version: "1.0"}
		s.Status.Nodes[n] = &cib.NodeStatus{State: cib.NodeOnline, BootID: "b"}
		s.Status.Histories[n] = map[string]*cib.History{}
		view.Members = append(view.Members, cib.ViewMember{Node: n, Incarnation: 1, BootID: "b"})
	}
	s.Status.View = view
	for i := range 10000 {
		id := fmt.Sprintf("r%05d", i)
		s.Config.Resources[id] = &cib.Resource{Agent: "belay:dummy"}
		first := rng.IntN(100)
		for j := range 3 {
			n := fmt.Sprintf("n%03d", (first+j)%100)
			h := &cib.History{Instance: id, Resource: id, BootID: "b", Incarnation: 1, Ops: []cib.OpResult{{Seq: 1, Op: "monitor", Probe: true, RC: 7, Expected: 7, Status: cib.OpDone}}}
			if j == 0 {
				h.Ops = append(h.Ops, cib.OpResult{Seq: 2, Op: "start", Status: cib.OpDone}, cib.OpResult{Seq: 3, Op: "monitor", Interval: 1e10, Status: cib.OpDone})
			}
			s.Status.Histories[n][id] = h
		}
	}
	for i := range 2000 {
		ev := event.New(event.ResourceMoved, "resource", fmt.Sprintf("r%05d", i), "node", "n001", "from", "n002", "reason", "x")
		ev.Time = now
		s.Status.Events = append(s.Status.Events, &ev)
	}
	return s
}

func BenchmarkSummarize10000(b *testing.B) {
	s := big()
	for b.Loop() {
		if got := Summarize(s, now).Cluster.Counts.ResourcesRunning; got != 10000 {
			b.Fatal(got)
		}
	}
}
