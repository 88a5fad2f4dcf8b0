package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// rounds is how often a fail-over is measured; figures are medians.
const rounds = 5

// withCluster runs a measurement on a cluster in the lab.
func withCluster(ctx context.Context, cfg cluster.Config, f func(ctx context.Context, c *cluster.Cluster) error) (err error) {
	c, lc := cluster.New(cfg)
	l, err := lab.New(lc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	sctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.Start(sctx, l); err != nil {
		return err
	}
	return f(ctx, c)
}

// failOver measures the loss of power of the node that runs an address and a
// small service behind it: with the default settings, and tuned.
func failOver(ctx context.Context, r *Report) error {
	tuned := cib.Options{Detection: cib.Duration(300 * time.Millisecond)}
	for _, m := range []struct {
		name  string
		cfg   cluster.Config
		total float64
	}{
		{"default settings", cluster.Config{}, 3},
		{"detection 300ms", cluster.Config{Options: tuned}, 1.2},
	} {
		var nodes, dcs, ours []float64
		var note string
		err := withCluster(ctx, m.cfg, func(ctx context.Context, c *cluster.Cluster) error {
			if err := smallService(ctx, c); err != nil {
				return err
			}
			for i := range 2 * rounds {
				ofDC := i%2 == 1
				f, err := measureFailOver(ctx, c, ofDC)
				if err != nil {
					return err
				}
				if ofDC {
					dcs = append(dcs, f.Total.Seconds())
				} else {
					nodes = append(nodes, f.Total.Seconds())
					note = f.String()
				}
				ours = append(ours, float64(f.Ours.Milliseconds()))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.Add(Figure{Name: "fail-over of a node, " + m.name, Value: Median(nodes), Unit: "s", Goal: AtMost(m.total), Note: "last: " + note})
		r.Add(Figure{Name: "of it ours, " + m.name, Value: Median(ours), Unit: "ms", Goal: AtMost(200), Note: fmt.Sprintf("median of %d", len(ours))})
		r.Add(Figure{Name: "the same of the DC, " + m.name, Value: Median(dcs) - Median(nodes), Unit: "s more", Goal: AtMost(1), Note: fmt.Sprintf("%.2f s", Median(dcs))})
	}
	return nil
}

var vip = netip.MustParseAddr("10.77.0.100") // on the first network of the lab

// smallService makes a group of an address and a dummy.
func smallService(ctx context.Context, c *cluster.Cluster) error {
	every := []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(10 * time.Second)}}
	if _, err := c.Nodes[0].Apply(ctx, &cib.Config{Resources: map[string]*cib.Resource{
		"vip":     {Agent: "ocf:heartbeat:IPaddr2", Operations: every, Parameters: map[string]string{"ip": vip.String(), "cidr_netmask": "24", "nic": "eth0"}},
		"service": {Agent: "ocf:heartbeat:Dummy", Operations: every},
		"small":   {Group: []string{"service", "vip"}},
	}}); err != nil {
		return err
	}
	return waitFor(ctx, c, "the service runs", func(s *status.Summary) string { return cluster.Running(s, "small") })
}

// measureFailOver cuts the power of the node that runs the service, and waits
// until everything is as before.
func measureFailOver(ctx context.Context, c *cluster.Cluster, ofDC bool) (cluster.FailOver, error) {
	var owner string
	if err := waitFor(ctx, c, "the service runs", func(s *status.Summary) string {
		if why := cluster.Running(s, "small"); why != "" {
			return why
		}
		if why := cluster.Online(s, c.Names()...); why != "" {
			return why
		}
		if len(s.Actions) > 0 {
			return s.Actions[0].Text
		}
		owner = s.Cluster.DC
		if !ofDC {
			for _, n := range c.Names() {
				if n != s.Cluster.DC {
					owner = n
				}
			}
		}
		return ""
	}); err != nil {
		return cluster.FailOver{}, err
	}
	if err := move(ctx, c, owner); err != nil {
		return cluster.FailOver{}, err
	}
	host := c.Node(owner).Host
	w, err := c.Lab.WatchPing(vip)
	if err != nil {
		return cluster.FailOver{}, err
	}
	defer w.Stop()
	wctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	if _, err := w.WaitAnswer(wctx, time.Now()); err != nil {
		return cluster.FailOver{}, err
	}
	if err := host.PowerOff(); err != nil {
		return cluster.FailOver{}, err
	}
	gap, err := w.WaitRecovery(wctx, host.OffAt(), 50*time.Millisecond)
	if err != nil {
		return cluster.FailOver{}, err
	}
	if err := waitFor(ctx, c, "the node is back", func(s *status.Summary) string {
		if why := cluster.Online(s, c.Names()...); why != "" {
			return why
		}
		return cluster.Running(s, "small", c.Others(c.Node(owner))[0].Name, c.Others(c.Node(owner))[1].Name)
	}); err != nil {
		return cluster.FailOver{}, err
	}
	return c.Explain(ctx, owner, host.OffAt(), gap.To, "service", "vip")
}

func move(ctx context.Context, c *cluster.Cluster, to string) error {
	moved := func(s *status.Summary) string { return cluster.Running(s, "small", to) }
	var there bool
	if err := waitFor(ctx, c, "a state", func(s *status.Summary) string { there = moved(s) == ""; return "" }); err != nil || there {
		return err
	}
	if _, err := c.Node(to).Change(ctx, api.ActionMove, "resource/small", map[string]string{"node": to}); err != nil {
		return err
	}
	return waitFor(ctx, c, "the service has moved", func(s *status.Summary) string {
		if len(s.Actions) > 0 {
			return s.Actions[0].Text
		}
		return moved(s)
	})
}

func waitFor(ctx context.Context, c *cluster.Cluster, what string, condition func(*status.Summary) string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.Wait(ctx, what, condition)
}

// manyResources measures how long 200 dummies take from cold to all started.
func manyResources(ctx context.Context, r *Report) error {
	const n = 200
	return withCluster(ctx, cluster.Config{}, func(ctx context.Context, c *cluster.Cluster) error {
		cfg := dummies(n)
		began := time.Now()
		if _, err := c.Nodes[0].Apply(ctx, cfg); err != nil {
			return err
		}
		if err := waitFor(ctx, c, "all are started", allRun(n, began)); err != nil {
			return err
		}
		r.Add(Figure{Name: "200 new resources until all started", Value: time.Since(began).Seconds(), Unit: "s", Goal: AtMost(5), Note: "with probes on 3 nodes"})
		for _, node := range c.Nodes {
			if err := node.Host.PowerOff(); err != nil {
				return err
			}
		}
		began = time.Now()
		if err := c.Lab.PowerOnAll(ctx); err != nil {
			return err
		}
		if err := waitFor(ctx, c, "all are started", allRun(n, began)); err != nil {
			return err
		}
		r.Add(Figure{
			Name: "200 resources from cold to all started", Value: time.Since(began).Seconds(), Unit: "s", Goal: AtMost(5),
			Note: "from power-on of 3 nodes, with the elections",
		})
		return nil
	})
}

func dummies(n int) *cib.Config {
	cfg := &cib.Config{Resources: map[string]*cib.Resource{}}
	for i := range n {
		cfg.Resources[fmt.Sprintf("d%03d", i)] = &cib.Resource{Agent: "belay:dummy", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(10 * time.Second)}}}
	}
	return cfg
}

// allRun waits for resources that were started after a time: right after power-on
// nodes still show the state before.
func allRun(n int, since time.Time) func(*status.Summary) string {
	return func(s *status.Summary) string {
		if why := cluster.Online(s, "n1", "n2", "n3"); why != "" {
			return why
		}
		if s.Cluster.Counts.ResourcesRunning < n {
			return fmt.Sprintf("%d run", s.Cluster.Counts.ResourcesRunning)
		}
		for i := range s.Resources {
			if r := &s.Resources[i]; !r.Since.After(since) {
				return r.ID + " ran before"
			}
		}
		return ""
	}
}

// footprint measures memory and idle CPU with 100 resources, of a voter and of a
// node without a vote.
func footprint(ctx context.Context, r *Report) error {
	const n = 100
	return withCluster(ctx, cluster.Config{Nodes: 4}, func(ctx context.Context, c *cluster.Cluster) error {
		if _, err := c.Nodes[0].Apply(ctx, dummies(n)); err != nil {
			return err
		}
		if err := waitFor(ctx, c, "all are started", allRun(n, time.Time{})); err != nil {
			return err
		}
		// Idle is what comes after the start, whose last act is the first backup of the
		// store, half a minute after it. The next one is a day later.
		settled := time.Now().Add(45 * time.Second)
		if err := cluster.Until(ctx, "idle", func() string {
			if d := time.Until(settled); d > 0 {
				return d.String()
			}
			return ""
		}); err != nil {
			return err
		}
		voter, other := c.Nodes[1], c.Nodes[3]
		before, err := usage(ctx, voter)
		if err != nil {
			return err
		}
		otherBefore, err := usage(ctx, other)
		if err != nil {
			return err
		}
		const span = 20 * time.Second
		from := time.Now()
		if err := cluster.Until(ctx, "a span of idleness", func() string {
			if d := time.Since(from); d < span {
				return d.String()
			}
			return ""
		}); err != nil {
			return err
		}
		took := time.Since(from).Seconds()
		after, err := usage(ctx, voter)
		if err != nil {
			return err
		}
		otherAfter, err := usage(ctx, other)
		if err != nil {
			return err
		}
		percent := func(b, a consumed) float64 { return 100 * (a.cpu - b.cpu) / took }
		r.Add(Figure{
			Name: "memory of a voter, 100 resources", Value: after.engine.mb + after.member.mb, Unit: "MB", Goal: AtMost(120), Peer: "pacemaker", PeerValue: 222,
			Note: fmt.Sprintf("resident: engine %.0f, member of the store %.0f", after.engine.mb, after.member.mb),
		})
		r.Add(Figure{Name: "memory of a node without a vote, 100 resources", Value: otherAfter.engine.mb, Unit: "MB", Goal: AtMost(40), Note: "resident"})
		ve, vm := percent(before.engine, after.engine), percent(before.member, after.member)
		r.Add(Figure{
			Name: "idle CPU of a voter, 100 resources", Value: ve + vm, Unit: "% of a core", Goal: AtMost(1),
			Note: fmt.Sprintf("over %s, with monitors every 10s: engine %.2f, member of the store %.2f", span, ve, vm),
		})
		r.Add(Figure{Name: "idle CPU of a node without a vote, 100 resources", Value: percent(otherBefore.engine, otherAfter.engine), Unit: "% of a core", Goal: AtMost(1)})
		return nil
	})
}

// consumed is what a process uses.
type consumed struct {
	mb  float64 // resident
	cpu float64 // seconds, of its life
}

// load is what the processes of a node use.
type load struct{ engine, member consumed }

// usage measures the engine of a node and its member of the store.
func usage(ctx context.Context, n *cluster.Node) (load, error) {
	var l load
	for pattern, to := range map[string]*consumed{"^/usr/sbin/belayd( --|$)": &l.engine, "^/usr/sbin/belayd etcd": &l.member} {
		out, err := n.Host.Exec(ctx, "sh", "-c", "for p in $(pgrep -f '"+pattern+"'); do grep VmRSS /proc/$p/status; cat /proc/$p/stat; done")
		if err != nil {
			return l, err
		}
		if err := to.read(out); err != nil {
			return l, err
		}
	}
	if l.engine.mb == 0 {
		return l, errors.New("no engine runs on " + n.Name)
	}
	return l, nil
}

// read adds up lines of /proc/PID/status and /proc/PID/stat.
func (c *consumed) read(out string) error {
	const ticks = 100 // USER_HZ, the same on all architectures that Linux runs on today
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", line, err)
			}
			c.mb += kb / 1024
			continue
		}
		// The name in parentheses may hold anything; utime and stime are the 12th
		// and 13th field behind it, proc(5).
		_, rest, _ := strings.Cut(line, ") ")
		f := strings.Fields(rest)
		for _, v := range f[11:13] {
			t, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", line, err)
			}
			c.cpu += t / ticks
		}
	}
	return nil
}
