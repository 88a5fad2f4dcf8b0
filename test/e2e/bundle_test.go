package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// counter is an agent for containers, where there is nothing but busybox: it writes down
// on the storage map where it runs.
const counter = `#!/bin/sh
state=/run/counter-$OCF_RESOURCE_INSTANCE
case $1 in
meta-data)
	echo '<?xml version="1.0"?><resource-agent name="Counter" version="1.0"><version>1.1</version>
<longdesc lang="en">Counts.</longdesc><shortdesc lang="en">counter</shortdesc><parameters/>
<actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="1s"/>
<action name="meta-data" timeout="5s"/></actions></resource-agent>' ;;
start) echo "$(hostname)" >>/data/starts && touch $state ;;
stop) rm -f $state ;;
monitor) [ -e $state ] || exit 7 ;;
*) exit 3 ;;
esac
exit 0
`

// containerHost makes a host able to run containers within its namespaces: without
// control groups, and with a copy of the image for each container instead of layers,
// which the host's own root is made of already. The image is busybox.
func containerHost(ctx context.Context, h *lab.Host) error {
	files := map[string]string{
		"/etc/containers/storage.conf":           "[storage]\ndriver = \"vfs\"\ngraphroot = \"/srv/containers\"\nrunroot = \"/run/containers/storage\"\n",
		"/etc/containers/containers.conf":        "[containers]\ncgroups = \"disabled\"\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
		"/usr/lib/ocf/resource.d/e2e/Counter":    counter,
		"/srv/bundle/ocf/resource.d/e2e/Counter": counter,
	}
	for name, text := range files {
		if err := h.WriteFile(name, []byte(text), 0o755); err != nil {
			return err
		}
	}
	_, err := h.Exec(ctx, "sh", "-ec", `
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /srv/data
podman image exists localhost/box:1 && exit
d=$(mktemp -d)
mkdir -p $d/bin $d/tmp $d/run $d/data $d/etc $d/usr/sbin $d/usr/lib $d/var/lib
cp /bin/busybox $d/bin/
for a in sh sleep true touch rm echo hostname; do ln -s busybox $d/bin/$a; done
tar -C $d -cf $d.tar .
podman import -q $d.tar localhost/box:1
rm -rf $d $d.tar`)
	return err
}

// A bundle whose replicas have addresses and a directory of their hosts, and a primitive
// that runs in each: a container that dies is started again with what was in it, and the
// replica of a lost host runs on another one.
func TestBundle(t *testing.T) {
	c := start(t, cluster.Config{Prepare: containerHost})
	ctx := deadline(t, 4*time.Minute)
	_, err := c.Nodes[0].Apply(ctx, &cib.Config{Resources: map[string]*cib.Resource{
		"web": {Bundle: &cib.Bundle{
			Container: "podman", Image: "localhost/box:1", Replicas: 2, NetworkMode: "host",
			Network: &cib.BundleNetwork{IPRangeStart: "10.77.0.160", HostNetmask: 24},
			Storage: []cib.BundleMount{
				{SourceDir: "/usr/sbin/belayd", TargetDir: "/usr/sbin/belayd", Options: "ro"},
				{SourceDir: "/srv/bundle/ocf", TargetDir: "/usr/lib/ocf", Options: "ro"},
				{SourceDirRoot: "/srv/data", TargetDir: "/data"},
			},
			Resource: "count",
		}},
		"count": {Agent: "ocf:e2e:Counter", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(time.Second)}}},
	}})
	must(t, err)
	var hosts []string
	sound := func(what string) {
		t.Helper()
		wait(t, c, time.Minute, what, func(s *status.Summary) string {
			b, inside := s.Resource("web"), s.Resource("count")
			if hosts = b.Nodes; b.State != status.ResourceRunning || b.Active != 2 || b.Reason != "" || len(b.Nodes) != 2 {
				return fmt.Sprintf("%s, %d on %v: %s", b.State, b.Active, b.Nodes, b.Reason)
			}
			if got := strings.Join(inside.Nodes, " "); got != "web-0 web-1" {
				return "inside: " + got
			}
			for _, name := range []string{"web-0", "web-1"} {
				if why := remoteOnline(s, name); why != "" {
					return why
				}
			}
			if len(s.Actions) > 0 {
				return s.Actions[0].Text
			}
			return ""
		})
	}
	sound("both replicas run")

	// The container dies: the primitive inside is started in the new one, and only there.
	victim := c.Node(hosts[0])
	names, err := victim.Host.Exec(ctx, "podman", "ps", "--format", "{{.Names}}")
	must(t, err)
	replica := strings.TrimPrefix(strings.TrimSpace(names), "web-podman-")
	began := time.Now()
	_, err = victim.Host.Exec(ctx, "podman", "kill", strings.TrimSpace(names))
	must(t, err)
	until(t, 90*time.Second, "the replica is started again", func() string {
		if got := startsOf(t, c.Nodes[0], began); got["count"] != 1 {
			return fmt.Sprint(got)
		}
		return ""
	})
	sound("both replicas run again")
	if starts, err := victim.Host.ReadFile("/srv/data/web-" + replica + "/starts"); err != nil || strings.Count(string(starts), "\n") != 2 {
		t.Errorf("started in the storage map: %q, %v", starts, err)
	}
	if n := len(eventsOf(t, c.Nodes[0], event.FencingRequested, "", began)); n != 0 {
		t.Errorf("%d fencing requests", n)
	}

	// The host of the other one is lost.
	lost := c.Node(hosts[1])
	other := c.Others(lost)[0]
	began = time.Now()
	must(t, lost.Host.PowerOff())
	until(t, time.Minute, "the replica is started on another host", func() string {
		if got := startsOf(t, other, began); got["count"] != 1 {
			return fmt.Sprint(got)
		}
		return ""
	})
	sound("both replicas run on hosts that live")
	if n := len(eventsOf(t, other, event.FencingRequested, lost.Name, began)); n != 1 {
		t.Errorf("the host was fenced %d times", n)
	}
}
