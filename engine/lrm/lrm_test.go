package lrm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/cib"
)

// TestManager plays one node's share of the work. The store is a map of pending
// records that the test changes; every command of the manager is printed and, where
// the script says so, answered.
func TestManager(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newScript(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t, w.out = t, &strings.Builder{}
			w.do(d)
			return w.out.String()
		})
	})
}

type script struct {
	t       *testing.T
	m       *Manager
	now     time.Time
	rev     int64
	pending map[string]*cib.Pending
	stored  map[string]*cib.History
	out     *strings.Builder
	commits []Commit // not answered yet
	runs    []Run
}

func newScript(t *testing.T) *script {
	return &script{t: t, m: New("n1", 7, "boot-a"), now: time.Unix(0, 0).UTC(), rev: 1, pending: map[string]*cib.Pending{}, stored: map[string]*cib.History{}}
}

func (w *script) do(d *datadriven.TestData) {
	arg := func(key, def string) string {
		if d.HasArg(key) {
			d.ScanArgs(w.t, key, &def)
		}
		return def
	}
	switch d.Cmd {
	case "engine": // a new engine, of the same boot unless it says another
		var n uint64
		d.ScanArgs(w.t, "incarnation", &n)
		w.m, w.commits, w.runs = New("n1", n, arg("boot", "boot-a")), nil, nil
	case "valid":
		w.m.SetValid(w.now, true)
	case "invalid":
		w.m.SetValid(w.now, false)
	case "asked": // the DC records an action
		p := &cib.Pending{Action: cib.Action{ID: arg("id", "1.0"), Op: d.CmdArgs[0].Key, Instance: d.CmdArgs[1].Key, Resource: d.CmdArgs[1].Key, Node: "n1"}, State: cib.ActionAsked, ValidityEpoch: w.m.Epoch()}
		if d.HasArg("old") { // in the epoch before
			p.ValidityEpoch--
		}
		_, _ = fmt.Sscan(arg("expect", "0"), &p.Expected)
		p.Interval, _ = cib.ParseDuration(arg("every", "0"))
		p.Role, _ = cib.Roles.Parse(arg("role", ""))
		p.Round, p.Phase = arg("round", ""), arg("phase", "")
		if v := arg("label", ""); v != "" {
			p.Parameters = map[string]string{"label": v, "disk": arg("disk", "a")}
		}
		p.Probe, p.Peer, p.Why.Rule = d.HasArg("probe"), arg("peer", ""), arg("rule", "")
		if p.Migration = arg("migration", ""); d.HasArg("expected") {
			p.State = cib.ActionExpected
		}
		w.rev++
		p.Rev = w.rev
		w.pending[p.Instance] = p
	case "withdrawn": // the DC takes it back
		delete(w.pending, d.CmdArgs[0].Key)
	case "snapshot": // the node sees the store, and its own epoch in it unless the script says otherwise
		epoch := w.m.Epoch()
		if d.HasArg("unregistered") {
			epoch = 0
		}
		w.m.Sync(w.now, epoch, w.pending, w.stored)
	case "answer": // the oldest transaction ends
		if len(w.commits) == 0 {
			w.say("no transaction waits for an answer")
			return
		}
		c := w.commits[0]
		w.commits = w.commits[1:]
		w.answer(c, d.CmdArgs[0].Key)
	case "done": // the oldest agent ends
		if len(w.runs) == 0 {
			w.say("no agent runs")
			return
		}
		r := w.runs[0]
		w.runs = w.runs[1:]
		res := Result{Status: cib.OpDone, Started: w.now, Ended: w.now}
		_, _ = fmt.Sscan(arg("rc", "0"), &res.RC)
		if names := arg("reloadable", ""); names != "" {
			res.Reloadable = strings.Split(names, "+")
		}
		if s := arg("status", ""); s != "" {
			res.Status, _ = cib.OpStatuses.Parse(s)
		}
		w.m.Done(w.now, r.Run, res)
	case "pass":
		dur, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(dur)
	case "direct":
		if !w.m.Direct(w.now, cib.Action{ID: "local", Op: d.CmdArgs[0].Key, Instance: d.CmdArgs[1].Key, Resource: d.CmdArgs[1].Key, Node: "n1"}) {
			w.say("busy")
		}
	case "history", "stored": // what the manager knows, and what the store has
		h := w.m.Histories()[d.CmdArgs[0].Key]
		if d.Cmd == "stored" {
			h = w.stored[d.CmdArgs[0].Key]
		}
		if h == nil {
			w.say("none")
			return
		}
		w.say("failures %s, engine %d", h.FailCount, h.Incarnation)
		for i := range h.Ops {
			o := &h.Ops[i]
			peer := ""
			if o.Peer != "" {
				peer = " peer " + o.Peer
			}
			if o.Phase != "" {
				peer = " " + o.Phase + " of " + o.Round
			}
			if len(o.Reloadable) > 0 {
				peer += " takes over " + strings.Join(o.Reloadable, " ") + ", the rest is " + o.RestartDigest
			}
			w.say("  %d %s every %s: %s rc %d failed %t%s", o.Seq, o.Op, o.Interval, o.Status, o.RC, o.Failed, peer)
		}
		return
	default:
		w.t.Fatalf("unknown command %s", d.Cmd)
	}
	w.next()
}

func (w *script) next() {
	for _, c := range w.m.Next(w.now) {
		switch c := c.(type) {
		case Commit:
			w.commits = append(w.commits, c)
			kind := map[TagKind]string{Claim: "claim", Finish: "finish", Report: "report", Refuse: "refuse"}[c.Tag.Kind]
			w.say("%s %s %s", kind, c.Tag.Instance, c.Tag.ActionID)
			for i := range c.Events {
				w.say("  event: %s", c.Events[i].Text)
			}
		case Run:
			w.runs = append(w.runs, c)
			w.say("run %s direct=%t", c.Action.String(), c.Direct)
		case Kill:
			w.say("kill")
		}
	}
}

// answer ends a transaction: done, refused, lost (it happened, but the answer did not
// come), or away (neither).
func (w *script) answer(c Commit, how string) {
	w.rev++
	if how != "refused" && how != "away" {
		for _, p := range c.Txn.Put {
			switch v := p.Value.(type) {
			case *cib.Pending:
				q := *v
				q.Rev = w.rev
				w.pending[v.Instance] = &q
			case *cib.History:
				w.stored[v.Instance] = v
			}
		}
		for _, k := range c.Txn.Delete {
			_, inst := cib.SplitKey(k, cib.KeyPending)
			delete(w.pending, inst)
		}
	}
	w.m.Committed(w.now, c.Tag, map[string]Outcome{"done": Done, "refused": Refused, "lost": Unknown, "away": Unknown}[how], w.rev)
}

func (w *script) say(format string, args ...any) { _, _ = fmt.Fprintf(w.out, format+"\n", args...) }
