package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// machine is an agent of a made-up virtual machine. A file on storage that all hosts
// share says on which host it is, and holds a token that is drawn when it starts: as
// long as the token is the same, the machine has not been interrupted. A file next to
// it makes the next run of an operation fail, before or after it has done its work.
const machine = `#!/bin/sh
vm=/shared/vm/$OCF_RESOURCE_INSTANCE
here=$vm.$(hostname)
fails() { [ -e "/shared/vm/$1-$2" ] && rm "/shared/vm/$1-$2"; }
case $1 in
meta-data)
	cat <<EOF
<?xml version="1.0"?>
<resource-agent name="Machine" version="1.0">
<version>1.1</version>
<longdesc lang="en">A virtual machine that is none.</longdesc><shortdesc lang="en">machine</shortdesc>
<parameters>
<parameter name="label" reloadable="1"><longdesc lang="en">is taken over while it runs</longdesc><shortdesc lang="en">label</shortdesc><content type="string"/></parameter>
<parameter name="disk"><longdesc lang="en">is not</longdesc><shortdesc lang="en">disk</shortdesc><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="1s"/>
<action name="reload-agent" timeout="20s"/><action name="migrate_to" timeout="20s"/><action name="migrate_from" timeout="20s"/>
<action name="meta-data" timeout="5s"/><action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
EOF
	exit 0
	;;
validate-all) exit 0 ;;
monitor)
	[ -e "$here" ] || exit 7
	exit 0
	;;
esac
mkdir -p /shared/vm
echo "$(hostname) $1${OCF_RESKEY_label:+ $OCF_RESKEY_label}" >>/shared/vm/log
fails before "$1" && exit 1
case $1 in
start) [ -e "$here" ] || cat /proc/sys/kernel/random/uuid >"$here" ;;
stop) rm -f "$here" ;;
migrate_to) mv "$here" "$vm.$OCF_RESKEY_CRM_meta_migrate_target" || exit 1 ;;
migrate_from | reload-agent) [ -e "$here" ] || exit 7 ;;
*) exit 3 ;;
esac
fails after "$1" && exit 1
exit 0
`

// A machine that may be migrated keeps running while it is moved. Where a migration
// fails, in whichever of its parts, it runs once at the end, and nobody is fenced.
func TestMigration(t *testing.T) {
	c := start(t, cluster.Config{})
	began := time.Now()
	from := startMachine(t, c)
	token := machineOn(t, c, from)

	to := c.Others(from)[0]
	move(t, c, "vm", to.Name)
	if got := machineOn(t, c, to); got != token {
		t.Errorf("the machine was interrupted by its move: it was %s, and is %s", token, got)
	}
	wait(t, c, 20*time.Second, "what is left of it is cleaned up", calm)
	if got, want := machineLog(t, c), []string{from.Name + " start", from.Name + " migrate_to", to.Name + " migrate_from", from.Name + " stop"}; strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("it was moved by %q, want %q", got, want)
	}

	_, err := c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionPatch, "node/"+to.Name, map[string]any{"standby": true})
	must(t, err)
	wait(t, c, 30*time.Second, "the node in standby is left", func(s *status.Summary) string {
		if why := cluster.Running(s, "vm", names(c.Others(to))...); why != "" {
			return why
		}
		return calm(s)
	})
	if got := machineOn(t, c, ownerOf(t, c, "vm")); got != token {
		t.Errorf("the machine was interrupted by the standby of its node: it was %s, and is %s", token, got)
	}
	_, err = c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionPatch, "node/"+to.Name, map[string]any{"standby": false})
	must(t, err)

	for _, fault := range []string{"before-migrate_to", "after-migrate_to", "before-migrate_from", "after-migrate_from"} {
		owner := ownerOf(t, c, "vm")
		must(t, os.WriteFile(filepath.Join(c.Lab.Shared(), "vm", fault), nil, 0o644))
		_, err := c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionMove, "resource/vm", map[string]string{"node": c.Others(owner)[0].Name})
		must(t, err)
		wait(t, c, 30*time.Second, "the machine runs after a failure "+fault, func(s *status.Summary) string {
			if _, err := os.Stat(filepath.Join(c.Lab.Shared(), "vm", fault)); !errors.Is(err, fs.ErrNotExist) {
				return "it has not failed yet"
			}
			return cluster.Running(s, "vm")
		})
		_, err = c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionCleanup, "resource/vm", nil)
		must(t, err)
		wait(t, c, 30*time.Second, "the failure is forgotten", func(s *status.Summary) string {
			if why := cluster.Running(s, "vm"); why != "" {
				return why
			}
			return calm(s)
		})
		until(t, 20*time.Second, "the machine is in one place", func() string {
			s := state(t, c)
			if why := calm(s); why != "" {
				return why
			}
			if on := machines(t, c); len(on) != 1 || cluster.Running(s, "vm", on[0]) != "" {
				return strings.Join(on, " ")
			}
			return ""
		})
	}
	if n := len(eventsOf(t, c.Nodes[0], event.FencingRequested, "", began)); n != 0 {
		t.Errorf("%d fencing requests", n)
	}
}

// A parameter that the agent can take over while the machine runs is taken over, any
// other one makes it start anew.
func TestReload(t *testing.T) {
	c := start(t, cluster.Config{})
	owner := startMachine(t, c)
	token := machineOn(t, c, owner)
	change := func(parameter, last string) {
		t.Helper()
		_, err := c.Nodes[0].Change(deadline(t, 20*time.Second), api.ActionPatch, "resource/vm", map[string]any{"parameters": map[string]any{parameter: "new"}})
		must(t, err)
		wait(t, c, 20*time.Second, parameter+" is taken over", func(s *status.Summary) string {
			if log := machineLog(t, c); log[len(log)-1] != last {
				return log[len(log)-1]
			}
			if why := cluster.Running(s, "vm", owner.Name); why != "" {
				return why
			}
			return calm(s)
		})
	}
	change("label", owner.Name+" reload-agent new")
	if got := machineOn(t, c, owner); got != token {
		t.Errorf("the machine was interrupted by a parameter that its agent can take over")
	}
	change("disk", owner.Name+" start new")
	if got := machineOn(t, c, owner); got == token {
		t.Errorf("the machine was not started anew for a parameter that its agent cannot take over")
	}
}

// startMachine puts the agent on all hosts and returns the node that runs the machine.
func startMachine(t *testing.T, c *cluster.Cluster) *cluster.Node {
	t.Helper()
	for _, n := range c.Nodes {
		must(t, n.Host.WriteFile("/usr/lib/ocf/resource.d/e2e/Machine", []byte(machine), 0o755))
	}
	allow := true
	vm := &cib.Resource{Agent: "ocf:e2e:Machine", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(time.Second)}}}
	vm.Meta.AllowMigrate = &allow
	_, err := c.Nodes[0].Create(deadline(t, 20*time.Second), "resource/vm", vm)
	must(t, err)
	wait(t, c, 30*time.Second, "the machine runs", func(s *status.Summary) string { return cluster.Running(s, "vm") })
	return ownerOf(t, c, "vm")
}

// machineOn returns the token of the machine, which must be on one host and on no
// other.
func machineOn(t *testing.T, c *cluster.Cluster, n *cluster.Node) string {
	t.Helper()
	if on := machines(t, c); len(on) != 1 || on[0] != n.Name {
		t.Fatalf("the machine is on %q, and should be on %s", on, n.Name)
	}
	b, err := os.ReadFile(filepath.Join(c.Lab.Shared(), "vm", "vm."+n.Name))
	must(t, err)
	return strings.TrimSpace(string(b))
}

// machines lists the nodes on which the machine really is.
func machines(t *testing.T, c *cluster.Cluster) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Lab.Shared(), "vm", "vm.*"))
	must(t, err)
	var out []string
	for _, f := range files {
		out = append(out, strings.TrimPrefix(filepath.Base(f), "vm."))
	}
	return out
}

// machineLog lists what was done with the machine.
func machineLog(t *testing.T, c *cluster.Cluster) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Lab.Shared(), "vm", "log"))
	must(t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
