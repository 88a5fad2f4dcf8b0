package trap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
	"github.com/belay-ha/belay/snmp/mib"
	"github.com/belay-ha/belay/snmp/usm"
)

var testRoot = mib.Root(mib.DocumentationPEN)

func testEvent(seq uint64, number int, args ...string) *cib.Event {
	ev := event.New(number, args...)
	ev.Seq, ev.Source, ev.Time = seq, "n1", time.Unix(1_800_000_000, 0)
	return &ev
}

func TestCheck(t *testing.T) {
	user := &usm.User{Name: "ops", Auth: "SHA-256", AuthPass: "authpass123", Priv: "AES", PrivPass: "privpass123"}
	good := Target{Name: "nms", Address: "[::1]:162", Version: V3, User: user}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*Target){
		"no port":      func(t *Target) { t.Address = "nms" },
		"port 0":       func(t *Target) { t.Address = "nms:0" },
		"a name of it": func(t *Target) { t.Address = "nms:snmptrap" },
		"no host":      func(t *Target) { t.Address = ":162" },
		"no version":   func(t *Target) { t.Version = 0 },
		"no community": func(t *Target) { t.Version = V2c },
		"no user":      func(t *Target) { t.User = nil },
		"a short phrase": func(t *Target) {
			t.User = &usm.User{Name: "x", Auth: "SHA", AuthPass: "1234567", Priv: "AES", PrivPass: "12345678"}
		},
		"MD5": func(t *Target) {
			t.User = &usm.User{Name: "x", Auth: "MD5", AuthPass: "12345678", Priv: "AES", PrivPass: "12345678"}
		},
		"DES": func(t *Target) {
			t.User = &usm.User{Name: "x", Auth: "SHA", AuthPass: "12345678", Priv: "DES", PrivPass: "12345678"}
		},
	} {
		bad := good
		change(&bad)
		err := bad.Check()
		if err == nil {
			t.Errorf("%s: taken", what)
		} else if strings.Contains(err.Error(), "12345678") {
			t.Errorf("%s: a pass phrase is in %q", what, err)
		}
	}
}

func testConfig() *Config {
	return &Config{
		Root: testRoot, EngineID: EngineID(mib.DocumentationPEN, "test"), Cluster: "prod", Started: time.Now(), Log: slog.New(slog.DiscardHandler),
	}
}

// trapd is a real receiver.
type trapd struct {
	t    *testing.T
	dir  string
	host net.IP
	port int
	cmd  *exec.Cmd
}

// trapds counts them.
var trapds atomic.Int32

func newTrapd(t *testing.T) *trapd {
	t.Helper()
	// Each has an address of its own: a free port of 127.0.0.1 may be somebody else's
	// before the receiver is there.
	host := net.IPv4(127, 83, byte(os.Getpid()), byte(trapds.Add(1)))
	c, err := net.ListenPacket("udp", net.JoinHostPort(host.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	d := &trapd{t: t, dir: t.TempDir(), host: host.To4(), port: c.LocalAddr().(*net.UDPAddr).Port}
	_ = c.Close()
	conf := "authCommunity log public\n"
	for _, user := range []string{"ops SHA-256 authpass123 AES privpass123", "safe SHA-512 authpass123 AES-256 privpass123"} {
		conf += fmt.Sprintf("createUser -e 0x%x %s\ncreateUser %s\n", EngineID(mib.DocumentationPEN, "test"), user, user)
	}
	conf += "authUser log ops priv\nauthUser log safe priv\n"
	if err := os.WriteFile(filepath.Join(d.dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *trapd) start() {
	d.t.Helper()
	d.cmd = exec.Command("snmptrapd", "-f", "-A", "-Lf", filepath.Join(d.dir, "log"), "-C", "-c", filepath.Join(d.dir, "conf"), "-On", fmt.Sprintf("udp:%s:%d", d.host, d.port))
	d.cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+d.dir, "MIBS=")
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(d.stop)
}

func (d *trapd) stop() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

var received = regexp.MustCompile(`\.1\.3\.6\.1\.6\.3\.1\.1\.4\.1\.0 = OID: (\S+)(?:.*?` + regexp.QuoteMeta("."+testRoot.String()+".1.13.1.0") + ` = Counter64: (\d+))?`)

// log lists what has arrived: "3002#1" is event 3002 with sequence 1.
func (d *trapd) log() []string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	var out []string
	for _, m := range received.FindAllStringSubmatch(string(b), -1) {
		if m[1] == probe {
			continue
		}
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(m[1], "."+testRoot.String()+".0.")+"#"+m[2], "#"))
	}
	return out
}

func (d *trapd) await(want ...string) {
	d.t.Helper()
	for end := time.Now().Add(40 * time.Second); ; <-time.After(5 * time.Millisecond) {
		got := d.log()
		if strings.Join(got, " ") == strings.Join(want, " ") {
			return
		}
		if time.Now().After(end) || len(got) > len(want) {
			raw, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			d.t.Fatalf("received %v, want %v\n%s", got, want, raw)
		}
	}
}

func (d *trapd) target(version Version, inform bool) *Target {
	return &Target{
		Name: "nms", Address: fmt.Sprintf("%s:%d", d.host, d.port), Version: version, Inform: inform, Community: "public", Timeout: time.Second, Retries: 1,
		User: &usm.User{Name: "ops", Auth: "SHA-256", AuthPass: "authpass123", Priv: "AES", PrivPass: "privpass123"},
	}
}

// run is a DC that sends until the function it returns is called.
func run(t *testing.T, e *outboxtest.Engine, cfg *Config, target *Target) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	box := &outbox.Box{Engine: e, Kind: "snmp", Log: cfg.Log}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		box.Serve(ctx, func() (bool, <-chan struct{}) { return true, nil }, []*outbox.Target{target.Outbox(cfg)})
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

const coldStartName = ".1.3.6.1.6.3.1.1.5.1"

// All four kinds arrive at net-snmp's receiver, in order, with everything they carry.
func TestKinds(t *testing.T) {
	for name, x := range map[string]struct {
		version Version
		inform  bool
		user    string
	}{
		"v2c trap": {V2c, false, ""}, "v2c inform": {V2c, true, ""}, "v3 trap": {V3, false, "ops"}, "v3 inform": {V3, true, "ops"},
		"v3 trap with long keys": {V3, false, "safe"}, "v3 inform with long keys": {V3, true, "safe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, e := newTrapd(t), outboxtest.New()
			d.start()
			awaitReady(t, d)
			e.Add(testEvent(1, event.NodeLost)) // before there was a target
			target := d.target(x.version, x.inform)
			if x.user == "safe" {
				target.User.Name, target.User.Auth, target.User.Priv = "safe", "SHA-512", "AES-256"
			}
			run(t, e, testConfig(), target)
			d.await(coldStartName)
			e.Add(testEvent(2, event.NodeLost, "node", "n2", "silence", "1s"), testEvent(3, event.ViewChanged), testEvent(4, event.NodeFenced, "node", "n2", "by", "pdu", "proof", "p1"))
			d.await(coldStartName, "3002#1", "3004#2")
			raw, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			for _, want := range []string{`"node n2 was not heard for 1s; it is unclean until a fence proof is recorded"`, `"BLY3002"`, `"prod"`, `.1.13.8.0 = STRING: "n2"`, `"p1"`} {
				if !strings.Contains(string(raw), want) {
					t.Errorf("%s did not arrive:\n%s", want, raw)
				}
			}
			if strings.Contains(string(raw), "privpass") {
				t.Error("a pass phrase is in what arrives")
			}
		})
	}
}

// probe is a notification that only tests send: linkUp.
const probe = ".1.3.6.1.6.3.1.1.5.4"

// awaitReady waits until the receiver writes down what it gets: a trap before that would be
// lost, as traps are. That it has its port is not enough.
func awaitReady(t *testing.T, d *trapd) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; <-time.After(20 * time.Millisecond) {
		cmd := exec.CommandContext(t.Context(), "snmptrap", "-v2c", "-c", "public", net.JoinHostPort(d.host.String(), strconv.Itoa(d.port)), "", probe)
		cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+d.dir, "MIBS=")
		_ = cmd.Run() // refused, as long as there is nobody
		b, err := os.ReadFile(filepath.Join(d.dir, "log"))
		if err == nil && strings.Contains(string(b), probe) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("snmptrapd is not ready: %s", b)
		}
	}
}

// A receiver that is away gets everything when it is back, in order, from whoever sends
// then, without a gap.
func TestNothingIsLost(t *testing.T) {
	d, e := newTrapd(t), outboxtest.New()
	target := d.target(V3, true)
	target.Timeout, target.Retries = 200*time.Millisecond, 0
	e.Put("snmp-cursor/nms", &outbox.Cursor{Sequence: 7})
	stop := run(t, e, testConfig(), target)
	for i := range 5 {
		e.Add(testEvent(uint64(i+1), event.ResourceStopped, "resource", "web", "node", "n1"))
	}
	stop() // the DC is powered off with everything pending
	run(t, e, testConfig(), target)
	d.start()
	d.await("3029#8", "3029#9", "3029#10", "3029#11", "3029#12")
	e.Add(testEvent(9, event.ResourceStarted, "resource", "web", "node", "n2"))
	d.await("3029#8", "3029#9", "3029#10", "3029#11", "3029#12", "3028#13")
}

// Heartbeats carry the number of the newest notification.
func TestHeartbeat(t *testing.T) {
	d, e := newTrapd(t), outboxtest.New()
	d.start()
	awaitReady(t, d)
	e.Put("snmp-cursor/nms", &outbox.Cursor{Sequence: 41})
	cfg := testConfig()
	cfg.Heartbeat = 20 * time.Millisecond
	cfg.View = func() *mib.View {
		return &mib.View{Node: "n1", Summary: &status.Summary{Cluster: status.Cluster{State: status.ClusterNormal}}}
	}
	stop := run(t, e, cfg, d.target(V2c, false))
	for end := time.Now().Add(20 * time.Second); len(d.log()) < 2; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no heartbeat")
		}
	}
	stop()
	if got := d.log()[0]; got != "1#41" {
		t.Errorf("%s", got)
	}
}

func TestEngineTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b1, t1 := engineTime(now)
	b2, t2 := engineTime(now.Add(engineEpoch * time.Second))
	if b2 != b1+1 || t1 != t2 || uint64(b1)*engineEpoch+uint64(t1) != 1_800_000_000 {
		t.Errorf("%d %d, %d %d", b1, t1, b2, t2)
	}
	id := EngineID(mib.DocumentationPEN, "a")
	if len(id) != 21 || id[0] != 0x80 || id[3] != 0xd9 || id[4] != 5 {
		t.Errorf("%x", id)
	}
}
