package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

// simulating is the flags of simulate.
type simulating struct {
	pacemaker, file, batch string
	live, timing           bool
	scores, question       bool
	advice                 string
	graph                  string
	now                    string
	changes
}

func simulateCmd(a *app) *cobra.Command {
	f := &simulating{}
	c := command("simulate", "Tell what a cluster would do, without one", `  belay simulate --pacemaker cib.xml             on a CIB of Pacemaker with its status
  belay simulate --live --node n1=down           what if n1 failed now
  belay simulate --file snapshot.json --node n2=standby -o json
  belay simulate --file snapshot.json --fail web:monitor@n1=7 --scores
  belay simulate --live --node n1=unclean --graph svg > plan.svg
  belay simulate --batch DIR -o jsonl            every *.xml of a directory`, 0, func(c *cobra.Command, _ []string) error {
		return a.simulate(c.Context(), f)
	})
	c.Long = `simulate decides as the cluster would: which resource runs where, and which actions
lead there, in which order and why. Nothing is changed.

The input is a CIB of Pacemaker (--pacemaker), a snapshot (--file), or the cluster
that this node is in (--live). Rules on the time hold as of --now, else as of the
execution-date of the CIB, else as of the present. What --node and the like say
holds instead of what the input says.

Exit code 2 means that the input cannot be read.`
	x := c.Flags()
	x.StringVar(&f.pacemaker, "pacemaker", "", "a CIB of Pacemaker: XML `file`; - is standard input")
	x.StringVar(&f.file, "file", "", "a snapshot: JSON `file`; - is standard input")
	x.BoolVar(&f.live, "live", false, "the cluster as it is now")
	x.StringVar(&f.batch, "batch", "", "every *.xml in this `directory`, a line of JSON for each")
	x.StringVar(&f.now, "now", "", "decide as of this `time`: 2026-03-01T12:00:00Z, or seconds since 1970")
	x.BoolVar(&f.timing, "timing", false, "tell how long it took; plan_seconds is the best of three")
	x.BoolVar(&f.scores, "scores", false, "tell the score of every node for every resource, and what it is made of")
	x.StringVar(&f.graph, "graph", "", "draw the plan in this `format`: dot or svg")
	x.BoolVar(&f.question, "question", false, "print what an external placement program would be asked, and end")
	x.StringVar(&f.advice, "advice", "", "decide with the answer of an external placement program in this JSON `file`")
	f.flags(x)
	_ = c.RegisterFlagCompletionFunc("graph", cobra.FixedCompletions([]string{"dot", "svg"}, cobra.ShellCompDirectiveNoFileComp))
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
	switch f.graph {
	case "", "dot", "svg":
	default:
		return usage("--graph %s: choose dot or svg", f.graph)
	}
	if f.batch != "" {
		if f.graph != "" {
			return usage("--graph draws one plan, and --batch makes many")
		}
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
	if f.question {
		if err := f.apply(s, now); err != nil {
			return err
		}
		b, err := json.MarshalIndent(policy.Ask(s, now), "", "  ")
		if err != nil {
			return fmt.Errorf("write the question: %w", err)
		}
		return a.write(string(b) + "\n")
	}
	if f.advice != "" {
		if err := a.readAdvice(s, f.advice, now); err != nil {
			return err
		}
	}
	r, err := f.decide(s, now, time.Since(began))
	if err != nil {
		return err
	}
	switch f.graph {
	case "dot":
		return a.write(render.Dot(r.graph, r.decision.Order))
	case "svg":
		return a.write(render.SVG(r.graph, r.decision.Order))
	}
	return a.print(r.decision, func() string { return r.summary(notes, a.style) })
}

func (a *app) write(text string) error {
	if _, err := io.WriteString(a.out, text); err != nil {
		return failure{fmt.Errorf("write the answer: %w", err)}
	}
	return nil
}

// simulated is what was decided.
type simulated struct {
	snapshot  *cib.Snapshot
	now       time.Time
	decision  *pacemaker.Decision
	placement *graph.Placement
	graph     *graph.Graph
}

// adviceLasts is how long the answer in a file counts in a simulation.
const adviceLasts = time.Hour

// readAdvice puts the answer of a placement program into a snapshot.
func (a *app) readAdvice(s *cib.Snapshot, file string, now time.Time) error {
	b, err := a.readInput(file)
	if err != nil {
		return err
	}
	var answer graph.Answer
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("%s is no answer of a placement program: %w", file, err)
	}
	o := &s.Config.Cluster.Options
	o.PlacementStrategy = "external"
	s.Status.Advice = &cib.Advice{Program: cmp.Or(o.PlacementProgram, file), Scores: answer.Scores, Asked: now, Until: now.Add(adviceLasts)}
	return nil
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
func (f *simulating) decide(s *cib.Snapshot, now time.Time, read time.Duration) (*simulated, error) {
	if err := f.apply(s, now); err != nil {
		return nil, err
	}
	r := &simulated{snapshot: s, now: now}
	best := time.Duration(0)
	rounds := 1
	if f.timing {
		rounds = 3
	}
	for i := range rounds {
		began := time.Now()
		r.placement, r.graph = policy.Foresee(s, now)
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	r.decision = pacemaker.Describe(s, policy.Active(s, now), r.placement, r.graph)
	if f.scores {
		r.decision.Scores = policy.ExplainAll(s, now)
	}
	if f.timing {
		r.decision.Timing = &pacemaker.Timing{Read: read.Seconds(), Plan: best.Seconds()}
	}
	return r, nil
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
	if len(s.Config.Nodes) == 0 {
		return nil, fmt.Errorf("%s is no snapshot of a cluster: it has no nodes", file)
	}
	return s, nil
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
	if len(files) == 0 {
		return fmt.Errorf("there is no *.xml in %s", f.batch)
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
	r, err := f.decide(im.Snapshot, im.Now, time.Since(began))
	if err != nil {
		return nil, err
	}
	return r.decision, nil
}
