package tiebreak

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func claim(node string) Claim {
	return Claim{Cluster: "lab", Node: node, Episode: 1, Voters: []string{"n1", "n2"}, Present: []string{node}, Generation: cib.DataGeneration{Number: 1, Nonce: 1}}
}

const (
	testLease    = 4 * time.Second
	testHandover = time.Second
)

// clocks is the time of a test's disks: real, and a jump that the test makes.
type clocks struct {
	mu   sync.Mutex
	jump time.Duration
}

func (c *clocks) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.jump)
}

func (c *clocks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump += d
}

func newDisk(t *testing.T, path string, c *clocks) *Disk {
	d := NewDisk(DiskConfig{Path: path, Offset: 4096, Lease: testLease, Handover: testHandover, Now: c.now})
	t.Cleanup(d.Close)
	return d
}

func diskFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(path, make([]byte, 8192), 0o600))
	return path
}

// Both halves ask at the same moment, again and again: at most one is told yes.
func TestDiskRace(t *testing.T) {
	for range 5 {
		path := diskFile(t)
		var c clocks
		disks := []*Disk{newDisk(t, path, &c), newDisk(t, path, &c)}
		answers := make([]Answer, 2)
		var wg sync.WaitGroup
		for i, d := range disks {
			wg.Go(func() { answers[i] = d.Ask(t.Context(), claim(fmt.Sprint("n", i+1))) })
		}
		wg.Wait()
		if answers[0].Answer == cib.QuorumHave && answers[1].Answer == cib.QuorumHave {
			t.Fatalf("both have the lease: %+v", answers)
		}
		t.Logf("%s %s, %s %s", answers[0].Answer, answers[0].Reason, answers[1].Answer, answers[1].Reason)
	}
}

// The lease is renewed, is refused to the other half, moves when its holder was
// silent for lease and delay, and can't be renewed by the old holder then.
func TestDiskHandover(t *testing.T) {
	path := diskFile(t)
	var c clocks
	one, two := newDisk(t, path, &c), newDisk(t, path, &c)
	ask := func(d *Disk, node string) Answer {
		t.Helper()
		a := d.Ask(t.Context(), claim(node))
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		return a
	}
	first := ask(one, "n1")
	if first.Answer != cib.QuorumHave || !first.Settled.After(c.now()) {
		t.Fatalf("the first one is told %+v", first)
	}
	if a := ask(two, "n2"); a.Answer != cib.QuorumNo || !strings.Contains(a.Reason, "n1 has the lease") {
		t.Fatalf("the second one is told %+v", a)
	}
	c.pass(testLease / 2)
	if a := ask(one, "n1"); a.Answer != cib.QuorumHave || !a.Until.After(first.Until) {
		t.Fatalf("the renewal says %+v", a)
	}
	c.pass(testLease)
	if a := ask(two, "n2"); a.Answer != cib.QuorumNo {
		t.Fatalf("before the delay has passed the second one is told %+v", a)
	}
	c.pass(testLease + 2*testHandover)
	if a := ask(two, "n2"); a.Answer != cib.QuorumHave {
		t.Fatalf("after the delay the second one is told %+v", a)
	}
	if a := ask(one, "n1"); a.Answer != cib.QuorumNo {
		t.Fatalf("the first one, too late, is told %+v", a)
	}
	// A majority again: it is given back, and free for whoever asks.
	must(t, two.Check(t.Context(), true))
	if a := ask(one, "n1"); a.Answer != cib.QuorumHave {
		t.Fatalf("after it was given back the first one is told %+v", a)
	}
}

// A disk that is somebody else's, returns old data, or has a newer generation on it
// gives nothing.
func TestDiskBad(t *testing.T) {
	path := diskFile(t)
	var c clocks
	d := newDisk(t, path, &c)
	old, err := os.ReadFile(path)
	must(t, err)
	if a := d.Ask(t.Context(), claim("n1")); a.Answer != cib.QuorumHave {
		t.Fatalf("%+v", a)
	}
	stale := claim("n2")
	stale.Generation.Number = 0
	if a := newDisk(t, path, &c).Ask(t.Context(), stale); a.Answer != cib.QuorumNo || !strings.Contains(a.Reason, "and 1 is known") {
		t.Errorf("stale data: %+v", a)
	}
	other := claim("n2")
	other.Cluster = "prod"
	if a := newDisk(t, path, &c).Ask(t.Context(), other); a.Err == nil || !strings.Contains(a.Err.Error(), "belongs to cluster lab") {
		t.Errorf("another cluster's disk: %+v", a)
	}
	must(t, os.WriteFile(path, old, 0o600))
	if a := d.Ask(t.Context(), claim("n1")); a.Err == nil || !strings.Contains(a.Err.Error(), "old data") {
		t.Errorf("old data: %+v", a)
	}
	must(t, os.WriteFile(path, []byte(strings.Repeat("someone's file system ", 1000)), 0o600))
	if a := newDisk(t, path, &c).Ask(t.Context(), claim("n1")); a.Err == nil || !strings.Contains(a.Err.Error(), "something else") {
		t.Errorf("data of somebody else: %+v", a)
	}
	if err := newDisk(t, filepath.Join(t.TempDir(), "none"), &c).Check(t.Context(), true); err == nil {
		t.Error("a device that is not there is ready")
	}
}

// fakePersist is a sg_persist whose device is a file of keys. BROKEN makes it say
// that it has done what it has not; each line of its file of attentions is a unit attention.
const fakePersist = `#!/bin/sh
dev= rk= sark= what=
for a; do
	case $a in
	--param-rk=*) rk=${a#*=} ;;
	--param-sark=*) sark=${a#*=} ;;
	--read-keys | --register-ignore | --reserve | --preempt) what=${a#--} ;;
	/*) dev=$a ;;
	esac
done
exec 9>>"$dev.lock"
flock 9
if [ -s "$dev.attention" ]; then
	sed -i 1d "$dev.attention"
	echo "PR in (Read keys): Unit attention, Registrations preempted"
	exit 6
fi
case $what in
read-keys) echo "  fake disk"; echo "  PR generation=0x1, registered reservation keys follow:"; sed 's/^/    /' "$dev" ;;
register-ignore) echo "$sark" >>"$dev" ;;
reserve) grep -qx "$rk" "$dev" || exit 24 ;;
preempt)
	[ -e "$dev.broken" ] && exit 0
	grep -qx "$rk" "$dev" || { echo "persistent reserve out: scsi status: Reservation Conflict"; exit 24; }
	grep -vx "$sark" "$dev" >"$dev.new"
	cat "$dev.new" >"$dev"
	;;
*) exit 1 ;;
esac
`

// Both halves race for the reservation on two paths: one of them at most is told
// yes, and the loser's key does not come back while there is no majority.
func TestSCSI(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "sg_persist")
	must(t, os.WriteFile(program, []byte(fakePersist), 0o700))
	devices := []string{filepath.Join(dir, "sda"), filepath.Join(dir, "sdb")}
	for _, d := range devices {
		must(t, os.WriteFile(d, nil, 0o600))
	}
	breaker := func(node string) *SCSI {
		return NewSCSI(SCSIConfig{Program: program, Devices: devices, Timeout: 20 * time.Second, Good: time.Minute, Cluster: "lab", Node: node, Now: time.Now})
	}
	one, two := breaker("n1"), breaker("n2")
	if a := one.Ask(t.Context(), claim("n1")); a.Answer != cib.QuorumNo || !strings.Contains(a.Reason, "not registered") {
		t.Errorf("without a key: %+v", a)
	}
	must(t, one.Check(t.Context(), true))
	must(t, two.Check(t.Context(), true))
	answers := make([]Answer, 2)
	var wg sync.WaitGroup
	for i, s := range []*SCSI{one, two} {
		wg.Go(func() { answers[i] = s.Ask(t.Context(), claim(fmt.Sprint("n", i+1))) })
	}
	wg.Wait()
	if answers[0].Answer == cib.QuorumHave && answers[1].Answer == cib.QuorumHave {
		t.Fatalf("both have the reservation: %+v", answers)
	}
	must(t, os.WriteFile(devices[0], nil, 0o600))
	must(t, os.WriteFile(devices[1], nil, 0o600))
	must(t, one.Check(t.Context(), true))
	must(t, two.Check(t.Context(), true))
	if a := one.Ask(t.Context(), claim("n1")); a.Answer != cib.QuorumHave {
		t.Fatalf("alone: %+v", a)
	}
	must(t, two.Check(t.Context(), false))
	if a := two.Ask(t.Context(), claim("n2")); a.Answer != cib.QuorumNo {
		t.Errorf("the loser: %+v", a)
	}
	if a := one.Ask(t.Context(), claim("n1")); a.Answer != cib.QuorumHave {
		t.Errorf("looked at again: %+v", a)
	}
	must(t, two.Check(t.Context(), true))
	must(t, os.WriteFile(devices[1]+".broken", nil, 0o600))
	if a := one.Ask(t.Context(), claim("n1")); a.Answer == cib.QuorumHave {
		t.Errorf("a device that says done and does nothing: %+v", a)
	}
	// A device says first what has happened to it, here three times.
	must(t, os.WriteFile(devices[1]+".attention", []byte("1\n2\n3\n"), 0o600))
	if a := one.Ask(t.Context(), claim("n1")); a.Err != nil {
		t.Errorf("a device with something to say: %+v", a)
	}
	must(t, os.WriteFile(devices[1]+".attention", []byte(strings.Repeat("1\n", 100)), 0o600))
	if a := one.Ask(t.Context(), claim("n1")); a.Err == nil {
		t.Errorf("a device that has ever more to say: %+v", a)
	}
	one.cfg.Program = filepath.Join(dir, "none")
	if err := one.Check(t.Context(), true); err == nil {
		t.Error("without sg_persist the device is ready")
	}
}

// An address that answers, and one that does not (RFC 6666, discard only).
func TestPing(t *testing.T) {
	c, err := net.Dial("ip4:icmp", "127.0.0.1")
	if err != nil {
		t.Logf("no raw sockets here: %v", err)
		p := NewPing(PingConfig{Addresses: []string{"127.0.0.1"}, Count: 1, Timeout: time.Second, Good: time.Second, Now: time.Now})
		if a := p.Ask(t.Context(), claim("n1")); a.Err == nil {
			t.Errorf("without the right to ask: %+v", a)
		}
		return
	}
	_ = c.Close()
	ask := func(addresses ...string) Answer {
		return NewPing(PingConfig{Addresses: addresses, Count: 1, Timeout: 300 * time.Millisecond, Good: time.Second, Now: time.Now}).Ask(context.Background(), claim("n1"))
	}
	if a := ask("100::1", "127.0.0.1"); a.Answer != cib.QuorumHave || !strings.Contains(a.Reason, "127.0.0.1 answers") {
		t.Errorf("an address that answers: %+v", a)
	}
	if a := ask("100::1"); a.Answer != cib.QuorumNo || !strings.Contains(a.Reason, "does not answer") {
		t.Errorf("an address that does not: %+v", a)
	}
}
