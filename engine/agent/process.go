package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// processAgent is belay:process: a command that runs in the foreground, kept
// as a resource. It is no child that anything waits for: it goes on when the
// engine restarts, and is found again by number and start time.
type processAgent struct{ stateDir string }

// processVariable marks the command, so that it is found even if the engine
// died before it wrote down the number.
const processVariable = "BELAY_PROCESS"

const (
	processLogMaxBytes = 1 << 20
	// settleTime is how long a command without a health check has to live to
	// count as started: most that cannot run give up at once.
	settleTime         = 50 * time.Millisecond
	healthPoll         = 25 * time.Millisecond
	defaultStopTimeout = 10 * time.Second
)

func processMetadata() *meta.Metadata {
	return &meta.Metadata{
		Kind: meta.Resource, Name: "process", Version: "1.0", APIVersion: "1.1",
		ShortDesc: "Runs a command as a resource",
		LongDesc: "Starts a command that stays in the foreground, in a session of its own, and keeps it under watch. " +
			"The command goes on when the engine restarts. Stopping it ends its whole session.",
		Parameters: []meta.Parameter{
			{Name: "command", Type: meta.String, Required: true, ShortDesc: "Program to run, with its path or found in the usual directories"},
			{Name: "args", Type: meta.String, ShortDesc: "Its arguments; quotes and backslashes work as in a shell, nothing else does"},
			{Name: "user", Type: meta.String, ShortDesc: "User to run as, with all groups of that user; default: that of the engine"},
			{Name: "workdir", Type: meta.String, HasDefault: true, Default: "/", ShortDesc: "Working directory"},
			{Name: "env", Type: meta.String, ShortDesc: "Variables, NAME=value, quoted like args. PATH is set, nothing else is"},
			{Name: "stop_signal", Type: meta.String, HasDefault: true, Default: "TERM", ShortDesc: "Signal that asks the command to end"},
			{Name: "stop_timeout", Type: meta.Time, HasDefault: true, Default: "10s", ShortDesc: "After that it is killed; at most two thirds of the time-out of stop"},
			{Name: "logfile", Type: meta.String, ShortDesc: "File for what the command prints; default: one in the engine's state directory, cut at 1 MiB"},
			{Name: "pidfile", Type: meta.String, Unique: true, ShortDesc: "File to write the process number to, for other programs"},
			{Name: "health_url", Type: meta.String, ShortDesc: "URL that answers with a status below 400 when the service is well"},
			{Name: "health_port", Type: meta.String, ShortDesc: "TCP port, or address and port, that accepts a connection when the service is well"},
			{Name: "health_timeout", Type: meta.Time, HasDefault: true, Default: "5s", ShortDesc: "How long the health check may take"},
		},
		Actions: []meta.Action{
			{Name: cib.OpStart, Timeout: 20 * time.Second},
			{Name: cib.OpStop, Timeout: 20 * time.Second},
			{Name: cib.OpMonitor, Timeout: 20 * time.Second, Interval: 10 * time.Second},
			{Name: opValidateAll, Timeout: 5 * time.Second},
			{Name: opMetaData, Timeout: 5 * time.Second},
		},
	}
}

func (p processAgent) run(ctx context.Context, q *Request) Answer {
	s, err := p.settings(q)
	if err != nil && q.Op != cib.OpStop { // a stop must work with any parameters
		return Answer{RC: cib.NotConfigured, Reason: err.Error()}
	}
	switch q.Op {
	case cib.OpStart:
		return p.start(ctx, q, s)
	case cib.OpStop:
		return p.stop(ctx, q, s)
	case cib.OpMonitor:
		return p.monitor(ctx, q, s)
	}
	return Answer{RC: cib.Unimplemented}
}

// processSettings are the parameters, read.
type processSettings struct {
	path, workdir, logfile, pidfile string
	args, env                       []string
	user                            *user.User
	stopSignal                      unix.Signal
	stopTimeout                     time.Duration
	health                          healthCheck
}

func (p processAgent) settings(q *Request) (*processSettings, error) {
	get := func(name, otherwise string) string {
		if v := q.Params[name]; v != "" {
			return v
		}
		return otherwise
	}
	s := &processSettings{
		workdir: get("workdir", "/"), pidfile: q.Params["pidfile"],
		logfile:    get("logfile", instanceFile(p.stateDir, "process", q.Instance)+".log"),
		stopSignal: unix.SIGTERM, stopTimeout: defaultStopTimeout,
	}
	var faults []error
	note := func(name string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("parameter %s: %w", name, err))
		}
	}
	var err error
	if q.Params["command"] == "" {
		note("command", errors.New("required"))
	}
	s.args, err = splitWords(q.Params["args"])
	note("args", err)
	s.env, err = splitWords(q.Params["env"])
	note("env", err)
	for _, v := range s.env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			note("env", fmt.Errorf("%q: want NAME=value", name))
		}
	}
	if name := strings.ToUpper(get("stop_signal", "TERM")); true {
		if s.stopSignal = unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); s.stopSignal == 0 {
			s.stopSignal = unix.SIGTERM
			note("stop_signal", fmt.Errorf("%q is no signal", name))
		}
	}
	if v := q.Params["stop_timeout"]; v != "" {
		s.stopTimeout, err = meta.ParseDuration(v)
		note("stop_timeout", err)
	}
	// Time must be left to kill it and see it gone, before the operation is
	// over and the node is fenced for it.
	s.stopTimeout = min(s.stopTimeout, q.Timeout*2/3)
	s.health, err = parseHealth(q.Params)
	note("health check", err)
	if v := q.Params["user"]; v != "" {
		s.user, err = user.Lookup(v)
		note("user", err)
	}
	s.path = q.Params["command"]
	return s, errors.Join(faults...)
}

// processState is what is written down of a command.
type processState struct {
	Run     string   `json:"run"` // value of processVariable
	Args    []string `json:"args"`
	Process process  `json:"process"`
	Ended   string   `json:"ended,omitempty"` // how, where we saw it
}

func (p processAgent) stateFile(q *Request) string {
	return instanceFile(p.stateDir, "process", q.Instance) + ".json"
}

// load finds the instance's command. Without one it gives an empty state.
func (p processAgent) load(q *Request) (*processState, error) {
	st := &processState{}
	file := p.stateFile(q)
	err := readJSON(file, st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &processState{}, nil
	case err != nil:
		// It may hide a running command, so it does not count as "not running".
		return nil, fmt.Errorf("state of the command is unreadable, remove it once the command is known to be gone: %w", err)
	}
	if st.Process.PID == 0 && st.Run != "" {
		if id, ok := findMarked(processVariable+"="+st.Run, st.Args...); ok {
			st.Process = id
			if err := writeJSON(file, st); err != nil {
				return nil, err
			}
		}
	}
	p.reap(q, st)
	return st, nil
}

// reap takes the exit status of a command that is our child and has ended.
// Nobody waits for it: between two looks it stays a zombie, which harms nobody.
func (p processAgent) reap(q *Request, st *processState) {
	if s, err := st.Process.stat(); err != nil || !s.dead() || s.ppid != os.Getpid() {
		return
	}
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(st.Process.PID, &ws, unix.WNOHANG, nil); err != nil || pid != st.Process.PID {
		return
	}
	if ws.Signaled() {
		st.Ended = "was ended by " + unix.SignalName(ws.Signal())
	} else {
		st.Ended = "exited with status " + strconv.Itoa(ws.ExitStatus())
	}
	_ = writeJSON(p.stateFile(q), st)
}

func (p processAgent) monitor(ctx context.Context, q *Request, s *processSettings) Answer {
	st, err := p.load(q)
	if err != nil {
		return answer(err)
	}
	if !st.Process.alive() {
		return p.dead(st)
	}
	cutLog(s, q)
	if err := s.health.ask(ctx); err != nil {
		return Answer{RC: cib.GenericError, Reason: "process " + strconv.Itoa(st.Process.PID) + " runs, but " + err.Error()}
	}
	return Answer{RC: cib.OK}
}

// dead tells a command that is gone from one that left processes behind: those
// may still use its data, so the service does not count as stopped.
func (p processAgent) dead(st *processState) Answer {
	if st.Process.PID == 0 {
		return Answer{RC: cib.NotRunning}
	}
	reason := "process " + strconv.Itoa(st.Process.PID) + " "
	def(&st.Ended, "is gone")
	if len(st.Process.members()) > 0 {
		return Answer{RC: cib.GenericError, Reason: reason + st.Ended + ", but processes that it started still run"}
	}
	return Answer{RC: cib.NotRunning, Reason: reason + st.Ended}
}

func (p processAgent) start(ctx context.Context, q *Request, s *processSettings) Answer {
	st, err := p.load(q)
	if err != nil {
		return answer(err)
	}
	if !st.Process.alive() {
		if len(st.Process.members()) > 0 && !endSession(st.Process, s.stopTimeout) {
			return Answer{RC: cib.GenericError, Reason: "processes of an earlier start do not end"}
		}
		if st, err = p.spawn(q, s); err != nil {
			return Answer{RC: startErrorCode(err), Reason: err.Error()}
		}
	}
	return p.awaitHealth(ctx, q, s, st)
}

// awaitHealth waits until the new command is well, or dead, or time is up.
func (p processAgent) awaitHealth(ctx context.Context, q *Request, s *processSettings, st *processState) Answer {
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	tick := time.NewTicker(healthPoll)
	defer tick.Stop()
	for {
		var ill error
		if s.health.none() {
			select {
			case <-settled.C:
			case <-ctx.Done():
			}
		} else {
			ill = s.health.ask(ctx)
		}
		p.reap(q, st)
		if !st.Process.alive() {
			a := p.dead(st)
			a.RC, a.Output = cib.GenericError, lastOutput(s.logfile)
			return a
		}
		if ill == nil && ctx.Err() == nil {
			return Answer{RC: cib.OK}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Answer{RC: cib.GenericError, Reason: join("the command runs, but is not well", errorText(ill)), Output: lastOutput(s.logfile)}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// spawn starts the command and writes down which process it is: once before,
// so that it can be found, and once after.
func (p processAgent) spawn(q *Request, s *processSettings) (*processState, error) {
	path, err := lookPath(s.path)
	if err != nil {
		return nil, err
	}
	file := p.stateFile(q)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	log, err := openLog(s)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close() //nolint:errcheck // only read
	st := &processState{
		Run:  q.Instance + "@" + strconv.FormatInt(time.Now().UnixNano(), 36),
		Args: append([]string{path}, s.args...),
	}
	attr := &os.ProcAttr{
		Dir: s.workdir, Files: []*os.File{null, log, log}, Sys: &syscall.SysProcAttr{Setsid: true},
		Env: []string{
			"PATH=" + searchPath, "BELAY_RESOURCE=" + q.Instance, "BELAY_NODE=" + q.Node,
			stateVariable + "=" + p.stateDir, processVariable + "=" + st.Run,
		},
	}
	if s.user != nil {
		if attr.Sys.Credential, err = credential(s.user); err != nil {
			return nil, err
		}
		attr.Env = append(attr.Env, "HOME="+s.user.HomeDir, "USER="+s.user.Username, "LOGNAME="+s.user.Username)
	}
	attr.Env = append(attr.Env, s.env...)
	if err := writeJSON(file, st); err != nil {
		return nil, err
	}
	child, err := os.StartProcess(path, st.Args, attr)
	if err != nil {
		_ = os.Remove(file)
		return nil, err
	}
	resetOOM(child.Pid)
	if st.Process, err = identify(child.Pid); err != nil {
		return nil, err
	}
	_ = child.Release() // reap waits for it
	if err := writeJSON(file, st); err != nil {
		return nil, err
	}
	if s.pidfile != "" {
		if err := os.WriteFile(s.pidfile, []byte(strconv.Itoa(st.Process.PID)+"\n"), 0o644); err != nil { //nolint:gosec // other programs read it
			return nil, fmt.Errorf("parameter pidfile: %w", err)
		}
	}
	return st, nil
}

func (p processAgent) stop(ctx context.Context, q *Request, s *processSettings) Answer {
	st, err := p.load(q)
	if err != nil {
		return answer(err)
	}
	id := st.Process
	if len(id.members()) > 0 {
		id.signalSession(s.stopSignal)
		id.signalSession(unix.SIGCONT)
		if !id.gone(s.stopTimeout, false) && !id.gone(timeLeft(ctx), true) {
			return Answer{RC: cib.GenericError, Reason: "a process of the session " + strconv.Itoa(id.PID) + " does not end even when killed"}
		}
	}
	p.reap(q, st)
	if s.pidfile != "" {
		_ = os.Remove(s.pidfile)
	}
	return answer(removeDummy(p.stateFile(q)))
}

// timeLeft is how long an operation still has.
func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(time.Until(end), killedWait)
	}
	return killedWait
}

// lookPath finds a program as a shell would, but not in the engine's own PATH.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("parameter command: no %s in %s: %w", name, searchPath, fs.ErrNotExist)
}

func credential(u *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user id of %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group id of %s: %w", u.Username, err)
	}
	if int(uid) == os.Getuid() {
		return nil, nil //nolint:nilnil // nothing to change
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	names, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", u.Username, err)
	}
	for _, n := range names {
		if g, err := strconv.ParseUint(n, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	return c, nil
}

// openLog opens what the command prints to. Appending makes it possible to cut
// the file while the command writes.
func openLog(s *processSettings) (*os.File, error) {
	f, err := os.OpenFile(s.logfile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640) //nolint:gosec // the group may read logs
	if err != nil {
		return nil, fmt.Errorf("log of the command: %w", err)
	}
	return f, nil
}

// cutLog empties our own log file when it has grown too large. A file that the
// configuration names belongs to the administrator.
func cutLog(s *processSettings, q *Request) {
	if q.Params["logfile"] != "" {
		return
	}
	if st, err := os.Stat(s.logfile); err == nil && st.Size() > processLogMaxBytes {
		_ = os.Truncate(s.logfile, 0)
	}
}

// lastOutput is the end of what a command printed.
func lastOutput(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err == nil && st.Size() > KeepBytes {
		_, _ = f.Seek(-KeepBytes, 2)
	}
	buf := make([]byte, KeepBytes)
	n, _ := f.Read(buf)
	return printable(buf[:n])
}
