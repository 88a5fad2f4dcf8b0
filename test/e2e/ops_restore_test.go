package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// The disks of two of three nodes are lost. The backup makes the third one the
// whole cluster, the others join it anew, and all is as before: configuration,
// secrets, resources.
func TestRestore(t *testing.T) {
	c, lc := cluster.New(cluster.Config{NoFence: true, Logf: t.Logf})
	l := lab.Start(t, lc)
	must(t, c.Start(deadline(t, time.Minute), l))
	t.Cleanup(func() {
		if t.Failed() {
			report(t, c)
		}
	})
	ctx := deadline(t, 3*time.Minute)
	must(t, installCLI(ctx, l))
	// A power switch that wants the secret.
	pdu, err := l.NewPDU(lab.PDUConfig{Port: lab.DefaultPDUPort + 1, User: "belay", Password: plantedSecret})
	must(t, err)
	n1 := c.Nodes[0]
	_, err = n1.Create(ctx, "fence-device/secret", &cib.FenceDevice{Agent: "fence_lab", Parameters: map[string]string{
		"ip": pdu.Addr().Addr().String(), "ipport": fmt.Sprint(pdu.Addr().Port()), "username": "belay", "password": plantedSecret,
	}})
	must(t, err)
	_, err = n1.Create(ctx, "resource/r", &cib.Resource{Agent: "ocf:heartbeat:Dummy", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(2 * time.Second)}}})
	must(t, err)
	wait(t, c, 30*time.Second, "the resource runs", func(s *status.Summary) string { return cluster.Running(s, "r") })
	before := state(t, c)
	in(t, n1.Host, "belay", "cluster", "backup", "--file", "/root/lab.backup")
	if out, err := n1.Host.Exec(ctx, "belay", "cluster", "restore", "--file", "/root/lab.backup", "--yes"); err == nil || !strings.Contains(out, "BLY2002") {
		t.Errorf("restore under a running engine: %v %s", err, out)
	}
	// After the backup: it is lost with the store.
	_, err = n1.Create(ctx, "resource/late", &cib.Resource{Agent: "ocf:heartbeat:Dummy"})
	must(t, err)

	checkReport(t, n1)

	for _, n := range c.Nodes {
		n.Hold()
		must(t, n.Host.PowerOff())
	}
	for _, n := range c.Nodes[1:] {
		must(t, os.RemoveAll(filepath.Join(n.Host.Disk(), cluster.StateDir)))
	}
	must(t, l.PowerOnAll(ctx))
	for _, damage := range []string{"cut", "empty"} {
		file := "/root/" + damage + ".backup"
		size := map[string]string{"cut": "60000", "empty": "0"}[damage]
		in(t, n1.Host, "sh", "-c", "head -c "+size+" /root/lab.backup >"+file)
		if out, err := n1.Host.Exec(ctx, "belay", "cluster", "restore", "--file", file, "--yes"); err == nil || !strings.Contains(out, "not a backup") {
			t.Errorf("restore of a backup that is %s: %v %s", damage, err, out)
		}
	}
	t.Log(in(t, n1.Host, "belay", "cluster", "restore", "--file", "/root/lab.backup", "--yes"))
	for _, n := range c.Nodes {
		must(t, n.Release())
		must(t, n.WaitSocket(ctx))
	}
	must(t, cluster.WaitOn(deadline(t, 30*time.Second), c.Nodes[:1], "n1 alone runs the resource", func(s *status.Summary) string {
		return cluster.Running(s, "r", "n1")
	}))
	for _, n := range c.Nodes[1:] {
		must(t, c.Join(ctx, n))
	}
	wait(t, c, 60*time.Second, "all nodes are back, with votes", func(s *status.Summary) string {
		if len(s.Quorum.Voters) != 3 {
			return fmt.Sprint(s.Quorum.Voters)
		}
		if why := cluster.Online(s, c.Names()...); why != "" {
			return why
		}
		return calm(s)
	})
	after := state(t, c)
	if after.Cluster.DataGeneration <= before.Cluster.DataGeneration {
		t.Errorf("the data's generation is %d, before the restore %d", after.Cluster.DataGeneration, before.Cluster.DataGeneration)
	}
	if after.Resource("late") != nil {
		t.Error("what was made after the backup is there")
	}
	history, err := n1.Client().History(ctx)
	must(t, err)
	restored := false
	for _, g := range history {
		restored = restored || g.Action == "restore" && g.Actor == "root"
	}
	if !restored {
		t.Errorf("the history does not show the restore: %+v", history)
	}
	// The secret is still open to the cluster: fencing needs it.
	boots := c.Nodes[2].Host.Boots()
	_, err = n1.Change(ctx, api.ActionFence, "node/n3", map[string]string{"op": "reboot"})
	must(t, err)
	until(t, 30*time.Second, "n3 was fenced with the secret", func() string {
		if c.Nodes[2].Host.Boots() == boots {
			return "not yet"
		}
		return ""
	})
	wait(t, c, 60*time.Second, "n3 is back", func(s *status.Summary) string { return cluster.Online(s, c.Names()...) })
}

// plantedSecret is looked for where no secret may be.
const plantedSecret = "Gh31m-N1cht-We1tersagen"

// checkReport makes a report on a node and looks for secrets in it: parameters, a
// token that was just made, the key of sealed parameters, private keys.
func checkReport(t *testing.T, n *cluster.Node) {
	t.Helper()
	token, _, _ := strings.Cut(in(t, n.Host, "belay", "cluster", "token"), "\n")
	seal, err := n.Host.ReadFile(cluster.StateDir + "/pki/seal.key")
	must(t, err)
	// The engine itself keeps them apart; a log may hold what an agent said.
	in(t, n.Host, "sh", "-c", "echo 'an agent said "+plantedSecret+"' >>"+cluster.StateDir+"/journal.log")
	in(t, n.Host, "belay", "report", "--file", "/root/report.tar.gz")
	list := in(t, n.Host, "tar", "-tzf", "/root/report.tar.gz")
	for _, part := range []string{"status.json", "status.txt", "cluster.yaml", "history.json", "events.json", "plan.json", "local.json", "snapshot.json", "files.txt", "journal.log", "audit.txt", "host/uname.txt"} {
		if !strings.Contains(list, "/"+part) {
			t.Errorf("the report lacks %s: %s", part, list)
		}
	}
	text := in(t, n.Host, "tar", "-xzOf", "/root/report.tar.gz")
	secrets := map[string]string{
		"a secret parameter": plantedSecret, "a token": strings.Split(token, "-")[3], "the key of secrets": strings.TrimSpace(string(seal)),
		"a private key": "PRIVATE KEY", "a sealed value": cib.SealedPrefix,
	}
	for what, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("the report shows %s: ...%s", what, text[max(0, i-100):i])
		}
	}
	if !strings.Contains(text, "an agent said "+cib.Redacted) {
		t.Error("the journal is not in the report")
	}
}

// installCLI puts the command line on all hosts.
func installCLI(ctx context.Context, l *lab.Lab) error {
	program := filepath.Join(os.Getenv("BELAY_BIN"), "belay")
	if os.Getenv("BELAY_BIN") == "" {
		var err error
		if program, err = l.Build(ctx, "github.com/belay-ha/belay/cmd/belay"); err != nil {
			return err
		}
	}
	for _, h := range l.Hosts() {
		if err := h.CopyFile(program, "/usr/bin/belay", 0o755); err != nil {
			return err
		}
	}
	return nil
}
