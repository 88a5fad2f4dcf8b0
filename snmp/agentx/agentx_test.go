package agentx

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/snmp/mib"
)

var testRoot = mib.Root(mib.DocumentationPEN)

func testVariables() []mib.Variable {
	s := &status.Summary{Revision: 5, Cluster: status.Cluster{Name: "prod", State: status.ClusterNormal}}
	for i := range 20 {
		s.Nodes = append(s.Nodes, status.Node{Name: fmt.Sprintf("n%d", i+1), ID: uint32(i + 1), Addresses: []string{"10.0.0.1"}})
	}
	return mib.Build(&mib.View{Summary: s, Node: "n1", Version: "1.0"}, testRoot)
}

func testSession() *session {
	vars := testVariables()
	return &session{id: 9, root: testRoot, variables: func() []mib.Variable { return vars }}
}

// answer takes a response apart: its error and its variables as text.
func answer(t *testing.T, pdu []byte) (code uint16, vars []string) {
	t.Helper()
	h, err := parseHeader(pdu)
	if err != nil || h.kind != pduResponse || int(h.length) != len(pdu)-headerBytes {
		t.Fatalf("%+v of %d bytes: %v", h, len(pdu), err)
	}
	d := &decoder{b: pdu[headerBytes:], order: h.order()}
	d.uint32()
	code = d.uint16()
	d.uint16()
	for len(d.b) > 0 && d.err == nil {
		kind := mib.Type(d.uint16())
		d.uint16()
		name, _ := d.oid()
		value := fmt.Sprintf("type %d", kind)
		switch kind {
		case mib.Integer, mib.Counter32, mib.Gauge32, mib.TimeTicks:
			value = fmt.Sprint(d.uint32())
		case mib.Counter64:
			value = fmt.Sprint(binary.BigEndian.Uint64(d.take(8)))
		case mib.OctetString:
			value = d.octets()
		case mib.ObjectID, typeNoSuchObject, typeNoSuchInstance, typeEndOfView:
		}
		vars = append(vars, strings.TrimPrefix(name.String(), testRoot.String())+"="+value)
	}
	if d.err != nil {
		t.Fatal(d.err)
	}
	return code, vars
}

func request(kind, flags uint8, body func(e *encoder)) (header, []byte) {
	e := begin(header{kind: kind, flags: flags, session: 9, transaction: 3, packet: 4})
	if body != nil {
		body(e)
	}
	pdu := e.end()
	pdu[2] = flags
	h, _ := parseHeader(pdu)
	return h, pdu[headerBytes:]
}

func TestRequests(t *testing.T) {
	at := func(arcs ...uint32) mib.OID { return testRoot.Child(arcs...) }
	get := func(names ...mib.OID) func(*encoder) {
		return func(e *encoder) {
			for _, n := range names {
				e.oid(n, false)
				e.oid(nil, false)
			}
		}
	}
	for _, x := range []struct {
		name  string
		kind  uint8
		flags uint8
		body  func(*encoder)
		code  uint16
		want  string
	}{
		{"several in one PDU", pduGet, 0, get(at(1, 1, 1, 0), at(1, 3, 1, 2, 7)), 0, ".1.1.1.0=prod .1.3.1.2.7=n7"},
		{"big-endian", pduGet, flagNetwork, get(at(1, 1, 8, 0)), 0, ".1.1.8.0=5"},
		{"no such instance", pduGet, 0, get(at(1, 1, 1, 1), at(1, 3, 1, 2, 70)), 0, ".1.1.1.1=type 129 .1.3.1.2.70=type 129"},
		{"no such object", pduGet, 0, get(at(1, 99, 1, 1), at(1, 3, 1, 1, 1), mib.OID{1, 3}), 0, ".1.99.1.1=type 128 .1.3.1.1.1=type 128 1.3=type 128"},
		{"the next", pduGetNext, 0, get(testRoot, at(1, 3, 1, 2, 7)), 0, ".1.1.1.0=prod .1.3.1.2.8=n8"},
		{"the same with include", pduGetNext, 0, func(e *encoder) { e.oid(at(1, 1, 1, 0), true); e.oid(nil, false) }, 0, ".1.1.1.0=prod"},
		{"the end of the range", pduGetNext, 0, func(e *encoder) { e.oid(at(1, 1, 1, 0), false); e.oid(at(1, 1, 2), false) }, 0, ".1.1.1.0=type 130"},
		{"the end of the view", pduGetNext, 0, get(at(3)), 0, ".3=type 130"},
		{"bulk", pduGetBulk, 0, func(e *encoder) {
			e.uint16(1)
			e.uint16(2)
			get(testRoot, at(1, 3, 1, 2, 1), at(1, 3, 1, 2, 18))(e)
		}, 0, ".1.1.1.0=prod .1.3.1.2.2=n2 .1.3.1.2.19=n19 .1.3.1.2.3=n3 .1.3.1.2.20=n20"},
		{"bulk beyond the end", pduGetBulk, 0, func(e *encoder) { e.uint16(0); e.uint16(65535); get(at(2))(e) }, 0, ".2=type 130"},
		{"bulk with more singles than there are", pduGetBulk, 0, func(e *encoder) { e.uint16(65535); e.uint16(65535); get(at(2))(e) }, 0, ".2=type 130"},
		{"a context", pduGet, flagContext, func(e *encoder) { e.octets("other"); get(testRoot)(e) }, errUnsupportedContext, ""},
		{"a set", pduTestSet, 0, func(e *encoder) { e.variable(at(1, 1, 1, 0), mib.Value{Type: mib.OctetString, Bytes: "x"}) }, errNotWritable, ""},
		{"its commit", pduCommitSet, 0, nil, errCommitFailed, ""},
		{"its undo", pduUndoSet, 0, nil, errUndoFailed, ""},
		{"half a name", pduGet, 0, func(e *encoder) { e.b = append(e.b, 9, 0, 0, 0) }, errParse, ""},
		{"a name that is too long", pduGet, 0, func(e *encoder) { e.b = append(e.b, 200, 0, 0, 0); e.b = append(e.b, make([]byte, 800)...) }, errParse, ""},
		{"an unknown type", 99, 0, nil, errParse, ""},
	} {
		h, payload := request(x.kind, x.flags, x.body)
		out, err := testSession().handle(h, payload)
		if (err != nil) != (x.code == errParse) {
			t.Errorf("%s: %v", x.name, err)
		}
		code, vars := answer(t, out)
		if got := strings.Join(vars, " "); code != x.code || got != x.want {
			t.Errorf("%s: error %d, %s; want %d, %s", x.name, code, got, x.code, x.want)
		}
		if o, _ := parseHeader(out); o.transaction != 3 || o.packet != 4 || o.session != 9 {
			t.Errorf("%s: answered as %+v", x.name, o)
		}
	}
	// A response has a bound, whatever is asked.
	h, payload := request(pduGetBulk, 0, func(e *encoder) {
		e.uint16(0)
		e.uint16(65535)
		for range 500 {
			get(testRoot)(e)
		}
	})
	out, err := testSession().handle(h, payload)
	if _, vars := answer(t, out); err != nil || len(vars) > variablesMax || len(vars) < variablesMax-500 {
		t.Errorf("%d variables, %v", len(vars), err)
	}
	// After a Set nothing is answered, and another session's request ends this one.
	if h, payload = request(pduCleanupSet, 0, nil); true {
		if out, err := testSession().handle(h, payload); out != nil || err != nil {
			t.Errorf("cleanup: %x, %v", out, err)
		}
	}
	h.session++
	h.kind = pduGet
	if out, err := testSession().handle(h, nil); err == nil {
		t.Error("the request of another session was taken")
	} else if code, _ := answer(t, out); code != errNotOpen {
		t.Errorf("error %d", code)
	}
}

func FuzzHandle(f *testing.F) {
	for _, kind := range []uint8{pduGet, pduGetNext, pduGetBulk, pduTestSet, pduClose} {
		_, payload := request(kind, 0, func(e *encoder) { e.oid(testRoot, true); e.oid(nil, false) })
		f.Add(kind, uint8(0), payload)
	}
	s := testSession()
	f.Fuzz(func(t *testing.T, kind, flags uint8, payload []byte) {
		out, _ := s.handle(header{kind: kind, flags: flags, session: 9, length: uint32(len(payload))}, payload)
		if out != nil {
			answer(t, out)
		}
	})
}

// master is a false master: it answers the opening and then sends what it likes.
func master(t *testing.T, then func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "m"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for range 2 {
				var raw [headerBytes]byte
				if _, err := io.ReadFull(c, raw[:]); err != nil {
					return
				}
				h, _ := parseHeader(raw[:])
				_, _ = io.CopyN(io.Discard, c, int64(h.length))
				e := begin(header{kind: pduResponse, flags: h.flags, session: 9, packet: h.packet})
				e.uint32(0)
				e.uint32(0)
				_, _ = c.Write(e.end())
			}
			then(c)
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	return "unix:" + l.Addr().String()
}

// What a false master sends closes the session with a reason; the agent comes back.
func TestFalseMaster(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"another version": {9, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"a huge PDU":      binary.LittleEndian.AppendUint32([]byte{1, 5, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1<<31),
		"an odd length":   binary.LittleEndian.AppendUint32([]byte{1, 5, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 3),
		"an answer":       {1, pduResponse, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"half a PDU":      {1, 5, 0, 0, 9, 0, 0, 0, 0, 0}, // and then nothing
		"text":            []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := master(t, func(c net.Conn) { _, _ = c.Write(garbage) })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			reasons := make(chan error, 16)
			go func() {
				ended <- Run(ctx, Config{
					Address: address, Root: testRoot, Variables: testVariables, Log: slog.New(slog.DiscardHandler),
					Connected: func(err error) { reasons <- err },
				})
			}()
			for _, want := range []bool{true, false, true} { // connected, thrown out, connected again
				select {
				case err := <-reasons:
					if (err == nil) != want {
						t.Fatalf("connected: %v", err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("nothing happens")
				}
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if err := Run(t.Context(), Config{Address: "/var/agentx/master"}); err == nil {
		t.Error("an address without a network is taken")
	}
}

// snmpd is a real master with user ops.
type snmpd struct {
	t      *testing.T
	dir    string
	port   int
	agentx string // its socket for subagents
	cmd    *exec.Cmd
}

func (m *snmpd) start() {
	m.t.Helper()
	m.cmd = exec.Command("snmpd", "-f", "-Lf", filepath.Join(m.dir, "log"), "-C", "-c", filepath.Join(m.dir, "conf"), "-I", "-smux")
	m.cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+m.dir, "MIBS=")
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = m.cmd.Process.Kill(); _ = m.cmd.Wait() })
}

func newSnmpd(t *testing.T, network string) *snmpd {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &snmpd{t: t, dir: t.TempDir(), port: c.LocalAddr().(*net.UDPAddr).Port}
	_ = c.Close()
	m.agentx = "unix:" + m.dir + "/master"
	if network == "tcp" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		m.agentx = "tcp:" + l.Addr().String()
		_ = l.Close()
	}
	conf := fmt.Sprintf("agentAddress udp:127.0.0.1:%d\nmaster agentx\nagentXSocket %s\ncreateUser ops SHA-256 authpass123 AES privpass123\nrwuser ops priv\nrwcommunity public\n", m.port, m.agentx)
	if err := os.WriteFile(filepath.Join(m.dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	// The tools tell of each directory that they make.
	if err := os.MkdirAll(filepath.Join(m.dir, "c", "cert_indexes"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.start()
	return m
}

// run runs one of net-snmp's tools as user ops.
func (m *snmpd) run(tool string, args ...string) (string, error) {
	all := []string{"-v3", "-l", "authPriv", "-u", "ops", "-a", "SHA-256", "-A", "authpass123", "-x", "AES", "-X", "privpass123", "-On", "-t", "5", "-r", "1"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		all, args = append(all, args[:2]...), args[2:]
	}
	all = append(append(all, fmt.Sprintf("127.0.0.1:%d", m.port)), args...)
	cmd := exec.CommandContext(m.t.Context(), tool, all...)
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+m.dir+"/c")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The tools that people have work: they read, and cannot write. When snmpd restarts,
// the agent is back.
func TestSnmpd(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			testSnmpd(t, newSnmpd(t, network))
		})
	}
}

func testSnmpd(t *testing.T, m *snmpd) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	connected := make(chan error, 64)
	vars := testVariables()
	wg.Go(func() {
		if err := Run(ctx, Config{
			Address: m.agentx, Root: testRoot, Description: "test", Variables: func() []mib.Variable { return vars },
			Log: slog.New(slog.DiscardHandler), Connected: func(err error) { connected <- err },
		}); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	await := func() {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case err := <-connected:
				if err == nil {
					return
				}
			case <-end:
				log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
				t.Fatalf("not connected; snmpd says:\n%s", log)
			}
		}
	}
	await()
	root := "." + testRoot.String()
	walks := func() {
		t.Helper()
		for _, tool := range []string{"snmpwalk", "snmpbulkwalk"} {
			out, err := m.run(tool, root)
			if lines := strings.Count(out, "\n"); err != nil || lines != len(vars) {
				t.Errorf("%s: %v, %d lines, want %d\n%.500s", tool, err, lines, len(vars), out)
			}
		}
	}
	walks()
	for _, x := range []struct {
		tool string
		args []string
		want string
	}{
		{"snmpget", []string{root + ".1.1.1.0", root + ".1.3.1.2.7"}, root + ".1.1.1.0 = STRING: \"prod\"\n" + root + ".1.3.1.2.7 = STRING: \"n7\"\n"},
		{"snmpget", []string{root + ".1.1.77.0"}, root + ".1.1.77.0 = No Such Object available on this agent at this OID\n"},
		{"snmpget", []string{root + ".1.3.1.2.70"}, root + ".1.3.1.2.70 = No Such Instance currently exists at this OID\n"},
		{"snmpgetnext", []string{root}, root + ".1.1.1.0 = STRING: \"prod\"\n"},
	} {
		if out, err := m.run(x.tool, x.args...); err != nil || out != x.want {
			t.Errorf("%s %v: %v\n%s\nwant\n%s", x.tool, x.args, err, out, x.want)
		}
	}
	if out, err := m.run("snmpset", root+".1.1.1.0", "s", "mine"); err == nil || !strings.Contains(out, "notWritable") {
		t.Errorf("snmpset: %v\n%s", err, out)
	}
	if out, err := m.run("snmpget", "-t", "1", "-r", "0", "-n", "other", root+".1.1.1.0"); err == nil && strings.Contains(out, "prod") {
		t.Errorf("another context: %s", out)
	}
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.start()
	await()
	walks()
}

// BenchmarkRow answers what a master asks for a row of a table.
func BenchmarkRow(b *testing.B) {
	var vars []mib.Variable
	table := testRoot.Child(5, 1)
	for c := range uint32(14) {
		for r := range uint32(1000) {
			vars = append(vars, mib.Variable{OID: table.Child(c+2, r+1), Value: mib.Value{Type: mib.OctetString, Bytes: "resource-0001"}})
		}
	}
	s := &session{id: 9, root: testRoot, variables: func() []mib.Variable { return vars }}
	var asked [999][]byte
	var h header
	for row := range asked {
		h, asked[row] = request(pduGetNext, flagNetwork, func(e *encoder) {
			for c := range uint32(14) {
				e.oid(table.Child(c+2, uint32(row)), false)
				e.oid(testRoot.Child(6), false)
			}
		})
	}
	row := 0
	b.ReportAllocs()
	for b.Loop() {
		h.length = uint32(len(asked[row]))
		if out, err := s.handle(h, asked[row]); err != nil || len(out) < 14*40 {
			b.Fatal(len(out), err)
		}
		row = (row + 1) % len(asked)
	}
}
