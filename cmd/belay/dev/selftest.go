package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/status"
)

// report is what the self-test prints. Times are in milliseconds.
type report struct {
	OK      bool   `json:"ok"`
	Nodes   int    `json:"nodes"`
	Step    string `json:"step,omitempty"`  // the one that failed
	Error   string `json:"error,omitempty"` // why
	Dir     string `json:"dir,omitempty"`   // where the logs are, after a failure
	UpMs    int64  `json:"up_ms"`           // from the first process until all is well
	Engines int64  `json:"engines_ms"`      // of that: until the engines answer
	InitMs  int64  `json:"init_ms"`         // of that: to make and configure the cluster
	JoinMs  int64  `json:"join_ms"`         // of that: until the nodes have joined
	Settle  int64  `json:"settle_ms"`       // of that: until voters, resources and fencing are well

	Lost       string `json:"lost,omitempty"`  // the node that lost its power
	Moved      string `json:"moved,omitempty"` // where the service went
	DetectMs   int64  `json:"detect_ms"`       // from the loss of power until fencing was asked for
	FenceMs    int64  `json:"fence_ms"`        // from there until the proof
	RecoverMs  int64  `json:"recover_ms"`      // from the proof until the service answered
	FailoverMs int64  `json:"failover_ms"`     // the sum: how long the service did not answer
	Proof      string `json:"proof,omitempty"`
	RejoinMs   int64  `json:"rejoin_ms"`         // from the loss of power until the node was back and all was well
	EngineMs   int64  `json:"engine_restart_ms"` // from the end of belayd alone until its node was well again
	Probes     int    `json:"probes"`            // answers of the service meanwhile, none missing
	StopMs     int64  `json:"stop_ms"`           // until no process was left
}

// Time limits of the steps.
const (
	failoverMax = 30 * time.Second
	rejoinMax   = 45 * time.Second
	engineMax   = 30 * time.Second
	probePause  = 5 * time.Millisecond
)

// errSelftest says that the report has told the reason.
var errSelftest = errors.New("the self-test failed")

// selftest runs the story of the demo and checks it.
func selftest(ctx context.Context, o options, out, errOut io.Writer) error {
	if o.nodes < votersMax {
		return usage("--selftest needs --nodes 3 or more: fewer survive no loss")
	}
	if o.noReboot {
		return usage("--selftest waits for the lost node to return: not with --no-reboot")
	}
	w, err := prepareDir(ctx, o.dir)
	if err != nil {
		return err
	}
	t := &story{report: report{Nodes: o.nodes}, screen: newScreen(errOut)}
	t.screen.terminal = -1
	err = t.run(ctx, o, w)
	t.OK = err == nil
	if err != nil {
		t.Error = err.Error()
		if t.cluster != nil {
			_, _ = io.WriteString(errOut, t.cluster.tails())
			err = errors.Join(err, t.cluster.close())
		}
		t.Dir = w.path
	}
	if rerr := w.release(err != nil); rerr != nil && err == nil {
		t.OK, t.Step, t.Error, err = false, "stop", rerr.Error(), rerr
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if werr := enc.Encode(t.report); werr != nil {
		return fmt.Errorf("write the report: %w", werr)
	}
	if err != nil {
		return fmt.Errorf("%w at step %q: %w", errSelftest, t.Step, err)
	}
	return nil
}

// story is one self-test.
type story struct {
	report
	screen   *screen
	cluster  *cluster
	lostAt   time.Time
	lostBoot string
}

func (t *story) run(ctx context.Context, o options, w *workDir) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"up", func(ctx context.Context) error { return t.up(ctx, o, w) }},
		{"power-loss", t.powerLoss},
		{"rejoin", t.rejoin},
		{"engine-loss", t.engineLoss},
		{"stop", t.stop},
	} {
		if err := step.do(ctx); err != nil {
			t.Step = step.name
			if ctx.Err() != nil {
				return errors.New("the self-test was interrupted")
			}
			return err
		}
	}
	return nil
}

func (t *story) up(ctx context.Context, o options, w *workDir) error {
	c, err := openCluster(ctx, o, w, t.screen.note)
	if err != nil {
		return err
	}
	t.cluster = c
	if err := c.start(ctx); err != nil {
		return err
	}
	t.UpMs = time.Since(c.began).Milliseconds()
	t.Engines, t.InitMs, t.JoinMs, t.Settle = c.phases.Engines.Milliseconds(), c.phases.Init.Milliseconds(), c.phases.Join.Milliseconds(), c.phases.Settle.Milliseconds()
	t.screen.note(fmt.Sprintf("up after %d ms", t.UpMs))
	return nil
}

// powerLoss kills the machine of the node that runs the service.
func (t *story) powerLoss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, failoverMax)
	defer cancel()
	c := t.cluster
	before, err := askService(ctx, c.web, c.url())
	if err != nil {
		return err
	}
	sum, err := c.anyStatus(ctx, "")
	if err != nil {
		return err
	}
	t.Lost = before.Node
	n, err := c.super.node(t.Lost)
	if err != nil || sum.Node(t.Lost) == nil {
		return fmt.Errorf("the service says that it runs on %q, which is no node", t.Lost)
	}
	t.lostBoot = sum.Node(t.Lost).BootID
	c.super.mu.Lock()
	m := n.machine
	c.super.mu.Unlock()
	t.lostAt = time.Now()
	if err := m.signal(unix.SIGKILL); err != nil {
		return err
	}
	t.screen.note(fmt.Sprintf("killed the machine of %s, process %d", t.Lost, m.PID))
	var answered time.Time
	if err := pollEvery(ctx, probePause, func(ctx context.Context) error {
		a, err := askService(ctx, c.web, c.url())
		switch {
		case err != nil:
			return err
		case a.Node == before.Node:
			return fmt.Errorf("the service still answers from %s", a.Node)
		}
		answered, t.Moved = time.Now(), a.Node
		return nil
	}); err != nil {
		return fmt.Errorf("the service does not come back: %w; %s", err, t.describe())
	}
	t.FailoverMs = answered.Sub(t.lostAt).Milliseconds()
	t.screen.note(fmt.Sprintf("the service answers from %s after %d ms", t.Moved, t.FailoverMs))
	return t.proven(ctx, answered)
}

// proven finds the proof that allowed the recovery. It was recorded before the service
// was started, so it must be there.
func (t *story) proven(ctx context.Context, answered time.Time) error {
	var f *status.Fencing
	if err := poll(ctx, func(ctx context.Context) error {
		sum, err := t.cluster.anyStatus(ctx, t.Lost)
		if err != nil {
			return err
		}
		all := fencingOf(sum, t.Lost, t.lostAt)
		if len(all) == 0 || all[0].Proof == nil {
			return fmt.Errorf("no proof of the end of %s is recorded", t.Lost)
		}
		f = all[0]
		return nil
	}); err != nil {
		return err
	}
	p := f.Proof
	switch {
	case p.BootID != t.lostBoot:
		return fmt.Errorf("the proof %s is for boot %s of %s, not for %s", p.ID, p.BootID, t.Lost, t.lostBoot)
	case p.Void != "":
		return fmt.Errorf("the proof %s is void: %s", p.ID, p.Void)
	case p.Time.After(answered):
		return fmt.Errorf("the service was started before the proof %s was there", p.ID)
	}
	t.Proof = fmt.Sprintf("%s: %s, by %s with device %s", p.ID, p.Kind, p.By, p.Device)
	t.DetectMs = f.Asked.Sub(t.lostAt).Milliseconds()
	t.FenceMs = p.Time.Sub(f.Asked).Milliseconds()
	t.RecoverMs = answered.Sub(p.Time).Milliseconds()
	return nil
}

// fencingOf lists the fencing of a node that was asked for since a time.
func fencingOf(sum *status.Summary, node string, since time.Time) []*status.Fencing {
	var out []*status.Fencing
	for i := range sum.Fencing {
		if f := &sum.Fencing[i]; f.Target == node && f.Asked.After(since) {
			out = append(out, f)
		}
	}
	return out
}

// rejoin waits until the lost node is back and all is well.
func (t *story) rejoin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rejoinMax)
	defer cancel()
	c := t.cluster
	var last *status.Summary
	if err := poll(ctx, func(ctx context.Context) error {
		sum, err := c.anyStatus(ctx, t.Lost)
		if err != nil {
			return err
		}
		if n := sum.Node(t.Lost); n == nil || n.BootID == t.lostBoot {
			return fmt.Errorf("%s has not booted", t.Lost)
		}
		if what := missing(sum, t.Nodes); what != "" {
			return errors.New(what)
		}
		last = sum
		return nil
	}); err != nil {
		return fmt.Errorf("%s does not return: %w; %s", t.Lost, err, t.describe())
	}
	t.RejoinMs = time.Since(t.lostAt).Milliseconds()
	t.screen.note(fmt.Sprintf("%s is back after %d ms", t.Lost, t.RejoinMs))
	if all := fencingOf(last, t.Lost, t.lostAt); len(all) != 1 {
		return fmt.Errorf("%s was fenced %d times for one loss", t.Lost, len(all))
	}
	a, err := askService(ctx, c.web, c.url())
	if err != nil {
		return err
	}
	if a.Node != t.Moved {
		return fmt.Errorf("the service went from %s to %s when %s came back: its stickiness was not kept", t.Moved, a.Node, t.Lost)
	}
	return nil
}

// engineLoss kills belayd of the node that runs the service, and nothing else.
func (t *story) engineLoss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineMax)
	defer cancel()
	c := t.cluster
	before, err := askService(ctx, c.web, c.url())
	if err != nil {
		return err
	}
	n, err := c.super.node(before.Node)
	if err != nil {
		return err
	}
	c.super.mu.Lock()
	engine := n.engine
	c.super.mu.Unlock()
	id, err := identify(engine)
	if err != nil {
		return err
	}
	cl := c.client[nodeIndex(c, n)]
	old, err := cl.Local(ctx)
	if err != nil {
		return err
	}

	probing, stop := context.WithCancel(ctx)
	defer stop()
	var probes sync.WaitGroup
	var broken error
	probes.Go(func() { t.Probes, broken = c.probe(probing, before) })

	began := time.Now()
	if err := id.signal(unix.SIGKILL); err != nil {
		return err
	}
	t.screen.note(fmt.Sprintf("killed belayd of %s, process %d", n.name, engine))
	err = poll(ctx, func(ctx context.Context) error {
		l, err := cl.Local(ctx)
		switch {
		case err != nil:
			return err
		case l.Incarnation <= old.Incarnation:
			return errors.New("belayd has not started again")
		case !l.Valid || !l.Quorate:
			return errors.New("the node may not act: " + l.Quorum)
		}
		sum, err := cl.Status(ctx, false)
		if err != nil {
			return err
		}
		if m := sum.Node(n.name); m == nil || m.Incarnation != l.Incarnation {
			return errors.New("the cluster does not know the new engine yet")
		}
		if what := missing(sum, t.Nodes); what != "" {
			return errors.New(what)
		}
		if f := fencingOf(sum, n.name, began); len(f) > 0 {
			return fmt.Errorf("%s was fenced: %s", n.name, f[0].Reason)
		}
		return nil
	})
	took := time.Since(began)
	stop()
	probes.Wait()
	if err != nil {
		return fmt.Errorf("the engine of %s does not return: %w; %s", n.name, err, t.describe())
	}
	if broken != nil {
		return fmt.Errorf("the service was interrupted when the engine of %s died: %w", n.name, broken)
	}
	t.EngineMs = took.Milliseconds()
	t.screen.note(fmt.Sprintf("belayd of %s is back after %d ms; the service answered %d times meanwhile", n.name, t.EngineMs, t.Probes))
	return nil
}

// probe asks the service again and again until ctx ends, and counts the answers. It is
// an error when one is missing, or comes from another process.
func (c *cluster) probe(ctx context.Context, want *serviceAnswer) (int, error) {
	for n := 0; ; n++ {
		a, err := askService(ctx, c.web, c.url())
		switch {
		case ctx.Err() != nil:
			return n, nil //nolint:nilerr // it was the probing that ended
		case err != nil:
			return n, err
		case a.PID != want.PID || a.Node != want.Node:
			return n, fmt.Errorf("it is process %d on %s now, it was %d on %s", a.PID, a.Node, want.PID, want.Node)
		}
		select {
		case <-ctx.Done():
		case <-time.After(probePause):
		}
	}
}

func nodeIndex(c *cluster, n *node) int {
	for i, m := range c.super.nodes {
		if m == n {
			return i
		}
	}
	return 0
}

// stop ends the cluster and looks for what it left.
func (t *story) stop(context.Context) error {
	began := time.Now()
	if err := t.cluster.close(); err != nil {
		return err
	}
	t.StopMs = time.Since(began).Milliseconds()
	left, err := below(os.Getpid())
	if err == nil && len(left) == 0 {
		left, err = leftovers(t.cluster.work.path)
	}
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("process %d was left running", left[0].PID)
	}
	t.screen.note(fmt.Sprintf("stopped after %d ms", t.StopMs))
	return nil
}

// describe says how the cluster is, for the reason of a failure.
func (t *story) describe() string {
	ctx, cancel := context.WithTimeout(context.Background(), askMax)
	defer cancel()
	sum, err := t.cluster.anyStatus(ctx, t.Lost)
	if err != nil {
		return err.Error()
	}
	text := []string{fmt.Sprintf("the cluster is %s: %s", sum.Cluster.State, sum.Cluster.Reason)}
	for i := range sum.Nodes {
		text = append(text, fmt.Sprintf("%s is %s", sum.Nodes[i].Name, sum.Nodes[i].State))
	}
	for i := range sum.Fencing {
		f := &sum.Fencing[i]
		text = append(text, strings.TrimSpace(fmt.Sprintf("fencing of %s: %s %s", f.Target, f.State, f.Error)))
	}
	return strings.Join(text, "; ")
}
