package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/snmp/mib"
)

var mibRoot = mib.Root(mib.DocumentationPEN)

// await polls until there is nothing to wait for.
func await(t *testing.T, most time.Duration, what string, missing func() string) {
	t.Helper()
	began := time.Now()
	for {
		last := missing()
		if last == "" {
			t.Logf("%s (after %s)", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > most {
			t.Fatalf("in vain: %s: %s", what, last)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// snmp runs one of net-snmp's tools against a node.
func (d *devCluster) snmp(tool, address string, args ...string) (string, error) {
	d.t.Helper()
	s := d.file().SNMP
	all := append([]string{"-v3", "-l", "authPriv", "-u", s.User, "-a", s.Auth, "-A", s.AuthPass, "-x", s.Priv, "-X", s.PrivPass, "-On", "-Oq", "-Oe", address}, args...)
	cmd := exec.CommandContext(d.t.Context(), tool, all...)
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+d.dir)
	out, err := cmd.Output()
	return string(out), err
}

// trapd is a receiver of notifications.
type trapd struct {
	dir  string
	port int
	cmd  *exec.Cmd
}

func newTrapd(t *testing.T) *trapd {
	t.Helper()
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	must(t, err)
	defer c.Close()
	return &trapd{dir: t.TempDir(), port: c.LocalAddr().(*net.UDPAddr).Port}
}

func (r *trapd) start(t *testing.T, d *devCluster) {
	t.Helper()
	s := d.file().SNMP
	conf := fmt.Sprintf("createUser %s %s %s %s %s\nauthUser log %s priv\n", s.User, s.Auth, s.AuthPass, s.Priv, s.PrivPass, s.User)
	must(t, os.WriteFile(filepath.Join(r.dir, "conf"), []byte(conf), 0o600))
	r.cmd = exec.Command("snmptrapd", "-f", "-A", "-Lf", filepath.Join(r.dir, "log"), "-C", "-c", filepath.Join(r.dir, "conf"), "-On", fmt.Sprintf("udp:127.0.0.1:%d", r.port))
	r.cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+r.dir, "MIBS=")
	must(t, r.cmd.Start())
	t.Cleanup(r.stop)
}

func (r *trapd) stop() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

var notification = regexp.MustCompile(`\.1\.3\.6\.1\.6\.3\.1\.1\.4\.1\.0 = OID: ` + regexp.QuoteMeta("."+mibRoot.String()+".0.") + `(\d+).*?\.1\.13\.1\.0 = Counter64: (\d+).*?\.1\.13\.8\.0 = (?:STRING: )?"([^"]*)".*?\.1\.13\.11\.0 = (?:STRING: )?"([^"]*)"`)

type received struct {
	number   int
	sequence uint64
	node     string
}

// received lists what has arrived, repeats left out. It fails the test where a sequence
// has a gap or means two things.
func (r *trapd) received(t *testing.T) []received {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if !errors.Is(err, os.ErrNotExist) { // it has just been started
		must(t, err)
	}
	var out []received
	for _, m := range notification.FindAllStringSubmatch(string(b), -1) {
		number, _ := strconv.Atoi(m[1])
		sequence, _ := strconv.ParseUint(m[2], 10, 64)
		if m[4] != "" {
			continue // a node that speaks for itself has numbers of its own
		}
		x := received{number, sequence, m[3]}
		switch n := uint64(len(out)); {
		case sequence == n+1:
			out = append(out, x)
		case sequence == 0 || sequence > n+1:
			t.Fatalf("%+v follows number %d: something is lost", x, n)
		case out[sequence-1] != x:
			t.Fatalf("number %d is %+v and %+v", sequence, out[sequence-1], x)
		}
	}
	return out
}

// A cluster answers the SNMP tools that people have with what REST says, refuses to be
// written, and tells of a fail-over everything, in order, although its receiver is away
// and the node that sends loses its power meanwhile.
func TestSNMP(t *testing.T) {
	receiver := newTrapd(t)
	d := startDev(t, "--trap-target", fmt.Sprintf("127.0.0.1:%d", receiver.port))
	f := d.file()
	if f.SNMP.Address == "" {
		t.Fatal("nothing answers SNMP: is snmpd installed? make setup")
	}
	root := "." + mibRoot.String()
	await(t, 30*time.Second, "the walk shows what REST says", func() string {
		var sum status.Summary
		d.rest("viewer", "/v1/status", &sum)
		out, err := d.snmp("snmpbulkwalk", f.SNMP.Address, root)
		if err != nil {
			return err.Error()
		}
		values := map[string]string{}
		for line := range strings.Lines(out) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			values[strings.TrimPrefix(name, root+".")] = strings.Trim(value, `"`)
		}
		if got, want := values["1.1.8.0"], fmt.Sprint(sum.Revision); got != want {
			return "revision " + got + " of SNMP, " + want + " of REST"
		}
		want := mib.Build(&mib.View{Summary: &sum, Node: "n1"}, mibRoot)
		for _, v := range want {
			name := strings.TrimPrefix(v.OID.String(), mibRoot.String()+".")
			got, ok := values[name]
			switch {
			case !ok:
				t.Fatalf("%s is missing in the walk", name)
			case slices.Contains([]string{"1.1.4.0", "1.1.9.0"}, name): // of the node that answers
			case v.Value.Type == mib.OctetString && strings.ContainsFunc(v.Value.Bytes, func(r rune) bool { return r < ' ' || r > '~' }): // shown as hexadecimal digits
			case v.Value.Type == mib.OctetString && got != v.Value.Bytes, v.Value.Type != mib.OctetString && got != fmt.Sprint(int64(v.Value.Num)):
				t.Fatalf("%s is %q, REST says %+v", name, got, v.Value)
			}
		}
		if len(values) != len(want) {
			t.Fatalf("the walk shows %d objects, there are %d", len(values), len(want))
		}
		return ""
	})
	if out, err := d.snmp("snmpset", f.SNMP.Address, root+".1.1.1.0", "s", "mine"); err == nil {
		t.Errorf("snmpset: %s", out)
	}
	checkModule(t, d)
	checkStations(t, d)
	checkReads(t, d)

	receiver.start(t, d)
	await(t, 40*time.Second, "what was pending has arrived", func() string {
		if n := len(receiver.received(t)); n == 0 {
			return "nothing"
		}
		return ""
	})
	s, err := d.status(0)
	must(t, err)
	dc := slices.IndexFunc(f.Nodes, func(n devNode) bool { return n.Name == s.Cluster.DC })
	receiver.stop()
	must(t, syscall.Kill(f.Nodes[dc].PID, syscall.SIGKILL))
	other := (dc + 1) % len(f.Nodes)
	await(t, 40*time.Second, "the service runs elsewhere", func() string {
		s, err := d.status(other)
		if err != nil {
			return err.Error()
		}
		if s.Cluster.DC == f.Nodes[dc].Name || s.Resource("web") == nil || s.Resource("web").State != status.ResourceRunning {
			return "DC " + s.Cluster.DC
		}
		return ""
	})
	receiver.start(t, d)
	wanted := []int{event.NodeLost, event.FencingRequested, event.FencingDone, event.NodeFenced, event.NodeOnline}
	await(t, 90*time.Second, "the fail-over has arrived in order", func() string {
		i := 0
		for _, x := range receiver.received(t) {
			if i < len(wanted) && x.number == wanted[i] && x.node == f.Nodes[dc].Name {
				i++
			}
		}
		if i < len(wanted) {
			return fmt.Sprintf("%d of %d: %v", i, len(wanted), receiver.received(t))
		}
		return ""
	})
	await(t, 90*time.Second, "what has arrived is what has happened, and nothing else", func() string {
		got, want := receiver.received(t), d.notified(other)
		if len(got) > len(want) || len(got) == 0 {
			return fmt.Sprintf("%d notifications of %d events", len(got), len(want))
		}
		want = want[len(want)-len(got):] // the first events are older than the target
		for i := range got {
			if want[i].sequence = got[i].sequence; got[i] != want[i] {
				return fmt.Sprintf("%+v where %+v has happened", got[i], want[i])
			}
		}
		return ""
	})
}

// notified are the events that a node knows of and that become notifications, oldest
// first, without sequence numbers.
func (d *devCluster) notified(node int) (out []received) {
	d.t.Helper()
	c := client.New(d.file().Nodes[node].Socket)
	defer c.Close()
	must(d.t, c.Events(d.t.Context(), 0, false, func(ev *cib.Event) error {
		if def, ok := event.ByCode(ev.Code); ok && def.Trap {
			out = append(out, received{number: def.Number, node: ev.Node})
		}
		return nil
	}))
	return out
}
