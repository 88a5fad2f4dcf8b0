package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// path is one direction between two ends on a network. An end is a host's number or controller.
type path struct{ network, from, to int }

// Unplug pulls the host's cable on the networks (all, if none is given): the host sees that its link
// has no carrier. It stays unplugged over power-offs until Plug or Lab.Heal.
func (h *Host) Unplug(networks ...int) error { return h.setPlugs(true, networks) }

// Plug puts the cables back.
func (h *Host) Plug(networks ...int) error { return h.setPlugs(false, networks) }

func (h *Host) setPlugs(out bool, networks []int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.lab.networksOrAll(networks) {
		h.unplugged[n] = out
		if h.boot != nil {
			if err := setLink(h.lab.socket, h.port(n), !out); err != nil {
				return err
			}
		}
	}
	return nil
}

// Isolate makes all frames to and from the host vanish in the switch, also those of the lab's own
// address. The host's links stay up: nobody tells it.
func (h *Host) Isolate(networks ...int) error { return h.Loss(100, networks...) }

// Rejoin ends Isolate and Loss, and every Drop with this host at one end.
func (h *Host) Rejoin(networks ...int) error { return h.Loss(0, networks...) }

// Loss makes the switch lose a part of the frames to the host and, independently, from it. A ping
// and its answer both have to get through. 0 ends it.
func (h *Host) Loss(percent float64, networks ...int) error {
	var paths []path
	for _, n := range h.lab.networksOrAll(networks) {
		for _, other := range h.lab.ends() {
			if other != h.index {
				paths = append(paths, path{n, h.index, other}, path{n, other, h.index})
			}
		}
	}
	return h.lab.setFaults(percent, paths)
}

// Drop makes the frames from one host to another vanish, in this direction only.
func (l *Lab) Drop(from, to *Host, networks ...int) error { return l.Loss(100, from, to, networks...) }

// Undrop ends Drop and Loss between the two, in this direction.
func (l *Lab) Undrop(from, to *Host, networks ...int) error { return l.Loss(0, from, to, networks...) }

// Loss makes the switch lose a part of the frames from one host to another. 0 ends it.
func (l *Lab) Loss(percent float64, from, to *Host, networks ...int) error {
	var paths []path
	for _, n := range l.networksOrAll(networks) {
		paths = append(paths, path{n, from.index, to.index})
	}
	return l.setFaults(percent, paths)
}

// Partition makes the frames between hosts of different groups vanish, on all networks, both ways. A
// host in no group reaches everyone. The lab's own address is reached by all; use Isolate where a
// host must not reach its power switch either.
func (l *Lab) Partition(groups ...[]*Host) error {
	var paths []path
	for i, group := range groups {
		for j, other := range groups {
			if i == j {
				continue
			}
			for _, a := range group {
				for _, b := range other {
					for n := range l.cfg.Networks {
						paths = append(paths, path{n, a.index, b.index})
					}
				}
			}
		}
	}
	return l.setFaults(100, paths)
}

// Heal ends all faults of all links and plugs all cables.
func (l *Lab) Heal() error {
	l.mu.Lock()
	clear(l.faults)
	err := l.applyFaults()
	l.mu.Unlock()
	errs := []error{err}
	for _, h := range l.hosts {
		errs = append(errs, h.Plug())
	}
	return errors.Join(errs...)
}

// Faults are the faults of all links in words.
func (l *Lab) Faults() []string {
	var found []string
	for _, h := range l.hosts {
		h.mu.RLock()
		for n, out := range h.unplugged {
			if out {
				found = append(found, fmt.Sprintf("%s: the cable of eth%d is pulled", h.name, n))
			}
		}
		h.mu.RUnlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range sortedPaths(l.faults) {
		found = append(found, fmt.Sprintf("network %d: %s to %s: %g%% lost", p.network, l.endName(p.from), l.endName(p.to), l.faults[p]))
	}
	return found
}

func (l *Lab) endName(i int) string {
	if i == controller {
		return "lab"
	}
	return l.Host(i).name
}

func (l *Lab) setFaults(percent float64, paths []path) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("lab: loss of %g%%", percent)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range paths {
		if percent == 0 {
			delete(l.faults, p)
		} else {
			l.faults[p] = percent
		}
	}
	return l.applyFaults()
}

// applyFaults writes all faults to the switch in one transaction.
func (l *Lab) applyFaults() error {
	return l.sw.run(renderFaults(l.faults), "nft", "-f", "-")
}

// renderFaults is the rule set for the faults. The rules are in the bridge, so they see every frame
// of whatever protocol, and by port, so they do not depend on addresses. Between two hosts a frame
// is forwarded; to and from the lab's own address it is input and output of the bridge.
func renderFaults(faults map[path]float64) string {
	var between, toLab, fromLab strings.Builder
	for _, p := range sortedPaths(faults) {
		loss := ""
		if faults[p] < 100 {
			loss = fmt.Sprintf(" numgen random mod 10000 < %d", int(faults[p]*100))
		}
		in, out := portName(p.network, p.from), portName(p.network, p.to)
		switch {
		case p.to == controller:
			fmt.Fprintf(&toLab, "\t\tiifname %q%s drop\n", in, loss)
		case p.from == controller:
			fmt.Fprintf(&fromLab, "\t\toifname %q%s drop\n", out, loss)
		default:
			fmt.Fprintf(&between, "\t\tiifname %q oifname %q%s drop\n", in, out, loss)
		}
	}
	var b strings.Builder
	// Deleting a table that does not exist is an error, adding one that exists is not.
	b.WriteString("add table bridge lab\ndelete table bridge lab\ntable bridge lab {\n")
	fmt.Fprintf(&b, "\tchain between {\n\t\ttype filter hook forward priority 0\n%s\t}\n", between.String())
	fmt.Fprintf(&b, "\tchain tolab {\n\t\ttype filter hook input priority 0\n%s\t}\n", toLab.String())
	fmt.Fprintf(&b, "\tchain fromlab {\n\t\ttype filter hook output priority 0\n%s\t}\n", fromLab.String())
	b.WriteString("}\n")
	return b.String()
}

func sortedPaths(faults map[path]float64) []path {
	paths := make([]path, 0, len(faults))
	for p := range faults {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b path) int {
		return slices.Compare([]int{a.network, a.from, a.to}, []int{b.network, b.from, b.to})
	})
	return paths
}

func (l *Lab) networksOrAll(networks []int) []int {
	if len(networks) > 0 {
		return networks
	}
	all := make([]int, len(l.cfg.Networks))
	for n := range all {
		all[n] = n
	}
	return all
}

// ends are the numbers of all that has a port or an address on a network.
func (l *Lab) ends() []int {
	ends := []int{controller}
	for _, h := range l.hosts {
		ends = append(ends, h.index)
	}
	return ends
}

// portName is the switch's end of host i's cable on network n.
func portName(n, i int) string { return fmt.Sprintf("p%d-%d", i, n) }
