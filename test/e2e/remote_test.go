package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/snmp/mib"
	"github.com/belay-ha/belay/test/cluster"
)

// remoteOnline says why a remote node is not online, or "".
func remoteOnline(s *status.Summary, name string) string {
	for i := range s.Remotes {
		if r := &s.Remotes[i]; r.Name == name {
			if r.State == status.NodeOnline {
				return ""
			}
			return name + " is " + r.State.String() + ": " + r.Reason
		}
	}
	return "there is no remote node " + name
}

// remoteInSNMP says why a walk does not show a remote node and what runs on it, or "".
func remoteInSNMP(s *status.Summary, name, service string) string {
	connection, svc := s.Resource(name), s.Resource(service)
	if connection == nil || svc == nil {
		return "no resource"
	}
	vars := mib.Build(&mib.View{Summary: s}, mibRoot)
	index := 1<<30 + connection.Number
	if row, ok := mib.Find(vars, mibRoot.Child(1, 3, 1, 2, index)); !ok || row.Value.Bytes != name {
		return fmt.Sprintf("row %d of the node table: %+v", index, row)
	}
	if state, ok := mib.Find(vars, mibRoot.Child(1, 6, 1, 1, svc.Number, index)); !ok || state.Value.Num != uint64(status.InstanceRunning) {
		return fmt.Sprintf("the instance: %+v", state)
	}
	return ""
}

// A service on a remote node goes on while its proxy dies and another takes over; it is
// recovered elsewhere when the remote node dies, after the remote node was fenced.
func TestRemoteNode(t *testing.T) {
	c := start(t, cluster.Config{Remotes: 1})
	ctx := deadline(t, 3*time.Minute)
	far := c.Remotes[0]
	must(t, c.JoinRemote(ctx, far, far.Name))
	_, err := c.Nodes[0].Create(ctx, "resource/"+far.Name, far.Connection(2*time.Second, 3*time.Second))
	must(t, err)
	wait(t, c, 30*time.Second, "the remote node is connected", func(s *status.Summary) string { return remoteOnline(s, far.Name) })
	_, err = c.Nodes[0].Apply(ctx, &cib.Config{
		Resources: map[string]*cib.Resource{"svc": {
			Agent: "ocf:pacemaker:Dummy", Operations: []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(time.Second), Timeout: cib.Duration(5 * time.Second)}},
		}},
		Constraints: map[string]*cib.Constraint{"svc-far": {Location: &cib.Location{Resource: "svc", Node: far.Name, Score: 100}}},
	})
	must(t, err)
	wait(t, c, 20*time.Second, "the service runs on the remote node", func(s *status.Summary) string { return cluster.Running(s, "svc", far.Name) })
	wait(t, c, 20*time.Second, "SNMP shows the remote node", func(s *status.Summary) string { return remoteInSNMP(s, far.Name, "svc") })
	starts := func() int {
		n := 0
		for _, ev := range eventsOf(t, c.Nodes[0], event.ResourceStarted, "", time.Time{}) {
			if ev.Resource == "svc" {
				n++
			}
		}
		return n
	}
	if n := starts(); n != 1 {
		t.Fatalf("started %d times", n)
	}

	proxy := ownerOf(t, c, far.Name)
	began := time.Now()
	must(t, proxy.Host.PowerOff())
	other := c.Others(proxy)
	wait(t, c, 30*time.Second, "another node is the proxy", func(s *status.Summary) string {
		if why := cluster.Running(s, far.Name, names(other)...); why != "" {
			return why
		}
		return remoteOnline(s, far.Name)
	})
	t.Logf("taken over after %s", time.Since(began).Round(time.Millisecond))
	must(t, proxy.Host.PowerOn(ctx))
	// The state that a node shows after its boot is an old one, until it has the store.
	var all *status.Summary
	wait(t, c, time.Minute, "all are back", func(s *status.Summary) string {
		for i := range s.Nodes {
			if n := &s.Nodes[i]; n.Name == proxy.Name && !n.Since.After(began) {
				return n.Name + " is not back"
			}
		}
		all = s
		return cluster.Online(s, c.Names()...)
	})
	if why := cluster.Running(all, "svc", far.Name); why != "" || starts() != 1 {
		t.Fatalf("%s; started %d times", why, starts())
	}
	if n := len(eventsOf(t, other[0], event.FencingRequested, far.Name, began)); n != 0 {
		t.Fatalf("the remote node was fenced %d times", n)
	}
	// It is watched by the new proxy: a failure is found.
	_, err = far.Host.Exec(ctx, "rm", "/run/Dummy-svc.state")
	must(t, err)
	wait(t, c, 20*time.Second, "the failure is found", func(s *status.Summary) string {
		if n := s.Resource("svc").FailCount; n != 1 {
			return "fail count " + n.String()
		}
		return cluster.Running(s, "svc", far.Name)
	})
	_, err = c.Nodes[0].Change(ctx, api.ActionCleanup, "resource/svc", nil)
	must(t, err)
	wait(t, c, 20*time.Second, "the failure is forgotten", func(s *status.Summary) string {
		if n := s.Resource("svc").FailCount; n != 0 {
			return "fail count " + n.String()
		}
		return cluster.Running(s, "svc", far.Name)
	})

	began = time.Now()
	must(t, far.Host.PowerOff())
	until(t, 30*time.Second, "the service is recovered on a member", func() string {
		for _, name := range c.Names() {
			for _, ev := range eventsOf(t, c.Nodes[0], event.ResourceStarted, name, began) {
				if ev.Resource == "svc" {
					return ""
				}
			}
		}
		return "not started"
	})
	t.Logf("recovered after %s", time.Since(began).Round(time.Millisecond))
	if fenced := eventsOf(t, c.Nodes[0], event.NodeFenced, far.Name, began); len(fenced) != 1 {
		t.Errorf("fenced: %+v", fenced)
	}
	wait(t, c, 40*time.Second, "the remote node is back after its reboot, and the service with it", func(s *status.Summary) string {
		if why := remoteOnline(s, far.Name); why != "" {
			return why
		}
		if why := cluster.Running(s, "svc", far.Name); why != "" {
			return why
		}
		return calm(s)
	})
}

// Without a fence device nothing is recovered from a lost remote node until somebody
// confirms that it is dead.
func TestRemoteConfirmed(t *testing.T) {
	c := start(t, cluster.Config{Remotes: 1, NoFence: true})
	ctx := deadline(t, 2*time.Minute)
	far := c.Remotes[0]
	must(t, c.JoinRemote(ctx, far, far.Name))
	_, err := c.Nodes[0].Create(ctx, "resource/"+far.Name, far.Connection(time.Second, 2*time.Second))
	must(t, err)
	wait(t, c, 30*time.Second, "the remote node is connected", func(s *status.Summary) string { return remoteOnline(s, far.Name) })
	_, err = c.Nodes[0].Apply(ctx, &cib.Config{
		Resources:   map[string]*cib.Resource{"svc": {Agent: "ocf:pacemaker:Dummy"}},
		Constraints: map[string]*cib.Constraint{"svc-far": {Location: &cib.Location{Resource: "svc", Node: far.Name, Score: 100}}},
	})
	must(t, err)
	wait(t, c, 20*time.Second, "the service runs on the remote node", func(s *status.Summary) string { return cluster.Running(s, "svc", far.Name) })
	must(t, far.Host.PowerOff())
	wait(t, c, 30*time.Second, "the remote node is unclean", func(s *status.Summary) string {
		if n := s.Node(far.Name); n.State != status.NodeUnclean && n.State != status.NodeFencing {
			return n.State.String()
		}
		if why := cluster.Running(s, "svc"); why == "" {
			return "the service runs"
		}
		return ""
	})
	_, err = c.Nodes[0].Change(ctx, api.ActionConfirm, "node/"+far.Name, nil)
	must(t, err)
	wait(t, c, 30*time.Second, "the service is recovered", func(s *status.Summary) string { return cluster.Running(s, "svc", c.Names()...) })
}

// A machine in the place of a remote node that shows another node's certificate gets no
// orders, and the operator is told.
func TestRemoteLies(t *testing.T) {
	c := start(t, cluster.Config{Remotes: 1})
	ctx := deadline(t, 2*time.Minute)
	liar := c.Remotes[0]
	must(t, c.JoinRemote(ctx, liar, "other"))
	_, err := c.Nodes[0].Create(ctx, "resource/"+liar.Name, liar.Connection(2*time.Second, 3*time.Second))
	must(t, err)
	until(t, 30*time.Second, "the remote node is refused", func() string {
		for _, ev := range eventsOf(t, c.Nodes[0], event.RemoteRefused, liar.Name, time.Time{}) {
			if strings.Contains(ev.Text, `it is "other", not "`+liar.Name+`"`) {
				return ""
			}
		}
		return "no event"
	})
	if why := remoteOnline(state(t, c), liar.Name); why == "" {
		t.Error("it is online")
	}
	// The name of a member can't be taken.
	if err := c.JoinRemote(ctx, liar, c.Nodes[1].Name); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("join under the name of a member: %v", err)
	}
}

// The connection moves, the proxy's engine is restarted, and so is belayd of the remote
// node: nothing of that touches what runs there, and it is watched afterwards.
func TestRemoteProxyChanges(t *testing.T) {
	c := start(t, cluster.Config{Remotes: 1})
	ctx := deadline(t, 3*time.Minute)
	far := c.Remotes[0]
	must(t, c.JoinRemote(ctx, far, far.Name))
	for _, n := range c.Nodes {
		must(t, n.Host.WriteFile("/usr/lib/ocf/resource.d/e2e/Traced", []byte(traced), 0o755))
	}
	must(t, far.Host.WriteFile("/usr/lib/ocf/resource.d/e2e/Traced", []byte(traced), 0o755))
	_, err := c.Nodes[0].Create(ctx, "resource/"+far.Name, far.Connection(time.Second, 5*time.Second))
	must(t, err)
	wait(t, c, 30*time.Second, "the remote node is connected", func(s *status.Summary) string { return remoteOnline(s, far.Name) })
	_, err = c.Nodes[0].Apply(ctx, &cib.Config{
		Resources:   map[string]*cib.Resource{"svc": tracedResource(nil)},
		Constraints: map[string]*cib.Constraint{"svc-far": {Location: &cib.Location{Resource: "svc", Node: far.Name, Score: 100}}},
	})
	must(t, err)
	healthy := func(what string, proxies ...string) {
		t.Helper()
		wait(t, c, 40*time.Second, what, func(s *status.Summary) string {
			if why := cluster.Running(s, far.Name, proxies...); why != "" {
				return why
			}
			if why := remoteOnline(s, far.Name); why != "" {
				return why
			}
			if why := cluster.Running(s, "svc", far.Name); why != "" {
				return why
			}
			if len(s.Actions) > 0 {
				return s.Actions[0].Text
			}
			return calm(s)
		})
	}
	healthy("the service runs on the remote node")
	began := time.Now()
	proxy := ownerOf(t, c, far.Name)
	next := c.Others(proxy)[0]
	move(t, c, far.Name, next.Name)
	healthy("the connection has moved", next.Name)
	restarted := time.Now()
	must(t, next.Restart(ctx))
	until(t, 30*time.Second, "the connection was made anew", func() string {
		for _, ev := range eventsOf(t, c.Nodes[0], event.ResourceStarted, "", restarted) {
			if ev.Resource == far.Name {
				return ""
			}
		}
		return "not started"
	})
	healthy("the engine of the proxy was restarted")
	must(t, far.Restart())
	healthy("belayd of the remote node was restarted")
	if n := eventsOf(t, c.Nodes[0], event.ResourceFailed, "", began); len(n) != 0 {
		t.Errorf("failures: %+v", n)
	}
	for _, ev := range append(eventsOf(t, c.Nodes[0], event.ResourceStarted, far.Name, began), eventsOf(t, c.Nodes[0], event.ResourceStopped, far.Name, began)...) {
		t.Errorf("%s", ev.Text)
	}
	if n := len(eventsOf(t, c.Nodes[0], event.FencingRequested, "", began)); n != 0 {
		t.Errorf("%d fencing requests", n)
	}
	_, err = far.Host.Exec(ctx, "rm", "/run/e2e-svc")
	must(t, err)
	wait(t, c, 20*time.Second, "a failure is found", func(s *status.Summary) string {
		if n := s.Resource("svc").FailCount; n != 1 {
			return "fail count " + n.String()
		}
		return cluster.Running(s, "svc", far.Name)
	})
}
