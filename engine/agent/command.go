package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is one program to run to its end.
type command struct {
	path     string
	args     []string // without the program's name
	env      []string
	dir      string
	stdin    []byte // nil means /dev/null
	timeout  time.Duration
	notAfter time.Time // zero: no limit
	// wholeStdout keeps that many of the first bytes of standard output in
	// place of the end: documents and lists.
	wholeStdout int
	record      record
}

// ending says how a command came to its end.
type ending uint8

const (
	exited    ending = iota // by itself
	timedOut                // ended by us
	cancelled               // ended by us, or not started
	tooLate                 // not started: NotAfter has passed
	notStarted
)

// outcome is what came of a command.
type outcome struct {
	how       ending
	err       error // why it was not started
	code      int   // exit status, -1 if a signal ended it
	signal    string
	lingering bool
	started   time.Time
	ended     time.Time
	exec      time.Duration
	stdout    *tail
	stderr    *tail
}

// run starts the command and sees it to its end.
func (r *Runner) run(ctx context.Context, c command) outcome {
	out := outcome{how: notStarted, code: -1, stdout: &tail{limit: CaptureBytes}, stderr: &tail{limit: CaptureBytes}}
	if c.wholeStdout > 0 {
		out.stdout = &tail{limit: c.wholeStdout, head: true}
	}
	pipes, err := openPipes(c.stdin, out.stdout, out.stderr)
	if err != nil {
		out.err = err
		return out
	}
	defer pipes.close()
	c.record.Path, c.record.Args = c.path, c.args
	entry, err := r.runs.begin(c.record)
	if err != nil {
		out.err = err
		return out
	}
	c.env = append(c.env, entry.variable())

	// Nothing that can take time stands between these checks and the start.
	if ctx.Err() != nil {
		entry.end()
		out.how, out.err = cancelled, context.Cause(ctx)
		return out
	}
	if now := r.cfg.Now(); !c.notAfter.IsZero() && now.After(c.notAfter) {
		entry.end()
		out.how, out.err = tooLate, fmt.Errorf("its time was over %v ago", now.Sub(c.notAfter).Round(time.Millisecond))
		return out
	}
	begin := time.Now()
	child, err := os.StartProcess(c.path, append([]string{c.path}, c.args...), &os.ProcAttr{
		Dir: c.dir, Env: c.env, Files: pipes.files(), Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		entry.end()
		out.err = err
		return out
	}
	out.started = begin
	pipes.started()
	resetOOM(child.Pid)
	id, err := identify(child.Pid)
	if err != nil { // cannot be: it is our child and not reaped
		id = process{PID: child.Pid, Boot: bootID()}
	}
	entry.started(id)

	out.how, out.lingering = r.await(ctx, id, c.timeout)
	out.ended, out.exec = time.Now(), time.Since(begin)
	if out.lingering {
		// Somebody has to take the exit status when the kernel lets go of it;
		// until then the record stays.
		go func() {
			_, _ = child.Wait()
			entry.end()
		}()
		return out
	}
	pipes.drain()
	state, err := child.Wait()
	entry.end()
	if err != nil {
		out.err = fmt.Errorf("wait for %s: %w", c.path, err)
		return out
	}
	out.code = state.ExitCode()
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		out.signal = unix.SignalName(ws.Signal())
	}
	return out
}

// await waits for the exit of the child, and ends its session at a
// time-out or when ctx is done. The child is not reaped here: as long as it is
// not, its number, which is also that of its session, is not used again.
func (r *Runner) await(ctx context.Context, id process, timeout time.Duration) (how ending, lingering bool) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if err := unix.Waitid(unix.P_PID, id.PID, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-gone:
		return exited, false
	case <-timer.C:
		how = timedOut
	case <-ctx.Done():
		how = cancelled
	}
	select {
	case <-gone: // both at once: it did finish
		return exited, false
	default:
	}
	return how, !endSession(id, r.cfg.KillGrace)
}

// resetOOM takes back the protection from the kernel's memory killer that the
// engine may have, and which a service must not inherit from it.
func resetOOM(pid int) {
	if own, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil && len(own) > 0 && own[0] == '-' {
		_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("0"), 0)
	}
}

// pipes are the standard files of a child.
type pipes struct {
	stdin      *os.File
	outR, outW *os.File
	errR, errW *os.File
	out, err   *tail
	readers    sync.WaitGroup
}

func openPipes(stdin []byte, out, err *tail) (*pipes, error) {
	p := &pipes{out: out, err: err}
	var e error
	if p.stdin, e = openStdin(stdin); e != nil {
		return nil, e
	}
	if p.outR, p.outW, e = os.Pipe(); e == nil {
		p.errR, p.errW, e = os.Pipe()
	}
	if e != nil {
		p.close()
		return nil, fmt.Errorf("pipe for an agent's output: %w", e)
	}
	return p, nil
}

// openStdin makes a file in memory of what the child is to read. A pipe would
// need a writer that waits for a child which may never read.
func openStdin(data []byte) (*os.File, error) {
	if data == nil {
		return os.Open(os.DevNull)
	}
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory file for an agent's input: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stdin")
	if _, err = f.Write(data); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("memory file for an agent's input: %w", err)
	}
	return f, nil
}

func (p *pipes) files() []*os.File { return []*os.File{p.stdin, p.outW, p.errW} }

// started lets go of the child's ends and begins to read.
func (p *pipes) started() {
	for _, f := range []**os.File{&p.stdin, &p.outW, &p.errW} {
		_ = (*f).Close()
		*f = nil
	}
	read := func(f *os.File, to *tail) func() {
		return func() {
			buf := make([]byte, 8<<10)
			for {
				n, err := f.Read(buf)
				_, _ = to.Write(buf[:n])
				if err != nil {
					return
				}
			}
		}
	}
	p.readers.Go(read(p.outR, p.out))
	p.readers.Go(read(p.errR, p.err))
}

// drain takes what the child wrote before it exited and reads no further: a
// daemon may keep the other end open for ever.
func (p *pipes) drain() {
	now := time.Now()
	_ = p.outR.SetReadDeadline(now)
	_ = p.errR.SetReadDeadline(now)
	p.readers.Wait()
	takeRest(p.outR, p.out)
	takeRest(p.errR, p.err)
}

// takeRest reads what is in a pipe at this moment, without waiting.
func takeRest(f *os.File, to *tail) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		left, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		if err != nil {
			return
		}
		buf := make([]byte, min(left, 8<<10))
		for left > 0 {
			n, err := unix.Read(int(fd), buf[:min(left, len(buf))])
			if n <= 0 || err != nil {
				return
			}
			_, _ = to.Write(buf[:n])
			left -= n
		}
	})
}

func (p *pipes) close() {
	for _, f := range []*os.File{p.stdin, p.outR, p.outW, p.errR, p.errW} {
		if f != nil {
			_ = f.Close()
		}
	}
}
