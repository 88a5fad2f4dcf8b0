package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// UsageError is a mistake in how the command was called.
type UsageError struct{ error }

func usage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Command is "belay dev".
func Command(version string) *cobra.Command {
	o := options{release: version}
	var detach, stop, show, self bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "A whole cluster on this machine, to try",
		Long: `dev starts a cluster on this machine: nodes as processes on loopback, a fence device
that cuts their power, and a small web service that the cluster keeps running. It
needs no rights. kill -9 of a node's machine is the loss of its power.

With --detach it runs in the background; DIR/dev.json names everything that runs.`,
		Example: `  belay dev
  belay dev --nodes 5
  belay dev --nodes 2 --quorumd
  belay dev --detach --dir /tmp/c1; belay dev --stop --dir /tmp/c1
  belay dev --selftest`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, end := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			defer end()
			out, errOut := cmd.OutOrStdout(), cmd.ErrOrStderr()
			switch {
			case stop:
				return stopCluster(ctx, o.dir, errOut)
			case show:
				return showCluster(o.dir, out)
			}
			if err := o.check(); err != nil {
				return err
			}
			switch {
			case detach:
				return detached(ctx, o, out, errOut)
			case self:
				return selftest(ctx, o, out, errOut)
			}
			return foreground(ctx, o, out)
		},
	}
	f := c.Flags()
	f.IntVar(&o.nodes, "nodes", 3, fmt.Sprintf("`number` of nodes, from 1 to %d", nodesMax))
	f.BoolVar(&detach, "detach", false, "run in the background; return when the cluster is ready")
	f.BoolVar(&stop, "stop", false, "end the cluster of --dir")
	f.BoolVar(&show, "status", false, "print the dev.json of the cluster of --dir")
	f.BoolVar(&self, "selftest", false, "start, lose a node, lose an engine, stop; print the measured times as JSON")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "`time` in which the cluster must be ready")
	f.BoolVar(&o.noReboot, "no-reboot", false, "a fenced node stays off, until the power is turned on again")
	f.StringVar(&o.belayd, "belayd", "", "`program` of the engine (default: belayd beside this program, else in $PATH)")
	f.BoolVar(&o.noMgmt, "no-mgmt", false, "run no management daemon: no REST, no GUI")
	f.BoolVar(&o.arbiter, "quorumd", false, "run an arbitrator, too: with it two nodes survive the loss of one")
	f.BoolVar(&o.cimHTTP, "cim-http", false, "answer CIM without TLS, too, on the loopback interface")
	f.StringVar(&o.trapTarget, "trap-target", "", "`host:port` that receives SNMP notifications, as informs of SNMPv3")
	f.StringVar(&o.logLevel, "log-level", "info", "`level` of the engines' logs: debug, info, warn or error")
	c.PersistentFlags().StringVar(&o.dir, "dir", "", "`directory` of the cluster (default: a temporary one)")
	c.MarkFlagsMutuallyExclusive("detach", "stop", "status", "selftest")
	c.AddCommand(machineCommand(), webCommand(), superviseCommand(&o), powerCommand(&o), pamCheckCommand())
	return c
}

// check looks for mistakes before anything is started.
func (o *options) check() error {
	if o.nodes < 1 || o.nodes > nodesMax {
		return usage("--nodes %d: a cluster has from 1 to %d nodes here", o.nodes, nodesMax)
	}
	if o.timeout <= 0 {
		return usage("--timeout %s: a time is needed", o.timeout)
	}
	switch o.logLevel {
	case "debug", "info", "warn", "error":
	default:
		return usage("--log-level %s: choose debug, info, warn or error", o.logLevel)
	}
	if o.dir != "" {
		if _, err := cleanDir(o.dir); err != nil {
			return UsageError{err}
		}
	}
	var err error
	if o.belayd, err = findBelayd(o.belayd); err != nil {
		return err
	}
	o.findMgmtd()
	return o.findQuorumd()
}

// findMgmtd looks for the management daemon and its helper beside the engine. The
// helper is not there where it was built without cgo; then none runs.
func (o *options) findMgmtd() {
	if o.noMgmt {
		return
	}
	for name, path := range map[string]*string{"belay-mgmtd": &o.mgmtd, "belay-mgmtd-pam": &o.pam} {
		*path = filepath.Join(filepath.Dir(o.belayd), name)
		if _, err := os.Stat(*path); err != nil {
			o.mgmtd, o.pam = "", ""
			return
		}
	}
}

// findBelayd finds the engine's program.
func findBelayd(name string) (string, error) {
	if name == "" {
		me, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		name = filepath.Join(filepath.Dir(me), "belayd")
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			name, err = exec.LookPath("belayd")
			if err != nil {
				return "", fmt.Errorf("there is no belayd in %s and none in $PATH: build it with \"make build\", or name it with --belayd", filepath.Dir(me))
			}
		}
	}
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("the engine's program: %w", err)
	}
	return path, nil
}

// foreground runs a cluster until somebody ends it.
func foreground(ctx context.Context, o options, out io.Writer) error {
	w, err := prepareDir(ctx, o.dir)
	if err != nil {
		return err
	}
	// A closed output must end the cluster in order, and not this program at once.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	s := newScreen(out)
	s.say("Starting %d nodes below %s.", o.nodes, w.path)
	return runCluster(ctx, o, w, s, func(ctx context.Context, c *cluster) error {
		s.say("The cluster is up after %.1f s.", time.Since(c.began).Seconds())
		if o.nodes == 2 && !o.arbiter {
			s.say("Two nodes survive no loss: one vote of two is no majority. Three do, and two with --quorumd.")
		}
		s.say("%s", c.hints(s.howItEnds()))
		fctx, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			select {
			case <-s.broken:
				stop()
			case <-fctx.Done():
			}
		}()
		c.follow(fctx, s)
		return nil
	})
}

// runCluster starts a cluster, does something with it, and ends it. When it did not
// start, the logs stay.
func runCluster(ctx context.Context, o options, w *workDir, s *screen, do func(context.Context, *cluster) error) error {
	c, err := openCluster(ctx, o, w, s.note)
	if err != nil {
		return errors.Join(err, w.release(false))
	}
	if err = c.start(ctx); err == nil {
		err = do(ctx, c)
	} else if ctx.Err() != nil {
		err = errStopped
	}
	stopping := time.Now()
	keep := err != nil && !errors.Is(err, errStopped)
	if keep {
		err = fmt.Errorf("%w\n%sThe logs stay in %s", err, c.tails(), w.path)
	}
	err = errors.Join(err, c.close(), w.release(keep))
	if err == nil {
		s.say("The cluster has ended, in %d ms.", time.Since(stopping).Milliseconds())
	}
	return err
}

var errStopped = errors.New("stopped before the cluster was ready")

// stopCluster ends the cluster of a directory.
func stopCluster(ctx context.Context, dir string, errOut io.Writer) error {
	if dir == "" {
		return usage("--stop needs the --dir of the cluster to end")
	}
	stopped, err := stopDir(ctx, dir)
	if err == nil && !stopped {
		_, _ = fmt.Fprintf(errOut, "No cluster runs in %s.\n", dir)
	}
	return err
}

// showCluster prints dev.json.
func showCluster(dir string, out io.Writer) error {
	if dir == "" {
		return usage("--status needs the --dir of the cluster")
	}
	dir, err := cleanDir(dir)
	if err != nil {
		return err
	}
	f, err := readFile(dir)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(f)
}

// powerCommand is the switch of the fence device, for people.
func powerCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "power on|off|status NODE", Short: "Turn a node's power on or off", Args: cobra.ExactArgs(2),
		Example:   "  belay dev power off n2 --dir /tmp/c1",
		ValidArgs: []string{"on", "off", "status"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.dir == "" {
				return usage("power needs the --dir of the cluster")
			}
			if !slices.Contains(cmd.ValidArgs, args[0]) {
				return usage("power %s: choose on, off or status", args[0])
			}
			dir, err := cleanDir(o.dir)
			if err != nil {
				return err
			}
			answer, err := askFence(cmd.Context(), filepath.Join(dir, fileFence), args[0]+" "+args[1])
			if err != nil {
				return err
			}
			if args[0] == "status" {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), answer)
			}
			return err
		},
	}
}
