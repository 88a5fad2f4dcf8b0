package mib

import (
	"cmp"
	"hash/fnv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// groups is everything in the module, in the order of its arcs.
var groups = []group{
	clusterGroup, quorumGroup, nodeTable, linkTable, resourceTable, instanceTable, quorumDeviceTable,
	fenceDeviceTable, fenceEventTable, failoverTable, storeMemberTable, alarmTable,
}

var clusterGroup = &scalars{arc: 1, prefix: "belayCluster", text: "The cluster as a whole.", all: []scalar{
	{
		object{1, "Name", syntaxText, "", "Administratively assigned name of the cluster.", false},
		func(v *View) Value { return text(v.Summary.Cluster.Name) },
	},
	{
		object{2, "State", syntaxEnum(status.ClusterStates), "", "Overall state, the worst of the states of nodes, resources, links, quorum and store.", false},
		func(v *View) Value { return enum(v.Summary.Cluster.State) },
	},
	{
		object{3, "StateReason", syntaxText, "", "Reason of the present value of belayClusterState, for people.", false},
		func(v *View) Value { return text(v.Summary.Cluster.Reason) },
	},
	{
		object{4, "SoftwareVersion", syntaxText, "", "Version of the cluster software on the node that answers.", false},
		func(v *View) Value { return text(v.Version) },
	},
	{
		object{5, "LocalNodeName", syntaxText, "", "Name of the node whose agent answers this request.", false},
		func(v *View) Value { return text(v.Node) },
	},
	{
		object{6, "DcNodeName", syntaxText, "", "Name of the designated coordinator, the node that decides for the cluster; zero-length if there is none.", false},
		func(v *View) Value { return text(v.Summary.Cluster.DC) },
	},
	{
		object{7, "ConfigGeneration", syntaxCounter, "", "Generation of the configuration; rises by one with every change of it.", false},
		func(v *View) Value { return counter64(v.Summary.Cluster.Generation) },
	},
	{
		object{8, "Revision", syntaxCounter, "", "Revision of the state that all objects show. Two answers with the same revision are of one state.", false},
		func(v *View) Value { return counter64(uint64(max(v.Summary.Revision, 0))) },
	},
	{
		object{9, "StateAge", syntaxGauge, "seconds", "Age of what is shown, above zero where the store of the cluster does not answer this node.", false},
		func(v *View) Value { return gauge(int64(v.Age / time.Second)) },
	},
	{
		object{10, "View", syntaxCounter, "", "Number of the membership view.", false},
		func(v *View) Value { return counter64(v.Summary.Cluster.View) },
	},
	{
		object{11, "NodesConfigured", syntaxGauge, "", "Number of members of the cluster, without remote nodes.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.Nodes) },
	},
	{
		object{12, "NodesOnline", syntaxGauge, "", "Number of members that are online and may host resources.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.NodesOnline) },
	},
	{
		object{13, "NodesUnclean", syntaxGauge, "", "Number of nodes that are lost or being fenced.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.NodesUnclean) },
	},
	{
		object{14, "ResourcesConfigured", syntaxGauge, "", "Number of resources: primitives, groups and clones.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.Resources) },
	},
	{
		object{15, "ResourcesRunning", syntaxGauge, "", "Number of resources that run.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.ResourcesRunning) },
	},
	{
		object{16, "ResourcesStopped", syntaxGauge, "", "Number of resources that are active nowhere.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.ResourcesStopped) },
	},
	{
		object{17, "ResourcesFailed", syntaxGauge, "", "Number of resources that failed or are blocked.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.ResourcesFailed) },
	},
	{
		object{18, "MaintenanceMode", syntaxTruth, "", "Whether the whole cluster is in maintenance.", false},
		func(v *View) Value { return truth(v.Summary.Cluster.Maintenance) },
	},
	{
		object{19, "FencingRequired", syntaxTruth, "", "Whether what ran on a lost node waits for a proof that the node is dead.", false},
		func(v *View) Value { return truth(v.Summary.Cluster.FencingRequired) },
	},
	{
		object{20, "LastConfigChange", syntaxDate, "", "Time of the last change of the configuration.", false},
		func(v *View) Value { return date(v.Summary.Cluster.ConfigChanged) },
	},
	{
		object{21, "RecentFailovers", syntaxGauge, "", "Number of moves that the events which are kept tell of.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.Failovers) },
	},
	{
		object{22, "AlarmsCritical", syntaxGauge, "", "Number of critical alarms.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.AlarmsCritical) },
	},
	{
		object{23, "AlarmsMajor", syntaxGauge, "", "Number of major alarms.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.AlarmsMajor) },
	},
	{
		object{24, "AlarmsMinor", syntaxGauge, "", "Number of minor alarms.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.AlarmsMinor) },
	},
	{
		object{25, "AlarmsWarning", syntaxGauge, "", "Number of warnings.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.AlarmsWarning) },
	},
	{
		object{26, "RemotesConfigured", syntaxGauge, "", "Number of remote nodes.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.Remotes) },
	},
	{
		object{27, "RemotesOnline", syntaxGauge, "", "Number of remote nodes that are online.", false},
		func(v *View) Value { return gauge(v.Summary.Cluster.Counts.RemotesOnline) },
	},
}}

var quorumGroup = &scalars{arc: 2, prefix: "belayQuorum", text: "Whether this part of the cluster may act.", all: []scalar{
	{
		object{1, "State", syntaxEnum(status.QuorumStates), "", "Whether the partition this node is in has quorum.", false},
		func(v *View) Value { return enum(v.Summary.Quorum.State) },
	},
	{
		object{2, "Votes", syntaxGauge, "", "Votes present in this partition.", false},
		func(v *View) Value { return gauge(v.Summary.Quorum.Votes) },
	},
	{
		object{3, "ExpectedVotes", syntaxGauge, "", "Votes of all voters.", false},
		func(v *View) Value { return gauge(v.Summary.Quorum.Expected) },
	},
	{
		object{4, "NeededVotes", syntaxGauge, "", "Votes needed for quorum.", false},
		func(v *View) Value { return gauge(v.Summary.Quorum.Needed) },
	},
	{
		object{5, "Policy", syntaxEnum(cib.NoQuorumPolicies), "", "What is done with the resources of a partition without quorum.", false},
		func(v *View) Value { return enum(v.Summary.Quorum.Policy) },
	},
	{
		object{6, "Reason", syntaxText, "", "Reason of belayQuorumState, for people.", false},
		func(v *View) Value { return text(v.Summary.Quorum.Reason) },
	},
	{
		object{7, "VoterEpoch", syntaxCounter, "", "Rises with each change of the set of voters.", false},
		func(v *View) Value { return counter64(v.Summary.Quorum.Epoch) },
	},
}}

// remoteIndexes is where the indexes of remote nodes begin. They have no number of their
// own: theirs is that of the resource which is the connection to them, or which a guest is. Members never come
// so far, and it is no negative number to a manager that reads indexes as signed.
const remoteIndexes = 1 << 30

// replicaIndexes is where those of the replicas of bundles begin: each bundle has as many
// as it may have replicas, by its number.
const replicaIndexes = remoteIndexes + 1<<29

// nodeRow is a node with its index: a member or a remote node.
type nodeRow struct {
	*status.Node
	index uint32
}

var nodeTable = &table[nodeRow]{
	arc: 3, prefix: "belayNode", text: "The nodes of the cluster: its members, and its remote nodes, which have no engine of their own.", index: []string{"belayNodeIndex"},
	rows: func(v *View) []nodeRow {
		ids := nodeIDs(v)
		out := make([]nodeRow, 0, len(v.Summary.Nodes)+len(v.Summary.Remotes))
		for _, nodes := range [][]status.Node{v.Summary.Nodes, v.Summary.Remotes} {
			for i := range nodes {
				out = append(out, nodeRow{&nodes[i], ids[nodes[i].Name]})
			}
		}
		return out
	},
	key: func(n *nodeRow) []uint32 { return []uint32{n.index} },
	columns: []column[nodeRow]{
		{object{1, "Index", syntaxIndex, "", "Number of the node, given when it joined and never used again. Of a remote node 1073741824 and the belayResourceIndex of the connection to it.", true}, nil},
		{object{2, "Name", syntaxText, "", "Name of the node, unique in the cluster.", false}, func(n *nodeRow) Value { return text(n.Name) }},
		{object{3, "AddressType", syntaxAddrType, "", "Type of belayNodeAddress.", false}, func(n *nodeRow) Value { return addressType(first(n.Addresses)) }},
		{object{4, "Address", syntaxAddr, "", "Address of the node on the first link.", false}, func(n *nodeRow) Value { return address(first(n.Addresses)) }},
		{object{5, "State", syntaxEnum(status.NodeStates), "", "Membership of the node, and what administrators want of it.", false}, func(n *nodeRow) Value { return enum(n.State) }},
		{object{6, "StateReason", syntaxText, "", "Why the node is in its state.", false}, func(n *nodeRow) Value { return text(n.Reason) }},
		{object{7, "AdminState", syntaxEnum(status.AdminStates), "", "What administrators want of the node.", false}, func(n *nodeRow) Value { return enum(n.Admin) }},
		{object{8, "Health", syntaxEnum(status.Healths), "", "Health of the node as its health agents see it.", false}, func(n *nodeRow) Value { return enum(n.Health) }},
		{object{9, "Role", syntaxEnum(status.NodeRoles), "", "What the node is in the cluster.", false}, func(n *nodeRow) Value { return enum(n.Role) }},
		{object{10, "Votes", syntaxGauge, "", "Votes of the node.", false}, func(n *nodeRow) Value { return gauge(n.Votes) }},
		{object{11, "UpSince", syntaxDate, "", "When the cluster software of the node started; zero where it is no member.", false}, func(n *nodeRow) Value { return date(n.UpSince) }},
		{object{12, "LastStateChange", syntaxDate, "", "Time of the last change of belayNodeState.", false}, func(n *nodeRow) Value { return date(n.Since) }},
		{object{13, "Running", syntaxGauge, "", "Number of resource instances that are active on the node.", false}, func(n *nodeRow) Value { return gauge(n.Running) }},
		{object{14, "Failed", syntaxGauge, "", "Number of resource instances that failed on the node.", false}, func(n *nodeRow) Value { return gauge(n.Failed) }},
		{object{15, "SoftwareVersion", syntaxText, "", "Version of the cluster software on the node.", false}, func(n *nodeRow) Value { return text(n.Version) }},
		{object{16, "FenceReadiness", syntaxEnum(status.FenceReadinesses), "", "Whether the node could be fenced now.", false}, func(n *nodeRow) Value { return enum(n.Fence) }},
		{object{17, "Site", syntaxText, "", "Site of the node, zero-length if sites are not used.", false}, func(n *nodeRow) Value { return text(n.Site) }},
		{object{18, "ProxyNode", syntaxText, "", "Of a remote node the name of the member that is, or was, connected to it; zero-length of a member.", false}, func(n *nodeRow) Value { return text(n.Host) }},
	},
}

// linkRow is a link with the numbers of its ends.
type linkRow struct {
	*status.Link
	node, peer uint32
}

var linkTable = &table[linkRow]{
	arc: 4, prefix: "belayLink", text: "The heartbeat links, each as the node at its near end sees it.",
	index: []string{"belayNodeIndex", "belayLinkPeer", "belayLinkNumber"},
	rows: func(v *View) []linkRow {
		ids := nodeIDs(v)
		out := make([]linkRow, len(v.Summary.Links))
		for i := range v.Summary.Links {
			l := &v.Summary.Links[i]
			out[i] = linkRow{l, ids[l.Node], ids[l.Peer]}
		}
		return out
	},
	key: func(l *linkRow) []uint32 { return []uint32{l.node, l.peer, uint32(l.Link.Link) + 1} },
	columns: []column[linkRow]{
		{object{1, "Peer", syntaxIndex, "", "belayNodeIndex of the node at the far end.", true}, nil},
		{object{2, "Number", syntaxIndex, "", "Number of the link (the network), from one.", true}, nil},
		{object{3, "PeerName", syntaxText, "", "Name of the node at the far end.", false}, func(l *linkRow) Value { return text(l.Link.Peer) }},
		{object{4, "AddressType", syntaxAddrType, "", "Type of both addresses.", false}, func(l *linkRow) Value { return addressType(l.Address) }},
		{object{5, "LocalAddress", syntaxAddr, "", "Address at the near end.", false}, func(l *linkRow) Value { return address(l.Address) }},
		{object{6, "RemoteAddress", syntaxAddr, "", "Address at the far end.", false}, func(l *linkRow) Value { return address(l.PeerAddress) }},
		{object{7, "State", syntaxEnum(status.LinkStates), "", "State of the link.", false}, func(l *linkRow) Value { return enum(l.State) }},
		{object{8, "RttMicros", syntaxGauge, "microseconds", "Smoothed round-trip time of heartbeats.", false}, func(l *linkRow) Value { return gauge(int64(l.RTT / time.Microsecond)) }},
		{object{9, "LossPermille", syntaxGauge, "", "Heartbeats lost of a thousand.", false}, func(l *linkRow) Value { return gauge(int64(l.Loss * 1000)) }},
		{object{10, "Sent", syntaxCounter, "", "Datagrams sent.", false}, func(l *linkRow) Value { return counter64(l.Sent) }},
		{object{11, "Received", syntaxCounter, "", "Datagrams received.", false}, func(l *linkRow) Value { return counter64(l.Received) }},
		{object{12, "Rejected", syntaxCounter, "", "Datagrams received that were not genuine.", false}, func(l *linkRow) Value { return counter64(l.Rejected) }},
		{object{13, "LastStateChange", syntaxDate, "", "Time of the last change of belayLinkState.", false}, func(l *linkRow) Value { return date(l.Since) }},
	},
}

// resourceRow is a resource with the number of its parent.
type resourceRow struct {
	*status.Resource
	parent uint32
}

var resourceTable = &table[resourceRow]{
	arc: 5, prefix: "belayResource", text: "The resources: primitives, groups, clones and bundles.", index: []string{"belayResourceIndex"},
	rows: func(v *View) []resourceRow {
		ids := resourceNumbers(v)
		out := make([]resourceRow, len(v.Summary.Resources))
		for i := range v.Summary.Resources {
			r := &v.Summary.Resources[i]
			out[i] = resourceRow{r, ids[r.Parent]}
		}
		return out
	},
	key: func(r *resourceRow) []uint32 { return []uint32{r.Number} },
	columns: []column[resourceRow]{
		{object{1, "Index", syntaxIndex, "", "Number of the resource, kept as long as it is configured and never used again.", true}, nil},
		{object{2, "Name", syntaxText, "", "Identifier of the resource, unique in the cluster.", false}, func(r *resourceRow) Value { return text(r.ID) }},
		{object{3, "Kind", syntaxEnum(cib.Kinds), "", "Kind of the resource.", false}, func(r *resourceRow) Value { return enum(r.Kind) }},
		{object{4, "Agent", syntaxText, "", "Agent that controls the resource, such as ocf:heartbeat:IPaddr2.", false}, func(r *resourceRow) Value { return text(r.Agent) }},
		{object{5, "ParentIndex", syntaxNumber, "", "belayResourceIndex of the group or clone that holds it, or zero.", false}, func(r *resourceRow) Value { return gauge(r.parent) }},
		{object{6, "State", syntaxEnum(status.ResourceStates), "", "State of the resource over all nodes.", false}, func(r *resourceRow) Value { return enum(r.State) }},
		{object{7, "StateReason", syntaxText, "", "Why it does not run, or what failed.", false}, func(r *resourceRow) Value { return text(r.Reason) }},
		{object{8, "TargetRole", syntaxEnum(cib.Roles), "", "Role that administrators want.", false}, func(r *resourceRow) Value { return enum(r.Wanted) }},
		{object{9, "Managed", syntaxTruth, "", "Whether the cluster manages the resource.", false}, func(r *resourceRow) Value { return truth(r.Managed) }},
		{object{10, "CurrentNode", syntaxText, "", "Name of the node it is active on, of the first if there are several; zero-length if there is none.", false}, func(r *resourceRow) Value { return text(first(r.Nodes)) }},
		{object{11, "PromotedNode", syntaxText, "", "Name of the node it is promoted on, of the first if there are several; zero-length if there is none.", false}, func(r *resourceRow) Value { return text(first(r.Promoted)) }},
		{object{12, "Active", syntaxGauge, "", "Instances that are active; of a group its active members.", false}, func(r *resourceRow) Value { return gauge(r.Active) }},
		{object{13, "Expected", syntaxGauge, "", "Instances or members that should be active.", false}, func(r *resourceRow) Value { return gauge(r.Expected) }},
		{object{14, "FailCount", syntaxGauge, "", "Failures that count at present, over all nodes.", false}, func(r *resourceRow) Value { return gauge(int64(r.FailCount)) }},
		{object{15, "LastStateChange", syntaxDate, "", "When it became active.", false}, func(r *resourceRow) Value { return date(r.Since) }},
	},
}

// instanceRow is a resource on a node.
type instanceRow struct {
	*status.Instance
	resource, node uint32
	last           status.Operation
}

var instanceTable = &table[instanceRow]{
	arc: 6, prefix: "belayInstance", text: "The state of each primitive on each node where something is known of it.",
	index: []string{"belayResourceIndex", "belayNodeIndex"},
	rows: func(v *View) []instanceRow {
		ids := nodeIDs(v)
		var out []instanceRow
		for i := range v.Summary.Resources {
			r := &v.Summary.Resources[i]
			for k := range r.Instances {
				x := instanceRow{Instance: &r.Instances[k], resource: r.Number, node: ids[r.Instances[k].Node]}
				for _, op := range x.Operations {
					if !op.Ended.Before(x.last.Ended) {
						x.last = op
					}
				}
				out = append(out, x)
			}
		}
		return out
	},
	key: func(i *instanceRow) []uint32 { return []uint32{i.resource, i.node} },
	columns: []column[instanceRow]{
		{object{1, "State", syntaxEnum(status.InstanceStates), "", "State of the resource on the node.", false}, func(i *instanceRow) Value { return enum(i.State) }},
		{object{2, "StateReason", syntaxText, "", "Why it is in its state.", false}, func(i *instanceRow) Value { return text(i.Reason) }},
		{object{3, "FailCount", syntaxGauge, "", "Failures of the resource on the node that count at present.", false}, func(i *instanceRow) Value { return gauge(int64(i.FailCount)) }},
		{object{4, "LastOperation", syntaxText, "", "The operation that ended last, such as monitor.", false}, func(i *instanceRow) Value { return text(i.last.Op) }},
		{object{5, "LastExitCode", syntaxInteger, "", "Exit code of belayInstanceLastOperation.", false}, func(i *instanceRow) Value { return integer(i.last.RC) }},
		{object{6, "LastOperationTime", syntaxDate, "", "When belayInstanceLastOperation ended.", false}, func(i *instanceRow) Value { return date(i.last.Ended) }},
		{object{7, "LastOperationMillis", syntaxGauge, "milliseconds", "How long belayInstanceLastOperation took.", false}, func(i *instanceRow) Value { return gauge(i.last.Exec.Milliseconds()) }},
	},
}

var quorumDeviceTable = &table[status.QuorumDevice]{
	arc: 7, prefix: "belayQuorumDevice", text: "The quorum devices, which are asked at an exact tie of the votes.", index: []string{"belayQuorumDeviceIndex"},
	rows: func(v *View) []status.QuorumDevice { return v.Summary.Quorum.Devices },
	key:  func(d *status.QuorumDevice) []uint32 { return []uint32{d.Number} },
	columns: []column[status.QuorumDevice]{
		{object{1, "Index", syntaxIndex, "", "Number of the device, kept as long as it is configured and never used again.", true}, nil},
		{object{2, "Name", syntaxText, "", "Name of the device.", false}, func(d *status.QuorumDevice) Value { return text(d.ID) }},
		{object{3, "Kind", syntaxEnum(cib.QuorumDeviceKinds), "", "Kind of the device.", false}, func(d *status.QuorumDevice) Value { return enum(d.Kind) }},
		{object{4, "Order", syntaxInteger, "", "Place in the chain: the lowest is asked first.", false}, func(d *status.QuorumDevice) Value { return integer(d.Order) }},
		{object{5, "Works", syntaxTruth, "", "Whether it works, as the node sees it whose agent answers; false(2) once it does not answer that node.", false}, func(d *status.QuorumDevice) Value { return truth(d.Failed == "") }},
		{object{6, "Failure", syntaxText, "", "Why it does not work, zero-length if it does.", false}, func(d *status.QuorumDevice) Value { return text(d.Failed) }},
		{object{7, "Asked", syntaxTruth, "", "Whether it is asked now, since there is a tie.", false}, func(d *status.QuorumDevice) Value { return truth(d.Asked) }},
		{object{8, "Answer", syntaxText, "", "What it says to that, such as have; zero-length if nothing yet.", false}, func(d *status.QuorumDevice) Value { return text(d.Answer.String()) }},
	},
}

var fenceDeviceTable = &table[status.FenceDevice]{
	arc: 8, prefix: "belayFenceDevice", text: "The fence devices.", index: []string{"belayFenceDeviceIndex"},
	rows: func(v *View) []status.FenceDevice { return v.Summary.FenceDevices },
	key:  func(d *status.FenceDevice) []uint32 { return []uint32{d.Number} },
	columns: []column[status.FenceDevice]{
		{object{1, "Index", syntaxIndex, "", "Number of the device, kept as long as it is configured and never used again.", true}, nil},
		{object{2, "Name", syntaxText, "", "Name of the device.", false}, func(d *status.FenceDevice) Value { return text(d.ID) }},
		{object{3, "Agent", syntaxText, "", "Fence agent, such as fence_ipmilan.", false}, func(d *status.FenceDevice) Value { return text(d.Agent) }},
		{object{4, "Targets", syntaxText, "", "Names of the nodes it can fence, separated by commas.", false}, func(d *status.FenceDevice) Value { return text(strings.Join(d.Targets, ",")) }},
		{object{5, "State", syntaxEnum(status.FenceDeviceStates), "", "Result of its checks.", false}, func(d *status.FenceDevice) Value { return enum(d.State) }},
		{object{6, "StateReason", syntaxText, "", "Why it is in its state.", false}, func(d *status.FenceDevice) Value { return text(d.Reason) }},
		{object{7, "LastCheck", syntaxDate, "", "Time of the last check from any node.", false}, func(d *status.FenceDevice) Value { return date(d.Checked) }},
		{object{8, "Succeeded", syntaxGauge, "", "Requests of the history that it confirmed.", false}, func(d *status.FenceDevice) Value { return gauge(d.Succeeded) }},
		{object{9, "LastUsed", syntaxDate, "", "When it last confirmed a request.", false}, func(d *status.FenceDevice) Value { return date(d.LastUsed) }},
	},
}

var fenceEventTable = &table[status.Fencing]{
	arc: 9, prefix: "belayFenceEvent", text: "The fencing requests that are kept, each with its proof.", index: []string{"belayFenceEventIndex"},
	rows: func(v *View) []status.Fencing { return v.Summary.Fencing },
	key:  func(f *status.Fencing) []uint32 { return []uint32{timeIndex(f.Asked, f.ID)} },
	columns: []column[status.Fencing]{
		{object{1, "Index", syntaxIndex, "", "Number of the request; a newer one has a higher number.", true}, nil},
		{object{2, "Asked", syntaxDate, "", "When it was asked for.", false}, func(f *status.Fencing) Value { return date(f.Asked) }},
		{object{3, "Ended", syntaxDate, "", "When it ended; zero while it is pending.", false}, func(f *status.Fencing) Value { return date(f.Ended) }},
		{object{4, "Target", syntaxText, "", "Node to be fenced.", false}, func(f *status.Fencing) Value { return text(f.Target) }},
		{object{5, "Device", syntaxText, "", "Device that confirmed it, zero-length if none has.", false}, func(f *status.Fencing) Value { return text(f.Device) }},
		{object{6, "Operation", syntaxEnum(cib.FenceOps), "", "What was asked for.", false}, func(f *status.Fencing) Value { return enum(f.Op) }},
		{object{7, "Result", syntaxEnum(status.FenceResults), "", "Result of the request.", false}, func(f *status.Fencing) Value { return enum(f.Result) }},
		{object{8, "Reason", syntaxText, "", "Why the node was to be fenced.", false}, func(f *status.Fencing) Value { return text(f.Reason) }},
		{object{9, "Executor", syntaxText, "", "Node, or person, that carried it out.", false}, func(f *status.Fencing) Value { return text(f.Executor) }},
		{object{10, "Attempts", syntaxGauge, "", "Attempts so far.", false}, func(f *status.Fencing) Value { return gauge(f.Attempts) }},
		{object{11, "Proof", syntaxText, "", "Identifier of the proof, zero-length if there is none.", false}, func(f *status.Fencing) Value { return text(proof(f)) }},
	},
}

var failoverTable = &table[status.Failover]{
	arc: 10, prefix: "belayFailover", text: "The moves of services, resources or whole groups, that the events which are kept tell of. A fail-over is one row, from the loss of the service until it runs again; belayServiceFailedOver tells of the same.", index: []string{"belayFailoverIndex"},
	rows: func(v *View) []status.Failover { return v.Summary.Failovers },
	key:  func(f *status.Failover) []uint32 { return []uint32{uint32(f.Seq%(1<<32-1)) + 1} },
	columns: []column[status.Failover]{
		{object{1, "Index", syntaxIndex, "", "Number of the move; a newer one has a higher number, until the numbers begin again.", true}, nil},
		{object{2, "Time", syntaxDate, "", "When the move began; of a fail-over, when the service was lost.", false}, func(f *status.Failover) Value { return date(f.Time) }},
		{object{3, "Resource", syntaxText, "", "Resource that moved.", false}, func(f *status.Failover) Value { return text(f.Resource) }},
		{object{4, "FromNode", syntaxText, "", "Node it left.", false}, func(f *status.Failover) Value { return text(f.From) }},
		{object{5, "ToNode", syntaxText, "", "Node it went to.", false}, func(f *status.Failover) Value { return text(f.To) }},
		{object{6, "Cause", syntaxEnum(status.FailoverCauses), "", "Why it moved.", false}, func(f *status.Failover) Value { return enum(f.Cause) }},
		{object{7, "Result", syntaxEnum(status.FailoverResults), "", "How the move ended.", false}, func(f *status.Failover) Value { return enum(f.Result) }},
		{object{8, "DurationMillis", syntaxGauge, "milliseconds", "How long the service was not there, or has not been so far.", false}, func(f *status.Failover) Value { return gauge(f.Duration.Milliseconds()) }},
		{object{9, "Reason", syntaxText, "", "What decided it, for people.", false}, func(f *status.Failover) Value { return text(f.Reason) }},
		{object{10, "Ended", syntaxDate, "", "When the move ended, zero-length while it goes on.", false}, func(f *status.Failover) Value { return date(f.Ended) }},
	},
}

// storeRow is a member of the store with the number of its node.
type storeRow struct {
	*status.StoreMember
	node uint32
}

var storeMemberTable = &table[storeRow]{
	arc: 11, prefix: "belayStoreMember", text: "The members of the store that holds configuration and state.", index: []string{"belayNodeIndex"},
	rows: func(v *View) []storeRow {
		ids := nodeIDs(v)
		out := make([]storeRow, len(v.Summary.Store.Members))
		for i := range v.Summary.Store.Members {
			m := &v.Summary.Store.Members[i]
			out[i] = storeRow{m, ids[m.Node]}
		}
		return out
	},
	key: func(m *storeRow) []uint32 { return []uint32{m.node} },
	columns: []column[storeRow]{
		{object{1, "NodeName", syntaxText, "", "Node that the member runs on.", false}, func(m *storeRow) Value { return text(m.Node) }},
		{object{2, "State", syntaxEnum(status.StoreStates), "", "State of the member.", false}, func(m *storeRow) Value { return enum(m.State) }},
		{object{3, "Leader", syntaxTruth, "", "Whether the member leads the store.", false}, func(m *storeRow) Value { return truth(m.Leader) }},
		{object{4, "DbSizeKilobytes", syntaxGauge, "kilobytes", "Size of its data on disk.", false}, func(m *storeRow) Value { return gauge(m.SizeBytes / 1024) }},
		{object{5, "QuotaKilobytes", syntaxGauge, "kilobytes", "Largest size that is allowed.", false}, func(m *storeRow) Value { return gauge(m.Quota / 1024) }},
		{object{6, "LatencyMicros", syntaxGauge, "microseconds", "How long a write takes.", false}, func(m *storeRow) Value { return gauge(int64(m.Latency / time.Microsecond)) }},
		{object{7, "Alarm", syntaxText, "", "What the member complains of, zero-length if nothing.", false}, func(m *storeRow) Value { return text(m.Alarm) }},
		{object{8, "LastBackup", syntaxDate, "", "Time of its last backup.", false}, func(m *storeRow) Value { return date(m.Backup) }},
		{object{9, "Reported", syntaxDate, "", "When this was reported.", false}, func(m *storeRow) Value { return date(m.Reported) }},
	},
}

var alarmTable = &table[status.Alarm]{
	arc: 12, prefix: "belayAlarm", text: "The alarms that stand now.", index: []string{"belayAlarmIndex"},
	rows: func(v *View) []status.Alarm { return v.Summary.Alarms },
	key:  func(a *status.Alarm) []uint32 { return []uint32{hash(a.ID)&0x7fffffff | 1<<30} },
	columns: []column[status.Alarm]{
		{object{1, "Index", syntaxIndex, "", "Arbitrary number of the alarm, kept as long as it lasts.", true}, nil},
		{object{2, "RaisedAt", syntaxDate, "", "When it was raised.", false}, func(a *status.Alarm) Value { return date(a.Since) }},
		{object{3, "Severity", syntaxSeverity, "", "Severity of the alarm.", false}, func(a *status.Alarm) Value { return enum(a.Severity) }},
		{object{4, "Code", syntaxText, "", "Stable code of the alarm, such as BLY3002.", false}, func(a *status.Alarm) Value { return text(a.Code) }},
		{object{5, "Text", syntaxText, "", "What is wrong.", false}, func(a *status.Alarm) Value { return text(a.Text) }},
		{object{6, "Remedy", syntaxText, "", "What to do about it.", false}, func(a *status.Alarm) Value { return text(a.Remedy) }},
		{object{7, "Node", syntaxText, "", "Node it is about, zero-length if none.", false}, func(a *status.Alarm) Value { return text(a.Node) }},
		{object{8, "Resource", syntaxText, "", "Resource it is about, zero-length if none.", false}, func(a *status.Alarm) Value { return text(a.Resource) }},
		{object{9, "Device", syntaxText, "", "Device it is about, zero-length if none.", false}, func(a *status.Alarm) Value { return text(a.Device) }},
		{object{10, "Acknowledged", syntaxTruth, "", "Whether somebody has said that they look after it.", false}, func(a *status.Alarm) Value { return truth(a.Acknowledged != nil) }},
		{object{11, "AcknowledgedBy", syntaxText, "", "Who looks after it, zero-length if nobody.", false}, func(a *status.Alarm) Value { return text(acknowledged(a).By) }},
		{object{12, "AcknowledgedAt", syntaxDate, "", "When it was acknowledged; all octets are zero if it was not.", false}, func(a *status.Alarm) Value { return date(acknowledged(a).Time) }},
		{object{13, "AcknowledgedComment", syntaxText, "", "What they said, zero-length if nothing.", false}, func(a *status.Alarm) Value { return text(acknowledged(a).Comment) }},
	},
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func proof(f *status.Fencing) string {
	if f.Proof == nil {
		return ""
	}
	return f.Proof.ID
}

// nodeIDs are the indexes of nodes; those of remote nodes too, which have none before
// their connection has a number.
func nodeIDs(v *View) map[string]uint32 {
	ids := make(map[string]uint32, len(v.Summary.Nodes)+len(v.Summary.Remotes))
	for i := range v.Summary.Nodes {
		ids[v.Summary.Nodes[i].Name] = v.Summary.Nodes[i].ID
	}
	if len(v.Summary.Remotes) == 0 {
		return ids
	}
	numbers := resourceNumbers(v)
	replicas := map[string]bool{}
	for i := range v.Summary.Resources {
		if r := &v.Summary.Resources[i]; r.Kind == cib.KindBundle {
			replicas[r.ID] = true
		}
	}
	for i := range v.Summary.Remotes {
		r := &v.Summary.Remotes[i]
		n := numbers[cmp.Or(r.Inside, r.Name)] // the connection has the name of a remote node
		switch {
		case n > 0 && replicas[r.Inside]:
			ids[r.Name] = replicaIndexes + n*cib.ReplicasMax + uint32(r.Replica)
		case n > 0:
			ids[r.Name] = remoteIndexes + n
		}
	}
	return ids
}

func resourceNumbers(v *View) map[string]uint32 {
	ids := make(map[string]uint32, len(v.Summary.Resources))
	for i := range v.Summary.Resources {
		ids[v.Summary.Resources[i].ID] = v.Summary.Resources[i].Number
	}
	return ids
}

func hash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum32()
}

// timeIndexZero is where the numbers of requests begin; they last for 17 years.
var timeIndexZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// timeIndex numbers what has a time and an id: by eighths of a second, which of them
// the id says.
func timeIndex(t time.Time, id string) uint32 {
	return uint32(max(t.Sub(timeIndexZero)/time.Second, 0))*8 + hash(id)%8 + 1
}

func acknowledged(a *status.Alarm) cib.Acknowledgement {
	if a.Acknowledged == nil {
		return cib.Acknowledgement{}
	}
	return *a.Acknowledged
}
