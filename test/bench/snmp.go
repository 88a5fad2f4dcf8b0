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
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
	"github.com/belay-ha/belay/snmp/mib"
	"github.com/belay-ha/belay/snmp/trap"
)

// The cluster whose tables are walked.
const (
	snmpNodes     = 3
	snmpResources = 1000
	snmpWalks     = 7
	snmpEvents    = 50
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
	address, master, err := snmpMaster(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	root := mib.Root(mib.DocumentationPEN)
	agent, err := startSubagent(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.stop()) }()
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
	if err := snmpTables(ctx, r, &snmpProcesses{master: master, subagent: agent.cmd.Process.Pid}, address, root); err != nil {
		return err
	}
	return snmpNotify(ctx, r, root)
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
