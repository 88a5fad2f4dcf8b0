package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

// simulating is the flags of simulate.
type simulating struct {
	pacemaker, file, batch string
	live, timing           bool
	now                    string
	nodes, tickets         []string
}

func simulateCmd(a *app) *cobra.Command {
	f := &simulating{}
	c := command("simulate", "Tell what a cluster would do, without one", `  belay simulate --pacemaker cib.xml             on a CIB of Pacemaker with its status
  belay simulate --live --node n1=down           what if n1 failed now
  belay simulate --file snapshot.json --node n2=standby -o json
  belay simulate --batch DIR -o jsonl            every *.xml of a directory`, 0, func(c *cobra.Command, _ []string) error {
		return a.simulate(c.Context(), f)
	})
	c.Long = `simulate decides as the cluster would: which resource runs where, and which actions
lead there, in which order and why. Nothing is changed.

The input is a CIB of Pacemaker (--pacemaker), a snapshot (--file), or the cluster
that this node is in (--live). Rules on the time hold as of --now, else as of the
execution-date of the CIB, else as of the present.

Exit code 2 means that the input cannot be read.`
	x := c.Flags()
	x.StringVar(&f.pacemaker, "pacemaker", "", "a CIB of Pacemaker: XML `file`; - is standard input")
	x.StringVar(&f.file, "file", "", "a snapshot: JSON `file`; - is standard input")
	x.BoolVar(&f.live, "live", false, "the cluster as it is now")
	x.StringVar(&f.batch, "batch", "", "every *.xml in this `directory`, a line of JSON for each")
	x.StringVar(&f.now, "now", "", "decide as of this `time`: 2026-03-01T12:00:00Z, or seconds since 1970")
	x.BoolVar(&f.timing, "timing", false, "tell how long it took; plan_seconds is the best of three")
	x.StringArrayVar(&f.nodes, "node", nil, "`NAME=STATE`: up, down (left cleanly), unclean (lost), standby, maintenance")
	x.StringArrayVar(&f.tickets, "ticket", nil, "`NAME=STATE`: granted, revoked or standby")
	_ = c.MarkFlagFilename("pacemaker", "xml") // the flags exist
	_ = c.MarkFlagFilename("file", "json")
	_ = c.MarkFlagDirname("batch")
	return c
}

func (a *app) simulate(ctx context.Context, f *simulating) error {
	given := 0
	for _, set := range []bool{f.pacemaker != "", f.file != "", f.live, f.batch != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return usage("name one input: --pacemaker FILE, --file FILE, --live or --batch DIR")
	}
	now, err := parseNow(f.now)
	if err != nil {
		return err
	}
	if f.batch != "" {
		return a.simulateBatch(f, now)
	}
	began := time.Now()
	var s *cib.Snapshot
	var notes []pacemaker.Note
	switch {
	case f.live:
		s, err = a.engine.Snapshot(ctx)
	case f.file != "":
		s, err = a.readSnapshot(f.file)
	default:
		var im *pacemaker.Imported
		if im, err = a.readPacemaker(f.pacemaker, now); err == nil {
			s, notes, now = im.Snapshot, im.Notes, im.Now
		}
	}
	if err != nil {
		return err
	}
	if now.IsZero() {
		now = time.Now().UTC()
	}
	d, p, g, err := f.decide(s, now, time.Since(began))
	if err != nil {
		return err
	}
	return a.print(d, func() string { return summary(s, p, g, d, notes) })
}

// parseNow reads a time; the zero time where none is given.
func parseNow(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, ok := pacemaker.ParseTime(text)
	if !ok {
		return t, usage("--now %s: give a time such as 2026-03-01T12:00:00Z, or seconds since 1970", text)
	}
	return t, nil
}

// decide applies what the flags change, and decides.
func (f *simulating) decide(s *cib.Snapshot, now time.Time, read time.Duration) (*pacemaker.Decision, *graph.Placement, *graph.Graph, error) {
	if err := f.change(s, now); err != nil {
		return nil, nil, nil, err
	}
	var p *graph.Placement
	var g *graph.Graph
	best := time.Duration(0)
	rounds := 1
	if f.timing {
		rounds = 3
	}
	for i := range rounds {
		began := time.Now()
		p, g, _ = policy.Decide(s, now)
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	d := pacemaker.Describe(s, policy.Active(s, now), p, g)
	if f.timing {
		d.Timing = &pacemaker.Timing{Read: read.Seconds(), Plan: best.Seconds()}
	}
	return d, p, g, nil
}

// readInput reads a file, or standard input for "-", within the limit.
func (a *app) readInput(file string) ([]byte, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the input: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, pacemaker.SizeMaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	return b, nil
}

func (a *app) readPacemaker(file string, now time.Time) (*pacemaker.Imported, error) {
	b, err := a.readInput(file)
	if err != nil {
		return nil, err
	}
	d, err := pacemaker.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%s is no CIB of Pacemaker: %w", file, err)
	}
	if now.IsZero() {
		now = time.Now().UTC()
		if t, ok := d.Time(); ok {
			now = t
		}
	}
	return pacemaker.Import(d, now), nil
}

func (a *app) readSnapshot(file string) (*cib.Snapshot, error) {
	b, err := a.readInput(file)
	if err != nil {
		return nil, err
	}
	s := cib.Empty()
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s is no snapshot: %w", file, err)
	}
	if s.Config == nil {
		return nil, fmt.Errorf("%s is no snapshot: it has no Config", file)
	}
	return s, nil
}

// change sets nodes and tickets as the flags say. The snapshot is the command's
// own.
func (f *simulating) change(s *cib.Snapshot, now time.Time) error {
	for _, arg := range f.nodes {
		name, state, _ := strings.Cut(arg, "=")
		n := s.Config.Nodes[name]
		if n == nil {
			return usage("--node %s: there is no node %q", arg, name)
		}
		if err := setNode(s, n, name, state, now); err != nil {
			return usage("--node %s: %w", arg, err)
		}
	}
	for _, arg := range f.tickets {
		name, state, _ := strings.Cut(arg, "=")
		t := &cib.Ticket{Granted: state == "granted", Standby: state == "standby"}
		switch state {
		case "granted", "revoked":
		case "standby":
			t.Granted = true
		default:
			return usage("--ticket %s: say granted, revoked or standby", arg)
		}
		if s.Config.Tickets == nil {
			s.Config.Tickets = map[string]*cib.Ticket{}
		}
		s.Config.Tickets[name] = t
	}
	return nil
}

func setNode(s *cib.Snapshot, n *cib.Node, name, state string, now time.Time) error {
	switch state {
	case "standby":
		n.Standby = true
		return nil
	case "maintenance":
		n.Maintenance = true
		return nil
	}
	st := &s.Status
	if st.View == nil {
		st.View = &cib.View{Number: 1, Formed: now}
	}
	if st.Nodes == nil {
		st.Nodes = map[string]*cib.NodeStatus{}
	}
	boot := ""
	if old := st.Nodes[name]; old != nil {
		boot = old.BootID
	}
	if m := st.Members[name]; m != nil {
		boot = m.BootID
	}
	view := *st.View
	view.Members = slices.DeleteFunc(slices.Clone(view.Members), func(m cib.ViewMember) bool { return m.Node == name })
	next := &cib.NodeStatus{BootID: boot, Since: now, Reason: "as the simulation says"}
	switch state {
	case "up", "online":
		n.Standby, n.Maintenance = false, false
		next.State = cib.NodeOnline
		incarnation := uint64(1)
		if m := st.Members[name]; m != nil {
			incarnation = m.Incarnation
		}
		view.Members = append(view.Members, cib.ViewMember{Node: name, Incarnation: incarnation, BootID: boot})
		slices.SortFunc(view.Members, func(a, b cib.ViewMember) int { return strings.Compare(a.Node, b.Node) })
	case "down", "offline":
		next.State = cib.NodeOffline
	case "unclean", "lost":
		next.State = cib.NodeUnclean
	default:
		return errors.New("say up, down, unclean, standby or maintenance")
	}
	st.Nodes[name], st.View = next, &view
	return nil
}

// batchLine is one line of a batch: a decision, or why there is none.
type batchLine struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

func (a *app) simulateBatch(f *simulating, now time.Time) error {
	files, err := filepath.Glob(filepath.Join(escapeGlob(f.batch), "*.xml"))
	if err != nil {
		return fmt.Errorf("list %s: %w", f.batch, err)
	}
	if _, err := os.Stat(f.batch); err != nil {
		return fmt.Errorf("list the directory: %w", err)
	}
	slices.Sort(files)
	out := json.NewEncoder(a.out)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".xml")
		d, err := a.simulateOne(f, file, now)
		var line any = batchLine{name, fmt.Sprint(err)}
		if err == nil {
			d.Name = name
			line = d
		}
		if err := out.Encode(line); err != nil {
			return failure{fmt.Errorf("write the answer: %w", err)}
		}
	}
	return nil
}

// escapeGlob takes the name of a directory as it is.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// simulateOne decides on one file of a batch. A bug that one file shows must not
// take the others' results.
func (a *app) simulateOne(f *simulating, file string, now time.Time) (d *pacemaker.Decision, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a bug in the policy: %v", r)
		}
	}()
	began := time.Now()
	im, err := a.readPacemaker(file, now)
	if err != nil {
		return nil, err
	}
	d, _, _, err = f.decide(im.Snapshot, im.Now, time.Since(began))
	return d, err
}

// summary writes a decision for people.
func summary(s *cib.Snapshot, p *graph.Placement, g *graph.Graph, d *pacemaker.Decision, notes []pacemaker.Note) string {
	var b strings.Builder
	type change struct {
		stops, starts []string
		why           string
		promote       string
		demote        string
	}
	changes := map[string]*change{}
	fmt.Fprintf(&b, "nodes:\n")
	for _, name := range slices.Sorted(maps.Keys(d.Nodes)) {
		fmt.Fprintf(&b, "  %-20s %s\n", name, d.Nodes[name].State)
	}
	fmt.Fprintf(&b, "what happens:\n")
	quiet := true
	var order []string
	for i := range g.Actions {
		x := &g.Actions[i]
		if x.Op == cib.OpFence {
			fmt.Fprintf(&b, "  %-10s %s: %s\n", "fence", x.Node, x.Why.Cause)
			quiet = false
			continue
		}
		c := changes[x.Instance]
		if c == nil {
			c = &change{}
			changes[x.Instance] = c
			order = append(order, x.Instance)
		}
		switch x.Op {
		case cib.OpStop:
			c.stops = append(c.stops, x.Node)
		case cib.OpStart:
			c.starts = append(c.starts, x.Node)
		case cib.OpPromote:
			c.promote = x.Node
		case cib.OpDemote:
			c.demote = x.Node
		default:
			continue
		}
		if c.why == "" {
			c.why = x.Why.Cause
			if x.Why.Rule != "" {
				c.why += " (" + x.Why.Rule + ")"
			}
		}
	}
	line := func(what, instance, where, why string) {
		quiet = false
		if why != "" {
			why = ": " + why
		}
		fmt.Fprintf(&b, "  %-10s %-28s %s%s\n", what, instance, where, why)
	}
	for _, id := range order {
		c := changes[id]
		from, to := strings.Join(c.stops, ", "), strings.Join(c.starts, ", ")
		switch {
		case from != "" && from == to:
			line("restart", id, "on "+to, c.why)
		case from != "" && to != "":
			line("move", id, from+" -> "+to, c.why)
		case from != "":
			line("stop", id, "on "+from, c.why)
		case to != "":
			line("start", id, "on "+to, c.why)
		}
		if c.demote != "" {
			line("demote", id, "on "+c.demote, c.why)
		}
		if c.promote != "" {
			line("promote", id, "on "+c.promote, c.why)
		}
	}
	if quiet {
		fmt.Fprintf(&b, "  nothing\n")
	}
	fmt.Fprintf(&b, "then:\n")
	for i := range p.Instances {
		x := &p.Instances[i]
		where := x.Role.String()
		if x.Node != "" {
			where += " on " + x.Node
		}
		why := x.Why.Cause
		if x.Blocked != "" {
			why = "nothing is done: " + x.Blocked
		}
		fmt.Fprintf(&b, "  %-28s %-24s %s\n", x.Instance, where, why)
	}
	if len(notes) > 0 {
		fmt.Fprintf(&b, "not carried over: %d, see belay import pacemaker\n", len(notes))
	}
	if err := policy.Check(s, p, g); err != nil {
		fmt.Fprintf(&b, "the plan breaks a rule: %v\n", err)
	}
	if d.Timing != nil {
		fmt.Fprintf(&b, "read in %.3f s, planned in %.6f s\n", d.Timing.Read, d.Timing.Plan)
	}
	return b.String()
}
