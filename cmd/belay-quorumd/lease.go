package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
	"github.com/belay-ha/belay/engine/quorumd/client"
)

// leaseOptions are the flags of lease run.
type leaseOptions struct {
	servers, pins         []string
	key                   string
	cluster, node, ticket string
	grace, wait           time.Duration
}

func leaseCmd() *cobra.Command {
	var o leaseOptions
	c := &cobra.Command{Use: "lease", Short: "Use an arbitrator without a cluster manager"}
	run := &cobra.Command{
		Use: "run [flags] -- COMMAND [ARG...]", Short: "Hold a ticket while a command runs", Args: cobra.MinimumNArgs(1),
		Long: `Hold a ticket of an arbitrator while a command runs. The command is started when
the ticket is there. When the ticket can't be renewed, the command gets SIGTERM so
early that it is gone, by SIGKILL if need be, before the ticket ends. The exit status
is the command's; 75 when the ticket was lost or could not be had.

BELAY_TICKET and BELAY_TERM are set for the command: the term rises whenever the
ticket goes to somebody, and can be used as a fencing token.`,
		Example: `  belay-quorumd lease key                              the pin for quorumd.yaml
  belay-quorumd lease run --server q1:7410 --pin sha256:... --cluster db --node db1 --ticket primary -- postgres -D /data`,
		RunE: o.run,
	}
	f := run.Flags()
	f.StringSliceVar(&o.servers, "server", nil, "`address` of the arbitrator, host:port; several are tried in turn")
	f.StringSliceVar(&o.pins, "pin", nil, "`pin` of the arbitrator's key (belay-quorumd key)")
	f.StringVar(&o.cluster, "cluster", "", "`name` of the cluster, as in quorumd.yaml")
	f.StringVar(&o.node, "node", "", "`name` of this node, as in quorumd.yaml")
	f.StringVar(&o.ticket, "ticket", "", "`name` of the ticket")
	f.DurationVar(&o.grace, "grace", 5*time.Second, "between SIGTERM and SIGKILL; less than half of the ticket's expiry")
	f.DurationVar(&o.wait, "wait", 0, "how long to wait for the ticket; 0: for ever")
	for _, name := range []string{"server", "pin", "cluster", "node", "ticket"} {
		_ = run.MarkFlagRequired(name) // it is defined above
	}
	key := &cobra.Command{
		Use: "key", Short: "Print the pin of this machine's key, making the key where there is none", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cert, err := pki.LoadOrMakeKey(o.key, "lease", time.Now())
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), pki.Pin(cert.Leaf))
			}
			return err
		},
	}
	def := "/etc/belay/lease.key"
	if home, err := os.UserConfigDir(); err == nil && os.Getuid() != 0 {
		def = filepath.Join(home, "belay-lease.key")
	}
	c.PersistentFlags().StringVar(&o.key, "key", def, "`file` of this machine's private key")
	c.AddCommand(run, key)
	return c
}

// exitNoTicket is EX_TEMPFAIL of sysexits.h.
const exitNoTicket = 75

func (o *leaseOptions) run(c *cobra.Command, args []string) error {
	var pins []string
	for _, p := range o.pins {
		pin, err := pki.ParsePin(p)
		if err != nil {
			return usageError{err}
		}
		pins = append(pins, pin)
	}
	if err := os.MkdirAll(filepath.Dir(o.key), 0o700); err != nil {
		return fmt.Errorf("make the key's directory: %w", err)
	}
	cert, err := pki.LoadOrMakeKey(o.key, o.node, time.Now())
	if err != nil {
		return err
	}
	cl := client.New(client.Config{Addresses: o.servers, Pins: pins, Cert: cert, Cluster: o.cluster, Node: o.node, Now: bootClock})
	cl.Set(client.Claim{Quorate: true})
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); cl.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := o.acquire(c, cl); err != nil {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "belay-quorumd:", err)
		return exitError(exitNoTicket)
	}
	err = o.hold(c, cl, args)
	if errors.Is(err, errTicketLost) {
		return err // the other one waits for its time
	}
	rctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if rerr := cl.Release(rctx, o.ticket); rerr != nil {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "belay-quorumd: the ticket runs out by itself:", rerr)
	}
	return err
}

func bootClock() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME cannot be read: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Unix(ts.Unix())
}

// acquire waits until the ticket is there.
func (o *leaseOptions) acquire(c *cobra.Command, cl *client.Client) error {
	ctx := c.Context()
	if o.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.wait)
		defer cancel()
	}
	said := ""
	for {
		err := cl.Acquire(ctx, o.ticket, true)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("ticket %s was not to be had: %s", o.ticket, said)
		}
		text := err.Error()
		if st := cl.Status(); errors.Is(err, client.ErrNotConnected) && st.Err != nil {
			text = st.Err.Error()
		}
		if refusal, ok := errors.AsType[*client.Refusal](err); ok && refusal.Code == quorumd.CodeNoTicket {
			return err
		}
		if text != said {
			said = text
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "belay-quorumd: waiting for ticket "+o.ticket+":", text)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

var errTicketLost = exitError(exitNoTicket)

// hold runs the command as long as the ticket is held.
func (o *leaseOptions) hold(c *cobra.Command, cl *client.Client, args []string) error {
	t := cl.Status().Tickets[o.ticket]
	if lease := t.Until.Sub(bootClock()); o.grace*2 > lease {
		return fmt.Errorf("--grace %s is more than half of the ticket's expiry, %s", o.grace, lease.Round(time.Second))
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it is ended in two steps below
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	cmd.Env = append(os.Environ(), "BELAY_TICKET="+o.ticket, "BELAY_TERM="+strconv.FormatUint(t.Term, 10))
	// All that the command starts is ended with it; and it ends when we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	signalAll := func(sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) } // it may have ended
	stop := c.Context().Done()
	for lost := false; ; {
		t := cl.Status().Tickets[o.ticket]
		end := t.Until
		if !t.Held {
			end = bootClock().Add(o.grace)
		}
		if now := bootClock(); !lost && (!t.Held || !now.Before(end.Add(-2*o.grace))) && stop != nil {
			// Too late for a renewal to be relied on: it must be gone in time.
			lost = true
			_, _ = fmt.Fprintf(c.ErrOrStderr(), "belay-quorumd: ticket %s is lost: %s\n", o.ticket, t.Text)
			signalAll(syscall.SIGTERM)
			timer := time.AfterFunc(o.grace, func() { signalAll(syscall.SIGKILL) })
			defer timer.Stop()
		}
		select {
		case err := <-done:
			signalAll(syscall.SIGKILL) // what it left behind
			if lost {
				return errTicketLost
			}
			exit := &exec.ExitError{}
			if errors.As(err, &exit) {
				return exitError(max(1, exit.ExitCode()))
			}
			return err
		case <-stop:
			stop = nil
			signalAll(syscall.SIGTERM)
			timer := time.AfterFunc(o.grace, func() { signalAll(syscall.SIGKILL) })
			defer timer.Stop()
		case <-cl.Changed():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
