package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

// guestMachine is an agent of virtual machines: namespaces in which belayd is the first
// process, a file system for what does not outlive it, and a disk on storage that all
// hosts share. A lock tells whether anything of it lives.
const guestMachine = `#!/bin/sh
pid=/run/machine-$OCF_RESOURCE_INSTANCE.pid
lock=/run/machine-$OCF_RESOURCE_INSTANCE.lock
runs() { [ -e $lock ] && ! flock -n $lock true; }
case $1 in
meta-data)
	cat <<EOF
<?xml version="1.0"?>
<resource-agent name="Machine" version="1.0">
<version>1.1</version>
<longdesc lang="en">Runs a guest.</longdesc><shortdesc lang="en">guest</shortdesc>
<parameters>
<parameter name="disk" required="1"><longdesc lang="en">its disk</longdesc><shortdesc lang="en">disk</shortdesc><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="1s"/>
<action name="meta-data" timeout="5s"/><action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
EOF
	;;
start)
	runs && exit 0
	export disk=$OCF_RESKEY_disk
	setsid flock -F -w 5 $lock unshare --fork --pid --mount --uts --propagation private --kill-child sh -c '
		mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mount --bind "$disk" /var/lib/belay && hostname guest || exit 1
		exec /usr/sbin/belayd --remote --listen :3122' </dev/null >>/var/log/machine.log 2>&1 &
	echo $! >$pid
	until runs; do sleep 0.1; done
	;;
stop)
	runs || exit 0
	kill -9 $(cat $pid)
	while runs; do sleep 0.1; done
	;;
monitor) runs || exit 7 ;;
validate-all) ;;
*) exit 3 ;;
esac
exit 0
`

const (
	guest     = "guest"
	guestDisk = "/shared/guest"
)

// startGuest makes a group of an address and a machine, which is a node that is reached
// there, and waits for it.
func startGuest(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := deadline(t, time.Minute)
	for _, n := range c.Nodes {
		must(t, n.Host.WriteFile("/usr/lib/ocf/resource.d/e2e/Machine", []byte(guestMachine), 0o755))
	}
	must(t, c.JoinGuest(ctx, c.Nodes[0], guest, guestDisk))
	dummy := &cib.Resource{Agent: "ocf:pacemaker:Dummy", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(time.Second)}}}
	inside := func(id string) *cib.Constraint {
		return &cib.Constraint{Location: &cib.Location{Resource: id, Node: guest, Score: cib.Infinity}}
	}
	_, err := c.Nodes[0].Apply(ctx, &cib.Config{
		Resources: map[string]*cib.Resource{
			"vm-ip": {Agent: "ocf:heartbeat:IPaddr2", Parameters: map[string]string{"ip": guestAddress, "cidr_netmask": "24"}},
			"vm": {
				Agent: "ocf:e2e:Machine", Parameters: map[string]string{"disk": guestDisk},
				Meta:       cib.Meta{RemoteNode: guest, RemoteAddr: guestAddress, RemotePort: 3122},
				Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(time.Second)}},
			},
			"vms": {Group: []string{"vm-ip", "vm"}},
			"s1":  dummy, "s2": dummy,
		},
		Constraints: map[string]*cib.Constraint{
			"s1-in": inside("s1"), "s2-in": inside("s2"),
			// The guest has the network of its host, and would show its address as its own.
			"ip-out": {Location: &cib.Location{Resource: "vm-ip", Node: guest, Score: -cib.Infinity, Discovery: "never"}},
		},
	})
	must(t, err)
	guestRuns(t, c, "the guest and what is in it run")
}

// guestRuns waits until the guest runs on one of some nodes, with both services.
func guestRuns(t *testing.T, c *cluster.Cluster, what string, nodes ...string) {
	t.Helper()
	wait(t, c, 40*time.Second, what, func(s *status.Summary) string {
		if why := cluster.Running(s, "vm", nodes...); why != "" {
			return why
		}
		if why := remoteOnline(s, guest); why != "" {
			return why
		}
		for _, id := range []string{"s1", "s2"} {
			if why := cluster.Running(s, id, guest); why != "" {
				return why
			}
		}
		if len(s.Actions) > 0 {
			return s.Actions[0].Text
		}
		return ""
	})
}

// startsOf counts the starts of resources since a time.
func startsOf(t *testing.T, n *cluster.Node, since time.Time) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, ev := range eventsOf(t, n, event.ResourceStarted, "", since) {
		out[ev.Resource]++
	}
	return out
}

// guestAddress is where the guest is reached, wherever it runs.
const guestAddress = "10.77.0.150"

// What runs inside of a guest is watched and restarted one by one. When the guest
// vanishes, it is started again with all that was in it, without the fencing of its host;
// when its host is lost, elsewhere.
func TestGuestNode(t *testing.T) {
	c := start(t, cluster.Config{})
	ctx := deadline(t, 4*time.Minute)
	startGuest(t, c)
	host := ownerOf(t, c, "vm")
	other := c.Others(host)[0]
	inside := func(ctx context.Context, command string) {
		t.Helper()
		_, err := host.Host.Exec(ctx, "sh", "-c", "nsenter --mount --pid --target $(pgrep -P $(cat /run/machine-vm.pid)) sh -c '"+command+"'")
		must(t, err)
	}

	began := time.Now()
	inside(ctx, "rm /run/Dummy-s1.state")
	until(t, 20*time.Second, "the service is restarted", func() string {
		if n := startsOf(t, other, began)["s1"]; n != 1 {
			return fmt.Sprint(n, " starts")
		}
		return ""
	})
	guestRuns(t, c, "all runs", host.Name)
	if got := startsOf(t, other, began); len(got) != 1 {
		t.Errorf("started: %v", got)
	}

	began = time.Now()
	_, err := host.Host.Exec(ctx, "sh", "-c", "kill -9 $(cat /run/machine-vm.pid)")
	must(t, err)
	until(t, 40*time.Second, "what was in the guest is recovered", func() string {
		if got := startsOf(t, other, began); got["s1"] != 1 || got["s2"] != 1 || got["vm"] != 1 {
			return fmt.Sprint(got)
		}
		return ""
	})
	guestRuns(t, c, "all runs in the guest")
	if n := len(eventsOf(t, other, event.GuestEnded, guest, began)); n != 1 {
		t.Errorf("the end of the guest was told %d times", n)
	}
	if n := len(eventsOf(t, other, event.FencingRequested, "", began)); n != 0 {
		t.Errorf("%d fencing requests", n)
	}

	host = ownerOf(t, c, "vm")
	others := c.Others(host)
	began = time.Now()
	must(t, host.Host.PowerOff())
	guestRuns(t, c, "the guest runs on another host", names(others)...)
	if got := startsOf(t, others[0], began); got["s1"] != 1 || got["s2"] != 1 || got["vm"] != 1 {
		t.Errorf("started: %v", got)
	}
	if n := len(eventsOf(t, others[0], event.FencingRequested, guest, began)); n != 0 {
		t.Errorf("the guest was fenced as a machine %d times", n)
	}

	// Taken out of the configuration, nothing is left of it.
}
