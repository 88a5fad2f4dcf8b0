package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
)

// Options say how an engine is run; the flags of belayd have the same names.
type Options struct {
	StateDir string // what survives a reboot
	RunDir   string // what does not
	Socket   string
	Version  string
	Log      *slog.Logger
	Level    *slog.LevelVar
	BootID   string   // instead of the machine's own: only for "belay dev"
	ShimDir  string   // the tools that agents call
	OCFRoots []string // default /usr/lib/ocf
	FenceDir []string // default /usr/sbin
	Watchdog string   // device; "" for none
	Arbiter  bool     // it joins as an arbiter: it has a vote, and hosts nothing
	Group    string   // whose members may read at the socket; default belay
	MgmtUID  uint32   // of the management daemon, which may name other actors
	// Query says what is wrong with the query of a CIM filter; nil: nobody can say.
	Query func(language, text string) error
	// Ready is called once the socket answers.
	Ready func()
	// LogLevelStore is the level of the store member's own log.
	LogLevelStore string
}

// Daemon is one belayd.
type Daemon struct {
	opts   Options
	log    *slog.Logger
	clock  clock
	bootID string
	cores  int
	gid    string

	engine atomic.Pointer[engine]
	refuse atomic.Pointer[api.Problem] // why this node's engine may not run
	left   atomic.Pointer[local]       // set when this node was drained: no engine runs until the next start
	booted sync.Mutex                  // one init or join at a time
	code   setupCode                   // lets somebody without root make or join a cluster
	starts chan local                  // a cluster that was just made or joined
	work   sync.WaitGroup
}

// New checks the options and makes the directories.
func New(o Options) (*Daemon, error) {
	d := &Daemon{opts: o, log: o.Log, clock: newClock(), bootID: o.BootID, cores: runtime.NumCPU(), starts: make(chan local, 1)}
	if d.opts.Level == nil {
		d.opts.Level = &slog.LevelVar{}
	}
	for _, path := range []*string{&o.StateDir, &o.RunDir, &o.Socket} {
		abs, err := filepath.Abs(*path) // agents and the store's member run elsewhere
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		*path = abs
	}
	d.opts.StateDir, d.opts.RunDir, d.opts.Socket = o.StateDir, o.RunDir, o.Socket
	for _, dir := range []string{o.StateDir, o.RunDir, filepath.Dir(o.Socket)} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is secret lies in directories of mode 0700 below
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	if err := os.MkdirAll(d.path(dirPKI), 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	shims, err := d.findShims()
	if err != nil {
		d.log.Warn("agents", "err", err)
	}
	d.opts.ShimDir = shims
	if d.bootID == "" {
		id, err := bootID()
		if err != nil {
			return nil, err
		}
		d.bootID = id
	}
	if g, err := user.LookupGroup(cmpOr(o.Group, "belay")); err == nil {
		d.gid = g.Gid
	}
	return d, nil
}

func (d *Daemon) path(elem ...string) string {
	return filepath.Join(append([]string{d.opts.StateDir}, elem...)...)
}

// Run serves until ctx ends. Then it tells the cluster that its engine restarts, so
// that resources are left running and nobody fences it for that.
func (d *Daemon) Run(ctx context.Context) error {
	unlock, err := lockDir(d.opts.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer d.work.Wait()
	defer cancel()
	var l local
	read := readJSON(d.path(fileLocal), &l)
	if errors.Is(read, fs.ErrNotExist) {
		d.log.Info("this node is in no cluster; waiting for belay cluster init or join", "setup_code", d.code.draw()) // before anybody can ask with it
	}
	// The socket lives a little longer than the engine: "systemctl stop" and a
	// drain ask over it how far things are.
	if err := d.serveSocket(ctx); err != nil {
		return err
	}
	if d.opts.Ready != nil {
		d.opts.Ready()
	}
	switch {
	case errors.Is(read, fs.ErrNotExist):
		select {
		case <-ctx.Done():
			return nil
		case l = <-d.starts:
		}
	case read != nil:
		return d.idle(ctx, unusableState(read))
	}
	return d.runEngine(ctx, l)
}

// runEngine runs the node's share of the cluster until ctx ends or it has left.
func (d *Daemon) runEngine(ctx context.Context, l local) error {
	e, err := d.newEngine(l)
	if err != nil {
		return d.idle(ctx, err)
	}
	d.engine.Store(e)
	// The engine's own context ends after the farewell.
	ectx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	d.work.Go(func() { ended <- e.run(ectx) })
	select {
	case err := <-ended:
		return d.idle(ctx, err)
	case <-e.left:
		// The process stays, without an engine: a service manager would start a new
		// one at once, and the node would be back.
		e.drains.Wait() // their outcomes are audited by the engine
		d.left.Store(&l)
		d.engine.Store(nil)
		d.log.Info("this node has left the cluster; the next start of belayd brings it back")
		stop()
		err := <-ended
		<-ctx.Done()
		return err
	case <-ctx.Done():
		e.farewell(ectx)
		e.drains.Wait()
	}
	stop()
	return <-ended
}

// idle keeps the process, without an engine, when the error is one that only an
// operator can mend: over the socket he is told of it, and a service manager need not
// start it again and again.
func (d *Daemon) idle(ctx context.Context, err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Code != api.CodeFeatureLevel && p.Code != api.CodeState {
		return err
	}
	d.refuse.Store(p)
	d.engine.Store(nil)
	d.log.Error("the engine does not run", "code", p.Code, "err", p.Detail, "remedy", p.Remedy)
	<-ctx.Done()
	return nil
}

// unusableState says that what this node knows of itself can't be used. Nothing is
// touched: what runs on it goes on, until the cluster misses it.
func unusableState(err error) *api.Problem { return api.NewProblem(api.CodeState, err.Error()) }

// farewellMax bounds how long the engine waits until the cluster knows that it
// restarts. Without an answer it goes anyway: then it counts as crashed.
const farewellMax = 5 * time.Second

func (e *engine) farewell(ctx context.Context) {
	fctx, cancel := context.WithTimeout(ctx, farewellMax)
	defer cancel()
	if err := e.leave(fctx, true); err != nil {
		e.log.Warn("the cluster may not know that this engine restarts", "err", err)
	}
	if err := e.store.Release(fctx); err != nil {
		e.log.Debug("the lease runs out by itself", "err", err)
	}
}

// agentConfig says where agents are.
func (d *Daemon) agentConfig(node string) agent.Config {
	return agent.Config{
		Node: node, StateDir: filepath.Join(d.opts.RunDir, "agent"), OCFRoots: d.opts.OCFRoots, FenceDirs: d.opts.FenceDir, ShimDir: d.opts.ShimDir,
		RscTmp: d.rscTmp(), Env: []string{shim.SocketVariable + "=" + d.opts.Socket}, Now: d.clock.now,
	}
}

// rscTmp is where agents keep their own state: the usual place as root, else below
// the run directory.
func (d *Daemon) rscTmp() string {
	if os.Getuid() == 0 && d.opts.BootID == "" {
		return ""
	}
	return filepath.Join(d.opts.RunDir, "resource-agents")
}

// selfFence resets this machine: the one thing that ends everything for certain.
func (d *Daemon) selfFence(reason string) {
	if d.opts.BootID != "" {
		// A node of "belay dev" is a process group: its end is the end of the node.
		d.log.Error("self-fencing", "reason", reason)
		os.Exit(86) //nolint:forbidigo // the node is to end at once
	}
	d.log.Error("self-fencing: the kernel is asked to reset", "reason", reason)
	for _, c := range []string{"1", "b"} { // enable, then reboot at once without syncing
		path := "/proc/sysrq-trigger"
		if c == "1" {
			path = "/proc/sys/kernel/sysrq"
		}
		if err := os.WriteFile(path, []byte(c), 0o600); err != nil {
			d.log.Error("the reset failed; the watchdog must do it", "err", err)
		}
	}
}
