package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/snmp/agentx"
	"github.com/belay-ha/belay/snmp/mib"
)

// SubagentVariable is set in the environment of the process that is measured as a
// subagent, to the directory of its master. It is this program again.
const SubagentVariable = "BELAY_BENCH_SUBAGENT"

// snmpTableWalks is how often a table is walked, which takes some hundredths of a second.
const snmpTableWalks = 25

// Subagent is the process that is measured: the agent of the management daemon with the
// tables of a cluster, until its input ends. It writes a line when the master has it.
func Subagent(dir string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	root := mib.Root(mib.DocumentationPEN)
	vars := mib.Build(&mib.View{Summary: snmpSummary(), Node: "n1"}, root)
	return agentx.Run(ctx, agentx.Config{
		Address: "unix:" + filepath.Join(dir, "master"), Root: root, Description: "bench", Variables: func() []mib.Variable { return vars },
		Log: slog.New(slog.DiscardHandler), Connected: func(err error) {
			if err == nil {
				_, _ = fmt.Fprintln(out, "registered")
			}
		},
	})
}

type subagent struct {
	cmd *exec.Cmd
	in  io.Closer
}

// startSubagent starts the subagent and waits until the master has it.
func startSubagent(ctx context.Context, dir string) (*subagent, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe")
	cmd.Env = append(os.Environ(), SubagentVariable+"="+dir)
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		cancel()
		return nil, fmt.Errorf("pipes to the subagent: %w", err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start the subagent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	_, err := bufio.NewReader(out).ReadString('\n')
	stop()
	cancel()
	s := &subagent{cmd, in}
	if err != nil {
		return nil, errors.Join(errors.New("snmpd takes no subagent"), err, s.stop())
	}
	return s, nil
}

func (s *subagent) stop() error {
	_ = s.in.Close() // fails where it is closed already
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the subagent: %w", err)
	}
	return nil
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

// snmpProcesses are those that a walk keeps busy, beside this one, which is the client.
type snmpProcesses struct{ master, subagent int }

// snmpTables walks tables by rows and compares them with one of snmpd's own.
//
// The goal is about processor time, of the client, snmpd and the subagent together. It
// is what the rate comes to on a machine that does nothing else, since the three wait
// for each other. snmpd asks a subagent for a row and waits for the answer, even where
// it was asked for many at once (its AgentX sends GetNext for GetBulk), so that each row
// waits twice for a processor: on a busy machine the rate tells more about the others.
// They cost processor time, too, by what they drive out of its caches; so of each process
// the walk counts that it spent least on.
//
// What it were with a subagent that costs nothing is the bound that snmpd sets: of the
// instance table, with its short rows, there is not much above the goal that the resource
// table has.
func snmpTables(ctx context.Context, r *Report, p *snmpProcesses, address string, root mib.OID) error {
	columns := func(root string, low, high int) (out []string) {
		for c := low; c <= high; c++ {
			out = append(out, fmt.Sprintf("%s.%d", root, c))
		}
		return out
	}
	tables := []struct {
		name    string
		columns []string
		least   int // rows
		goal    Goal
		snmpCosts
	}{
		{name: "the resource table", columns: columns(root.String()+".1.5.1", 2, 15), least: snmpResources, goal: AtLeast(0.5)},
		{name: "the instance table", columns: columns(root.String()+".1.6.1", 1, 7), least: snmpResources * snmpNodes},
		{name: "snmpd's hrSWInstalledTable", columns: columns("1.3.6.1.2.1.25.6.3.1", 1, 5), least: 100},
	}
	for range snmpTableWalks {
		for i := range tables {
			t := &tables[i]
			if err := t.walk(ctx, p, address, t.columns, t.least); err != nil {
				return err
			}
		}
	}
	peer := &tables[len(tables)-1]
	theirs := peer.cheapest().sum()
	for i := range tables[:len(tables)-1] {
		t := &tables[i]
		r.Add(Figure{
			Name: "SNMP bulk walk of " + t.name + " by rows", Value: slices.Max(t.rates), Unit: "1/s", Peer: peer.name, PeerValue: slices.Max(peer.rates),
			Note: fmt.Sprintf("objects, the best of %d; %d rows of %d columns, theirs of %d", snmpTableWalks, t.least, len(t.columns), len(peer.columns)),
		})
		c := t.cheapest()
		r.Add(Figure{
			Name: "SNMP bulk walk of " + t.name + " against snmpd's own, per processor time", Value: theirs / c.sum(), Unit: "x", Goal: t.goal,
			Note: fmt.Sprintf("%.2f µs an object: snmpd %.2f, client %.2f, subagent %.2f; theirs %.2f; with a subagent that costs nothing it were %.2f x",
				c.sum(), c.master, c.client, c.subagent, theirs, theirs/(c.master+c.client)),
		})
	}
	return nil
}

// snmpCost is processor time, µs.
type snmpCost struct{ master, client, subagent float64 }

func (c snmpCost) sum() float64 { return c.master + c.client + c.subagent }

// snmpCosts are what the objects of a table cost, walk by walk.
type snmpCosts struct {
	rates []float64  // objects a second
	spent []snmpCost // an object
}

// cheapest is what each process spent on the walk that it spent least on.
func (c *snmpCosts) cheapest() snmpCost {
	out := c.spent[0]
	for _, s := range c.spent {
		out = snmpCost{min(out.master, s.master), min(out.client, s.client), min(out.subagent, s.subagent)}
	}
	return out
}

// walk walks the table by rows once more.
func (c *snmpCosts) walk(ctx context.Context, p *snmpProcesses, address string, columns []string, least int) error {
	runtime.GC() // what was left by the walk before is not of this one
	before, err := p.time()
	if err != nil {
		return err
	}
	began := time.Now()
	rows, err := snmpRows(ctx, address, columns, least)
	took := time.Since(began)
	if err != nil {
		return err
	}
	after, err := p.time()
	if err != nil {
		return err
	}
	objects := float64(rows * len(columns))
	c.rates = append(c.rates, objects/took.Seconds())
	c.spent = append(c.spent, snmpCost{(after.master - before.master) / objects, (after.client - before.client) / objects, (after.subagent - before.subagent) / objects})
	return nil
}

// time is how long the processes have run.
func (p *snmpProcesses) time() (c snmpCost, err error) {
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		return c, fmt.Errorf("the processor time of this process: %w", err)
	}
	c.client = float64(own.Utime.Nano()+own.Stime.Nano()) / 1000
	if c.master, err = processorTime(p.master); err != nil {
		return c, err
	}
	c.subagent, err = processorTime(p.subagent)
	return c, err
}

// processorTime is the time that the threads of a process have run, µs.
func processorTime(pid int) (sum float64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(threads) == 0 {
		return 0, fmt.Errorf("the processor time of process %d: it has ended", pid)
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
		}
		first, _, _ := strings.Cut(string(b), " ")
		ran, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
		}
		sum += ran / 1000
	}
	return sum, nil
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
