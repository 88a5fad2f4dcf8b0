package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// A unit and an address that the package's cluster keeps running, on one node.
const (
	unitStopped = "/var/lib/belay-unit-stopped"
	packageUnit = "[Unit]\nDescription=A unit that the cluster starts\n[Service]\nExecStart=/bin/sleep infinity\n" +
		"ExecStop=/bin/sh -c 'date --utc +%%Y-%%m-%%dT%%H:%%M:%%S.%%NZ >>" + unitStopped + "'\n"
	packageConfig = `
cluster: {name: lab}
fence-devices:
  pdu: {agent: fence_lab, parameters: {ip: 10.77.0.254}}
resources:
  vip:
    agent: ocf:heartbeat:IPaddr2
    parameters: {ip: 10.77.0.100, cidr_netmask: "24"}
    operations: [{name: monitor, interval: 2s, timeout: 20s}]
  unit:
    agent: systemd:belay-unit
    operations: [{name: monitor, interval: 2s, timeout: 20s}]
  slow:
    agent: ocf:heartbeat:Delay
    parameters: {startdelay: "0", stopdelay: "2", mondelay: "0"}
  both: {group: [unit, vip, slow]}
`
)

// The Debian package from installation to purge, on hosts with a real systemd, as
// docs/operator-guide.md describes it.
func TestPackage(t *testing.T) {
	packages := buildPackages(t, "1.0.0", "1.0.1")
	l := lab.Start(t, lab.Config{Systemd: []int{1, 2, 3}})
	t.Cleanup(func() { dumpJournals(t, l) })
	ctx := deadline(t, 4*time.Minute)
	must(t, l.InstallFenceAgent(ctx))
	_, err := l.NewPDU(lab.PDUConfig{})
	must(t, err)
	for _, h := range l.Hosts() {
		must(t, h.WriteFile("/etc/systemd/system/belay-unit.service", []byte(packageUnit), 0o644))
		for _, p := range packages {
			must(t, h.CopyFile(p, "/root/"+filepath.Base(p), 0o644))
		}
	}
	must(t, l.PowerOnAll(ctx))
	old, upgrade := "/root/"+filepath.Base(packages[0]), "/root/"+filepath.Base(packages[1])
	before := map[string][]string{}
	for _, h := range l.Hosts() {
		must(t, h.WaitSystemd(ctx))
		in(t, h, "rm", "-f", "/var/lib/man-db/auto-update") // reading all man pages takes longer than the test
		before[h.Name()] = written(t, h)
	}

	// Installing it starts nothing.
	eachHost(t, l.Hosts(), func(h *lab.Host) error {
		if _, err := h.Exec(ctx, "dpkg", "-i", old); err != nil {
			return err
		}
		if out, err := h.Exec(ctx, "systemctl", "is-active", "belayd.service"); err == nil {
			return fmt.Errorf("%s: the engine runs after the installation: %s", h.Name(), out)
		}
		_, err := h.Exec(ctx, "systemctl", "enable", "--now", "belayd", "belay-drain")
		return err
	})
	n1, n2, n3 := l.Host(1), l.Host(2), l.Host(3)
	in(t, n1, "belay", "cluster", "init", "--name", "lab", "--node", "n1", "--address", "10.77.0.1,10.78.0.1")
	for _, h := range []*lab.Host{n2, n3} {
		token, _, _ := strings.Cut(in(t, n1, "belay", "cluster", "token"), "\n")
		in(t, h, "belay", "cluster", "join", "--node", h.Name(), "--address", h.Addr(0).String()+","+h.Addr(1).String(), token)
	}
	must(t, n1.WriteFile("/root/cluster.yaml", []byte(packageConfig), 0o600))
	look := func(what string, condition func(*status.Summary) string) {
		t.Helper()
		until(t, 60*time.Second, what, func() string { return onAny(l, condition) })
	}
	look("three nodes with votes", func(s *status.Summary) string {
		if len(s.Quorum.Voters) != 3 {
			return fmt.Sprint(s.Quorum.Voters)
		}
		return cluster.Online(s, "n1", "n2", "n3")
	})
	in(t, n1, "belay", "apply", "-f", "/root/cluster.yaml", "--merge", "--wait")
	in(t, n1, "belay", "move", "both", "--to", "n3", "--wait")
	look("the unit and the address run on n3", running("both", "n3"))

	// Neither a restart nor an upgrade touches what runs.
	pid := in(t, n3, "systemctl", "show", "-P", "MainPID", "belay-unit")
	changed := time.Now()
	in(t, n3, "systemctl", "restart", "belayd")
	look("the restarted engine of n3 is back", running("both", "n3"))
	for _, h := range l.Hosts() {
		in(t, h, "dpkg", "-i", upgrade)
		look("the upgraded "+h.Name()+" is back", func(s *status.Summary) string {
			if n := s.Node(h.Name()); n == nil || n.Version != "1.0.1" {
				return "the old version"
			}
			if want := min(2, 4-h.Index()); len(s.Cluster.Versions) != want || s.Cluster.FeatureLevel != cib.FeatureLevel {
				return fmt.Sprintf("releases %v at level %d", s.Cluster.Versions, s.Cluster.FeatureLevel)
			}
			return cmpFirst(cluster.Online(s, "n1", "n2", "n3"), running("both", "n3")(s))
		})
	}
	if now := in(t, n3, "systemctl", "show", "-P", "MainPID", "belay-unit"); now != pid {
		t.Errorf("the unit was restarted: process %s, before %s", now, pid)
	}
	for _, ev := range eventsSince(t, n1, changed) {
		if slices.Contains([]string{event.Get(event.NodeLost).Code(), event.Get(event.FencingRequested).Code(), event.Get(event.ResourceFailed).Code()}, ev.Code) {
			t.Errorf("during restart and upgrades: %s %s", ev.Code, ev.Text)
		}
	}
	if out := in(t, n3, "belay", "version"); !strings.Contains(out, "1.0.1") {
		t.Errorf("belay version: %s", out)
	}

	// The journal knows how serious a line is.
	if log := in(t, n3, "journalctl", "-u", "belayd", "--no-pager"); !strings.Contains(log, "]: level=INFO msg=") {
		t.Errorf("the journal of belayd:\n%s", log)
	}
	if log := in(t, n3, "journalctl", "-u", "belayd", "-p", "warning", "--no-pager"); strings.Contains(log, "level=INFO") {
		t.Errorf("warnings in the journal of belayd:\n%s", log)
	}

	// The host's shutdown moves everything off first, in the cluster's order, and
	// nobody fences it.
	in(t, n3, "sh", "-c", ": >"+unitStopped)
	changed = time.Now()
	_, _ = n3.Exec(ctx, "systemctl", "poweroff") // killed by what it does
	look("the resources have left n3 before it is off", func(s *status.Summary) string {
		if why := running("both", "n1", "n2")(s); why != "" {
			return why
		}
		if n := s.Node("n3"); n.State != status.NodeOffline {
			return "n3 is " + n.State.String()
		}
		return ""
	})
	until(t, 30*time.Second, "n3 is off", func() string {
		if p := n3.Power(); p != lab.Off {
			return p.String()
		}
		return ""
	})
	for _, ev := range eventsSince(t, n1, changed) {
		if slices.Contains([]string{event.Get(event.NodeLost).Code(), event.Get(event.FencingRequested).Code(), event.Get(event.ResourceFailed).Code()}, ev.Code) {
			t.Errorf("during the shutdown: %s %s", ev.Code, ev.Text)
		}
	}
	stopped, err := n3.ReadFile(unitStopped)
	must(t, err)
	if at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(stopped))); err != nil || at.Before(changed.Add(2*time.Second)) {
		t.Errorf("the unit was stopped at %q, before the cluster's turn: the shutdown began at %s: %v", stopped, changed, err)
	}
	must(t, n3.PowerOn(ctx))
	look("n3 is back", func(s *status.Summary) string { return cluster.Online(s, "n1", "n2", "n3") })

	// Removing the package lets the node leave; purging it leaves nothing.
	in(t, n3, "dpkg", "--purge", "belay")
	look("n3 has left", func(s *status.Summary) string {
		if n := s.Node("n3"); n.State != status.NodeOffline {
			return "n3 is " + n.State.String()
		}
		return running("both", "n1", "n2")(s)
	})
	if left := rest(written(t, n3), before["n3"]); len(left) > 0 {
		t.Errorf("the purged package left %v", left)
	}
	if out := in(t, n3, "ip", "-4", "-o", "addr", "show", "to", "10.77.0.100"); out != "" {
		t.Errorf("the address is still on n3: %s", out)
	}
}

// dumpJournals shows what happened in a test that failed.
func dumpJournals(t *testing.T, l *lab.Lab) {
	if !t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, h := range l.Hosts() {
		out, err := h.Exec(ctx, "journalctl", "-u", "belayd", "-u", "belay-drain", "-n", "60", "--no-pager", "-o", "short-precise")
		t.Logf("%s: %v\n%s", h.Name(), err, out)
	}
	for _, h := range l.Hosts() {
		if out, err := h.Exec(ctx, "belay", "events"); err == nil {
			t.Logf("events, from %s:\n%s", h.Name(), out)
			return
		}
	}
}

// buildPackages builds the Debian package in some versions.
func buildPackages(t *testing.T, versions ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var out []string
	for _, v := range versions {
		cmd := exec.CommandContext(t.Context(), "../../deploy/deb/build")
		cmd.Env = append(os.Environ(), "DEB_VERSION="+v, "DEB_DIR="+dir, "DEB_COMPRESS=none")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the package: %v: %s", err, b)
		}
		files, err := filepath.Glob(filepath.Join(dir, "belay_"+v+"_*.deb"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the package %s: %v %v", v, files, err)
		}
		out = append(out, files[0])
	}
	return out
}

// in runs a command in a host that must succeed, and returns its output without
// the end of line.
func in(t *testing.T, h *lab.Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Exec(deadline(t, time.Minute), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// eachHost does something on several hosts at a time.
func eachHost(t *testing.T, hosts []*lab.Host, do func(*lab.Host) error) {
	t.Helper()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = do(h) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
}

// onAny says what is missing in the state that every answering engine shows, or ""
// as soon as one shows it.
func onAny(l *lab.Lab, condition func(*status.Summary) string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	why := "no engine answers"
	for _, h := range l.Hosts() {
		path, err := h.Path(cluster.Socket)
		if err != nil {
			continue
		}
		c := client.New(path)
		s, err := c.Status(ctx, false)
		c.Close()
		if err != nil {
			continue
		}
		if why = condition(s); why == "" {
			return ""
		}
	}
	return why
}

func running(id string, on ...string) func(*status.Summary) string {
	return func(s *status.Summary) string { return cluster.Running(s, id, on...) }
}

func cmpFirst(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func eventsSince(t *testing.T, h *lab.Host, since time.Time) []cib.Event {
	t.Helper()
	path, err := h.Path(cluster.Socket)
	must(t, err)
	var out []cib.Event
	must(t, client.New(path).Events(deadline(t, 10*time.Second), 0, false, func(ev *cib.Event) error {
		if !ev.Time.Before(since) {
			out = append(out, *ev)
		}
		return nil
	}))
	return out
}

// written lists what a host wrote to its disk, but for the files that every
// program of the distribution writes to.
func written(t *testing.T, h *lab.Host) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(h.Disk(), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the host works on
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, h.Disk())
		for _, p := range []string{"/var/lib/dpkg", "/var/log", "/var/cache", "/root", "/tmp", "/var/lib/systemd", "/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/.pwd.lock"} {
			if strings.HasPrefix(name, p) {
				return nil
			}
		}
		if d.IsDir() || name == unitStopped {
			return nil
		}
		// A whiteout is a file that is gone.
		if st, ok := mustInfo(d).Sys().(*syscall.Stat_t); ok && d.Type()&fs.ModeCharDevice != 0 && st.Rdev == 0 {
			return nil
		}
		out = append(out, name)
		return nil
	}))
	return out
}

func mustInfo(d fs.DirEntry) fs.FileInfo {
	i, err := d.Info()
	if err != nil {
		return nilInfo{}
	}
	return i
}

// nilInfo is a file that is gone.
type nilInfo struct{ fs.FileInfo }

// Sys knows nothing.
func (nilInfo) Sys() any { return nil }

// rest is what is in a and not in b.
func rest(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
