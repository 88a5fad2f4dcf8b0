package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/pki"
)

// ChildState says how the member of this node is.
type ChildState int

// The states of a member.
const (
	ChildStopped  ChildState = iota // on request, or it never ran
	ChildStarting                   // runs, but does not take part yet: it may wait for its peers
	ChildReady                      // takes part
	ChildBackoff                    // ended, and will be started again
	ChildFailed                     // ended for a reason that a restart does not mend
)

var childStateNames = [...]string{"stopped", "starting", "ready", "backoff", "failed"}

// String names the state.
func (s ChildState) String() string { return childStateNames[s] }

// Reason says why a member ended.
type Reason string

// The reasons. After ReasonRemoved and ReasonCorrupt the member is not started
// again by itself.
const (
	ReasonStopped Reason = "stopped" // on request
	ReasonCrashed Reason = "crashed" // any other
	ReasonRemoved Reason = "removed" // the cluster removed it; its data are void
	ReasonCorrupt Reason = "corrupt" // its data cannot be read
	ReasonAddress Reason = "address" // it cannot listen
	ReasonDisk    Reason = "disk"    // full, or read-only
	ReasonStart   Reason = "start"   // the program could not be started
)

// Child is what is known of the member of this node.
type Child struct {
	State  ChildState
	PID    int
	Since  time.Time
	Reason Reason // of the last end
	Detail string // of the last end: what the member said last
	Starts int    // since the supervisor was made
}

// Limits of the restarts: from Min, doubled every time, to Max; from Min again
// after the member ran for Reset.
const (
	backoffMin   = 100 * time.Millisecond
	backoffMax   = 10 * time.Second
	backoffReset = time.Minute
)

// SupervisorConfig says how the member's process is run.
type SupervisorConfig struct {
	// Command is the program and its arguments; the name of the configuration file
	// is appended. Default: this program, with "etcd".
	Command []string
	Env     []string // added to that of this process
	File    string   // where the configuration is written for the child
	// OnChange is told every change, in order and one at a time. It must not wait
	// for the supervisor.
	OnChange func(Child)
	Log      *slog.Logger // the child's own log goes there too; nil: nowhere
}

// Supervisor runs the member of this node as a child process.
type Supervisor struct {
	cfg SupervisorConfig
	log *slog.Logger

	mu    sync.Mutex
	child Child
	run   *run // nil: stopped
}

// run is one time between start and stop. It may see several processes.
type run struct {
	server ServerConfig
	stop   context.CancelFunc
	done   chan struct{}
	orders chan string // to the process
}

// NewSupervisor makes a supervisor of a member that does not run yet.
func NewSupervisor(cfg SupervisorConfig) *Supervisor {
	if len(cfg.Command) == 0 {
		cfg.Command = []string{os.Args[0], "etcd"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{cfg: cfg, log: cfg.Log}
}

// State returns what is known now.
func (s *Supervisor) State() Child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child
}

// Start starts the member, and keeps it running until Stop. When it runs already
// it is stopped first: so that changed settings take effect.
func (s *Supervisor) Start(ctx context.Context, server ServerConfig) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := server.write(s.cfg.File); err != nil {
		return err
	}
	// The member outlives the call that started it.
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &run{server: server, stop: stop, done: make(chan struct{}), orders: make(chan string, 16)}
	s.mu.Lock()
	if s.run != nil {
		s.mu.Unlock()
		stop()
		return errors.New("the store's member was started twice at the same time")
	}
	s.run = r
	s.mu.Unlock()
	go s.supervise(runCtx, r)
	return nil
}

// Stop stops the member in an orderly way, or by force after some seconds. It is
// safe to call at any time.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stop()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the store's member: %w", ctx.Err())
	}
}

// DropPeer ends the member's connections with an address. The engine calls it when
// a link to a peer went down, so that etcd goes on over the next link at once.
func (s *Supervisor) DropPeer(addr netip.Addr) { s.order(orderDrop + addr.String()) }

// DropIncoming ends the connections that others have made to the member. The engine
// calls it when certificates became void: who still has a good one comes back at once.
func (s *Supervisor) DropIncoming() { s.order(orderDropIn) }

func (s *Supervisor) order(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return
	}
	select {
	case s.run.orders <- text + "\n":
	default: // the child does not read; its own time-outs will have to do
	}
}

// SetAside moves the data of a stopped member to a directory beside it and
// returns its name. At most [asideMax] of them are kept.
func (s *Supervisor) SetAside(dir string, now time.Time) (string, error) {
	if s.runs() {
		return "", errors.New("set the store's data aside: the member runs; stop it first")
	}
	return setAside(dir, now)
}

// runs reports whether the data may be in use.
func (s *Supervisor) runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run != nil && s.child.State != ChildFailed
}

const asideMax = 3

func setAside(dir string, now time.Time) (string, error) {
	aside := fmt.Sprintf("%s.aside-%s", dir, now.UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("set the store's data aside: %w", err)
	}
	if err := pki.SyncDir(filepath.Dir(dir)); err != nil {
		return aside, err
	}
	return aside, forgetAside(dir)
}

// forgetAside removes all but the newest directories that were set aside.
func forgetAside(dir string) error {
	old, err := filepath.Glob(dir + ".aside-*") // sorted, and so by time
	if err != nil {
		return err
	}
	for len(old) > asideMax {
		if err := os.RemoveAll(old[0]); err != nil {
			return fmt.Errorf("remove old data of the store: %w", err)
		}
		old = old[1:]
	}
	return nil
}

// supervise owns the state of the child during one run.
func (s *Supervisor) supervise(ctx context.Context, r *run) {
	defer func() {
		s.mu.Lock()
		s.run = nil
		s.mu.Unlock()
		r.stop()
		close(r.done)
	}()
	backoff := backoffMin
	for {
		started := time.Now()
		reason, detail := s.once(ctx, r)
		if ctx.Err() != nil {
			s.change(func(c *Child) {
				*c = Child{State: ChildStopped, Reason: ReasonStopped, Detail: detail, Starts: c.Starts}
			})
			return
		}
		state := ChildBackoff
		if reason == ReasonRemoved || reason == ReasonCorrupt {
			state = ChildFailed
		}
		s.log.Warn("store member ended", "reason", string(reason), "detail", detail, "state", state.String())
		s.change(func(c *Child) { c.State, c.PID, c.Reason, c.Detail = state, 0, reason, detail })
		if state == ChildFailed {
			return
		}
		if time.Since(started) > backoffReset {
			backoff = backoffMin
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// once runs the process until it ends.
func (s *Supervisor) once(ctx context.Context, r *run) (Reason, string) {
	if ctx.Err() != nil {
		return ReasonStopped, ""
	}
	cmd := exec.Command(s.cfg.Command[0], append(s.cfg.Command[1:len(s.cfg.Command):len(s.cfg.Command)], s.cfg.File)...) //nolint:noctx // it ends by its standard input, in order, and by a signal only then
	cmd.Env = append(os.Environ(), s.cfg.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // a Ctrl-C at a terminal is for the engine, which stops its child
		Pdeathsig: syscall.SIGKILL,
	}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	log, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return ReasonStart, err.Error()
	}

	// The kernel sends Pdeathsig when the *thread* that started the child ends, so
	// the thread must last as long as the child.
	type result struct{ err error }
	begun, ended := make(chan error, 1), make(chan result, 1)
	read := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err != nil {
			return
		}
		<-read // Wait closes the pipes: first read what is in them
		ended <- result{cmd.Wait()}
	}()
	if err := <-begun; err != nil {
		return ReasonStart, err.Error()
	}
	s.change(func(c *Child) {
		*c = Child{State: ChildStarting, PID: cmd.Process.Pid, Since: time.Now(), Reason: c.Reason, Detail: c.Detail, Starts: c.Starts + 1}
	})

	var last lastWords
	var readers sync.WaitGroup
	readers.Go(func() { last.read(log, s.log) })
	readers.Go(func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				s.change(func(c *Child) { c.State = ChildReady })
			}
		}
	})
	go func() {
		readers.Wait()
		close(read)
	}()

	stopping, kill := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case order := <-r.orders:
			// One short line; the pipe holds thousands, so this does not wait.
			_, _ = io.WriteString(in, order)
		case <-stopping:
			stopping = nil
			_ = in.Close()
			kill = time.After(stopMax + time.Second)
		case <-kill:
			_ = cmd.Process.Kill()
			kill = nil
		case res := <-ended:
			_ = in.Close()
			reason, detail := last.explain()
			if detail == "" && res.err != nil {
				detail = res.err.Error()
			}
			return reason, detail
		}
	}
}

func (s *Supervisor) change(f func(*Child)) {
	s.mu.Lock()
	f(&s.child)
	c := s.child
	s.mu.Unlock()
	if s.cfg.OnChange != nil {
		s.cfg.OnChange(c)
	}
}

// lastWords remembers what tells why a process ended.
type lastWords struct {
	reason Reason
	detail string // the line that gave the reason
	last   string // the last line that says something
}

const lineMax = 2000

func (l *lastWords) read(r io.Reader, log *slog.Logger) {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" {
			if len(line) > lineMax {
				line = line[:lineMax]
			}
			l.see(line)
			log.Info("store member", "line", line)
		}
		if err != nil {
			return
		}
	}
}

// telling are texts of etcd, bbolt and the kernel, and what they mean. The first
// that matches a line is taken, and a removal is not outdone by what follows it.
var telling = []struct {
	reason Reason
	text   string
}{
	{ReasonRemoved, textRemoved},
	{ReasonRemoved, ErrRemoved.Error()},
	{ReasonDisk, "no space left on device"},
	{ReasonDisk, "read-only file system"},
	{ReasonDisk, "input/output error"},
	{ReasonAddress, "address already in use"},
	{ReasonAddress, "cannot assign requested address"},
	{ReasonCorrupt, textData},
	{ReasonCorrupt, "failed to open WAL"},
	{ReasonCorrupt, "failed to read WAL"},
	{ReasonCorrupt, "walpb: crc mismatch"},
	{ReasonCorrupt, "wal: crc mismatch"},
	{ReasonCorrupt, "wal: file not found"},
	{ReasonCorrupt, "wal: slice bounds out of range"},
	{ReasonCorrupt, "wal: max entry size limit exceeded"},
	{ReasonCorrupt, "snap: no available snapshot"},
	{ReasonCorrupt, "failed to recover v3 backend from snapshot"},
	{ReasonCorrupt, "failed to find database snapshot file"},
	{ReasonCorrupt, "failed to open database"},
	{ReasonCorrupt, "invalid database"},
	{ReasonCorrupt, "freepages: failed to get all reachable pages"},
	{ReasonCorrupt, "panic: page "},             // bbolt: "page 3 already freed"
	{ReasonCorrupt, "unexpected fault address"}, // a mapped database that is too short
	{ReasonCorrupt, "found data inconsistency"},
	{ReasonCorrupt, "checksum error"},
	{ReasonCorrupt, "is out of range [lastIndex"}, // the log is shorter than what was committed
}

func (l *lastWords) see(line string) {
	if strings.HasPrefix(line, "goroutine ") || strings.HasPrefix(line, "\t") {
		return
	}
	l.last = line
	if l.reason == ReasonRemoved {
		return
	}
	// A warning is about something that the member goes on after, such as what a
	// stranger sent to its port; only its removal comes as one.
	warning := strings.HasPrefix(line, `{"level":"warn"`)
	for _, t := range telling {
		if strings.Contains(line, t.text) && (!warning || t.reason == ReasonRemoved) {
			l.reason, l.detail = t.reason, line
			return
		}
	}
}

func (l *lastWords) explain() (Reason, string) {
	if l.reason == "" {
		return ReasonCrashed, l.last
	}
	return l.reason, l.detail
}
