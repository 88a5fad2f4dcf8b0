package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Config describes a lab. The zero value is three hosts n1, n2, n3 on two networks.
type Config struct {
	// Hosts is the number of hosts; default 3, at most 250.
	Hosts int
	// Prefix begins the hosts' names; default "n".
	Prefix string
	// Networks are the IPv4 networks, each at least a /24; default 10.77.0.0/24 and 10.78.0.0/24.
	// Host i has address i on each, the lab has 254. IPv6 addresses are derived, see Host.Addr6.
	Networks []netip.Prefix
	// Binds are directories or files of the machine that every host sees.
	Binds []Bind
	// Systemd lists the numbers of the hosts that run a real systemd as PID 1.
	Systemd []int
	// Boot is run after each power-on, also one by a power switch or by the host's own reboot. It
	// stands for what a machine does when it starts, such as starting daemons with Host.Start.
	Boot func(ctx context.Context, h *Host) error
	// Dir keeps the hosts' disks and the logs after Close; the default is a directory that goes away.
	Dir string
	// Logf gets a line for each thing that the lab does; default none.
	Logf func(format string, args ...any)
}

// Bind makes a path of the machine visible in the hosts.
type Bind struct {
	Source   string // on the machine
	Target   string // in the host; made if missing
	ReadOnly bool
}

// Lab is a set of hosts and networks. Its methods may be called from any goroutine.
type Lab struct {
	cfg    Config
	dir    string
	cgroup string // empty without control groups
	shared string
	sw     netns
	socket int // control socket in the switch
	hosts  []*Host

	mu     sync.Mutex
	faults map[path]float64 // percent of frames lost, by direction
	pdus   []*PDU
	watchs []*Watch
	closed bool

	logMu  sync.Mutex
	silent bool // after Close: a test must not log after its end

	// life ends at Close; boots run under it.
	life   context.Context
	cancel context.CancelFunc
	boots  sync.WaitGroup
}

// New makes the networks and the hosts, which are off. Enter must have been called.
func New(cfg Config) (*Lab, error) {
	if run == nil {
		return nil, errors.New("lab: call lab.Enter first in main, or lab.Main in TestMain")
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(run.path, "lab-")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	l := &Lab{cfg: cfg, dir: cfg.Dir, faults: map[path]float64{}, socket: -1}
	l.life, l.cancel = context.WithCancel(context.Background())
	if run.cgroup != "" {
		l.cgroup = filepath.Join(run.cgroup, filepath.Base(dir))
	}
	if l.dir == "" {
		l.dir = dir
	}
	l.shared = filepath.Join(l.dir, "shared")
	for _, d := range []string{l.dir, l.shared, filepath.Join(l.dir, "log")} {
		if err := os.MkdirAll(d, 0o755); err != nil { // hosts' daemons run as other users below it
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	if err := l.makeSwitch(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	for i := 1; i <= cfg.Hosts; i++ {
		h := &Host{lab: l, index: i, name: cfg.Prefix + strconv.Itoa(i), systemd: slices.Contains(cfg.Systemd, i)}
		h.unplugged = make([]bool, len(cfg.Networks))
		l.hosts = append(l.hosts, h)
	}
	for _, h := range l.hosts {
		if err := h.makeDisk(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Start makes a lab for a test and closes it at its end. Lines of the lab go to the test's log, and
// when the test fails, the ends of the services' logs too.
func Start(t testing.TB, cfg Config) *Lab {
	t.Helper()
	if cfg.Logf == nil {
		cfg.Logf = t.Logf
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.dumpLogs(t.Logf)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (c *Config) complete() error {
	if c.Hosts == 0 {
		c.Hosts = 3
	}
	if c.Hosts < 0 || c.Hosts > 250 {
		return fmt.Errorf("lab: %d hosts, 1 to 250 are possible", c.Hosts)
	}
	if c.Prefix == "" {
		c.Prefix = "n"
	}
	if len(c.Networks) == 0 {
		c.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("10.78.0.0/24")}
	}
	c.Networks = slices.Clone(c.Networks)
	for i, n := range c.Networks {
		if !n.Addr().Is4() || n.Bits() > 24 {
			return fmt.Errorf("lab: network %s: an IPv4 network of at least /24 is needed", n)
		}
		c.Networks[i] = n.Masked()
		for _, m := range c.Networks[:i] {
			if m.Overlaps(n) {
				return fmt.Errorf("lab: networks %s and %s overlap", m, n)
			}
		}
	}
	if len(c.Systemd) > 0 && (run.cgroup == "" || os.Getuid() != 0) {
		return errors.New("lab: a systemd host needs root and a version 2 control group")
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return nil
}

// makeSwitch makes the namespace with a bridge for each network.
func (l *Lab) makeSwitch() error {
	sw, err := newNetns()
	if err != nil {
		return err
	}
	l.sw = sw
	if l.socket, err = sw.controlSocket(); err != nil {
		return err
	}
	commands := []string{"link set lo up"}
	for n := range l.cfg.Networks {
		br := fmt.Sprintf("br%d", n)
		commands = append(commands,
			// No forward delay: a port carries frames as soon as it is up. No multicast snooping: it
			// would swallow neighbour discovery until a querier is found, and there is none.
			fmt.Sprintf("link add %s type bridge forward_delay 0 stp_state 0 mcast_snooping 0", br),
			fmt.Sprintf("link set %s address %s up", br, mac(n, controller)),
			fmt.Sprintf("addr add %s/%d dev %s", l.addr(n, controller), l.cfg.Networks[n].Bits(), br),
			fmt.Sprintf("addr add %s/64 dev %s nodad", l.addr6(n, controller), br))
	}
	return sw.ip(commands...)
}

// controller is the host number of the lab itself.
const controller = 254

// addr is the address of host i on network n.
func (l *Lab) addr(n, i int) netip.Addr {
	b := l.cfg.Networks[n].Addr().As4()
	b[3] = byte(i)
	return netip.AddrFrom4(b)
}

// addr6 is a unique local address (RFC 4193) whose prefix holds the IPv4 network.
func (l *Lab) addr6(n, i int) netip.Addr {
	v4 := l.cfg.Networks[n].Addr().As4()
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: v4[0], 4: v4[1], 5: v4[2], 15: byte(i)})
}

// mac is the hardware address of host i on network n. It is locally administered and the same after
// every power-on: otherwise peers would hold a stale entry for a host that came back.
func mac(n, i int) string { return fmt.Sprintf("02:4c:00:%02x:00:%02x", n, i) }

// Host is host i, from 1.
func (l *Lab) Host(i int) *Host { return l.hosts[i-1] }

// Hosts are all hosts in order.
func (l *Lab) Hosts() []*Host { return slices.Clone(l.hosts) }

// HostByName finds a host.
func (l *Lab) HostByName(name string) (*Host, error) {
	for _, h := range l.hosts {
		if h.name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("lab: there is no host %q", name)
}

// Networks is the number of networks.
func (l *Lab) Networks() int { return len(l.cfg.Networks) }

// Addr is the lab's own address on a network, from 0.
func (l *Lab) Addr(network int) netip.Addr { return l.addr(network, controller) }

// Dir is the directory with the disks and logs.
func (l *Lab) Dir() string { return l.dir }

// Shared is the directory of the machine that all hosts see as /shared, the lab's shared storage.
func (l *Lab) Shared() string { return l.shared }

// Netns is the file of the switch's network namespace, as processes in this program's pid namespace
// can open it.
func (l *Lab) Netns() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.sw.file.Fd()) }

// PowerOnAll powers all hosts on at once and waits for their boots.
func (l *Lab) PowerOnAll(ctx context.Context) error {
	errs := make([]error, len(l.hosts))
	var wg sync.WaitGroup
	for i, h := range l.hosts {
		wg.Go(func() { errs[i] = h.PowerOn(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// DialContext connects from the lab's own address. Addresses must be numeric.
func (l *Lab) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return l.sw.dial(ctx, network, addr)
}

// Listen listens in the switch, where hosts reach it at Addr.
func (l *Lab) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return l.sw.listen(ctx, network, addr)
}

// HTTPClient is a client that connects from the lab's own address.
func (l *Lab) HTTPClient() *http.Client { return l.sw.httpClient() }

// Close powers all hosts off and removes everything. It is safe to call twice.
func (l *Lab) Close() error {
	l.mu.Lock()
	closed, pdus, watchs := l.closed, l.pdus, l.watchs
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.cancel()
	var errs []error
	for _, w := range watchs {
		w.Stop()
	}
	for _, p := range pdus {
		errs = append(errs, p.Close())
	}
	for _, h := range l.hosts {
		errs = append(errs, h.close())
	}
	l.boots.Wait()
	if l.socket >= 0 {
		errs = append(errs, unix.Close(l.socket))
	}
	if l.sw.file != nil {
		errs = append(errs, l.sw.close()) // the bridges go with their namespace
	}
	if l.cgroup != "" {
		errs = append(errs, removeCgroup(l.cgroup))
	}
	if l.cfg.Dir == "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	l.logMu.Lock()
	l.silent = true
	l.logMu.Unlock()
	return errors.Join(errs...)
}

func (l *Lab) logf(format string, args ...any) {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	if !l.silent {
		l.cfg.Logf("lab: "+format, args...)
	}
}

// dumpLogs writes the ends of all logs.
func (l *Lab) dumpLogs(logf func(string, ...any)) {
	const endBytes = 4000
	logs, _ := filepath.Glob(filepath.Join(l.dir, "log", "*"))
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil || len(b) == 0 {
			continue
		}
		if len(b) > endBytes {
			b = b[len(b)-endBytes:]
		}
		logf("--- end of %s:\n%s", filepath.Base(name), strings.TrimSpace(string(b)))
	}
}
