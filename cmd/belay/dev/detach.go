package dev

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Files that a supervisor in the background inherits.
const (
	readyFile = 3 // where it says that the cluster is ready, or why it is not
	lockFile  = 4 // the lock of the directory
)

// readyText is what a supervisor in the background tells who started it, once.
type readyText struct {
	UpMs  int64  `json:"up_ms"`
	Error string `json:"error,omitempty"`
}

// detached starts a cluster in the background and returns when it is ready.
func detached(ctx context.Context, o options, out, errOut io.Writer) error {
	w, err := prepareDir(ctx, o.dir)
	if err != nil {
		return err
	}
	answer, wait, err := spawnSupervisor(w, &o)
	if err != nil {
		return errors.Join(err, w.release(false))
	}
	_ = w.lock.Close() // the supervisor has it now
	if err := awaitReady(ctx, answer, wait); err != nil {
		return err
	}
	f, err := readFile(w.path)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(errOut, "The cluster is ready. The service: %s. The end: %s dev --stop --dir %s\n", f.Service.URL, os.Args[0], w.path)
	_, err = fmt.Fprintln(out, filepath.Join(w.path, fileDev))
	return err
}

// spawnSupervisor starts this program again, in a session of its own.
func spawnSupervisor(w *workDir, o *options) (answer *os.File, cmd *exec.Cmd, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(w.path, fileLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log of the cluster: %w", err)
	}
	defer log.Close() //nolint:errcheck // the supervisor has its own
	answer, tell, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start the supervisor: %w", err)
	}
	defer tell.Close() //nolint:errcheck // the supervisor has its own
	//nolint:noctx // it outlives this program
	cmd = exec.Command(program, "dev", "supervise", "--dir", w.path, "--nodes", strconv.Itoa(o.nodes), "--belayd", o.belayd,
		"--log-level", o.logLevel, "--timeout", o.timeout.String(), "--no-reboot="+strconv.FormatBool(o.noReboot), "--no-mgmt="+strconv.FormatBool(o.noMgmt), "--trap-target", o.trapTarget, "--cim-http="+strconv.FormatBool(o.cimHTTP), "--quorumd="+strconv.FormatBool(o.arbiter))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.ExtraFiles = []*os.File{tell, w.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the supervisor: %w", err), answer.Close())
	}
	return answer, cmd, nil
}

// awaitReady waits for what the supervisor says. Who does not want to wait any longer
// ends it.
func awaitReady(ctx context.Context, answer *os.File, cmd *exec.Cmd) error {
	defer answer.Close() //nolint:errcheck // only read
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-ended:
		}
	}()
	var r readyText
	line, err := bufio.NewReader(answer).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	switch {
	case err == nil && r.Error == "" && ctx.Err() == nil:
		return cmd.Process.Release()
	case err == nil && r.Error == "": // it became ready at the moment when it was to end
		err = errStopped
	case err == nil:
		err = errors.New(r.Error)
	default:
		err = errors.New("the supervisor has ended without a word; see its log, " + fileLog)
	}
	_ = cmd.Wait() // it ends when it has said so
	return err
}

// superviseCommand is a supervisor in the background.
func superviseCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "supervise", Short: "The supervisor of a detached cluster", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, end := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			defer end()
			o.findMgmtd()
			if err := o.findQuorumd(); err != nil {
				return err
			}
			return supervise(ctx, *o, cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.IntVar(&o.nodes, "nodes", 3, "")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "")
	f.BoolVar(&o.noReboot, "no-reboot", false, "")
	f.BoolVar(&o.noMgmt, "no-mgmt", false, "")
	f.StringVar(&o.belayd, "belayd", "", "")
	f.StringVar(&o.trapTarget, "trap-target", "", "")
	f.BoolVar(&o.cimHTTP, "cim-http", false, "")
	f.BoolVar(&o.arbiter, "quorumd", false, "")
	f.StringVar(&o.logLevel, "log-level", "info", "")
	return c
}

func supervise(ctx context.Context, o options, out io.Writer) error {
	unix.CloseOnExec(readyFile)
	unix.CloseOnExec(lockFile)
	starter := os.NewFile(readyFile, "ready")
	w, err := adoptLock(o.dir, os.NewFile(lockFile, "lock"))
	if err != nil {
		return errors.Join(err, tellStarter(starter, readyText{Error: err.Error()}))
	}
	ready := false
	s := newScreen(out)
	err = runCluster(ctx, o, w, s, func(ctx context.Context, c *cluster) error {
		// When nobody waits for this cluster any more, nobody wants it.
		if err := tellStarter(starter, readyText{UpMs: time.Since(c.began).Milliseconds()}); err != nil {
			return errStopped
		}
		ready = true
		c.follow(ctx, s)
		return nil
	})
	if err != nil && !ready {
		_ = tellStarter(starter, readyText{Error: err.Error()})
	}
	return err
}

func tellStarter(f *os.File, r readyText) error {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = f.Write(append(b, '\n'))
	}
	return errors.Join(err, f.Close())
}
