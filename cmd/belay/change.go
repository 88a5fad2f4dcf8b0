package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

// changing is the flags of commands that change something.
type changing struct {
	waiting
	dryRun     bool
	force      bool
	generation uint64
	planToken  string
	ref        string
}

func (f *changing) flags(c *cobra.Command) *cobra.Command {
	f.waiting.flags(c)
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would change and what the cluster would do; change nothing")
	c.Flags().BoolVar(&f.force, "force", false, "do it although a warning stands against it")
	c.Flags().Uint64Var(&f.generation, "expected-generation", 0, "refuse if the configuration is not at this generation `number`")
	c.Flags().StringVar(&f.planToken, "plan-token", "", "refuse if the plan is not the one of the dry run that gave this `token`")
	c.Flags().StringVar(&f.ref, "change-ref", "", "`number` of the ticket, for the audit log")
	return c
}

// change sends a change, shows what it did and waits where that is wanted. after
// judges the state when the cluster has settled; nil: there is nothing to judge.
func (a *app) change(c *cobra.Command, f *changing, ch *api.Change, after func(*status.Summary) error) error {
	ch.DryRun, ch.Force, ch.PlanToken, ch.ChangeRef = f.dryRun, f.force, f.planToken, f.ref
	if ch.ExpectedGeneration == 0 {
		ch.ExpectedGeneration = f.generation
	}
	ch.RequestID = requestID()
	r, err := a.engine.Change(c.Context(), ch)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.print(r, func() string { return render.Result(r, true, a.style) })
	}
	s, err := a.settle(c.Context(), &f.waiting, r.Generation)
	if err != nil {
		return err
	}
	if err := a.print(r, func() string { return a.done(ch, r, s != nil) }); err != nil {
		return err
	}
	if s != nil && after != nil {
		return after(s)
	}
	return nil
}

// done says in a few lines what a change did.
func (a *app) done(ch *api.Change, r *api.ChangeResult, settled bool) string {
	var b strings.Builder
	if ch.Action == api.ActionApply || ch.Action == api.ActionRollback {
		b.WriteString(render.Changes(r.Changes, a.style))
	}
	b.WriteString(render.Warnings(r.Warnings, a.style))
	what := string(ch.Action)
	if ch.Object != "" {
		what += " " + ch.Object
	}
	switch {
	case len(r.Changes) > 0:
		fmt.Fprintf(&b, "%s: configuration %d\n", what, r.Generation)
	default:
		fmt.Fprintf(&b, "%s: done\n", what)
	}
	if !settled && len(r.Plan.Steps) > 0 {
		fmt.Fprintf(&b, "%d steps follow; belay status --watch shows them\n", len(r.Plan.Steps))
	}
	return b.String()
}

func requestID() string { return strings.ToLower(rand.Text()) }

// encode makes the value of a change.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // only our own types and strings come here
	}
	return b
}

// simple makes a command whose whole effect is one change of the object that its
// argument names.
func (a *app) simple(use, short, example, kind string, action api.Action, after func(name string) func(*status.Summary) error) *cobra.Command {
	f := &changing{}
	return f.flags(command(use, short, example, 1, func(c *cobra.Command, args []string) error {
		var judge func(*status.Summary) error
		if after != nil {
			judge = after(args[0])
		}
		return a.change(c, f, &api.Change{Action: action, Object: kind + "/" + args[0]}, judge)
	}))
}

// runs fails where a resource does not run after all.
func runs(id string) func(*status.Summary) error {
	return func(s *status.Summary) error {
		r := s.Resource(id)
		if r == nil || r.State == status.ResourceRunning || r.State == status.ResourcePromoted || r.State == status.ResourceUnmanaged {
			return nil
		}
		return notSo(id, "does not run", r)
	}
}

// stands fails where a resource still runs.
func stands(id string) func(*status.Summary) error {
	return func(s *status.Summary) error {
		r := s.Resource(id)
		if r == nil || r.Active == 0 {
			return nil
		}
		return notSo(id, "still runs", r)
	}
}

func notSo(id, what string, r *status.Resource) error {
	detail := fmt.Sprintf("resource %s %s: it is %s", id, what, r.State)
	if r.Reason != "" {
		detail += ": " + r.Reason
	}
	p := api.NewProblem(api.CodeNotAsWanted, detail)
	p.Remedy = strings.ReplaceAll(p.Remedy, "NAME", id)
	return p
}
