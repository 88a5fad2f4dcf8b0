package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
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
