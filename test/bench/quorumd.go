package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
	"github.com/belay-ha/belay/engine/quorumd/client"
)

// The load of the arbitrator: so many clusters of two nodes, with a heartbeat of
// each node every second.
const (
	arbitratedClusters = 1000
	arbitratorMeasured = 20 * time.Second
	splitClusters      = 100
)

// quorumdLoad is a real belay-quorumd with its clients in this process.
type quorumdLoad struct {
	cmd     *exec.Cmd
	addr    string
	pin     string
	clients [][2]*client.Client
	stop    []context.CancelFunc // by cluster: of its first node
	ended   sync.WaitGroup
}

// arbitrator measures belay-quorumd.
func arbitrator(ctx context.Context, r *Report) (err error) {
	dir, err := os.MkdirTemp("", "quorumd-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &quorumdLoad{}
	defer func() {
		cancel()
		l.ended.Wait()
		if l.cmd != nil {
			_ = l.cmd.Process.Kill()
			_ = l.cmd.Wait()
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := l.start(ctx, dir); err != nil {
		return err
	}
	return l.measure(ctx, r)
}

// start starts the server and all clients, and waits until each is answered.
func (l *quorumdLoad) start(ctx context.Context, dir string) error {
	program := filepath.Join(os.Getenv("BELAY_BIN"), "belay-quorumd")
	if os.Getenv("BELAY_BIN") == "" {
		program = filepath.Join(dir, "belay-quorumd")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/belay-ha/belay/cmd/belay-quorumd").CombinedOutput(); err != nil {
			return fmt.Errorf("build belay-quorumd: %w: %s", err, out)
		}
	}
	keys, conf := make([][2]*tls.Certificate, arbitratedClusters), bytes.NewBufferString("clusters:\n")
	for i := range keys {
		fmt.Fprintf(conf, "  c%04d:\n    nodes:\n", i)
		for n := range 2 {
			key, err := pki.NewKey()
			if err != nil {
				return err
			}
			if keys[i][n], err = pki.SelfSigned("node", key, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(conf, "      n%d: [%q]\n", n+1, pki.Pin(keys[i][n].Leaf))
		}
	}
	path := filepath.Join(dir, "quorumd.yaml")
	if err := os.WriteFile(path, conf.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	state := filepath.Join(dir, "state")
	pin, err := exec.CommandContext(ctx, program, "key", "--state-dir", state).Output()
	if err != nil {
		return fmt.Errorf("key of the arbitrator: %w", err)
	}
	l.pin = strings.TrimSpace(string(pin))
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	l.addr = "127.0.0.1:" + strconv.Itoa(port)
	l.cmd = exec.CommandContext(ctx, program, "--config", path, "--state-dir", state, "--listen", l.addr, "--status", "", "--socket", filepath.Join(dir, "admin.sock"), "--log-level", "error")
	l.cmd.Stderr = os.Stderr
	if err := l.cmd.Start(); err != nil {
		return fmt.Errorf("start the arbitrator: %w", err)
	}
	for i := range keys {
		var pair [2]*client.Client
		for n := range 2 {
			c := client.New(client.Config{Addresses: []string{l.addr}, Pins: []string{l.pin}, Cert: keys[i][n], Cluster: fmt.Sprintf("c%04d", i), Node: fmt.Sprint("n", n+1)})
			c.Set(arbitratedClaim(1, "n1", "n2"))
			cctx, cancel := context.WithCancel(ctx)
			l.ended.Go(func() { defer cancel(); c.Run(cctx) })
			if n == 0 {
				l.stop = append(l.stop, cancel)
			}
			pair[n] = c
		}
		l.clients = append(l.clients, pair)
		if i%20 == 0 { // as hosts that were not all started in one moment
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return until(ctx, time.Minute, func() bool {
		return !slices.ContainsFunc(l.clients, func(p [2]*client.Client) bool { return !p[0].Status().Connected || !p[1].Status().Connected })
	})
}

func arbitratedClaim(episode uint64, present ...string) client.Claim {
	return client.Claim{
		Generation: quorumd.Generation{Number: 1, Nonce: 1}, Epoch: 1, Voters: []string{"n1", "n2"}, Present: present, Episode: episode, Want: len(present) == 1,
		Lease: 5 * time.Second, Handover: time.Second, Quorate: len(present) == 2,
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func until(ctx context.Context, limit time.Duration, f func() bool) error {
	for end := time.Now().Add(limit); !f(); {
		if time.Now().After(end) {
			return errors.New("not in time")
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (l *quorumdLoad) measure(ctx context.Context, r *Report) error {
	if err := sleep(ctx, 5*time.Second); err != nil { // the handshakes' garbage is collected
		return err
	}
	cpu, err := cpuTime(l.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, arbitratorMeasured); err != nil {
		return err
	}
	after, err := cpuTime(l.cmd.Process.Pid)
	if err != nil {
		return err
	}
	rss, err := residentMB(l.cmd.Process.Pid)
	if err != nil {
		return err
	}
	share := 100 * float64(after-cpu) / float64(time.Since(began))
	memory := Figure{Name: fmt.Sprintf("belay-quorumd, %d clusters of 2 nodes, memory", arbitratedClusters), Value: rss, Unit: "MB", Goal: AtMost(80), Note: "resident"}
	if peer, err := qnetd(ctx); err != nil {
		r.Skip("corosync-qnetd", err)
	} else {
		memory.Peer, memory.PeerValue = "corosync-qnetd, without any cluster", peer
	}
	r.Add(memory)
	r.Add(Figure{Name: "belay-quorumd, the same, CPU with beats every 1s", Value: share, Unit: "%", Goal: AtMost(5), Note: "of one core, over " + arbitratorMeasured.String()})

	// Many clusters are split in one moment, as when the link between two sites is cut.
	times, err := l.grants(ctx, func(p [2]*client.Client) *client.Client {
		p[0].Set(arbitratedClaim(2, "n1"))
		return p[0]
	})
	if err != nil {
		return err
	}
	slices.Sort(times)
	r.Add(Figure{Name: fmt.Sprintf("belay-quorumd, %d clusters split at once, last grant", splitClusters), Value: times[len(times)-1], Unit: "ms", Note: fmt.Sprintf("median %.1f", Median(times))})

	// Their holders fall silent: the others get the grant after lease and delay.
	for _, stop := range l.stop[:splitClusters] {
		stop()
	}
	times, err = l.handovers(ctx)
	if err != nil {
		return err
	}
	slices.Sort(times)
	r.Add(Figure{Name: "belay-quorumd, hand-over, time above lease and delay", Value: Median(times), Unit: "ms", Goal: AtMost(50), Note: fmt.Sprintf("%d at once, last %.1f", splitClusters, times[len(times)-1])})
	return nil
}

// grants makes clusters ask and returns how long each waited, in milliseconds.
func (l *quorumdLoad) grants(ctx context.Context, ask func([2]*client.Client) *client.Client) ([]float64, error) {
	out := make([]float64, splitClusters)
	errs := make([]error, splitClusters)
	var wg sync.WaitGroup
	for i := range splitClusters {
		wg.Go(func() {
			began := time.Now()
			c := ask(l.clients[i])
			errs[i] = until(ctx, 30*time.Second, func() bool { return c.Status().Answer == quorumd.Have })
			out[i] = float64(time.Since(began).Microseconds()) / 1000
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// handovers makes the second nodes ask, whose first ones have fallen silent, and
// returns how long after lease and delay each had the grant, in milliseconds.
func (l *quorumdLoad) handovers(ctx context.Context) ([]float64, error) {
	out := make([]float64, splitClusters)
	errs := make([]error, splitClusters)
	var wg sync.WaitGroup
	for i := range splitClusters {
		wg.Go(func() {
			p := l.clients[i]
			p[1].Set(arbitratedClaim(2, "n2"))
			// Leases end here a little before they do on the server.
			free := p[0].Status().Until.Add(time.Second)
			errs[i] = until(ctx, time.Minute, func() bool { return p[1].Status().Answer == quorumd.Have })
			out[i] = float64(time.Since(free).Microseconds()) / 1000
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// cpuTime is what a process has used of the processors.
func cpuTime(pid int) (time.Duration, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	var sum time.Duration
	for _, e := range entries {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, e.Name()))
		if err != nil {
			continue // it has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time: %w", err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// residentMB is the memory of a process.
func residentMB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("memory: no VmRSS")
}

// qnetd starts corosync-qnetd, without encryption and without any cluster, and
// returns its memory.
func qnetd(ctx context.Context) (float64, error) {
	if err := install(ctx, "corosync-qnetd", "corosync-qnetd"); err != nil {
		return 0, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll("/run/corosync-qnetd", 0o755); err != nil {
		return 0, fmt.Errorf("make its directory: %w", err)
	}
	cmd := exec.CommandContext(ctx, "corosync-qnetd", "-f", "-s", "off", "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-S", "local_socket_file=/run/corosync-qnetd/bench.sock", "-S", "lock_file=/run/corosync-qnetd/bench.lock")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start corosync-qnetd: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := until(ctx, 10*time.Second, func() bool {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	}); err != nil {
		return 0, fmt.Errorf("corosync-qnetd does not listen: %w: %s", err, out.String())
	}
	return residentMB(cmd.Process.Pid)
}
