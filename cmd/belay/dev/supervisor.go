package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// state is the power of a node's machine.
type state int

const (
	off   state = iota // no process is left
	on                 // its machine runs
	dying              // its machine has ended; what it left behind may still run
)

// resetPause is how long a machine that resets itself is off.
const resetPause = time.Second

// node is one node of the cluster and its machine.
type node struct {
	name      string
	dir       string
	addresses []string
	rest      string // address of its management daemon
	cim       string // where that answers CIM
	cimHTTP   string // without TLS; "": nowhere
	snmp      string // of its SNMP agent; "": none

	power sync.Mutex // one switching at a time

	// Guarded by supervisor.mu.
	state   state
	machine proc // where state is on
	engine  int  // number of the process of belayd; 0: it does not run now
	mgmt    int  // that of the management daemon
	ends    int  // how often belayd has ended since the machine was started
	lastEnd string
	life    *os.File      // its end is the end of the machine
	died    chan struct{} // closed when the machine has ended
}

// supervisor switches the machines. There is one in a process, and it takes the exit
// status of every child.
type supervisor struct {
	dir      string
	program  string // this program
	belayd   string
	mgmtd    string // "": no management daemon runs
	pam      string
	logLevel string
	nodes    []*node
	note     func(text string) // tells people what happened; must not block
	changed  func()            // a process number has changed; must not block

	// mu is held while a machine is started, while ended children are taken, and while
	// orphans are looked for: a machine is never mistaken for an orphan.
	mu       sync.Mutex
	stopping bool
	work     sync.WaitGroup
	stop     chan struct{}
	outside  int // a process of this one that belongs to no machine; 0: none
}

// begin starts to look after children.
func (s *supervisor) begin() error {
	if err := subreaper(); err != nil {
		return err
	}
	s.stop = make(chan struct{})
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	s.work.Go(func() {
		defer signal.Stop(children)
		for {
			select {
			case <-s.stop:
				return
			case <-children:
				s.reap()
			}
		}
	})
	return nil
}

// end powers every machine off, for good.
func (s *supervisor) end() error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.stopping = true
	s.mu.Unlock()
	errs := make([]error, len(s.nodes))
	var all sync.WaitGroup
	for i, n := range s.nodes {
		all.Go(func() { errs[i] = s.powerOff(n) })
	}
	all.Wait()
	close(s.stop)
	s.work.Wait()
	return errors.Join(errs...)
}

func (s *supervisor) node(name string) (*node, error) {
	for _, n := range s.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q", name)
}

func (s *supervisor) names() []string {
	out := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		out[i] = n.name
	}
	return out
}

func (s *supervisor) on(name string) error {
	n, err := s.node(name)
	if err != nil {
		return err
	}
	return s.powerOn(n)
}

func (s *supervisor) off(name string) error {
	n, err := s.node(name)
	if err != nil {
		return err
	}
	return s.powerOff(n)
}

func (s *supervisor) status(name string) (bool, error) {
	n, err := s.node(name)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.state != off, nil
}

// powerOn boots a node. It does nothing when the node is on.
func (s *supervisor) powerOn(n *node) error {
	n.power.Lock()
	defer n.power.Unlock()
	s.mu.Lock()
	left := n.state == dying
	s.mu.Unlock()
	if left {
		if err := s.clear(n); err != nil {
			return err
		}
	}
	booted, err := s.boot(n)
	if err != nil {
		return fmt.Errorf("power on %s: %w", n.name, err)
	}
	if booted {
		s.note(n.name + ": power on")
		s.changed()
	}
	return nil
}

func (s *supervisor) boot(n *node) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return false, errors.New("the cluster is being stopped")
	case n.state != off:
		return false, nil
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return false, err
	}
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	defer log.Close() //nolint:errcheck // the machine has its own
	lifeEnd, life, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer lifeEnd.Close() //nolint:errcheck // the machine has its own
	report, reportEnd, err := os.Pipe()
	if err != nil {
		return false, errors.Join(err, life.Close())
	}
	defer reportEnd.Close() //nolint:errcheck // the machine has its own
	args := []string{s.program, "dev", "machine", "--name", n.name, "--dir", n.dir, "--belayd", s.belayd, "--log-level", s.logLevel}
	if s.mgmtd != "" {
		args = append(args, "--mgmtd", s.mgmtd, "--pam", s.pam, "--rest", n.rest, "--cim", n.cim)
		if n.cimHTTP != "" {
			args = append(args, "--cim-http", n.cimHTTP)
		}
		if n.snmp != "" {
			args = append(args, "--snmp", n.snmp)
		}
	}
	pid, err := syscall.ForkExec(s.program, args, &syscall.ProcAttr{
		Dir: "/", Env: s.environment(), Files: []uintptr{lifeEnd.Fd(), log.Fd(), log.Fd(), reportEnd.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true}, // a Ctrl-C at the terminal is for the supervisor
	})
	if err != nil {
		return false, errors.Join(fmt.Errorf("start %s: %w", s.program, err), life.Close(), report.Close())
	}
	id, err := identify(pid) // it is there, alive or as a zombie: nobody takes its status before mu is free
	if err != nil {
		return false, errors.Join(err, life.Close(), report.Close())
	}
	n.state, n.machine, n.engine, n.mgmt, n.ends, n.lastEnd, n.life, n.died = on, id, 0, 0, 0, "", life, make(chan struct{})
	s.work.Go(func() { s.listen(n, id, report) })
	return true, nil
}

// envDir is the variable that marks the processes of a cluster with its directory.
const envDir = "BELAY_DEV_DIR"

// environment is this process's own, without what belongs to this process alone.
func (s *supervisor) environment() []string {
	own := []string{"NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "BELAY_SOCKET", envDir}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(own, name)
	})
	return append(env, envDir+"="+s.dir)
}

// listen reads what a machine reports until it ends.
func (s *supervisor) listen(n *node, id proc, report *os.File) {
	defer report.Close() //nolint:errcheck // only read
	for in := bufio.NewScanner(report); in.Scan(); {
		what, text, _ := strings.Cut(in.Text(), " ")
		s.mu.Lock()
		current := n.state == on && n.machine == id
		stopping := s.stopping
		if current {
			switch what {
			case "engine":
				n.engine, _ = strconv.Atoi(text)
			case "mgmtd":
				n.mgmt, _ = strconv.Atoi(text)
			case "ended":
				n.engine, n.lastEnd = 0, text
				n.ends++
			}
		}
		s.mu.Unlock()
		if current && !stopping {
			if what == "ended" {
				s.note(fmt.Sprintf("%s: belayd %s; it is started again", n.name, text))
			}
			s.changed()
		}
	}
}

// reap takes the statuses of ended children: machines, and orphans of machines that
// were killed.
func (s *supervisor) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	reap(func(pid int, ws unix.WaitStatus) {
		for _, n := range s.nodes {
			if n.state == on && n.machine.PID == pid {
				n.state, n.machine, n.engine, n.mgmt = dying, proc{}, 0, 0
				_ = n.life.Close()
				close(n.died)
				s.work.Go(func() { s.lost(n, ws) })
			}
		}
	})
}

// lost ends what a machine left behind that did not end by a switching, and boots it
// again when it reset itself.
func (s *supervisor) lost(n *node, ws unix.WaitStatus) {
	n.power.Lock()
	s.mu.Lock()
	done := n.state != dying // powerOff waited for it
	s.mu.Unlock()
	if done {
		n.power.Unlock()
		return
	}
	err := s.clear(n)
	n.power.Unlock()
	if err != nil {
		s.note(err.Error())
		return
	}
	s.changed()
	if !ws.Exited() || ws.ExitStatus() != exitReset {
		s.note(fmt.Sprintf("%s: power lost: its machine %s", n.name, exitText(ws)))
		return
	}
	s.note(n.name + ": reset itself")
	select {
	case <-s.stop:
		return
	case <-time.After(resetPause):
	}
	if err := s.powerOn(n); err != nil {
		s.note(err.Error())
	}
}

// powerOff ends every process of a node. It does nothing when the node is off.
func (s *supervisor) powerOff(n *node) error {
	n.power.Lock()
	defer n.power.Unlock()
	s.mu.Lock()
	st, m, died := n.state, n.machine, n.died
	s.mu.Unlock()
	if st == off {
		return nil
	}
	if st == on {
		if err := s.kill(m, died); err != nil {
			return fmt.Errorf("power off %s: %w", n.name, err)
		}
	}
	if err := s.clear(n); err != nil {
		return err
	}
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	if !stopping { // else it is what was asked for, of all of them
		s.note(n.name + ": power off")
	}
	s.changed()
	return nil
}

// kill ends a machine, last of its tree: as long as it is there, stopped, whatever
// is orphaned stays below it.
func (s *supervisor) kill(m proc, died <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	if err := m.signal(unix.SIGSTOP); err != nil {
		return err
	}
	if err := killAll(ctx, func() ([]proc, error) {
		if !m.alive() { // somebody killed it: its orphans are ours
			return nil, nil
		}
		return below(m.PID)
	}); err != nil {
		return err
	}
	if err := m.signal(unix.SIGKILL); err != nil {
		return err
	}
	select {
	case <-died:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d does not end even when killed", m.PID)
	}
}

// clear ends the orphans of machines that have ended, and counts the node as off.
func (s *supervisor) clear(n *node) error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	if err := killAll(ctx, s.orphans); err != nil {
		return fmt.Errorf("power off %s: %w", n.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.state = off
	return nil
}

// orphans lists the living processes below this one that belong to no machine that
// runs.
func (s *supervisor) orphans() ([]proc, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := processes()
	if err != nil {
		return nil, err
	}
	skip := map[int]bool{s.outside: true}
	for _, n := range s.nodes {
		if n.state == on {
			skip[n.machine.PID] = true
		}
	}
	return descendants(all, os.Getpid(), skip), nil
}

// log is the file of belayd's log.
func (n *node) log() string { return filepath.Join(n.dir, "belayd.log") }

// socket is the engine's socket.
func (n *node) socket() string { return socketOf(n.dir) }

// view is what others may know of a node, at one moment.
type view struct {
	name      string
	state     state
	machine   int
	engine    int
	mgmt      int
	ends      int
	lastEnd   string
	socket    string
	log       string
	addresses []string
	rest      string
}

// views returns all nodes.
func (s *supervisor) views() []view {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]view, len(s.nodes))
	for i, n := range s.nodes {
		out[i] = view{n.name, n.state, n.machine.PID, n.engine, n.mgmt, n.ends, n.lastEnd, n.socket(), n.log(), n.addresses, n.rest}
	}
	return out
}
