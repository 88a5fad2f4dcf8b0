package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// metrics are what this daemon counts itself. What is known of the cluster is made
// from the newest view when somebody asks.
type metrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "belay_rest_requests_total", Help: "Requests to the management daemon, by method, path and status."},
			[]string{"method", "path", "status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "belay_rest_request_duration_seconds", Help: "How long requests took, without streams.", Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}),
	}
}

// gatherer collects everything for /metrics.
func (s *Server) gatherer() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(s.metrics.requests, s.metrics.duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&clusterCollector{s}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "belay_rest_streams", Help: "Event streams that are open."},
			func() float64 { return float64(s.streams.Load()) }))
	if s.opts.HACluster {
		r.MustRegister(&haClusterCollector{s})
	}
	return r
}

// clusterCollector makes the series of the cluster from the newest view. It is
// unchecked: its series follow what there is.
type clusterCollector struct{ s *Server }

// Describe says nothing: the series follow the cluster.
func (c *clusterCollector) Describe(chan<- *prometheus.Desc) {}

// desc describes a series; the labels are few, so that descriptions are made anew.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// gauge sends one sample.
func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// state sends one sample of each value that a state can have: 1 for the one that is.
func state(ch chan<- prometheus.Metric, d *prometheus.Desc, is string, all []string, labels ...string) {
	for _, v := range all {
		gauge(ch, d, truth(v == is), append(append([]string{}, labels...), v)...)
	}
}

// Collect makes the series.
func (c *clusterCollector) Collect(ch chan<- prometheus.Metric) {
	v := c.s.opts.View.Current()
	gauge(ch, desc("belay_engine_up", "Whether the engine of this node answers."), truth(v.Problem == nil))
	gauge(ch, desc("belay_build_info", "The version of the management daemon.", "version", "node"), 1, c.s.opts.Version, c.s.opts.Node())
	if !v.Known() {
		return
	}
	x := v.Summary
	gauge(ch, desc("belay_snapshot_age_seconds", "How old the state is; 0 while the engine tells of every change."), v.Age(c.s.now()).Seconds())
	gauge(ch, desc("belay_config_generation", "Generation of the configuration."), float64(x.Cluster.Generation))
	gauge(ch, desc("belay_store_revision", "Revision of the store that the state is from."), float64(x.Revision))
	state(ch, desc("belay_cluster_state", "State of the cluster.", "state"), x.Cluster.State.String(), status.ClusterStates.Names())
	gauge(ch, desc("belay_quorum", "Whether this part of the cluster has quorum."), truth(x.Quorum.State == status.QuorumQuorate || x.Quorum.State == status.QuorumNotRequired))
	gauge(ch, desc("belay_quorum_votes", "Votes that count here."), float64(x.Quorum.Votes))
	gauge(ch, desc("belay_quorum_votes_needed", "Votes needed for quorum."), float64(x.Quorum.Needed))
	collectNodes(ch, x)
	collectResources(ch, x)
	collectRest(ch, v)
}

func collectNodes(ch chan<- prometheus.Metric, x *status.Summary) {
	st := desc("belay_node_state", "State of a node.", "node", "state")
	running := desc("belay_node_resources_running", "Instances that run on a node.", "node")
	fence := desc("belay_node_fence_ready", "Whether a node could be fenced now.", "node")
	offset := desc("belay_node_clock_offset_seconds", "A node's wall clock against the median of the voters'.", "node")
	for i := range x.Nodes {
		n := &x.Nodes[i]
		state(ch, st, n.State.String(), status.NodeStates.Names(), n.Name)
		gauge(ch, running, float64(n.Running), n.Name)
		gauge(ch, fence, truth(n.Fence == status.FenceReadinessReady), n.Name)
		gauge(ch, offset, n.ClockOffset.Seconds(), n.Name)
	}
	up, loss, rtt := desc("belay_link_up", "Whether a link to a peer is up.", "node", "peer", "link"),
		desc("belay_link_loss_ratio", "Heartbeats lost of the last 100.", "node", "peer", "link"),
		desc("belay_link_rtt_seconds", "Round-trip time of a link.", "node", "peer", "link")
	for i := range x.Links {
		l := &x.Links[i]
		labels := []string{l.Node, l.Peer, strconv.Itoa(l.Link)}
		gauge(ch, up, truth(l.State == status.LinkUp), labels...)
		gauge(ch, loss, l.Loss, labels...)
		gauge(ch, rtt, l.RTT.Seconds(), labels...)
	}
}

func collectResources(ch chan<- prometheus.Metric, x *status.Summary) {
	st := desc("belay_resource_state", "State of a resource.", "resource", "state")
	active := desc("belay_resource_instances_active", "Instances of a resource that are active.", "resource")
	expected := desc("belay_resource_instances_expected", "Instances of a resource that should be active.", "resource")
	fails := desc("belay_resource_failures", "Failures of a resource since the last cleanup, on all nodes.", "resource")
	managed := desc("belay_resource_managed", "Whether the cluster manages a resource.", "resource")
	for i := range x.Resources {
		r := &x.Resources[i]
		state(ch, st, r.State.String(), status.ResourceStates.Names(), r.ID)
		gauge(ch, active, float64(r.Active), r.ID)
		gauge(ch, expected, float64(r.Expected), r.ID)
		gauge(ch, fails, float64(r.FailCount), r.ID)
		gauge(ch, managed, truth(r.Managed), r.ID)
	}
}

func collectRest(ch chan<- prometheus.Metric, v *view.View) {
	x := v.Summary
	alarms := desc("belay_alarms", "Alarms that stand, by severity.", "severity")
	for severity, n := range map[string]int{
		"critical": x.Cluster.Counts.AlarmsCritical, "major": x.Cluster.Counts.AlarmsMajor, "minor": x.Cluster.Counts.AlarmsMinor, "warning": x.Cluster.Counts.AlarmsWarning,
	} {
		gauge(ch, alarms, float64(n), severity)
	}
	gauge(ch, desc("belay_operations_in_flight", "Actions that nodes carry out now."), float64(len(x.Actions)))
	device := desc("belay_fence_device_ready", "Whether a fence device works.", "device")
	for i := range x.FenceDevices {
		gauge(ch, device, truth(x.FenceDevices[i].State == status.FenceDeviceAvailable), x.FenceDevices[i].ID)
	}
	gauge(ch, desc("belay_store_latency_seconds", "Time of a write to the store, the longest of the members'."), x.Store.Latency.Seconds())
	gauge(ch, desc("belay_store_size_bytes", "Size of the store, the largest of the members'."), float64(x.Store.SizeBytes))
	collectFailovers(ch, x.Failovers)
}

// failoverBuckets are seconds without service.
var failoverBuckets = []float64{0.5, 1, 2, 5, 10, 30, 60, 300}

// collectFailovers makes the histogram of the fail-overs that are remembered.
func collectFailovers(ch chan<- prometheus.Metric, list []status.Failover) {
	counts := map[float64]uint64{}
	for _, b := range failoverBuckets {
		counts[b] = 0
	}
	var n uint64
	var sum time.Duration
	for i := range list {
		d := list[i].Duration
		if d <= 0 {
			continue
		}
		n++
		sum += d
		for _, b := range failoverBuckets {
			if d.Seconds() <= b {
				counts[b]++
			}
		}
	}
	ch <- prometheus.MustNewConstHistogram(desc("belay_failover_duration_seconds", "Time without service of the fail-overs in the event ring."), n, sum.Seconds(), counts)
}

// haClusterCollector offers the main series under the names of ha_cluster_exporter,
// so that dashboards made for it go on.
type haClusterCollector struct{ s *Server }

// Describe says nothing: the series follow the cluster.
func (c *haClusterCollector) Describe(chan<- *prometheus.Desc) {}

// Collect makes the series.
func (c *haClusterCollector) Collect(ch chan<- prometheus.Metric) {
	v := c.s.opts.View.Current()
	if !v.Known() {
		return
	}
	x := v.Summary
	gauge(ch, desc("ha_cluster_corosync_quorate", "Whether or not the cluster is quorate."), truth(x.Quorum.State == status.QuorumQuorate))
	votes := desc("ha_cluster_corosync_quorum_votes", "Cluster quorum votes.", "type")
	gauge(ch, votes, float64(x.Quorum.Expected), "expected_votes")
	gauge(ch, votes, float64(x.Quorum.Votes), "total_votes")
	gauge(ch, votes, float64(x.Quorum.Needed), "quorum")
	node := desc("ha_cluster_pacemaker_nodes", "The status of each node in the cluster.", "node", "type", "status")
	for i := range x.Nodes {
		n := &x.Nodes[i]
		for st, is := range map[string]bool{
			"online": n.State == status.NodeOnline, "standby": n.Admin == status.AdminStandby, "maintenance": n.Admin == status.AdminMaintenance,
			"unclean": n.State == status.NodeUnclean, "dc": n.Name == x.Cluster.DC,
		} {
			gauge(ch, node, truth(is), n.Name, "member", st)
		}
	}
	res := desc("ha_cluster_pacemaker_resources", "The status of each resource in the cluster.", "node", "resource", "role", "managed", "status", "agent", "group", "clone")
	fails := desc("ha_cluster_pacemaker_fail_count", "The fail count per node and resource id.", "node", "resource")
	for i := range x.Resources {
		r := &x.Resources[i]
		for j := range r.Instances {
			in := &r.Instances[j]
			gauge(ch, res, 1, in.Node, in.Instance, in.Role.String(), strconv.FormatBool(r.Managed), in.State.String(), r.Agent, r.Parent, "")
			gauge(ch, fails, float64(in.FailCount), in.Node, in.Instance)
		}
	}
	gauge(ch, desc("ha_cluster_pacemaker_stonith_enabled", "Whether or not stonith is enabled."), truth(x.Cluster.FencingRequired))
}
