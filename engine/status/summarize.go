package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Limits beyond which a figure becomes a state or an alarm.
const (
	ClockOffsetMax  = 500 * time.Millisecond // of a node's clock against the voters'
	LinkLossMax     = 0.05                   // heartbeats lost on a link that counts as up
	StoreReportMax  = 5 * time.Minute        // age of a member's report that still counts
	StoreFullAt     = 0.9                    // of the quota
	FenceCheckMax   = 15 * time.Minute       // age of a check that still counts, if its interval is shorter
	planRefusedFor  = time.Hour
	proofVoidFor    = 24 * time.Hour
	failoverCauseIn = 10 * time.Minute // how long before a move its cause may be
)

// Summarize computes the state of the cluster from a snapshot. now serves to let
// failures expire and reports grow old.
func Summarize(s *cib.Snapshot, now time.Time) *Summary { return SummarizeFor(s, now, nil) }

// SummarizeFor is Summarize on a node that also knows something by itself: that
// it has lost quorum, or that the store does not answer it. nil: it does not.
func SummarizeFor(s *cib.Snapshot, now time.Time, o *Observer) *Summary {
	b := &builder{
		s: s, c: s.Config, st: &s.Status, now: now, o: o, parents: s.Config.Parents(),
		out: &Summary{Revision: s.Revision, Time: now}, node: map[string]*Node{},
		instances: make(map[string][]Instance, len(s.Config.Resources)), settings: make(map[string]*settings, len(s.Config.Resources)),
		waiting: map[string]bool{}, implied: implied(s.Config),
	}
	b.nodes()
	b.links()
	b.fenceDevices()
	b.fenceReadiness()
	b.fencing()
	b.store()
	b.quorum()
	b.histories()
	b.resources()
	b.actions()
	b.failovers()
	b.rest()
	b.alarms()
	b.cluster()
	return b.out
}

// builder makes one summary. Its methods run in the order of SummarizeFor; each
// may use what the ones before have made.
type builder struct {
	s         *cib.Snapshot
	c         *cib.Config
	st        *cib.Status
	now       time.Time
	o         *Observer
	out       *Summary
	parents   map[string]string
	node      map[string]*Node // into out.Nodes
	instances map[string][]Instance
	settings  map[string]*settings
	actionsOf map[string][]string // ids in flight, by resource
	implied   map[string]string   // by what nobody configured, such as a container: the guest or bundle that it belongs to
	failures  []failure
	waiting   map[string]bool // resources that wait for the proof of a node
	eligible  int             // nodes that may host resources
}

func (b *builder) nodes() {
	names := slices.Sorted(maps.Keys(b.c.Nodes))
	b.out.Nodes = make([]Node, 0, len(names))
	for _, name := range names {
		if b.c.Nodes[name] == nil {
			continue
		}
		b.out.Nodes = append(b.out.Nodes, b.nodeRow(name, b.c.Nodes[name]))
	}
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		b.node[n.Name] = n
		if n.State == NodeOnline && !b.c.Nodes[n.Name].Arbiter {
			b.eligible++
		}
	}
	b.remotes()
}

// remotes adds the remote nodes and guests. They are no members, and stand in a list of
// their own.
func (b *builder) remotes() {
	for _, r := range b.c.Remotes() {
		cfg := &cib.Node{}
		if c := b.c.RemoteNodes[r.Name]; c != nil {
			cfg = &cib.Node{Site: c.Site, Standby: c.Standby, Maintenance: c.Maintenance, Attributes: c.Attributes, Utilization: c.Utilization}
		}
		n := Node{Name: r.Name, State: NodeOffline, Admin: AdminOnline, Role: RoleRemote, Site: cfg.Site, Utilization: cfg.Utilization, Reason: "never connected"}
		if st := b.st.Nodes[r.Name]; st != nil {
			n.State, n.Since, n.Reason, n.Proof, n.BootID = displayed(st.State), st.Since, st.Reason, st.Proof, st.BootID
		}
		if l := b.st.Remotes[r.Name]; l != nil {
			n.Version, n.Cores, n.Host = l.Version, l.Cores, l.Host
		}
		if r.Guest {
			n.Inside, n.Replica = r.Resource, max(0, r.Replica)
		}
		if f := b.st.Requests[r.Name]; f != nil && n.State == NodeUnclean && (f.State == cib.FenceRequested || f.State == cib.FenceExecuting) {
			n.State = NodeFencing
		}
		if n.State == NodeOnline && r.Replica < 0 {
			b.eligible++
		}
		b.adminState(&n, cfg)
		n.Health = health(b.attributes(&n, cfg))
		b.out.Remotes = append(b.out.Remotes, n)
	}
	for i := range b.out.Remotes {
		b.node[b.out.Remotes[i].Name] = &b.out.Remotes[i]
	}
}

// hosts are the rows of all that may run resources.
func (b *builder) hosts() []*Node {
	out := make([]*Node, 0, len(b.out.Nodes)+len(b.out.Remotes))
	for i := range b.out.Nodes {
		out = append(out, &b.out.Nodes[i])
	}
	for i := range b.out.Remotes {
		out = append(out, &b.out.Remotes[i])
	}
	return out
}

func (b *builder) nodeRow(name string, cfg *cib.Node) Node {
	n := Node{
		Name: name, ID: cfg.ID, State: NodeUnknown, Admin: AdminOnline, Role: RoleMember, Site: cfg.Site,
		Health: HealthUnknown, Addresses: cfg.Addresses, Utilization: cfg.Utilization, Member: b.st.View.Has(name),
	}
	if m := b.st.Members[name]; m != nil {
		n.BootID, n.Incarnation, n.Version, n.FeatureLevel = m.BootID, m.Incarnation, m.Version, m.FeatureLevel
		n.Cores, n.Watchdog = m.Cores, m.Watchdog
		if n.Member {
			n.UpSince = m.Started
		}
	}
	n.State = NodeUnknown
	if st := b.st.Nodes[name]; st != nil {
		n.State, n.Since, n.Reason, n.Proof = displayed(st.State), st.Since, st.Reason, st.Proof
		if n.BootID == "" {
			n.BootID = st.BootID
		}
		if st.FailStandby && n.State == NodeOnline {
			n.State = NodeStandby
			n.Reason = orText(n.Reason, "a failed operation put it in standby; belay node cleanup ends it")
		}
	} else if n.Member {
		n.State = NodeOnline
	}
	if n.State == NodeOnline && !n.Member && b.st.View != nil {
		n.State, n.Reason = NodeUnknown, "it is not in the view any more; nothing is decided about it yet"
	}
	if r := b.st.Requests[name]; r != nil && n.State == NodeUnclean && (r.State == cib.FenceRequested || r.State == cib.FenceExecuting) {
		n.State = NodeFencing
	}
	b.adminState(&n, cfg)
	b.votes(&n, cfg)
	n.Health = health(b.attributes(&n, cfg))
	if l := b.st.Links[name]; l != nil && n.Member {
		n.ClockOffset = l.ClockOffset
	}
	return n
}

// displayed maps the membership state that the DC decided.
func displayed(s cib.NodeState) NodeState {
	switch s {
	case cib.NodeOnline:
		return NodeOnline
	case cib.NodeOffline:
		return NodeOffline
	case cib.NodeJoining:
		return NodeJoining
	case cib.NodeLeaving:
		return NodeLeaving
	case cib.NodeUnclean:
		return NodeUnclean
	case cib.NodeFencing:
		return NodeFencing
	case cib.NodeFenced:
		return NodeFenced
	case cib.NodeRestarting:
		return NodeRestarting
	case cib.NodeUnknown:
	}
	return NodeUnknown
}

// adminState shows what administrators want of a node where it is a member.
func (b *builder) adminState(n *Node, cfg *cib.Node) {
	switch {
	case cfg.Standby:
		n.Admin = AdminStandby
	case cfg.Maintenance:
		n.Admin = AdminMaintenance
	}
	if n.State != NodeOnline {
		return
	}
	switch n.Admin {
	case AdminStandby:
		n.State = NodeStandby
	case AdminMaintenance:
		n.State = NodeMaintenance
	case AdminOnline:
		if b.c.Cluster.Options.MaintenanceMode {
			n.State = NodeMaintenance
		}
	}
}

func (b *builder) votes(n *Node, cfg *cib.Node) {
	n.Voter = cfg.Voter
	if b.st.Voters != nil {
		n.Voter = slices.Contains(b.st.Voters.Voters, n.Name)
	}
	switch {
	case b.st.Voters != nil:
		n.Votes = b.st.Voters.VotesOf(n.Name)
	case n.Voter:
		n.Votes = 1
	}
	switch {
	case b.st.DC != nil && b.st.DC.Node == n.Name:
		n.Role = RoleDC
	case cfg.Arbiter:
		n.Role = RoleArbiter
	}
}

// attributes joins permanent and transient attributes; transient ones win.
func (b *builder) attributes(n *Node, cfg *cib.Node) map[string]string {
	n.Attributes = cfg.Attributes
	a := b.st.Attributes[n.Name]
	if a == nil || len(a.Values) == 0 || a.BootID != n.BootID {
		return n.Attributes
	}
	n.Attributes = maps.Clone(a.Values)
	for k, v := range cfg.Attributes {
		if _, ok := n.Attributes[k]; !ok {
			n.Attributes[k] = v
		}
	}
	return n.Attributes
}

// health is the worst value of the attributes whose names begin with #health.
func health(attributes map[string]string) Health {
	h := HealthUnknown
	for k, v := range attributes {
		if !strings.HasPrefix(k, "#health") {
			continue
		}
		x, err := Healths.Parse(v)
		if err != nil { // a score: negative means bad
			x = HealthGreen
			if strings.HasPrefix(v, "-") {
				x = HealthRed
			}
		}
		h = max(h, x)
	}
	return h
}

// alive says that what the node reports is fresh.
func (n *Node) alive() bool {
	switch n.State {
	case NodeOnline, NodeStandby, NodeMaintenance, NodeLeaving, NodeRestarting:
		return true
	case NodeUnknown, NodeOffline, NodeJoining, NodeUnclean, NodeFencing, NodeFenced:
	}
	return false
}

// lost says that what ran on the node may still run.
func (n *Node) lost() bool { return n.State == NodeUnclean || n.State == NodeFencing }

func (b *builder) links() {
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		report := b.st.Links[n.Name]
		if report == nil || !n.alive() {
			continue
		}
		for _, p := range report.Peers {
			peer := b.node[p.Peer]
			if peer == nil {
				continue
			}
			l := Link{
				Node: n.Name, Peer: p.Peer, Link: p.Link, State: LinkDown, RTT: p.RTT, Loss: p.Loss,
				Sent: p.Sent, Received: p.Received, Rejected: p.Rejected, Since: p.Changed,
			}
			switch {
			case p.Up && p.Loss > LinkLossMax:
				l.State = LinkDegraded
			case p.Up:
				l.State = LinkUp
			}
			if p.Link < len(n.Addresses) && p.Link >= 0 {
				l.Address = n.Addresses[p.Link]
			}
			if p.Link < len(peer.Addresses) && p.Link >= 0 {
				l.PeerAddress = peer.Addresses[p.Link]
			}
			b.out.Links = append(b.out.Links, l)
		}
	}
}

func (b *builder) quorum() {
	q := &b.out.Quorum
	q.State, q.Policy = QuorumUnknown, b.c.Cluster.Options.NoQuorum()
	var missing []string
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		if !n.Voter {
			continue
		}
		here := n.Member
		if b.o != nil && !b.o.Quorate {
			here = n.Name == b.o.Node
		}
		q.Expected += n.Votes
		if here {
			q.Votes += n.Votes
		} else {
			missing = append(missing, n.Name)
		}
		q.Voters = append(q.Voters, Voter{Node: n.Name, Votes: n.Votes, Here: here, State: n.State, Leader: n.Name == b.out.Store.Leader})
	}
	if b.st.Voters != nil {
		q.Epoch = b.st.Voters.Epoch
	}
	q.Needed = q.Expected/2 + 1
	for _, id := range slices.Sorted(maps.Keys(b.c.QuorumDevices)) {
		var d QuorumDevice
		if b.o != nil {
			if i := slices.IndexFunc(b.o.Devices, func(x QuorumDevice) bool { return x.ID == id }); i >= 0 {
				d = b.o.Devices[i]
			}
		}
		c := b.c.QuorumDevices[id]
		d.ID, d.Number, d.Kind, d.Order = id, c.Number, c.Kind, c.Order
		q.Devices = append(q.Devices, d)
	}
	b.quorumState(q, missing)
}

func (b *builder) quorumState(q *Quorum, missing []string) {
	switch {
	case b.o != nil && !b.o.Quorate:
		// What this node knows by itself is newer than any snapshot.
		q.State, q.Reason = QuorumInquorate, orText(b.o.Reason, "this node reaches too few voters")
		return
	case b.st.View == nil:
		q.Reason = "there was no membership yet"
		return
	case q.Expected <= 1 && len(b.out.Nodes) <= 1:
		q.State, q.Reason = QuorumNotRequired, "the cluster is this node alone"
		return
	}
	q.State = QuorumQuorate
	q.Reason = fmt.Sprintf("%d of %d votes, %d needed", q.Votes, q.Expected, q.Needed)
	if len(missing) > 0 {
		q.Reason += "; missing: " + strings.Join(missing, ", ")
	}
	switch {
	case q.Votes >= q.Needed:
	case b.o != nil && b.o.Quorate: // a tie-breaker decided
		q.Reason = orText(b.o.Reason, q.Reason)
	default:
		q.State = QuorumInquorate
	}
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (b *builder) store() {
	s := &b.out.Store
	s.State, s.Revision, s.External, s.Leader = StoreUnknown, b.s.Revision, b.c.Cluster.Store.Endpoints, b.leader()
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		r := b.st.Stores[n.Name]
		if r == nil && !n.Voter || r != nil && !r.Member && !n.Voter {
			continue
		}
		m := b.storeMember(n, r)
		m.Leader = n.Name == s.Leader && !b.c.Cluster.External()
		s.Members = append(s.Members, m)
		s.SizeBytes, s.Quota, s.Latency = max(s.SizeBytes, m.SizeBytes), max(s.Quota, m.Quota), max(s.Latency, m.Latency)
		if m.Backup.After(s.Backup) {
			s.Backup = m.Backup
		}
		switch {
		case m.State == StoreUnhealthy:
			s.State = StoreUnhealthy
			s.Reason = orText(s.Reason, b.storeOf(m.Node)+" is not healthy"+orText(prefixed(": ", m.Alarm), ""))
		case m.State == StoreHealthy && s.State == StoreUnknown:
			s.State = StoreHealthy
		}
	}
	if s.State == StoreUnknown && len(s.Members) > 0 {
		s.Reason = "its members have not told of themselves yet"
	}
	if b.o != nil && !b.o.StoreOK {
		s.State = StoreUnhealthy
		s.Reason = fmt.Sprintf("it does not answer this node; what is shown is %s old", b.o.SnapshotAge.Round(time.Second))
	}
}

// leader is the store's leader as the newest report names it: after an election the
// members tell of it one after the other, and until then the old leader has its own
// report. A leader that is lost is none.
func (b *builder) leader() string {
	var newest *cib.StoreStatus
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		if r := b.st.Stores[n.Name]; r != nil && r.Leader != "" && n.alive() && (newest == nil || r.Rev > newest.Rev) {
			newest = r
		}
	}
	if newest == nil {
		return ""
	}
	if n := b.node[newest.Leader]; !b.c.Cluster.External() && (n == nil || !n.alive()) {
		return ""
	}
	return newest.Leader
}

// storeOf names a node's part in the store.
func (b *builder) storeOf(node string) string {
	if b.c.Cluster.External() {
		return "the external store, as " + node + " sees it,"
	}
	return "the member of " + node
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func (b *builder) storeMember(n *Node, r *cib.StoreStatus) StoreMember {
	m := StoreMember{Node: n.Name, State: StoreUnknown}
	if r != nil {
		m.SizeBytes, m.InUse, m.Quota, m.Latency = r.SizeBytes, r.InUse, r.Quota, r.Latency
		m.Alarm, m.Backup, m.Reported = r.Alarm, r.Backup, r.Time
	}
	switch {
	case !n.alive() && b.c.Cluster.External():
		m.Alarm = "node " + n.Name + " is " + n.State.String() // the store does not miss a client
	case !n.alive():
		m.State = StoreUnhealthy
		m.Alarm = "node " + n.Name + " is " + n.State.String()
	case r == nil:
	case r.Alarm != "":
		m.State = StoreUnhealthy
	case b.now.Sub(r.Time) > StoreReportMax:
		m.Alarm = "its last report is old"
	case r.Learner:
		m.State = StoreLearner
	default:
		m.State = StoreHealthy
	}
	return m
}

func (b *builder) actions() {
	for node, pending := range b.st.Pending {
		for _, p := range pending {
			b.out.Actions = append(b.out.Actions, Action{
				ID: p.ID, Text: p.String(), Op: p.Op, Resource: p.Resource, Instance: p.Instance, Node: node,
				State: p.State, Asked: p.Asked, Claimed: p.Claimed, Timeout: p.Timeout, Why: p.Why,
			})
		}
	}
	slices.SortFunc(b.out.Actions, func(x, y Action) int {
		return order(x.Asked.Compare(y.Asked), strings.Compare(x.Node, y.Node), strings.Compare(x.Instance, y.Instance))
	})
}

// order returns the first comparison that is not equal.
func order(comparisons ...int) int {
	for _, c := range comparisons {
		if c != 0 {
			return c
		}
	}
	return 0
}

// rest copies what needs no judgement.
func (b *builder) rest() {
	for _, id := range slices.Sorted(maps.Keys(b.c.Tickets)) {
		if t := b.c.Tickets[id]; t != nil {
			b.out.Tickets = append(b.out.Tickets, b.ticket(id, t))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.s.Faults)) {
		b.out.Faults = append(b.out.Faults, cib.Fault{Path: key, Text: b.s.Faults[key]})
	}
}

func (b *builder) ticket(id string, t *cib.Ticket) Ticket {
	out := Ticket{ID: id, Granted: t.Granted, Standby: t.Standby, Arbitrator: t.Arbitrator, Held: b.s.TicketHeld(id)}
	if t.Arbitrator == "" {
		return out
	}
	st := b.st.Tickets[id]
	if st == nil {
		out.Reason = "the DC has not asked for it yet"
		return out
	}
	out.Term, out.Since, out.Renewed, out.Until, out.Holder, out.Reason = st.Term, st.Since, st.Renewed, st.Until, st.Holder, st.Reason
	return out
}

func (b *builder) cluster() {
	o := &b.c.Cluster.Options
	c := &b.out.Cluster
	c.Name, c.Generation, c.ConfigChanged = b.c.Cluster.Name, b.s.ConfigGen.Number, b.s.ConfigGen.Time
	c.DataGeneration = b.st.Generation.Number
	c.Maintenance, c.StopAllResources, c.Symmetric, c.FencingRequired = o.MaintenanceMode, o.StopAllResources, o.Symmetric(), o.Fencing()
	if b.st.DC != nil {
		c.DC, c.DCSince = b.st.DC.Node, b.st.DC.Since
	}
	if v := b.st.View; v != nil {
		c.View, c.ViewFormed, c.ViewReason = v.Number, v.Formed, v.Reason
		for _, m := range v.Members {
			c.Members = append(c.Members, m.Node)
		}
	}
	if v := b.st.View; v != nil {
		c.FeatureLevel = v.FeatureLevel
	}
	stored := c.FeatureLevel > 0
	versions := map[string]bool{}
	for i := range b.out.Nodes {
		n := &b.out.Nodes[i]
		if n.Version == "" || !n.alive() {
			continue
		}
		versions[n.Version] = true
		if !stored && (c.FeatureLevel == 0 || n.FeatureLevel < c.FeatureLevel) {
			c.FeatureLevel = n.FeatureLevel
		}
	}
	c.Versions = slices.Sorted(maps.Keys(versions))
	b.count(&c.Counts)
	c.State, c.Reason = b.clusterState()
}

func (b *builder) count(k *Counts) {
	k.Remotes = len(b.out.Remotes)
	for i := range b.out.Remotes {
		if b.out.Remotes[i].State == NodeOnline {
			k.RemotesOnline++
		}
		k.Instances += b.out.Remotes[i].Running
	}
	k.Nodes, k.Resources, k.Actions, k.Failovers = len(b.out.Nodes), len(b.out.Resources), len(b.out.Actions), len(b.out.Failovers)
	for i := range b.out.Nodes {
		switch b.out.Nodes[i].State {
		case NodeOnline:
			k.NodesOnline++
		case NodeStandby:
			k.NodesStandby++
		case NodeMaintenance:
			k.NodesMaintenance++
		case NodeOffline, NodeFenced:
			k.NodesOffline++
		case NodeUnclean, NodeFencing:
			k.NodesUnclean++
		case NodeUnknown, NodeJoining, NodeLeaving, NodeRestarting:
		}
		k.Instances += b.out.Nodes[i].Running
	}
	for i := range b.out.Resources {
		r := &b.out.Resources[i]
		if r.Managed {
			k.ResourcesManaged++
		}
		switch r.State {
		case ResourceRunning, ResourcePromoted:
			k.ResourcesRunning++
		case ResourceStopped:
			k.ResourcesStopped++
		case ResourceFailed, ResourceBlocked:
			k.ResourcesFailed++
		case ResourceStarting, ResourceStopping, ResourceMigrating:
			k.ResourcesChanging++
		case ResourceUnmanaged:
			if r.Active > 0 {
				k.ResourcesRunning++
			} else {
				k.ResourcesStopped++
			}
		case ResourceUnknown:
			k.ResourcesUnknown++
		}
	}
	for i := range b.out.Alarms {
		switch b.out.Alarms[i].Severity {
		case cib.SeverityCritical:
			k.AlarmsCritical++
		case cib.SeverityMajor:
			k.AlarmsMajor++
		case cib.SeverityMinor:
			k.AlarmsMinor++
		case cib.SeverityWarning:
			k.AlarmsWarning++
		case cib.SeverityCleared, cib.SeverityIndeterminate:
		}
	}
}

// clusterState is the worst of all, and why.
func (b *builder) clusterState() (ClusterState, string) {
	if b.out.Quorum.State == QuorumInquorate {
		return ClusterNoQuorum, b.out.Quorum.Reason
	}
	if b.st.View == nil {
		return ClusterUnknown, "there was no membership yet"
	}
	for i := range b.out.Resources {
		if r := &b.out.Resources[i]; r.State == ResourceFailed || r.State == ResourceBlocked {
			return ClusterFailed, orText(prefixed(r.ID+": ", r.Reason), r.ID+" is "+r.State.String())
		}
	}
	if b.c.Cluster.Options.MaintenanceMode {
		return ClusterMaintenance, "maintenance-mode is on"
	}
	for i := range b.out.Alarms {
		if a := &b.out.Alarms[i]; a.Severity != cib.SeverityWarning {
			return ClusterDegraded, a.Text
		}
	}
	for i := range b.out.Nodes {
		switch n := &b.out.Nodes[i]; n.State {
		case NodeOffline, NodeFenced, NodeUnknown, NodeUnclean, NodeFencing:
			return ClusterDegraded, "node " + n.Name + " is " + n.State.String()
		case NodeOnline, NodeJoining, NodeLeaving, NodeStandby, NodeMaintenance, NodeRestarting:
		}
	}
	for i := range b.out.Resources {
		if r := &b.out.Resources[i]; r.Active < r.Expected && r.State != ResourceStarting && r.Managed {
			return ClusterDegraded, orText(prefixed(r.ID+": ", r.Reason), r.ID+" is "+r.State.String())
		}
	}
	if b.c.Cluster.Options.StopAllResources {
		return ClusterNormal, "stop-all-resources is on"
	}
	return ClusterNormal, "everything is as it should be"
}
