package cib

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A quorum device's parameters, by kind. Each kind has its own; others are faults.
//
//	quorumd  servers, fingerprint, hand-over-delay, lease, interval, cluster
//	disk     device, offset, hand-over-delay, lease, interval
//	scsi     devices, interval, timeout
//	ping     addresses, count, timeout, force
//	node     none

// QuorumDeviceParams are the parameters of a quorum device with their defaults.
// Fields that its kind does not have are zero.
type QuorumDeviceParams struct {
	Servers []string // quorumd: host:port, tried in turn
	Pins    []string // quorumd: of the servers' keys
	Cluster string   // quorumd: the name of this cluster there; default its own
	// Handover is the time after which the other half has stopped or reset itself:
	// a grant does not change hands sooner. Default [Options.LoserTime].
	Handover time.Duration
	Lease    time.Duration // quorumd, disk: how long an answer is good; default 5s
	Interval time.Duration // quorumd, disk, scsi: between renewals; default 1s
	Devices  []string      // disk (one), scsi: paths
	Offset   int64         // disk: where on the device the lease lies, in bytes
	Address  []string      // ping: IP addresses; one that answers is enough
	Count    int           // ping: packets without an answer that make a veto; default 3
	Timeout  time.Duration // ping, scsi: of one packet or call; default 500ms, 10s
	Force    bool          // ping: without fencing, too
}

// PortQuorumd is the default TCP port of belay-quorumd.
const PortQuorumd = 7410

// Limits of quorum devices.
const (
	leaseMin          = 500 * time.Millisecond
	leaseMax          = 5 * time.Minute
	handoverMax       = time.Hour
	quorumServersMax  = 8
	quorumIntervalMin = 100 * time.Millisecond
)

// LoserTime is the longest time from the moment when the voters echo a node no
// more until nothing runs on it: its validity ends, its resources stop within
// stop-grace or the machine resets itself, at the latest by its watchdog. A part in
// fifty is for clocks that run at different speeds. It holds for the policies stop,
// demote and fence; with freeze and ignore nothing is stopped at all.
func (o *Options) LoserTime() time.Duration {
	t := o.ValidityTime() + o.StopGraceTime() + o.StartGraceTime() + 2*o.WatchdogTime()
	return (t + t/50).Round(time.Millisecond)
}

// LoserTime is that of the options with the longest time-out that the watchdog of a node
// has: one whose driver takes other ones than it is told, or that has not heard of a
// shorter one yet, needs longer.
func (s *Snapshot) LoserTime() time.Duration {
	o := s.Config.Cluster.Options
	for _, m := range s.Status.Members {
		if m.Watchdog != nil {
			o.WatchdogTimeout = max(Duration(o.WatchdogTime()), m.Watchdog.Timeout)
		}
	}
	return o.LoserTime()
}

// StartGraceTime is how long a node that has not been valid yet waits before the
// no-quorum-policy acts on what an earlier engine left running: long enough for the
// store to elect, the DC to be elected and the first echoes to come.
func (o *Options) StartGraceTime() time.Duration { return 10*time.Second + o.ValidityTime() }

// Params reads the parameters of a device, with their defaults.
func (d *QuorumDevice) Params(o *Options) (QuorumDeviceParams, error) {
	p := QuorumDeviceParams{Handover: o.LoserTime(), Lease: 5 * time.Second, Interval: time.Second, Count: 3, Timeout: 500 * time.Millisecond}
	if d.Kind == QuorumDeviceSCSI {
		p.Timeout = 10 * time.Second
	}
	known := map[QuorumDeviceKind][]string{
		QuorumDeviceQuorumd: {"servers", "fingerprint", "hand-over-delay", "lease", "interval", "cluster"},
		QuorumDeviceDisk:    {"device", "offset", "hand-over-delay", "lease", "interval"},
		QuorumDeviceSCSI:    {"devices", "interval", "timeout"},
		QuorumDevicePing:    {"addresses", "count", "timeout", "force"},
	}[d.Kind]
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		if !slices.Contains(known, name) {
			text := "is no parameter of kind " + d.Kind.String()
			if len(known) > 0 {
				text += similar(name, known)
			}
			return p, &ParamError{name, text}
		}
		if err := p.set(name, strings.TrimSpace(d.Parameters[name])); err != nil {
			return p, &ParamError{name, err.Error()}
		}
	}
	return p, p.complete(d.Kind)
}

// ParamError says which parameter is wrong.
type ParamError struct{ Name, Text string }

func (e *ParamError) Error() string { return e.Name + " " + e.Text }

func (p *QuorumDeviceParams) set(name, value string) (err error) {
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
	duration := func(low, high time.Duration) (time.Duration, error) {
		d, err := ParseDuration(value)
		if err != nil {
			return 0, err
		}
		if d.D() < low || d.D() > high {
			return 0, fmt.Errorf("%s is not between %s and %s", value, low, high)
		}
		return d.D(), nil
	}
	switch name {
	case "servers":
		for _, s := range list {
			p.Servers = append(p.Servers, withPort(s, PortQuorumd))
		}
	case "fingerprint":
		p.Pins = list
	case "cluster":
		p.Cluster = value
	case "hand-over-delay":
		p.Handover, err = duration(0, handoverMax)
	case "lease":
		p.Lease, err = duration(leaseMin, leaseMax)
	case "interval":
		p.Interval, err = duration(quorumIntervalMin, time.Minute)
	case "timeout":
		p.Timeout, err = duration(10*time.Millisecond, time.Minute)
	case "device", "devices":
		p.Devices = list
	case "offset":
		p.Offset, err = strconv.ParseInt(value, 10, 64)
		if err == nil && (p.Offset < 0 || p.Offset%4096 != 0) {
			err = fmt.Errorf("%s is not a multiple of 4096", value)
		}
	case "addresses":
		p.Address = list
	case "count":
		p.Count, err = strconv.Atoi(value)
		if err == nil && (p.Count < 1 || p.Count > 100) {
			err = fmt.Errorf("%s is not between 1 and 100", value)
		}
	case "force":
		p.Force, err = strconv.ParseBool(value)
	}
	return err
}

// withPort adds the default port to the name or address of a server that has none.
func withPort(server string, port int) string {
	if a, err := netip.ParseAddr(strings.Trim(server, "[]")); err == nil {
		return netip.AddrPortFrom(a, uint16(port)).String()
	}
	if strings.Contains(server, ":") {
		return server
	}
	return server + ":" + strconv.Itoa(port)
}

// complete checks what must be there, and how the times fit together.
func (p *QuorumDeviceParams) complete(kind QuorumDeviceKind) error {
	fault := func(name, format string, args ...any) error { return &ParamError{name, fmt.Sprintf(format, args...)} }
	switch kind {
	case QuorumDeviceQuorumd:
		switch {
		case len(p.Servers) == 0 || len(p.Servers) > quorumServersMax:
			return fault("servers", "names %d servers; 1 to %d are possible", len(p.Servers), quorumServersMax)
		case len(p.Pins) == 0 || len(p.Pins) > quorumServersMax:
			return fault("fingerprint", "names %d keys; 1 to %d are possible: belay-quorumd key prints it", len(p.Pins), quorumServersMax)
		}
		for _, pin := range p.Pins {
			if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256:")); err != nil || len(b) != 32 || !strings.HasPrefix(pin, "sha256:") {
				return fault("fingerprint", "%.80q is no pin: it is what belay-quorumd key prints, sha256: and 44 letters", pin)
			}
		}
	case QuorumDeviceDisk:
		if len(p.Devices) != 1 || !strings.HasPrefix(p.Devices[0], "/") {
			return fault("device", "must be the path of one block device or file that all voters share")
		}
	case QuorumDeviceSCSI:
		if len(p.Devices) == 0 || slices.ContainsFunc(p.Devices, func(s string) bool { return !strings.HasPrefix(s, "/") }) {
			return fault("devices", "must be the paths of shared devices")
		}
		return nil
	case QuorumDevicePing:
		if len(p.Address) == 0 || slices.ContainsFunc(p.Address, func(s string) bool { _, err := netip.ParseAddr(s); return err != nil }) {
			return fault("addresses", "must be IP addresses")
		}
		return nil
	case QuorumDeviceNode:
		return nil
	}
	if p.Lease < 3*p.Interval {
		return fault("lease", "of %s is shorter than three intervals of %s: one lost answer would end it", p.Lease, p.Interval)
	}
	return nil
}

// QuorumOrder lists the tie-breakers in the order in which they are asked.
func (c *Config) QuorumOrder() []string {
	return slices.SortedFunc(maps.Keys(c.QuorumDevices), func(a, b string) int {
		if x, y := c.QuorumDevices[a].Order, c.QuorumDevices[b].Order; x != y {
			return cmp.Compare(x, y)
		}
		return strings.Compare(a, b)
	})
}
