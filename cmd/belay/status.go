package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

func statusCmd(a *app) *cobra.Command {
	var watch, links, stores bool
	c := command("status", "Show what runs where, and what is wrong", `  belay status
  belay status --watch
  belay status --links
  belay status -o json | jq .cluster.state`, 0, func(c *cobra.Command, _ []string) error {
		show := func(s *status.Summary) error {
			return a.print(s, func() string {
				switch {
				case links:
					return render.Links(s, a.style)
				case stores:
					return render.Store(s, a.style)
				}
				return render.Status(s, a.style)
			})
		}
		if watch {
			return a.watch(c.Context(), show)
		}
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		return show(s)
	})
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again at each change, until interrupted")
	c.Flags().BoolVar(&links, "links", false, "the links between nodes")
	c.Flags().BoolVar(&stores, "store", false, "the members of the store")
	return c
}

// watch shows each state on a fresh screen; to a file, one after the other.
func (a *app) watch(ctx context.Context, show func(*status.Summary) error) error {
	err := a.engine.Watch(ctx, func(s *status.Summary) error {
		if a.terminal && a.output == "table" {
			_, _ = fmt.Fprint(a.out, "\x1b[H\x1b[2J")
		}
		return show(s)
	})
	return unlessInterrupted(ctx, err)
}

// unlessInterrupted drops the error of a stream that a person has ended.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = nil
	}
	return err
}

func eventsCmd(a *app) *cobra.Command {
	var follow bool
	var after uint64
	var severity string
	c := command("events", "Show what happened, newest last", `  belay events
  belay events --follow
  belay events --severity major -o json`, 0, func(c *cobra.Command, _ []string) error {
		worst := cib.Severity(0)
		if severity != "" {
			var err error
			if worst, err = cib.Severities.Parse(severity); err != nil {
				return usage("--severity %s", err)
			}
		}
		err := a.engine.Events(c.Context(), after, follow, func(e *cib.Event) error {
			if worst != 0 && (e.Severity > worst || e.Severity < cib.SeverityCritical) {
				return nil
			}
			if a.output == "yaml" {
				_, _ = fmt.Fprintln(a.out, "---")
			}
			return a.print(e, func() string { return render.Event(e, a.style) })
		})
		if follow {
			err = unlessInterrupted(c.Context(), err)
		}
		return err
	})
	c.AddCommand(a.testNotify())
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with events as they happen")
	c.Flags().Uint64Var(&after, "after", 0, "only events after this sequence `number`")
	c.Flags().StringVar(&severity, "severity", "", "only events at least as bad as this `severity`: critical, major, minor, warning")
	return c
}

func (a *app) testNotify() *cobra.Command {
	var v struct {
		Severity string `json:"severity,omitempty"`
		Comment  string `json:"comment,omitempty"`
	}
	f := &changing{}
	c := f.flags(command("test", "Send a test to everybody who gets notifications", "  belay events test --severity major --comment \"does the pager ring?\"", 0, func(c *cobra.Command, _ []string) error {
		return a.change(c, f, &api.Change{Action: api.ActionTestNotify, Object: "cluster", Value: encode(v)}, nil)
	}))
	c.Long = `test makes an event that only tries the way to whoever is told of events: SNMP targets,
CIM subscriptions, webhooks and mail. A receiver that takes nothing below a severity
gets it only when the test is as severe.`
	c.Flags().StringVar(&v.Severity, "severity", "", "`severity` of the event: critical, major, minor, warning (default: information)")
	c.Flags().StringVar(&v.Comment, "comment", "", "`text` that receivers read")
	return c
}

func alarmsCmd(a *app) *cobra.Command {
	c := command("alarms", "Show what is wrong now, and what to do about it", `  belay alarms
  belay alarms -o json
  belay alarms acknowledge BLY3010/n1/n2 --comment "the switch is being replaced"`, 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		alarms := s.Alarms
		if alarms == nil {
			alarms = []status.Alarm{}
		}
		return a.print(alarms, func() string {
			if len(alarms) == 0 {
				return "no alarms\n"
			}
			return render.Alarms(alarms, s.Time, a.style)
		})
	})
	c.AddCommand(a.acknowledge())
	return c
}

func (a *app) acknowledge() *cobra.Command {
	var v struct {
		Comment  string `json:"comment,omitempty"`
		Withdraw bool   `json:"withdraw,omitempty"`
	}
	f := &changing{}
	c := f.flags(command("acknowledge ID", "Say that somebody looks after an alarm, or with --withdraw no longer", `  belay alarms acknowledge BLY3010/n1/n2 --comment "the switch is being replaced"`, 1, func(c *cobra.Command, args []string) error {
		return a.change(c, f, &api.Change{Action: api.ActionAcknowledge, Object: "alarm/" + args[0], Value: encode(v)}, nil)
	}))
	c.Long = `acknowledge notes who looks after an alarm, when and why. Everybody sees it beside the
alarm, and the audit log has it. It ends with the alarm: one that comes back is new.`
	c.Flags().StringVar(&v.Comment, "comment", "", "what is done about it, for others to `read`")
	c.Flags().BoolVar(&v.Withdraw, "withdraw", false, "nobody looks after it any more")
	return c
}

func explainCmd(a *app) *cobra.Command {
	return group("explain", "Tell why something is as it is", "  belay explain resource web",
		command("resource NAME", "Tell why a resource is where it is, and why not elsewhere", "  belay explain resource web", 1, func(c *cobra.Command, args []string) error {
			x, err := a.engine.Explain(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(x, func() string { return render.Explanation(x, a.style) })
		}))
}

func planCmd(a *app) *cobra.Command {
	return command("plan", "Show what the cluster is doing now", "  belay plan", 0, func(c *cobra.Command, _ []string) error {
		p, err := a.engine.Plan(c.Context())
		if err != nil {
			return err
		}
		return a.print(p, func() string { return render.Plan(p, a.style) })
	})
}

// waiting is the flags of commands that can wait until the cluster has settled.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) flags(c *cobra.Command) {
	c.Flags().BoolVar(&w.wait, "wait", false, "return when the cluster has done it")
	c.Flags().DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long --wait waits")
}

// settleEvery is how often --wait looks at the plan where nothing reports a change.
const settleEvery = 500 * time.Millisecond

// settle waits until the cluster has taken up a generation and has nothing left to
// do, and shows how far it is.
func (a *app) settle(ctx context.Context, w *waiting, generation uint64) (*status.Summary, error) {
	if !w.wait {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	progress := &progress{app: a}
	defer progress.end()
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	changed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.engine.Watch(ctx, func(*status.Summary) error {
			select {
			case changed <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	defer func() { cancel(); <-ended }()
	quiet := 0
	for {
		s, done, err := a.look(ctx, generation, progress)
		switch {
		case ctx.Err() != nil:
			return nil, api.NewProblem(api.CodeTimeout, fmt.Sprintf("the cluster was not done after %s: %s", w.timeout, progress.last()))
		case err != nil:
			return nil, err
		case !done:
			quiet = 0
		case quiet > 0:
			return s, nil
		default:
			// Between two steps a plan may be empty for a moment: look again, and not at once.
			quiet++
			ticker.Reset(settleEvery)
		}
		soon := changed
		if quiet > 0 {
			soon = nil
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-soon:
		}
	}
}

// look sees whether there is anything left to do.
func (a *app) look(ctx context.Context, generation uint64, p *progress) (*status.Summary, bool, error) {
	s, err := a.engine.Status(ctx, true)
	if err != nil {
		return nil, false, err
	}
	plan, err := a.engine.Plan(ctx)
	if err != nil {
		return nil, false, err
	}
	p.show(plan)
	return s, s.Cluster.Generation >= generation && len(plan.Steps) == 0 && len(s.Actions) == 0, nil
}

// progress shows the steps of a plan: on a terminal in one line, else each once.
type progress struct {
	app   *app
	seen  map[string]bool
	text  string
	drawn bool
}

func (p *progress) show(plan *api.PlanSummary) {
	var running []string
	for _, s := range plan.Steps {
		if s.State != "waiting" {
			running = append(running, s.Text)
		}
	}
	p.text = fmt.Sprintf("%d steps left", len(plan.Steps))
	if len(running) > 0 {
		p.text += ": " + strings.Join(running, ", ")
	}
	if p.app.terminal {
		line := p.text
		if w := p.app.style.Width; w > 4 && len(line) > w-1 {
			line = line[:w-4] + "..."
		}
		_, _ = fmt.Fprintf(p.app.err, "\r\x1b[K%s", line)
		p.drawn = true
		return
	}
	for _, r := range running {
		if !p.seen[r] {
			if p.seen == nil {
				p.seen = map[string]bool{}
			}
			p.seen[r] = true
			p.app.say("%s", r)
		}
	}
}

func (p *progress) end() {
	if p.drawn {
		_, _ = fmt.Fprint(p.app.err, "\r\x1b[K")
	}
}

func (p *progress) last() string { return p.text }
