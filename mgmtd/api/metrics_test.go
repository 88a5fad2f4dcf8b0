package api

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/status"
)

// promtool finds nothing to say about the metrics, and the series that operators
// watch are there.
func TestMetrics(t *testing.T) {
	w := newWorld(t, 2, func(o *Options) { o.HACluster = true })
	w.engine.mu.Lock()
	next := w.engine.summary
	next.Revision++
	next.Failovers = []status.Failover{{Resource: "web", From: "n1", To: "n2", Duration: 3e9}}
	next.Links = []status.Link{{Node: "n1", Peer: "n2", State: status.LinkUp}}
	next.Resources[0].Instances = []status.Instance{{Instance: "web", Node: "n1"}}
	w.engine.mu.Unlock()
	w.engine.states <- &next
	w.await("the new state", func() bool { return w.view.Current().Summary.Revision == next.Revision })
	rec := w.request(http.MethodGet, "/metrics", w.login("viewer"), "")
	w.want(rec, http.StatusOK, "")
	text := rec.Body.String()
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// This name is ha_cluster_exporter's.
		if !strings.HasPrefix(line, "ha_cluster_pacemaker_fail_count ") {
			t.Errorf("promtool: %s", line)
		}
	}
	if len(out) == 0 && err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`belay_node_state{node="n1",state="online"} 1`, `belay_resource_state{resource="web",state="running"} 1`, `belay_resource_state{resource="web",state="failed"} 0`,
		`belay_failover_duration_seconds_bucket{le="5"} 1`, `belay_engine_up 1`, `belay_link_up{link="0",node="n1",peer="n2"} 1`, `ha_cluster_pacemaker_nodes{node="n1",status="online",type="member"} 1`,
		`belay_rest_requests_total{method="POST",path="/v1/session",status="201"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
