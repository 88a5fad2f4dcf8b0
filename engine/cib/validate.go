package cib

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a configuration.
const (
	NameMax       = 63        // bytes of a node's or cluster's name: it stands in certificates, whose names end at 64
	IDMax         = 128       // bytes of the id of any other object
	ValueMax      = 64 << 10  // bytes of one parameter or attribute
	PropertiesMax = 256 << 10 // bytes of all properties together
	LinksMax      = 8         // addresses of a node
	VotersMax     = 7         // more make the store slower, not safer
	NodeIDMax     = 1<<31 - 1
	VotesMax      = 10 // of a voter
	LevelsMax     = 9  // of a fence topology
	GroupMax      = 1000
	DetectionMin  = 200 * time.Millisecond
	DetectionMax  = 30 * time.Second
)

// Validate returns everything that is wrong with a configuration, in a fixed
// order; none means that it can be applied. It looks at nothing but the
// configuration: whether an agent is installed and knows its parameters is for
// the caller to judge.
func Validate(c *Config) []Fault {
	v := newValidator(c)
	v.cluster()
	for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
		v.node(name, c.Nodes[name])
	}
	v.links()
	v.containment()
	v.remoteNodes()
	for _, id := range slices.Sorted(maps.Keys(c.Resources)) {
		v.resource(id, c.Resources[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.Constraints)) {
		v.constraint(id, c.Constraints[id])
	}
	v.orderCycles()
	v.colocationCycles()
	for _, id := range slices.Sorted(maps.Keys(c.FenceDevices)) {
		v.fenceDevice(id, c.FenceDevices[id])
	}
	for _, target := range slices.Sorted(maps.Keys(c.FenceTopology)) {
		v.topology(target, c.FenceTopology[target])
	}
	for _, id := range slices.Sorted(maps.Keys(c.QuorumDevices)) {
		v.quorumDevice(id, c.QuorumDevices[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.Tickets)) {
		v.ticketOf(id, c.Tickets[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.AuditRules)) {
		v.auditRule(id, c.AuditRules[id])
	}
	v.access()
	v.snmp()
	v.cim()
	v.notifiers()
	return v.faults
}

// validator collects faults. parent and clone are filled by containment.
type validator struct {
	c       *Config
	faults  []Fault
	parent  map[string]string // resource to the group, clone or bundle that holds it
	remotes map[string]Remote // remote nodes and guests, by name
}

func newValidator(c *Config) *validator {
	v := &validator{c: c, parent: map[string]string{}, remotes: map[string]Remote{}}
	for _, r := range c.Remotes() {
		v.remotes[r.Name] = r
	}
	for _, id := range slices.Sorted(maps.Keys(c.Resources)) {
		r := c.Resources[id]
		if r == nil {
			continue
		}
		for _, m := range r.Group {
			v.adopt(m, id)
		}
		if r.Clone != nil {
			v.adopt(r.Clone.Resource, id)
		}
		if r.Bundle != nil && r.Bundle.Resource != "" {
			v.adopt(r.Bundle.Resource, id)
		}
	}
	return v
}

func (v *validator) adopt(child, parent string) {
	if v.parent[child] == "" {
		v.parent[child] = parent
	}
}

func (v *validator) fault(path, format string, args ...any) {
	v.faults = append(v.faults, Fault{path, fmt.Sprintf(format, args...)})
}

// present reports an object that is null: a decoder that is not strict lets it
// pass, and every reader would fall over it.
func (v *validator) present(path string, ok bool) bool {
	if !ok {
		v.fault(path, "is empty: give it a value, or leave it out")
	}
	return ok
}

// id checks a name that becomes part of a key, a path and an agent's
// environment.
func (v *validator) id(path, id string, limit int) {
	switch {
	case id == "":
		v.fault(path, "the name is empty")
	case len(id) > limit:
		v.fault(path, "the name has %d characters; at most %d are possible", len(id), limit)
	case strings.ContainsFunc(id, func(r rune) bool { return !plain(r) && r != '.' }):
		v.fault(path, "the name %q may only have letters, digits, and - _ .", id)
	case !letter(id[0]) && !digit(id[0]):
		v.fault(path, "the name %q must begin with a letter or a digit", id)
	}
}

func letter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
func digit(b byte) bool  { return b >= '0' && b <= '9' }

// between checks a duration that is set.
func (v *validator) between(path string, d, low, high time.Duration) {
	if d < low || d > high {
		v.fault(path, "%s is outside the limits: %s to %s", d, low, high)
	}
}

// zeroOr checks a duration of which 0 means "off" or "default".
func (v *validator) zeroOr(path string, d Duration, low, high time.Duration) {
	if d != 0 {
		v.between(path, d.D(), low, high)
	}
}

func (v *validator) optional(path string, d *Duration, low, high time.Duration) {
	if d != nil {
		v.between(path, d.D(), low, high)
	}
}

func (v *validator) number(path string, n, high int) {
	if n < 0 || n > high {
		v.fault(path, "%d is outside the limits: 0 to %d", n, high)
	}
}

// oneOf checks a word; "" means the default.
func (v *validator) oneOf(path, word string, words ...string) {
	if word != "" && !slices.Contains(words, word) {
		v.fault(path, "%q is not one of %s", shorten(word), strings.Join(words, ", "))
	}
}

// enum checks that a value that did not come from text is in its table.
func enum[T ~uint8](v *validator, path string, table Enum[T], x T) bool {
	if x == 0 || slices.ContainsFunc(table, func(e EnumEntry[T]) bool { return e.Value == x }) {
		return true
	}
	v.fault(path, "%d is not one of %s", uint8(x), strings.Join(table.Names(), ", "))
	return false
}

func (v *validator) score(path string, s Score) {
	if s > Infinity || s < -Infinity {
		v.fault(path, "%d is no score: a whole number from -1000000 to 1000000, INFINITY or -INFINITY", int32(s))
	}
}

// values checks names and values that agents get in their environment (OCF) or
// line by line (fence agents).
func (v *validator) values(path string, values map[string]string, lines bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, value := join(path, name, false), values[name]
		switch {
		case name == "" || len(name) > IDMax:
			v.fault(p, "the name must have 1 to %d characters", IDMax)
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '=' || r >= 127 }):
			v.fault(p, "the name may not have spaces, = or letters beyond ASCII")
		case len(value) > ValueMax:
			v.fault(p, "the value has %d bytes; at most %d are possible", len(value), ValueMax)
		case strings.ContainsRune(value, 0):
			v.fault(p, "the value may not contain a NUL character")
		case !utf8.ValidString(value):
			v.fault(p, "the value is not valid UTF-8")
		case lines && strings.ContainsAny(value, "\n\r"):
			v.fault(p, "the value may not contain a line break: fence agents read one parameter a line")
		case value == Redacted:
			v.fault(p, "the value is the placeholder of a secret: write the secret itself, or keep the object's old one by changing an existing object")
		}
	}
}

func (v *validator) utilization(path string, values map[string]int) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v.id(join(path, name, false), name, IDMax)
		if values[name] < 0 {
			v.fault(join(path, name, false), "%d is negative", values[name])
		}
	}
}

const (
	hour = time.Hour
	day  = 24 * hour
)

func (v *validator) cluster() {
	cl := &v.c.Cluster
	v.id("cluster.name", cl.Name, NameMax)
	o := &cl.Options
	p := func(name string) string { return "cluster.options." + name }
	enum(v, p("no-quorum-policy"), NoQuorumPolicies, o.NoQuorumPolicy)
	if enum(v, p("fencing-action"), FenceOps, o.FencingAction) && o.FencingAction == FenceOpOn {
		v.fault(p("fencing-action"), "on powers a node on, it proves nothing: choose reboot or off")
	}
	v.number(p("batch-limit"), o.BatchLimit, 100_000)
	v.number(p("node-action-limit"), o.NodeActionLimit, 10_000)
	v.number(p("events-max"), o.EventsMax, 1_000_000)
	v.number(p("history-max"), o.HistoryMax, 1_000_000)
	v.oneOf(p("placement-strategy"), o.PlacementStrategy, "default", "utilization", "minimal", "balanced", "cost", "external")
	v.number(p("load-limit"), o.LoadLimit, 100)
	v.number(p("load-hysteresis"), o.Hysteresis(), 100)
	switch {
	case o.PlacementStrategy == "external" && o.PlacementProgram == "":
		v.fault(p("placement-program"), "placement-strategy is external: name the program")
	case o.PlacementProgram != "" && !strings.HasPrefix(o.PlacementProgram, "/"):
		v.fault(p("placement-program"), "%q is no absolute path", o.PlacementProgram)
	}
	v.optional(p("placement-timeout"), o.PlacementTimeout, 100*time.Millisecond, 10*time.Minute)
	v.optional(p("placement-interval"), o.PlacementEvery, time.Second, day)
	v.health()
	v.oneOf(p("tie-break"), o.TieBreak, "stay", "pacemaker")
	v.oneOf(p("view-tie-breaker"), o.ViewTieBreaker, "dc", "lowest-name")

	v.optional(p("fencing-timeout"), o.FencingTimeout, 100*time.Millisecond, hour)
	v.zeroOr(p("priority-fencing-delay"), o.FencingDelay, 0, 10*time.Minute)
	v.zeroOr(p("watchdog-timeout"), o.WatchdogTimeout, time.Second, 10*time.Minute)
	v.zeroOr(p("detection"), o.Detection, DetectionMin, DetectionMax)
	v.zeroOr(p("validity"), o.Validity, DetectionMin, 10*time.Minute)
	if o.ValidityTime() < o.DetectionTime() {
		v.fault(p("validity"), "%s is shorter than detection (%s): a node would stop its resources before it is missed", o.ValidityTime(), o.DetectionTime())
	}
	v.optional(p("startup-wait"), o.StartupWait, 0, hour)
	v.optional(p("restart-grace"), o.RestartGrace, 0, hour)
	v.optional(p("stop-grace"), o.StopGrace, 0, hour)
	v.optional(p("voter-replace-wait"), o.VoterReplace, 0, 30*day)
	v.optional(p("backup-interval"), o.BackupInterval, 0, 30*day)
	v.optional(p("cluster-recheck-interval"), o.RecheckInterval, 0, 7*day)
	if d := o.BackupInterval; d != nil && *d != 0 && d.D() < time.Minute {
		v.fault(p("backup-interval"), "%s is too often: at least 1m, or 0 for never", d)
	}
	if d := o.RecheckInterval; d != nil && *d != 0 && d.D() < time.Second {
		v.fault(p("cluster-recheck-interval"), "%s is too often: at least 1s, or 0 for never", d)
	}

	v.meta("cluster.resource-defaults", &cl.ResourceDefaults)
	v.notForAll("cluster.resource-defaults", &cl.ResourceDefaults)
	if cl.ResourceDefaults.TargetRole == RolePromoted {
		v.fault("cluster.resource-defaults.target-role", "Promoted does not fit resources that are not promotable: leave it out, it is the default of those that are")
	}
	v.zeroOr("cluster.op-defaults.timeout", cl.OpDefaults.Timeout, time.Millisecond, day)
	enum(v, "cluster.op-defaults.on-fail", OnFails, cl.OpDefaults.OnFail)
	v.defaultRules(cl)
	v.properties(cl.Properties)
	v.store(cl.Store.Endpoints)
}

// endpointsMax bounds the endpoints of an external store.
const endpointsMax = 32

// store checks the endpoints of an external store. Only their form is known here.
func (v *validator) store(endpoints []string) {
	if len(endpoints) > endpointsMax {
		v.fault("cluster.store.endpoints", "%d endpoints, at most %d are allowed", len(endpoints), endpointsMax)
		return
	}
	for i, e := range endpoints {
		path := fmt.Sprintf("cluster.store.endpoints[%d]", i)
		u, err := url.Parse(e)
		switch {
		case err != nil || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil:
			v.fault(path, "%q is no endpoint: write https://host:port", e)
		case u.Scheme != "https":
			v.fault(path, "%q is not encrypted: the store is reached with mutual TLS only, https://host:port", e)
		case slices.Contains(endpoints[:i], e):
			v.fault(path, "%q stands there twice", e)
		}
	}
}

// health checks how the health of nodes counts.
func (v *validator) health() {
	o := &v.c.Cluster.Options
	v.oneOf("cluster.options.node-health-strategy", o.HealthStrategy, "none", "migrate-on-red", "only-green", "progressive", "custom")
	for _, x := range []struct {
		name  string
		score *Score
	}{{"base", o.HealthBase}, {"red", o.HealthRed}, {"yellow", o.HealthYellow}, {"green", o.HealthGreen}} {
		if x.score == nil {
			continue
		}
		path := "cluster.options.node-health-" + x.name
		v.score(path, *x.score)
		if o.HealthStrategy != "progressive" {
			v.fault(path, "it has a meaning with node-health-strategy progressive only")
		}
	}
}

func (v *validator) properties(sets map[string]map[string]string) {
	total := 0
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		p := join("cluster.properties", set, false)
		v.id(p, set, IDMax)
		v.values(p, sets[set], false)
		for name, value := range sets[set] {
			total += len(name) + len(value)
		}
	}
	if total > PropertiesMax {
		v.fault("cluster.properties", "have %d bytes; at most %d are possible", total, PropertiesMax)
	}
}

func (v *validator) node(name string, n *Node) {
	p := join("nodes", name, false)
	v.id(p, name, NameMax)
	if !v.present(p, n != nil) {
		return
	}
	if n.ID == 0 || n.ID > NodeIDMax {
		v.fault(p+".id", "%d is no node id: a number from 1 to %d that is never used again", n.ID, NodeIDMax)
	}
	if n.Arbiter && !n.Voter {
		v.fault(p+".arbiter", "an arbiter is a voter: set voter to true")
	}
	switch {
	case n.Votes == 0:
	case n.Votes < 1 || n.Votes > VotesMax:
		v.fault(p+".votes", "%d is no number of votes: a number from 1 to %d", n.Votes, VotesMax)
	case !n.Voter:
		v.fault(p+".votes", "only a voter has votes: set voter to true")
	case n.Votes > 1 && !v.c.Cluster.External():
		v.fault(p+".votes", "the voters run the store, where each has one vote; more are possible with an external store")
	case n.Votes > 1 && len(v.c.QuorumDevices) > 0:
		v.fault(p+".votes", "a quorum device decides between halves of voters with one vote each; remove the device, or give each node one vote")
	}
	if n.Site != "" {
		v.id(p+".site", n.Site, IDMax)
	}
	if n.PublicKey != "" {
		if key, err := base64.StdEncoding.DecodeString(n.PublicKey); err != nil || len(key) > 4096 {
			v.fault(p+".public-key", "is not a key in base64")
		}
	}
	v.values(p+".attributes", n.Attributes, false)
	v.utilization(p+".utilization", n.Utilization)
	ports := n.Ports
	for _, x := range []struct {
		name string
		port int
	}{{"heartbeat", ports.Heartbeat}, {"store", ports.Store}, {"store-peer", ports.StorePeer}, {"api", ports.API}} {
		if x.port < 0 || x.port > 65535 {
			v.fault(p+".ports."+x.name, "%d is no port: 1 to 65535, or 0 for the default", x.port)
		}
	}
	ports = ports.WithDefaults()
	if ports.Store == ports.StorePeer || ports.Store == ports.API || ports.StorePeer == ports.API {
		v.fault(p+".ports", "store, store-peer and api need three different ports: %d, %d, %d", ports.Store, ports.StorePeer, ports.API)
	}
	for i, text := range n.Addresses {
		v.address(fmt.Sprintf("%s.addresses[%d]", p, i), text)
	}
}

func (v *validator) address(path, text string) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		v.fault(path, "%q is not an IP address; names are not possible, since name service may fail with the network", shorten(text))
	case a.Is4In6():
		v.fault(path, "%s is an IPv4 address in IPv6 form: write %s", a, a.Unmap())
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		v.fault(path, "%s is not the address of one machine", a)
	case a.Zone() != "" || a.Is6() && a.IsLinkLocalUnicast():
		v.fault(path, "%s means something on one machine only: use a global, unique local or IPv4 address", a)
	}
}

// links checks what nodes must have in common: numbers of addresses, families,
// and that no two are taken for each other.
func (v *validator) links() {
	type owner struct{ node, path string }
	ids, keys := map[uint32]string{}, map[string]string{}
	sockets := map[string]owner{}
	voters, first := 0, ""
	var families []string
	for _, name := range slices.Sorted(maps.Keys(v.c.Nodes)) {
		n, p := v.c.Nodes[name], join("nodes", name, false)
		if n == nil {
			continue
		}
		if n.Voter {
			voters++
		}
		if other := ids[n.ID]; other != "" && n.ID != 0 {
			v.fault(p+".id", "%d is the id of node %s already", n.ID, other)
		}
		ids[n.ID] = name
		if other := keys[n.PublicKey]; other != "" && n.PublicKey != "" {
			v.fault(p+".public-key", "is the key of node %s already", other)
		}
		keys[n.PublicKey] = name
		switch {
		case len(n.Addresses) == 0:
			v.fault(p+".addresses", "a node needs an address on each link")
			continue
		case len(n.Addresses) > LinksMax:
			v.fault(p+".addresses", "%d links; at most %d are possible", len(n.Addresses), LinksMax)
			continue
		case first == "":
			first = name
			for _, a := range n.Addresses {
				families = append(families, family(a))
			}
		case len(n.Addresses) != len(families):
			v.fault(p+".addresses", "%d addresses, but node %s has %d: the n-th address of every node is on link n", len(n.Addresses), first, len(families))
		}
		ports := n.Ports.WithDefaults()
		for i, text := range n.Addresses {
			at := fmt.Sprintf("%s.addresses[%d]", p, i)
			a, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			if i < len(families) && families[i] != "" && family(text) != families[i] {
				v.fault(at, "%s is of another address family than the address of node %s on this link", a, first)
			}
			if slices.Contains(n.Addresses[:i], text) {
				v.fault(at, "%s is the address of another link of this node: each link needs its own network", a)
				continue
			}
			for _, s := range []string{fmt.Sprintf("udp/%d", ports.Heartbeat), fmt.Sprintf("tcp/%d", ports.Store), fmt.Sprintf("tcp/%d", ports.StorePeer), fmt.Sprintf("tcp/%d", ports.API)} {
				key := a.String() + " " + s
				if o, taken := sockets[key]; taken && o.node != name {
					v.fault(at, "%s, port %s, is taken by node %s (%s)", a, s, o.node, o.path)
					break
				}
				sockets[key] = owner{name, at}
			}
		}
	}
	if voters > VotersMax {
		v.fault("nodes", "%d voters; at most %d are possible: more make the store slower, not safer", voters, VotersMax)
	}
}

func family(text string) string {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return ""
	case a.Is4():
		return "IPv4"
	}
	return "IPv6"
}

// nodeRef checks a reference to a node.
func (v *validator) nodeRef(path, name string) {
	if _, remote := v.remotes[name]; v.c.Nodes[name] == nil && !remote {
		v.fault(path, "there is no node %q%s", shorten(name), similar(name, slices.Sorted(maps.Keys(v.c.Nodes))))
	}
}

// resourceRef checks a reference to a resource.
func (v *validator) resourceRef(path, id string) bool {
	if id == "" {
		v.fault(path, "names no resource")
		return false
	}
	if v.c.Resources[id] == nil {
		v.fault(path, "there is no resource %q%s", shorten(id), similar(id, slices.Sorted(maps.Keys(v.c.Resources))))
		return false
	}
	return true
}

func (v *validator) fenceDevice(id string, d *FenceDevice) {
	p := join("fence-devices", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, d != nil) {
		return
	}
	if !fenceAgent(d.Agent) {
		v.fault(p+".agent", "%q is not the name of a fence agent, such as fence_ipmilan", shorten(d.Agent))
	}
	v.values(p+".parameters", d.Parameters, true)
	for _, target := range slices.Sorted(maps.Keys(d.Targets)) {
		v.nodeRef(join(p+".targets", target, false), target)
	}
	v.values(p+".targets", d.Targets, true)
	v.zeroOr(p+".delay", d.Delay, 0, 10*time.Minute)
	v.zeroOr(p+".timeout", d.Timeout, 100*time.Millisecond, hour)
	v.zeroOr(p+".monitor-interval", d.MonitorInterval, 100*time.Millisecond, day)
	v.number(p+".retries", d.Retries, 100)
	v.number(p+".concurrency", d.Concurrency, 1000)
}

// fenceAgent accepts fence_ipmilan, belay:dev and Pacemaker's stonith:fence_ipmilan.
func fenceAgent(name string) bool {
	class, rest, ok := strings.Cut(name, ":")
	if !ok {
		return agentPart(name)
	}
	return slices.Contains([]string{"belay", "fence", "stonith"}, class) && agentPart(rest)
}

func (v *validator) topology(target string, t *FenceTopology) {
	p := join("fence-topology", target, false)
	v.nodeRef(p, target)
	if !v.present(p, t != nil) {
		return
	}
	if len(t.Levels) == 0 || len(t.Levels) > LevelsMax {
		v.fault(p+".levels", "%d levels: 1 to %d are possible", len(t.Levels), LevelsMax)
	}
	for i, level := range t.Levels {
		at := fmt.Sprintf("%s.levels[%d]", p, i)
		if len(level) == 0 {
			v.fault(at, "a level without a device would prove nothing: name a device, or remove the level")
		}
		for j, id := range level {
			at := fmt.Sprintf("%s[%d]", at, j)
			d := v.c.FenceDevices[id]
			switch {
			case d == nil:
				v.fault(at, "there is no fence device %q%s", shorten(id), similar(id, slices.Sorted(maps.Keys(v.c.FenceDevices))))
			case slices.Contains(level[:j], id):
				v.fault(at, "%s stands twice at this level", id)
			case !d.Fences(target):
				v.fault(at, "%s cannot fence %s: add %s to its targets", id, target, target)
			}
		}
	}
}

// Fences says whether the device can fence the node.
func (d *FenceDevice) Fences(node string) bool {
	if len(d.Targets) == 0 {
		return true
	}
	_, ok := d.Targets[node]
	return ok
}

func (v *validator) quorumDevice(id string, d *QuorumDevice) {
	p := join("quorum-devices", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, d != nil) {
		return
	}
	if d.Kind == 0 {
		v.fault(p+".kind", "is not set: one of %s", strings.Join(QuorumDeviceKinds.Names(), ", "))
	}
	v.number(p+".order", d.Order, 1_000_000)
	v.values(p+".parameters", d.Parameters, true)
	if enum(v, p+".kind", QuorumDeviceKinds, d.Kind) && d.Kind != 0 {
		v.quorumDeviceParams(p, d)
	}
}

// quorumDeviceParams checks the parameters of a tie-breaker, and that the times of
// the cluster leave the losing half enough to stop.
func (v *validator) quorumDeviceParams(p string, d *QuorumDevice) {
	o := &v.c.Cluster.Options
	params, err := d.Params(o)
	if e, ok := errors.AsType[*ParamError](err); ok {
		v.fault(join(p+".parameters", e.Name, false), "%s", e.Text)
		return
	}
	switch d.Kind {
	case QuorumDeviceQuorumd, QuorumDeviceDisk:
		if need := o.LoserTime(); params.Handover < need {
			v.fault(p+".parameters.hand-over-delay", "%s is shorter than the %s that a node may need until it has stopped or reset itself (2 × validity %s, stop-grace %s, 10s, 2 × watchdog-timeout %s, 2 %%): raise it, or lower those", params.Handover, need, o.ValidityTime(), o.StopGraceTime(), o.WatchdogTime())
		}
		if n := o.NoQuorum(); (n == NoQuorumFreeze || n == NoQuorumIgnore) && !o.Fencing() {
			v.fault(p, "with no-quorum-policy %s the losing half goes on running its resources, and without fencing nothing ends that: choose stop, demote or fence, or set fencing-required", n)
		}
	case QuorumDevicePing:
		if !o.Fencing() && !params.Force {
			v.fault(p, "ping without fencing: both halves may reach the address and run the same resources; set fencing-required, or force to true")
		}
	case QuorumDeviceSCSI, QuorumDeviceNode:
	}
}
