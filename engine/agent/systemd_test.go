package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/cib"
)

// realSocket names the socket of a real systemd to run the contract against,
// besides the one invented here: ".../run/systemd/private", seen through
// /proc/PID/root where it is PID 1 of a virtual host.
const realSocket = "BELAY_TEST_SYSTEMD"

// testUnits are the units of the contract, as real files.
var testUnits = map[string]string{
	"belaytest-ok":       "ExecStart=/bin/sleep 1000\nExecReload=/bin/true",
	"belaytest-broken":   "Type=oneshot\nExecStart=/bin/false",
	"belaytest-slow":     "Type=oneshot\nExecStart=/bin/sleep 1000\nTimeoutStartSec=infinity",
	"belaytest-stubborn": "ExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\nTimeoutStopSec=infinity",
}

func TestUnitsInvented(t *testing.T) {
	m := newFakeManager(t)
	unitContract(t, m.socket)
}

func TestUnitsReal(t *testing.T) {
	socket := os.Getenv(realSocket)
	if socket == "" {
		return // the contract has run against the invented manager
	}
	root := strings.TrimSuffix(socket, "/run/systemd/private")
	dir := root + "/run/systemd/system"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range testUnits {
		file := filepath.Join(dir, name+".service")
		if err := os.WriteFile(file, []byte("[Service]\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
	}
	masked := filepath.Join(dir, "belaytest-masked.service")
	if err := os.Symlink("/dev/null", masked); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(masked) })
	unitContract(t, socket)
	c, err := dialManager(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.KillUnitWithTarget(t.Context(), "belaytest-stubborn.service", sd.All, int32(unix.SIGKILL)); err != nil {
		t.Error(err)
	}
}

// unitContract is what any manager has to do for us.
func unitContract(t *testing.T, socket string) {
	r := testRunner(t, func(c *Config) { c.SystemdSocket = socket })
	run := func(name, op string, timeout time.Duration) Result {
		return r.Run(context.Background(), Request{Agent: ID{ClassSystemd, "", "belaytest-" + name}, Instance: "u", Op: op, Timeout: timeout})
	}
	want := func(name, op string, status cib.OpStatus, rc int, text string) {
		t.Helper()
		res := run(name, op, 10*time.Second)
		if res.Status != status || res.RC != rc || !strings.Contains(res.Reason, text) {
			t.Errorf("%s %s: %+v, want %s %d %q", op, name, res, status, rc, text)
		}
	}
	want("ok", "monitor", cib.OpDone, 7, "")
	want("ok", "stop", cib.OpDone, 0, "")
	want("ok", "start", cib.OpDone, 0, "")
	want("ok", "start", cib.OpDone, 0, "")
	want("ok", "monitor", cib.OpDone, 0, "")
	want("ok", "reload", cib.OpDone, 0, "")
	want("ok", "validate-all", cib.OpDone, 0, "")
	want("ok", "promote", cib.OpDone, 3, "")
	want("ok", "restart", cib.OpDone, 0, "")
	want("ok", "stop", cib.OpDone, 0, "")
	want("ok", "monitor", cib.OpDone, 7, "")

	want("broken", "start", cib.OpError, 1, "exit-code")
	want("broken", "monitor", cib.OpDone, 7, "failed (exit-code)")
	want("broken", "stop", cib.OpDone, 0, "")

	want("missing", "monitor", cib.OpNotInstalled, 5, "not-found")
	want("missing", "start", cib.OpNotInstalled, 5, "not-found")
	want("missing", "stop", cib.OpDone, 0, "")
	want("masked", "start", cib.OpDone, 5, "masked")

	if res := run("slow", "start", 300*time.Millisecond); res.Status != cib.OpTimeout || res.RC != cib.GenericError {
		t.Errorf("slow start: %+v", res)
	}
	if res := run("slow", "monitor", 300*time.Millisecond); res.Status != cib.OpTimeout {
		t.Errorf("monitor while it starts: %+v", res)
	}
	want("slow", "stop", cib.OpDone, 0, "")
	want("slow", "monitor", cib.OpDone, 7, "")

	want("stubborn", "start", cib.OpDone, 0, "")
	if res := run("stubborn", "stop", 300*time.Millisecond); res.Status != cib.OpTimeout {
		t.Errorf("stubborn stop: %+v", res)
	}

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if res := r.Run(ctx, Request{Agent: ID{ClassSystemd, "", "belaytest-slow"}, Op: "start"}); res.Status != cib.OpCancelled {
		t.Errorf("cancelled: %+v", res)
	}
	want("slow", "stop", cib.OpDone, 0, "")
	if res := r.Run(context.Background(), Request{Agent: ID{ClassSystemd, "", "belaytest-ok"}, Op: "start", NotAfter: time.Unix(1, 0)}); res.Status != cib.OpNotRun {
		t.Errorf("too late: %+v", res)
	}
	want("ok", "monitor", cib.OpDone, 7, "")

	if m, err := r.Metadata(context.Background(), ID{ClassSystemd, "", "belaytest-ok"}); err != nil || m.Name != "belaytest-ok" || !m.HasAction("monitor") {
		t.Errorf("metadata: %+v, %v", m, err)
	}
	if _, err := r.Metadata(context.Background(), ID{ClassSystemd, "", "belaytest-missing"}); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("metadata of none: %v", err)
	}
	found := false
	for _, id := range r.List(context.Background()) {
		found = found || id.String() == "systemd:belaytest-ok"
		if strings.HasPrefix(id.String(), "systemd:belaytest-masked") {
			t.Error("a masked unit is listed")
		}
	}
	if !found {
		t.Error("the unit is not listed")
	}
	if got := r.serviceClass(context.Background(), "belaytest-ok"); got != ClassSystemd {
		t.Errorf("service belaytest-ok is %s", got)
	}
	if got := r.serviceClass(context.Background(), "lamp"); got != ClassLSB {
		t.Errorf("service lamp is %s", got)
	}
}

// While the cluster runs a unit, systemd leaves it alone at a shutdown until the
// node is drained.
func TestDropIn(t *testing.T) {
	m := newFakeManager(t)
	r := testRunner(t, func(c *Config) { c.SystemdSocket = m.socket })
	run := func(op string) {
		t.Helper()
		res := r.Run(t.Context(), Request{Agent: ID{ClassSystemd, "", "belaytest-ok"}, Instance: "u", Op: op, Timeout: 10 * time.Second})
		if res.RC != cib.OK || res.Reason != "" {
			t.Fatalf("%s: %+v", op, res)
		}
	}
	dir := filepath.Join(filepath.Dir(m.socket), "system", "belaytest-ok.service.d")
	run("start")
	if text, err := os.ReadFile(filepath.Join(dir, dropInName)); err != nil || !strings.Contains(string(text), "Before=belay-drain.service\n") {
		t.Errorf("drop-in: %q, %v", text, err)
	}
	run("start")
	run("monitor")
	if m.reloads != 1 {
		t.Errorf("%d reloads of systemd, want 1", m.reloads)
	}
	run("stop")
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
	run("stop")
	run("start")
	// systemd still knew the drop-in, but a reload by others may come any time.
	if m.reloads != 2 {
		t.Errorf("%d reloads of systemd, want 2", m.reloads)
	}
	// A directory that can't be written keeps nothing from running.
	run("stop")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	res := r.Run(t.Context(), Request{Agent: ID{ClassSystemd, "", "belaytest-ok"}, Instance: "u", Op: "start", Timeout: 10 * time.Second})
	if res.RC != cib.OK || !strings.Contains(res.Reason, "drop-in") {
		t.Errorf("without a place for the drop-in: %+v", res)
	}
}

func TestManagerGoesAndComesBack(t *testing.T) {
	m := newFakeManager(t)
	r := testRunner(t, func(c *Config) { c.SystemdSocket = m.socket })
	ok := Request{Agent: ID{ClassSystemd, "", "belaytest-ok"}, Op: "start", Timeout: 5 * time.Second}
	if res := r.Run(context.Background(), ok); res.RC != 0 {
		t.Fatalf("%+v", res)
	}
	// The connection breaks while a job is waited for: the state tells.
	m.mu.Lock()
	m.dropNext = true
	m.mu.Unlock()
	ok.Op = "restart"
	if res := r.Run(context.Background(), ok); res.Status != cib.OpDone || res.RC != 0 {
		t.Errorf("job over a broken connection: %+v", res)
	}
	m.stop()
	ok.Op = "monitor"
	if res := r.Run(context.Background(), ok); res.Status != cib.OpError || res.RC != cib.GenericError {
		t.Errorf("without a manager: %+v", res)
	}
}

// A manager that takes connections and says nothing holds nobody up.
func TestManagerHangs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "private")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := testRunner(t, func(c *Config) { c.SystemdSocket = socket })
	begin := time.Now()
	res := r.Run(context.Background(), Request{Agent: ID{ClassSystemd, "", "belaytest-ok"}, Op: "start", Timeout: 100 * time.Millisecond})
	if res.Status != cib.OpTimeout || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v", res)
	}
}

// fakeManager is as much of systemd as the contract needs, on a socket.
type fakeManager struct {
	socket   string
	listener net.Listener

	mu       sync.Mutex
	conns    []*godbus.Conn
	jobs     uint32
	dropNext bool
	units    map[string]*fakeUnit
	waiting  map[string]uint32 // unit to the job that has not ended
	reloads  int
}

type fakeUnit struct {
	load, active, sub, result string
	dropIns                   []string // as read by the last reload
}

func newFakeManager(t *testing.T) *fakeManager {
	m := &fakeManager{socket: filepath.Join(t.TempDir(), "private"), units: map[string]*fakeUnit{}, waiting: map[string]uint32{}}
	for name := range testUnits {
		m.units[name+".service"] = &fakeUnit{load: "loaded", active: "inactive", sub: "dead", result: "success"}
	}
	m.units["belaytest-masked.service"] = &fakeUnit{load: "masked", active: "inactive", sub: "dead", result: "success"}
	l, err := net.Listen("unix", m.socket)
	if err != nil {
		t.Fatal(err)
	}
	m.listener = l
	t.Cleanup(m.stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.serve(c)
		}
	}()
	return m
}

func (m *fakeManager) stop() {
	_ = m.listener.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
}

func (m *fakeManager) serve(c net.Conn) {
	conn, err := godbus.NewConn(&serverSide{Conn: c})
	if err != nil {
		return
	}
	const manager = "org.freedesktop.systemd1.Manager"
	_ = conn.Export(fakeCalls{m}, "/org/freedesktop/systemd1", manager)
	_ = conn.ExportSubtree(fakeProperties{m}, "/org/freedesktop/systemd1/unit", "org.freedesktop.DBus.Properties")
	if err := conn.Auth([]godbus.Auth{godbus.AuthAnonymous()}); err != nil {
		return
	}
	m.mu.Lock()
	m.conns = append(m.conns, conn)
	m.mu.Unlock()
}

// job ends a job of a unit now.
func (m *fakeManager) end(id uint32, unit, result string) {
	delete(m.waiting, unit)
	for _, c := range m.conns {
		_ = c.Emit("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager.JobRemoved", id, jobPath(id), unit, result)
	}
}

func jobPath(id uint32) godbus.ObjectPath {
	return godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id))
}

// begin does a job. Its end is told after the answer, as systemd does.
func (m *fakeManager) begin(unit, op string) (godbus.ObjectPath, *godbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[unit]
	if u == nil || u.load != "loaded" {
		return "", godbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit " + unit + " not loaded."})
	}
	if old, ok := m.waiting[unit]; ok {
		m.end(old, unit, "canceled")
	}
	m.jobs++
	id := m.jobs
	result := "done"
	switch kind := strings.TrimSuffix(strings.TrimPrefix(unit, "belaytest-"), ".service"); {
	case op == "reload":
	case op == "stop" && kind == "stubborn" && u.active == "active":
		u.active, u.sub = "deactivating", "stop"
		m.waiting[unit] = id
		return jobPath(id), nil
	case op == "stop":
		u.active, u.sub, u.result = "inactive", "dead", "success"
	case kind == "broken":
		u.active, u.sub, u.result, result = "failed", "failed", "exit-code", "failed"
	case kind == "slow":
		u.active, u.sub = "activating", "start"
		m.waiting[unit] = id
		return jobPath(id), nil
	default:
		u.active, u.sub = "active", "running"
	}
	if m.dropNext {
		m.dropNext = false
		for _, c := range m.conns {
			time.AfterFunc(10*time.Millisecond, func() { _ = c.Close() })
		}
		m.conns = nil
		return jobPath(id), nil
	}
	time.AfterFunc(time.Millisecond, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.end(id, unit, result)
	})
	return jobPath(id), nil
}

// fakeCalls are the methods of the manager.
type fakeCalls struct{ m *fakeManager }

func (f fakeCalls) StartUnit(unit, _ string) (godbus.ObjectPath, *godbus.Error) {
	return f.m.begin(unit, "start")
}

func (f fakeCalls) StopUnit(unit, _ string) (godbus.ObjectPath, *godbus.Error) {
	return f.m.begin(unit, "stop")
}

func (f fakeCalls) RestartUnit(unit, _ string) (godbus.ObjectPath, *godbus.Error) {
	return f.m.begin(unit, "start")
}

// Reload reads the drop-ins.
func (f fakeCalls) Reload() *godbus.Error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.reloads++
	for name, u := range f.m.units {
		u.dropIns = nil
		file := filepath.Join(filepath.Dir(f.m.socket), "system", name+".d", dropInName)
		if _, err := os.Stat(file); err == nil {
			u.dropIns = []string{file}
		}
	}
	return nil
}

func (f fakeCalls) ReloadUnit(unit, _ string) (godbus.ObjectPath, *godbus.Error) {
	return f.m.begin(unit, "reload")
}

func (f fakeCalls) ListUnitFilesByPatterns(_, _ []string) ([]struct{ Path, Type string }, *godbus.Error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	var list []struct{ Path, Type string }
	for name, u := range f.m.units {
		state := "static"
		if u.load == "masked" {
			state = "masked-runtime"
		}
		list = append(list, struct{ Path, Type string }{"/run/systemd/system/" + name, state})
	}
	return list, nil
}

// fakeProperties answers for every unit's object.
type fakeProperties struct{ m *fakeManager }

func (f fakeProperties) find(msg godbus.Message) *fakeUnit {
	path, _ := msg.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	for name, u := range f.m.units {
		if strings.HasSuffix(string(path), "/"+sd.PathBusEscape(name)) {
			found := *u
			return &found
		}
	}
	return &fakeUnit{load: "not-found", active: "inactive", sub: "dead", result: "success"}
}

func (f fakeProperties) GetAll(msg godbus.Message, _ string) (map[string]godbus.Variant, *godbus.Error) {
	u := f.find(msg)
	return map[string]godbus.Variant{"LoadState": godbus.MakeVariant(u.load), "ActiveState": godbus.MakeVariant(u.active), "SubState": godbus.MakeVariant(u.sub)}, nil
}

func (f fakeProperties) Get(msg godbus.Message, _, name string) (godbus.Variant, *godbus.Error) {
	switch name {
	case "Result":
		return godbus.MakeVariant(f.find(msg).result), nil
	case "DropInPaths":
		return godbus.MakeVariant(append([]string{}, f.find(msg).dropIns...)), nil
	default:
		return godbus.Variant{}, godbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
	}
}

// serverSide lets the library, which knows only how to log in, be the one that
// is logged in to: it answers the client, and tells the library what it wants
// to hear.
type serverSide struct {
	net.Conn
	once   sync.Once
	err    error
	own    bytes.Buffer // what the library reads while it believes to log in
	logged bool
}

// greet is the server's part of the D-Bus authentication protocol.
func (s *serverSide) greet() {
	s.once.Do(func() {
		var line []byte
		for {
			var b [1]byte
			if _, s.err = io.ReadFull(s.Conn, b[:]); s.err != nil {
				return
			}
			if b[0] != '\n' {
				line = append(line, b[0])
				continue
			}
			text := strings.Trim(string(line), "\x00\r")
			line = nil
			answer := ""
			switch {
			case text == "BEGIN":
				return
			case text == "AUTH":
				answer = "REJECTED EXTERNAL\r\n"
			case strings.HasPrefix(text, "AUTH "):
				answer = "OK 0123456789abcdef0123456789abcdef\r\n"
			default:
				answer = "ERROR\r\n"
			}
			if _, s.err = s.Conn.Write([]byte(answer)); s.err != nil {
				return
			}
		}
	})
}

func (s *serverSide) Write(p []byte) (int, error) {
	if s.logged {
		return s.Conn.Write(p)
	}
	s.greet()
	text := strings.Trim(string(p), "\x00\r\n")
	switch {
	case strings.HasPrefix(text, "BEGIN"):
		s.logged = true
	case strings.HasPrefix(text, "AUTH ANONYMOUS"):
		s.own.WriteString("OK 0123456789abcdef0123456789abcdef\r\n")
	case strings.HasPrefix(text, "AUTH"):
		s.own.WriteString("REJECTED ANONYMOUS\r\n")
	}
	return len(p), s.err
}

func (s *serverSide) Read(p []byte) (int, error) {
	if s.own.Len() > 0 {
		return s.own.Read(p)
	}
	return s.Conn.Read(p)
}
