package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// received is the number of packets a host got on its first network from another.
func received(t *testing.T, h *Host) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(sh(t, h, "cat /proc/net/snmp | awk '/^Icmp:/ {v=$10} END {print v}'"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A cut in one direction lets the other through: the deaf host's requests arrive, the answers do not.
func TestDropIsOneWay(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 3})
	deaf, heard := l.Host(1), l.Host(2)
	if !pings(t, deaf, heard.Addr(0)) || !pings(t, heard, deaf.Addr(0)) {
		t.Fatal("the hosts do not reach each other")
	}
	must(t, l.Drop(heard, deaf)) // frames from n2 to n1 vanish
	before := received(t, heard)
	if pings(t, deaf, heard.Addr(0)) {
		t.Error("n1 got an answer from n2")
	}
	if got := received(t, heard) - before; got != 3 {
		t.Errorf("n2 got %d of 3 requests of n1", got)
	}
	before = received(t, deaf)
	if pings(t, heard, deaf.Addr(0)) {
		t.Error("n2 got an answer from n1")
	}
	if got := received(t, deaf) - before; got != 0 {
		t.Errorf("n1 got %d requests of n2", got)
	}
	if !pings(t, deaf, l.Host(3).Addr(0)) || !pings(t, heard, l.Host(3).Addr(0)) {
		t.Error("n3 is not reached by both")
	}
	must(t, l.Undrop(heard, deaf))
	eventually(t, 5*time.Second, "n1 reaches n2 again", func() bool { return pings(t, deaf, heard.Addr(0)) })
	// One network only.
	must(t, l.Drop(heard, deaf, 1))
	if !pings(t, deaf, heard.Addr(0)) || pings(t, deaf, heard.Addr(1)) {
		t.Error("a cut of the second network is not one")
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 3})
	a, b, c := l.Host(1), l.Host(2), l.Host(3)
	must(t, l.Partition([]*Host{a}, []*Host{b, c}))
	for _, n := range []int{0, 1} {
		if pings(t, a, b.Addr(n)) || pings(t, c, a.Addr(n)) {
			t.Error("the groups reach each other")
		}
		if !pings(t, b, c.Addr(n)) || !pings(t, a, l.Addr(n)) {
			t.Error("a group is divided, or does not reach the lab")
		}
	}
	// Faults are the switch's: a reboot does not heal them.
	must(t, a.Reboot(t.Context()))
	if pings(t, a, b.Addr(0)) {
		t.Error("the partition ended with a reboot")
	}
	must(t, l.Heal())
	// A host that asked for an address in vain asks again after a second.
	eventually(t, 5*time.Second, "the partition has healed", func() bool {
		return pings(t, a, b.Addr(0)) && pings(t, c, a.Addr(1))
	})
}

func TestIsolateAndUnplug(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 2})
	a, b := l.Host(1), l.Host(2)
	must(t, a.Isolate(0))
	if pings(t, a, b.Addr(0)) || pings(t, b, a.Addr(0)) || pings(t, a, l.Addr(0)) {
		t.Error("an isolated host reaches others")
	}
	if !pings(t, a, b.Addr(1)) {
		t.Error("the other network is cut, too")
	}
	if got := sh(t, a, "cat /sys/class/net/eth0/carrier"); got != "1" {
		t.Errorf("an isolated host sees carrier %s", got)
	}
	must(t, a.Rejoin())
	must(t, a.Unplug(1))
	if pings(t, a, b.Addr(1)) || !pings(t, a, b.Addr(0)) {
		t.Error("unplugged is not cut, or too much is")
	}
	if got := sh(t, a, "cat /sys/class/net/eth1/carrier"); got != "0" {
		t.Errorf("an unplugged host sees carrier %s", got)
	}
	must(t, a.Reboot(t.Context()))
	if pings(t, a, b.Addr(1)) {
		t.Error("a reboot plugged the cable")
	}
	must(t, a.Plug())
	eventually(t, 5*time.Second, "the plugged link works", func() bool { return pings(t, a, b.Addr(1)) })
}

// Each direction loses its part.
func TestLoss(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Hosts: 2})
	a, b := l.Host(1), l.Host(2)
	if !pings(t, a, b.Addr(0)) { // so that the addresses are resolved before
		t.Fatal("the hosts do not reach each other")
	}
	lost := func() float64 {
		out, _ := a.Exec(t.Context(), "ping", "-n", "-q", "-i", "0.002", "-c", "500", "-W", "0.3", b.Addr(0).String())
		_, rest, _ := strings.Cut(out, "received, ")
		var percent float64
		if _, err := fmt.Sscanf(rest, "%f%% packet loss", &percent); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return percent
	}
	must(t, l.Loss(20, a, b))
	if got := lost(); got < 12 || got > 28 {
		t.Errorf("%.1f%% of pings lost with 20%% loss in one direction", got)
	}
	must(t, a.Loss(20))
	if got := lost(); got < 27 || got > 45 { // 36% expected
		t.Errorf("%.1f%% of pings lost with 20%% loss in both directions", got)
	}
	must(t, a.Loss(0))
	if got := lost(); got != 0 {
		t.Errorf("%.1f%% of pings lost without loss", got)
	}
}

func TestRenderFaults(t *testing.T) {
	got := renderFaults(map[path]float64{
		{0, 1, 2}: 100, {1, 2, 1}: 12.5, {0, 3, controller}: 100, {0, controller, 3}: 1,
	})
	for _, want := range []string{
		"\tchain between {\n\t\ttype filter hook forward priority 0\n" +
			"\t\tiifname \"p1-0\" oifname \"p2-0\" drop\n" +
			"\t\tiifname \"p2-1\" oifname \"p1-1\" numgen random mod 10000 < 1250 drop\n\t}\n",
		"hook input priority 0\n\t\tiifname \"p3-0\" drop\n\t}\n",
		"hook output priority 0\n\t\toifname \"p3-0\" numgen random mod 10000 < 100 drop\n\t}\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing\n%s\nin\n%s", want, got)
		}
	}
}
