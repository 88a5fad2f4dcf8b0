package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// units talks to the service manager over one connection, made when it is
// first needed and again when it broke.
type units struct {
	socket string
	dir    string // of units and drop-ins until the next boot

	mu   sync.Mutex
	dial *unitDial // the newest try, or nil
}

// unitDial is one try to connect. conn and err are there when done is closed.
type unitDial struct {
	done chan struct{}
	conn *sd.Conn
	err  error
}

// unitPoll is how often a unit is looked at that changes by itself, and how
// often, while a job is waited for, the connection is.
const unitPoll = 200 * time.Millisecond

// unitAskTimeout is for questions that no operation's time-out covers.
const unitAskTimeout = 5 * time.Second

var errNoManager = errors.New("systemd does not answer")

func newUnits(socket string) *units {
	return &units{socket: socket, dir: filepath.Join(filepath.Dir(socket), "system")}
}

func (u *units) close() {
	u.mu.Lock()
	d := u.dial
	u.dial = nil
	u.mu.Unlock()
	if d == nil {
		return
	}
	select {
	case <-d.done:
		if d.conn != nil {
			d.conn.Close()
		}
	default: // a manager that does not answer; the process is about to end
	}
}

// get gives a connection that works. A manager that does not answer holds up
// nobody longer than ctx allows.
func (u *units) get(ctx context.Context) (*sd.Conn, error) {
	u.mu.Lock()
	if d := u.dial; d != nil {
		select {
		case <-d.done:
			if d.err != nil || !d.conn.Connected() {
				if d.conn != nil {
					d.conn.Close()
				}
				u.dial = nil
			}
		default:
		}
	}
	d := u.dial
	if d == nil {
		d = &unitDial{done: make(chan struct{})}
		u.dial = d
		go func() {
			d.conn, d.err = dialManager(u.socket)
			close(d.done)
		}()
	}
	u.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, errNoManager
	}
}

// dialManager tries the manager's own socket first: it needs no bus, which may
// itself be down or be a resource. The connection outlives the operation that
// makes it.
func dialManager(socket string) (*sd.Conn, error) {
	c, err := sd.NewConnection(func() (*godbus.Conn, error) {
		c, err := godbus.Dial("unix:path=" + socket)
		if err != nil {
			return nil, err
		}
		if err := c.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	})
	if err == nil {
		return c, nil
	}
	c, errBus := sd.NewSystemConnectionContext(context.Background())
	if errBus != nil {
		return nil, fmt.Errorf("%w: %w; over the bus: %w", errNoManager, err, errBus)
	}
	return c, nil
}

// unitName completes a name: "nginx" is "nginx.service".
func unitName(name string) string {
	for _, suffix := range []string{".service", ".socket", ".mount", ".timer", ".path", ".target", ".slice", ".scope", ".swap", ".automount", ".device"} {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return name + ".service"
}

// unitState is the part of a unit that matters here.
type unitState struct {
	load, active, sub string
	result            string // of a service: why it failed
}

func (u *units) state(ctx context.Context, name string) (unitState, error) {
	c, err := u.get(ctx)
	if err != nil {
		return unitState{}, err
	}
	props, err := c.GetUnitPropertiesContext(ctx, name)
	if err != nil {
		return unitState{}, fmt.Errorf("ask systemd for %s: %w", name, err)
	}
	text := func(k string) string { s, _ := props[k].(string); return s }
	s := unitState{load: text("LoadState"), active: text("ActiveState"), sub: text("SubState")}
	if s.active == "failed" && strings.HasSuffix(name, ".service") {
		if p, err := c.GetServicePropertyContext(ctx, name, "Result"); err == nil {
			s.result, _ = p.Value.Value().(string)
		}
	}
	return s, nil
}

// list names the services that systemd has a file for, templates left out.
func (u *units) list(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, unitAskTimeout)
	defer cancel()
	c, err := u.get(ctx)
	if err != nil {
		return nil
	}
	files, err := c.ListUnitFilesByPatternsContext(ctx, nil, []string{"*.service"})
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		name := strings.TrimSuffix(f.Path[strings.LastIndexByte(f.Path, '/')+1:], ".service")
		if !strings.HasSuffix(name, "@") && !strings.HasPrefix(f.Type, "masked") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// serviceClass decides what "service" means for a name: the init script if
// systemd does not know the name and there is one, else systemd.
func (r *Runner) serviceClass(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, unitAskTimeout)
	defer cancel()
	s, err := r.units.state(ctx, unitName(name))
	if (err != nil || s.load == "not-found") && executable(r.cfg.LSBDir+"/"+name) {
		return ClassLSB
	}
	return ClassSystemd
}

func (r *Runner) unitMetadata(ctx context.Context, id ID) (*meta.Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, unitAskTimeout)
	defer cancel()
	s, err := r.units.state(ctx, unitName(id.Type))
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", id, err)
	}
	if s.load == "not-found" {
		return nil, fmt.Errorf("%s: %w", id, ErrNotInstalled)
	}
	return synthetic(id), nil
}

func (r *Runner) runUnit(ctx context.Context, q Request) Result {
	if ctx.Err() != nil {
		return Result{Status: cib.OpCancelled, RC: cib.GenericError, Reason: q.describe() + " was cancelled"}
	}
	begin := time.Now()
	limit, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	res := r.units.operate(limit, r.cfg.Now, &q)
	if res.Status != cib.OpNotRun {
		res.Started, res.Ended, res.Exec = begin, time.Now(), time.Since(begin)
	}
	if res.Status == cib.OpError && limit.Err() != nil {
		// The job stays with systemd: taking a start back could leave the
		// unit half way, and a stop must go on.
		res.Status = cib.OpTimeout
		res.Reason = join(q.describe()+" did not end within "+q.Timeout.String(), res.Reason)
		if errors.Is(ctx.Err(), context.Canceled) {
			res.Status = cib.OpCancelled
		}
	}
	return res
}

// operate does one operation on a unit. A result of status OpError becomes a
// time-out in runUnit if time is up.
func (u *units) operate(ctx context.Context, now func() time.Time, q *Request) Result {
	name := unitName(q.Agent.Type)
	done := func(rc int, reason string) Result { return Result{Status: cib.OpDone, RC: rc, Reason: reason} }
	failed := func(err error) Result {
		return Result{Status: cib.OpError, RC: cib.GenericError, Reason: err.Error()}
	}
	switch q.Op {
	case opMetaData:
		return Result{Status: cib.OpDone, RC: cib.OK, Stdout: string(synthetic(q.Agent).Marshal())}
	case cib.OpStart, cib.OpStop, cib.OpMonitor, opStatus, "reload", cib.OpReload, "restart", opValidateAll:
	default:
		return done(cib.Unimplemented, "systemd units know no "+q.Op)
	}
	var trouble error // that keeps the operation from nothing
	s, err := u.state(ctx, name)
	if err != nil {
		return failed(err)
	}
	if s.load == "not-found" || s.load == "masked" || s.load == "bad-setting" || s.load == "error" {
		if q.Op == cib.OpStop && s.active == "inactive" {
			return done(cib.OK, "")
		}
		reason := "unit " + name + " is " + s.load
		if s.load == "not-found" {
			return Result{Status: cib.OpNotInstalled, RC: cib.NotInstalled, Reason: reason}
		}
		return done(cib.NotInstalled, reason)
	}
	if q.Op == opValidateAll {
		return done(cib.OK, "")
	}
	if q.Op != cib.OpMonitor && q.Op != opStatus {
		if t := now(); !q.NotAfter.IsZero() && t.After(q.NotAfter) {
			late := t.Sub(q.NotAfter).Round(time.Millisecond)
			return Result{Status: cib.OpNotRun, RC: cib.GenericError, Reason: fmt.Sprintf("%s was not started: its time was over %v ago", q.describe(), late)}
		}
		if q.Op == cib.OpStart || q.Op == "restart" {
			// Without it the unit runs all the same; only a shutdown is less orderly.
			trouble = u.adopt(ctx, name)
		}
		if err := u.job(ctx, name, q.Op); err != nil {
			return failed(err)
		}
	}
	s, err = u.settled(ctx, name)
	if err != nil {
		return failed(err)
	}
	rc, reason := unitCode(q.Op, name, s)
	if q.Op == cib.OpStop && rc == cib.OK {
		trouble = u.release(name)
	}
	switch {
	case trouble != nil && reason == "":
		reason = trouble.Error()
	case trouble != nil:
		reason = join(reason, trouble.Error())
	}
	return done(rc, reason)
}

// job asks for a job and waits for its end.
func (u *units) job(ctx context.Context, name, op string) error {
	c, err := u.get(ctx)
	if err != nil {
		return err
	}
	ask := map[string]func(context.Context, string, string, chan<- string) (int, error){
		cib.OpStart: c.StartUnitContext, cib.OpStop: c.StopUnitContext, "restart": c.RestartUnitContext,
		"reload": c.ReloadUnitContext, cib.OpReload: c.ReloadUnitContext,
	}[op]
	// With room for the answer: the library's one reader must not wait for us.
	answer := make(chan string, 1)
	mode := "replace"
	if op == cib.OpStop && hostStops(ctx, c) {
		mode = "ignore-dependencies"
	}
	if _, err := ask(ctx, name, mode, answer); err != nil {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	tick := time.NewTicker(unitPoll)
	defer tick.Stop()
	for {
		select {
		case result := <-answer:
			if result == "done" || result == "skipped" {
				return nil
			}
			s, _ := u.state(ctx, name)
			return fmt.Errorf("%s %s: the job ended as %q%s", op, name, result, s.detail())
		case <-ctx.Done():
			return fmt.Errorf("%s %s: systemd has not finished the job", op, name)
		case <-tick.C:
			if !c.Connected() {
				return nil // the answer is lost; the state tells
			}
		}
	}
}

func (s unitState) detail() string {
	if s.result == "" || s.result == "success" {
		return ""
	}
	return " (" + s.result + ")"
}

// settled waits until a unit is neither starting nor stopping.
func (u *units) settled(ctx context.Context, name string) (unitState, error) {
	tick := time.NewTicker(unitPoll)
	defer tick.Stop()
	for {
		s, err := u.state(ctx, name)
		if err == nil && s.active != "activating" && s.active != "deactivating" {
			return s, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("unit %s is %s (%s)", name, s.active, s.sub)
			}
			return s, err
		}
	}
}

// unitCode says in OCF's numbers what a unit's state means after an operation.
// A failed unit does not run: for a probe that is "not running", as Pacemaker
// has it, and for a recurring monitor a failure all the same.
func unitCode(op, name string, s unitState) (rc int, reason string) {
	active := s.active == "active" || s.active == "reloading" || s.active == "refreshing"
	state := "unit " + name + " is " + s.active + s.detail()
	switch {
	case op == cib.OpStop && active:
		return cib.GenericError, state
	case op == cib.OpStop, active:
		return cib.OK, ""
	case op != cib.OpMonitor && op != opStatus:
		return cib.GenericError, state
	case s.active == "failed":
		return cib.NotRunning, state
	}
	return cib.NotRunning, ""
}
