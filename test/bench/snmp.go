package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"
	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
	"github.com/belay-ha/belay/snmp/agentx"
	"github.com/belay-ha/belay/snmp/mib"
	"github.com/belay-ha/belay/snmp/trap"
)

// The cluster whose tables are walked.
const (
	snmpNodes     = 3
	snmpResources = 1000
	snmpWalks     = 7
	// snmpTableWalks is more, since a walk takes some hundredths of a second.
	snmpTableWalks = 25
	snmpEvents     = 50
)

// snmp measures a walk of our tables against one of snmpd's own, through the same agent
// in the same run, and how long a notification takes.
func snmp(ctx context.Context, r *Report) (err error) {
	dir, err := os.MkdirTemp("", "snmp-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, p := range []string{"snmpd", "snmp"} {
		if err := install(ctx, map[string]string{"snmpd": "snmpd", "snmp": "snmpbulkwalk"}[p], p); err != nil {
			return err
		}
	}
	address, pid, err := snmpMaster(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	root := mib.Root(mib.DocumentationPEN)
	vars := mib.Build(&mib.View{Summary: snmpSummary(), Node: "n1"}, root)
	registered := make(chan error, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- agentx.Run(ctx, agentx.Config{
			Address: "unix:" + dir + "/master", Root: root, Description: "bench", Variables: func() []mib.Variable { return vars },
			Log: slog.New(slog.DiscardHandler), Connected: func(err error) { registered <- err },
		})
	}()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	for up := false; !up; {
		select {
		case err := <-registered:
			up = err == nil
		case <-time.After(20 * time.Second):
			return errors.New("snmpd takes no subagent")
		}
	}
	ours, theirs, best := []float64{}, map[string][]float64{}, ""
	tables := []string{"1.3.6.1.2.1.25.4.2", "1.3.6.1.2.1.25.6.3", "1.3.6.1.2.1.4.24", "1.3.6.1.2.1.6"} // processes, packages, routes, connections
	most := 0
	for range snmpWalks {
		rate, n, err := snmpWalk(ctx, dir, address, root.String()+".1.5")
		if err != nil {
			return err
		}
		if n < snmpResources*10 {
			return fmt.Errorf("a walk shows %d objects", n)
		}
		ours = append(ours, rate)
		for _, t := range tables {
			rate, n, err := snmpWalk(ctx, dir, address, t)
			if err != nil || n == 0 {
				continue
			}
			theirs[t] = append(theirs[t], rate)
			if n > most {
				most, best = n, t
			}
		}
	}
	if best == "" {
		return errors.New("snmpd shows no table of its own")
	}
	r.Add(Figure{
		Name: "SNMP walk of one column after the other", Value: Median(ours), Unit: "1/s", Peer: "snmpd's own largest table", PeerValue: Median(theirs[best]),
		Note: fmt.Sprintf("objects; %d resources; theirs: %d objects of %s. snmpd asks a subagent for each object by itself", snmpResources, most, best),
	})
	columns := func(root string, low, high int) (out []string) {
		for c := low; c <= high; c++ {
			out = append(out, fmt.Sprintf("%s.%d", root, c))
		}
		return out
	}
	var ownRows, peerRows snmpCosts
	var ratios []float64
	for i := range snmpTableWalks {
		if err := ownRows.walk(ctx, pid, address, columns(root.String()+".1.5.1", 2, 15), snmpResources); err != nil {
			return err
		}
		if err := peerRows.walk(ctx, pid, address, columns("1.3.6.1.2.1.25.6.3.1", 1, 5), 100); err != nil {
			return err
		}
		ratios = append(ratios, peerRows.spent[i]/ownRows.spent[i])
	}
	r.Add(Figure{
		Name: "SNMP bulk walk of the resource table by rows", Value: Median(ownRows.rates), Unit: "1/s", Peer: "snmpd's hrSWInstalledTable", PeerValue: Median(peerRows.rates),
		Note: fmt.Sprintf("objects; rows of 14 columns, theirs of 5; %d resources", snmpResources),
	})
	// The goal is about processor time, of the client, snmpd and the subagent together. It
	// is what the rate comes to on a machine that does nothing else, since the three wait
	// for each other. On a busy one the rate tells more about the others: snmpd asks a
	// subagent for a row and waits for the answer, even where it was asked for many at once
	// (its AgentX sends GetNext for GetBulk), so that each row waits twice for a processor.
	r.Add(Figure{
		Name: "SNMP bulk walk by rows against snmpd's own table, per processor time", Value: Median(ratios), Unit: "x", Goal: AtLeast(0.5),
		Note: fmt.Sprintf("%.2f µs of processor time an object, of client, snmpd and subagent; theirs %.2f µs", Median(ownRows.spent), Median(peerRows.spent)),
	})
	return snmpNotify(ctx, r, root)
}

func snmpSummary() *status.Summary {
	s := &status.Summary{Revision: 1, Cluster: status.Cluster{Name: "bench", State: status.ClusterNormal}}
	for i := range snmpNodes {
		s.Nodes = append(s.Nodes, status.Node{Name: fmt.Sprintf("n%d", i+1), ID: uint32(i + 1), State: status.NodeOnline})
	}
	for i := range snmpResources {
		r := status.Resource{ID: fmt.Sprintf("resource-%04d", i), Number: uint32(i + 1), Kind: cib.KindPrimitive, Agent: "ocf:heartbeat:Dummy", State: status.ResourceRunning}
		for n := range snmpNodes {
			r.Instances = append(r.Instances, status.Instance{Instance: r.ID, Node: fmt.Sprintf("n%d", n+1), State: status.InstanceStopped})
		}
		s.Resources = append(s.Resources, r)
	}
	return s
}

// snmpMaster starts snmpd, which ends with ctx.
func snmpMaster(ctx context.Context, dir string) (address string, pid int, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return "", 0, err
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	conf := fmt.Sprintf("agentAddress udp:%s\nmaster agentx\nagentXSocket unix:%s/master\nrocommunity public\n", address, dir)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		return "", 0, err
	}
	program := "/usr/sbin/snmpd"
	cmd := exec.CommandContext(ctx, program, "-f", "-Lf", filepath.Join(dir, "log"), "-C", "-c", filepath.Join(dir, "conf"), "-I", "-smux", "-p", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+dir, "MIBS=")
	if err := cmd.Start(); err != nil {
		return "", 0, fmt.Errorf("start snmpd: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = cmd.Wait() })
	return address, cmd.Process.Pid, until(ctx, 10*time.Second, func() bool {
		_, n, err := snmpWalk(ctx, dir, address, "1.3.6.1.2.1.1.3")
		return err == nil && n > 0
	})
}

// snmpWalk walks a subtree and returns the objects a second, and how many there are.
func snmpWalk(ctx context.Context, dir, address, root string) (rate float64, objects int, err error) {
	cmd := exec.CommandContext(ctx, "snmpbulkwalk", "-v2c", "-c", "public", "-Cr40", "-On", "-t", "5", address, root)
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+dir, "MIBS=")
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began).Seconds()
	objects = strings.Count(string(out), "\n.") + 1
	if len(out) == 0 || strings.Contains(string(out), "No Such") {
		objects = 0
	}
	return float64(objects) / took, objects, err
}

// snmpCosts are what the objects of a table cost, walk by walk.
type snmpCosts struct {
	rates []float64 // objects a second
	spent []float64 // processor time an object, µs
}

// walk walks the table by rows once more.
func (c *snmpCosts) walk(ctx context.Context, pid int, address string, columns []string, least int) error {
	runtime.GC() // what was left by the walk before is not of this one
	before, err := processorTime(pid)
	if err != nil {
		return err
	}
	began := time.Now()
	rows, err := snmpRows(ctx, address, columns, least)
	took := time.Since(began)
	if err != nil {
		return err
	}
	after, err := processorTime(pid)
	if err != nil {
		return err
	}
	objects := float64(rows * len(columns))
	c.rates = append(c.rates, objects/took.Seconds())
	c.spent = append(c.spent, float64((after-before).Nanoseconds())/1000/objects)
	return nil
}

// processorTime is the time that this process and another, which has one thread, have
// run.
func processorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, fmt.Errorf("the processor time of snmpd: %w", err)
	}
	first, _, _ := strings.Cut(string(b), " ")
	other, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the processor time of snmpd: %w", err)
	}
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		return 0, fmt.Errorf("the processor time of this process: %w", err)
	}
	return time.Duration(other + own.Utime.Nano() + own.Stime.Nano()), nil
}

// snmpRows walks a table with all its columns in each request, as management stations
// do, and returns how many rows there are.
func snmpRows(ctx context.Context, address string, columns []string, least int) (int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, err
	}
	g := &gosnmp.GoSNMP{Target: host, Port: uint16(n), Community: "public", Version: gosnmp.Version2c, Timeout: 10 * time.Second, MaxOids: gosnmp.MaxOids, Context: ctx}
	if err := g.Connect(); err != nil {
		return 0, fmt.Errorf("connect to snmpd: %w", err)
	}
	defer g.Conn.Close()
	const repetitions = 20
	rows, at := 0, slices.Clone(columns)
	for {
		answer, err := g.GetBulk(at, 0, repetitions)
		if err != nil {
			return 0, fmt.Errorf("walk %s: %w", columns[0], err)
		}
		got := answer.Variables
		for len(got) >= len(columns) {
			if !strings.HasPrefix(got[0].Name, "."+columns[0]+".") {
				if rows < least {
					return 0, fmt.Errorf("walk %s: only %d rows", columns[0], rows)
				}
				return rows, nil
			}
			for i := range at {
				at[i] = got[i].Name
			}
			rows++
			got = got[len(columns):]
		}
		if len(answer.Variables) < len(columns) {
			return 0, fmt.Errorf("walk %s: an answer of %d variables", columns[0], len(answer.Variables))
		}
	}
}

// snmpNotify measures the time from an event to its notification at the receiver.
func snmpNotify(ctx context.Context, r *Report, root mib.OID) error {
	receiver, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("a receiver: %w", err)
	}
	defer receiver.Close()
	engine := outboxtest.New()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	defer func() { cancel(); <-ended }()
	config := &trap.Config{
		Root: root, EngineID: trap.EngineID(mib.DocumentationPEN, "bench"), Cluster: "bench", Started: time.Now(), Log: slog.New(slog.DiscardHandler),
	}
	target := &trap.Target{Name: "bench", Address: receiver.LocalAddr().String(), Version: trap.V2c, Community: "public", Timeout: time.Second}
	go func() {
		defer close(ended)
		box := &outbox.Box{Engine: engine, Kind: "snmp", Log: config.Log}
		box.Serve(ctx, func() (bool, <-chan struct{}) { return true, nil }, []*outbox.Target{target.Outbox(config)})
	}()
	buf := make([]byte, 1<<16)
	next := func() error {
		if err := receiver.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		_, _, err := receiver.ReadFrom(buf)
		return err
	}
	if err := next(); err != nil { // coldStart
		return fmt.Errorf("no notification: %w", err)
	}
	var took []float64
	for i := range snmpEvents {
		ev := event.New(event.NodeLost, "node", "n2", "silence", "1s")
		ev.Seq, ev.Time = uint64(i+1), time.Now()
		began := time.Now()
		engine.Add(&ev)
		if err := next(); err != nil {
			return fmt.Errorf("notification %d: %w", i, err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	r.Add(Figure{Name: "SNMP notification after its event", Value: Median(took), Unit: "ms", Goal: AtMost(100), Note: fmt.Sprintf("median of %d traps", snmpEvents)})
	return nil
}
