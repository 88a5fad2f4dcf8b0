package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/cluster"
)

// traced is an agent of our own that writes down each of its runs on storage that
// all hosts share: what was really executed, whatever the cluster believes. It can
// be told to misbehave.
const traced = `#!/bin/sh
state=/run/e2e-$OCF_RESOURCE_INSTANCE
say() { echo "$(date +%s%N) $(hostname) $(cat /proc/sys/kernel/random/boot_id) $OCF_RESOURCE_INSTANCE $1 $2" >>/shared/trace; }
run() {
	say "$1" begin
	case "$OCF_RESKEY_mode" in
	hang) exec sleep 1000 ;;
	noise) head -c 20000000 /dev/zero | tr '\0' x; head -c 20000000 /dev/zero | tr '\0' y >&2 ;;
	nonsense) exit 77 ;;
	daemon) sleep 1000 & ;;
	lie) say "$1" end; exit 0 ;;
	esac
	sleep "${OCF_RESKEY_delay:-0}"
}
case $1 in
meta-data)
	cat <<EOF
<?xml version="1.0"?>
<resource-agent name="Traced" version="1.0">
<version>1.1</version>
<longdesc lang="en">Writes down what is done.</longdesc><shortdesc lang="en">trace</shortdesc>
<parameters>
<parameter name="delay"><longdesc lang="en">of start and stop, in seconds</longdesc><shortdesc lang="en">delay</shortdesc><content type="string" default="0"/></parameter>
<parameter name="mode"><longdesc lang="en">how to misbehave</longdesc><shortdesc lang="en">mode</shortdesc><content type="string"/></parameter>
<parameter name="password"><longdesc lang="en">is not used</longdesc><shortdesc lang="en">secret</shortdesc><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="1s"/>
<action name="meta-data" timeout="5s"/><action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
EOF
	;;
start)
	run start
	echo "$OCF_RESKEY_password" >$state
	say start end
	;;
stop)
	say stop begin
	sleep "${OCF_RESKEY_delay:-0}"
	rm -f $state
	say stop end
	;;
monitor) [ -e $state ] || exit 7 ;;
validate-all) ;;
*) exit 3 ;;
esac
exit 0
`

// tracedID is the agent's id in a configuration.
const tracedID = "ocf:e2e:Traced"

// installTraced puts the agent on all hosts.
func installTraced(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, n := range c.Nodes {
		must(t, n.Host.WriteFile("/usr/lib/ocf/resource.d/e2e/Traced", []byte(traced), 0o755))
	}
}

// tracedResource is a resource of the agent.
func tracedResource(parameters map[string]string) *cib.Resource {
	return &cib.Resource{Agent: tracedID, Parameters: parameters, Operations: []cib.Operation{
		{Name: cib.OpMonitor, Interval: cib.Duration(time.Second)},
	}}
}

// run is one line of the trace.
type run struct {
	at               time.Time
	host, boot, inst string
	op               string
	begin            bool
}

// trace reads what the agent wrote.
func trace(t *testing.T, c *cluster.Cluster) []run {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Lab.Shared(), "trace"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	var out []run
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			t.Fatalf("trace: %q", line)
		}
		ns, err := strconv.ParseInt(f[0], 10, 64)
		must(t, err)
		out = append(out, run{at: time.Unix(0, ns), host: f[1], boot: f[2], inst: f[3], op: f[4], begin: f[5] == "begin"})
	}
	slices.SortStableFunc(out, func(a, b run) int { return a.at.Compare(b.at) })
	return out
}

// checkTrace checks that no instance was ever active on two hosts, and that
// nothing was done twice.
func checkTrace(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	type life struct{ host, boot string }
	active := map[string]map[life]time.Time{} // by instance: where it may be active, since when
	last := map[string]run{}
	for _, r := range trace(t, c) {
		here := life{r.host, r.boot}
		if active[r.inst] == nil {
			active[r.inst] = map[life]time.Time{}
		}
		switch {
		case r.op == cib.OpStart && r.begin:
			for other, since := range active[r.inst] {
				if other == here {
					continue
				}
				if off, ended := c.Node(other.host).EndOf(other.boot); !ended || off.After(r.at) {
					t.Errorf("%s was started on %s at %s, but is active on %s since %s (ended %v %s)", r.inst, r.host, r.at.Format(time.StampMilli),
						other.host, since.Format(time.StampMilli), ended, off.Format(time.StampMilli))
				}
			}
			if l, ok := last[r.inst+" "+r.host+" "+r.boot]; ok && l.op == cib.OpStart {
				t.Errorf("%s was started on %s at %s, and again at %s without a stop", r.inst, r.host, l.at.Format(time.StampMilli), r.at.Format(time.StampMilli))
			}
			active[r.inst][here] = r.at
		case r.op == cib.OpStop && !r.begin:
			delete(active[r.inst], here)
		}
		last[r.inst+" "+r.host+" "+r.boot] = r
	}
}

// traceOf shows what was done with an instance.
func traceOf(t *testing.T, c *cluster.Cluster, inst string) string {
	t.Helper()
	var b strings.Builder
	for _, r := range trace(t, c) {
		if r.inst == inst {
			fmt.Fprintf(&b, "%s %s %s begin=%v\n", r.at.Format(time.StampMilli), r.host, r.op, r.begin)
		}
	}
	return b.String()
}

// countRuns counts the begun runs of an operation.
func countRuns(t *testing.T, c *cluster.Cluster, inst, op string) int {
	t.Helper()
	n := 0
	for _, r := range trace(t, c) {
		if r.inst == inst && r.op == op && r.begin {
			n++
		}
	}
	return n
}
