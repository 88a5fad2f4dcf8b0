package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Scenario is everything that makes a world: the cluster, the noise in which it
// lives, and the faults, drawn up front so that they can be taken out one by one.
type Scenario struct {
	Seed         uint64
	Nodes        int
	Links        int
	Remotes      int   // remote nodes
	Voters       []int // indexes
	StoredVoters bool
	Config       *cib.Config
	Faults       []Fault // by time
	Heal         time.Duration
	Settle       time.Duration // how long it may take then
	Tight        bool          // constraints may leave a resource without a place

	Drift              []int64 // of the steady clocks, in parts per million, at most ±DriftMax
	WallOffset         []time.Duration
	Loss, Duplicate    float64
	DelayMax           time.Duration
	WatchMin, WatchMax time.Duration
	BootMin, BootMax   time.Duration
	BootSpread         time.Duration
	AgentFails         float64
	Watchdog           bool
	WatchdogTime       time.Duration
}

// DriftMax is what the clocks of two machines may differ by in a second, in parts
// per million; a quartz has fewer than 100.
const DriftMax = 1000

func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// Generate draws the scenario of a seed. Nodes 0 means 3 to 7. Two nodes have an
// arbitrator.
func Generate(seed uint64, nodes int) *Scenario {
	r := rand.New(rand.NewPCG(seed, 0))
	if nodes == 0 {
		nodes = pick(r, 3, 3, 3, 4, 5, 5, 6, 7)
	}
	sc := &Scenario{
		Seed: seed, Nodes: nodes, Links: pick(r, 1, 1, 1, 2), StoredVoters: r.IntN(4) != 0,
		Settle: 180 * time.Second, Duplicate: 0.002, DelayMax: pick[time.Duration](r, 5, 20, 80, 200) * time.Millisecond,
		Loss: pick(r, 0, 0, 0.001, 0.01, 0.05), WatchMin: time.Millisecond, WatchMax: pick[time.Duration](r, 5, 30, 100) * time.Millisecond,
		BootMin: 2 * time.Second, BootMax: 8 * time.Second, BootSpread: pick[time.Duration](r, 1, 3, 8) * time.Second,
		AgentFails: pick(r, 0, 0, 0.002, 0.02), Watchdog: r.IntN(2) == 0, WatchdogTime: 5 * time.Second,
	}
	large := nodes > 20
	voters := 3
	switch {
	case large:
		voters = 5
		sc.Links, sc.WatchMin, sc.WatchMax = 1, 100*time.Millisecond, 400*time.Millisecond
		sc.Loss = min(sc.Loss, 0.01)
	case nodes >= 5 && r.IntN(2) == 0:
		voters = 5
	case nodes >= 7 && r.IntN(3) == 0:
		voters = 7
	}
	voters = min(voters, nodes)
	sc.Voters = r.Perm(nodes)[:voters]
	slices.Sort(sc.Voters)
	for range nodes {
		sc.Drift = append(sc.Drift, r.Int64N(2*DriftMax+1)-DriftMax)
		sc.WallOffset = append(sc.WallOffset, time.Duration(r.Int64N(int64(4*time.Second)))-2*time.Second)
	}
	sc.Config = configure(sc, r, large)
	if large && r.IntN(2) == 0 {
		no := false
		sc.Config.Cluster.Options.StartupProbes = &no
	}
	sc.Heal = between(r, 30*time.Second, 60*time.Second)
	count := 1 + r.IntN(7)
	if large {
		sc.Heal = between(r, 25*time.Second, 40*time.Second)
		count = 3 + r.IntN(8)
	}
	for range count {
		sc.Faults = append(sc.Faults, drawFaults(sc, r)...)
	}
	if seed%64 == 5 && !large {
		sc.strand(r)
	} else if seed%3 == 1 {
		sc.disturbMigrations()
	}
	if nodes == 2 && seed%4 != 0 {
		sc.forced(rand.New(rand.NewPCG(seed, 7)))
	}
	if nodes == 2 && seed%5 == 2 {
		sc.oldDisks(rand.New(rand.NewPCG(seed, 9)))
	}
	if seed%64 == 6 && !large {
		sc.addRemotes()
	}
	slices.SortStableFunc(sc.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return sc
}

// strand makes a world in which two voters do not hear each other for long, and
// nobody can be fenced. One of them sees no news from the store: if it leaves the
// view, it learns that only from those that still hear it, and must stop by itself.
func (sc *Scenario) strand(r *rand.Rand) {
	grace := cib.Duration(5 * time.Second)
	sc.Config.Cluster.Options.StopGrace = &grace
	at := between(r, 12*time.Second, 16*time.Second)
	pair := r.Perm(len(sc.Voters))
	a, b := nodeName(sc, sc.Voters[pair[0]]), nodeName(sc, sc.Voters[pair[1]])
	sc.Heal = at + 45*time.Second
	sc.Faults = append(sc.Faults[:0],
		Fault{At: at, For: 60 * time.Second, Kind: DeviceBroken},
		Fault{At: at, For: 60 * time.Second, Kind: WatchStall, Node: b},
		Fault{At: at, For: 60 * time.Second, Kind: CutPair, Node: a, Peer: b},
	)
}

// forced makes a world of two nodes in which one is away, or cut off, for longer than
// the other one has to wait for the store, with something going wrong meanwhile.
func (sc *Scenario) forced(r *rand.Rand) {
	o := &sc.Config.Cluster.Options
	grace := cib.Duration(between(r, time.Second, 5*time.Second).Truncate(time.Second))
	sc.StoredVoters = true
	o.StopGrace, o.WatchdogTimeout, sc.WatchdogTime = &grace, cib.Duration(2*time.Second), 2*time.Second
	wait := o.LoserTime()
	at := sc.Heal
	for range pick(r, 1, 1, 2) {
		long := wait + between(r, 0, 40*time.Second)
		a, b := nodeName(sc, 0), nodeName(sc, 1)
		if r.IntN(2) == 0 {
			a, b = b, a
		}
		sc.Faults = append(sc.Faults, Fault{At: at, For: long, Node: a, Peer: b, Kind: pick(r, PowerLoss, PowerLoss, CutPair, CutPair, CutOneWay)})
		switch r.IntN(4) {
		case 0:
			sc.Faults = append(sc.Faults, Fault{At: at, For: 2 * long, Kind: DeviceBroken})
		case 1:
			sc.Faults = append(sc.Faults, Fault{At: at + time.Second + between(r, 0, long), For: between(r, time.Second, 20*time.Second), Node: pick(r, a, b), Kind: pick(r, PowerLoss, EngineCrash, Pause, StopEngine)})
		case 2:
			sc.Faults = append(sc.Faults, Fault{At: at, For: between(r, 500*time.Millisecond, 15*time.Second), Kind: CrashForced, N: r.IntN(4), Text: pick(r, forceSteps...)})
		case 3: // while the other one learns the store anew
			gone := between(r, 5*time.Second, 60*time.Second)
			sc.Faults = append(sc.Faults, Fault{At: at + long - time.Second, For: gone, Kind: CrashForced, N: r.IntN(4), Text: pick(r, "learned", "promoted", "promoted", "recorded")})
			at += gone + between(r, 0, 15*time.Second)
		}
		at += long + between(r, 0, 15*time.Second)
	}
	sc.Heal = at + 5*time.Second
}

// oldDisks lets a machine come back with an old disk or an empty one after what went
// wrong before, the other one being there or not.
func (sc *Scenario) oldDisks(r *rand.Rand) {
	sc.StoredVoters = true
	at := sc.Heal
	for range pick(r, 1, 1, 2) {
		a, b := nodeName(sc, 0), nodeName(sc, 1)
		if r.IntN(2) == 0 {
			a, b = b, a
		}
		off := between(r, 500*time.Millisecond, 40*time.Second)
		sc.Faults = append(sc.Faults, Fault{At: at, For: off, Kind: OldDisk, Node: a, N: r.IntN(2)})
		switch r.IntN(4) {
		case 0, 1: // the other one is off at the same time
			sc.Faults = append(sc.Faults, Fault{At: at + between(r, 0, off), For: between(r, time.Second, 40*time.Second), Kind: PowerLoss, Node: b})
		case 2: // and something happens to it while it goes on alone
			sc.Faults = append(sc.Faults, Fault{At: at, For: between(r, 500*time.Millisecond, 15*time.Second), Kind: CrashForced, N: r.IntN(4), Text: pick(r, forceSteps...)})
		}
		at += off + between(r, 20*time.Second, 60*time.Second)
	}
	sc.Heal = at
}

func primitive(interval time.Duration) *cib.Resource {
	sec := func(n int) cib.Duration { return cib.Duration(n) * cib.Duration(time.Second) }
	return &cib.Resource{Agent: "ocf:belay:Sim", Operations: []cib.Operation{
		{Name: "start", Timeout: sec(8)},
		{Name: "stop", Timeout: sec(8)},
		{Name: "monitor", Interval: cib.Duration(interval), Timeout: sec(6)},
	}}
}

// configure draws the configuration.
func configure(sc *Scenario, r *rand.Rand, large bool) *cib.Config {
	dur := func(d time.Duration) *cib.Duration { c := cib.Duration(d); return &c }
	c := &cib.Config{
		Nodes: map[string]*cib.Node{}, Resources: map[string]*cib.Resource{}, Constraints: map[string]*cib.Constraint{},
		FenceDevices: map[string]*cib.FenceDevice{}, FenceTopology: map[string]*cib.FenceTopology{},
	}
	c.Cluster.Name = "sim"
	o := &c.Cluster.Options
	o.NoQuorumPolicy = pick[cib.NoQuorumPolicy](r, 0, 0, cib.NoQuorumStop, cib.NoQuorumFreeze, cib.NoQuorumIgnore, cib.NoQuorumFence, cib.NoQuorumDemote)
	o.Detection = cib.Duration(pick[time.Duration](r, 1, 2, 2, 3, 3, 4) * time.Second)
	if r.IntN(4) == 0 {
		o.Validity = o.Detection * cib.Duration(pick(r, 1, 3))
	}
	o.FencingAction = pick[cib.FenceOp](r, 0, 0, cib.FenceOpReboot, cib.FenceOpOff)
	o.FencingTimeout = dur(pick[time.Duration](r, 3, 6) * time.Second)
	o.StartupWait = dur(pick[time.Duration](r, 0, 5, 10) * time.Second)
	o.StopGrace = dur(pick[time.Duration](r, 5, 15) * time.Second)
	o.RestartGrace = dur(pick[time.Duration](r, 3, 10) * time.Second)
	o.WaitForAll = r.IntN(6) == 0
	o.BatchLimit = pick(r, 0, 0, 0, 2)
	if large {
		o.BatchLimit = 0 // two at a time, hundreds of probes take longer than any world waits
	}
	if r.IntN(5) == 0 {
		o.ViewTieBreaker = "lowest-name"
	}
	if r.IntN(3) == 0 {
		no := false
		o.StartFailureFatal = &no
	}
	meta := &c.Cluster.ResourceDefaults
	if r.IntN(2) == 0 {
		s := cib.Score(pick(r, 1, 100))
		meta.Stickiness = &s
	}
	if r.IntN(2) == 0 {
		meta.FailureTimeout = dur(pick[time.Duration](r, 10, 30) * time.Second)
	}
	if r.IntN(3) == 0 {
		n := pick(r, 1, 3)
		meta.MigrationThreshold = &n
	}
	for i := range sc.Nodes {
		n := &cib.Node{ID: uint32(i + 1), Voter: slices.Contains(sc.Voters, i)}
		for l := range sc.Links {
			n.Addresses = append(n.Addresses, fmt.Sprintf("10.%d.%d.%d", l, i/250, i%250+1))
		}
		c.Nodes[nodeName(sc, i)] = n
	}
	if sc.Nodes == 2 {
		arbitrated(c)
	}
	devices(sc, r, c, large)
	resources(sc, r, c, large)
	letMigrate(sc, c)
	if faults := cib.Validate(c); len(faults) > 0 {
		raw, _ := json.Marshal(c)
		panic(fmt.Sprintf("seed %d draws a configuration that is wrong: %v\n%s", sc.Seed, faults, raw))
	}
	return c
}

// devices draws who can fence whom: one switch for all, a management board each, or
// boards with a second level of two power supplies.
func devices(sc *Scenario, r *rand.Rand, c *cib.Config, large bool) {
	device := func() *cib.FenceDevice {
		return &cib.FenceDevice{
			Agent: "fence_sim", Retries: pick(r, 0, 2), Delay: cib.Duration(pick[time.Duration](r, 0, 0, 1) * time.Second),
			MonitorInterval: cib.Duration(30 * time.Second),
		}
	}
	kind := r.IntN(3)
	if large {
		kind = 0
	}
	switch kind {
	case 0:
		c.FenceDevices["pdu"] = device()
	default:
		for i := range sc.Nodes {
			name := nodeName(sc, i)
			d := device()
			d.Targets = map[string]string{name: ""}
			c.FenceDevices["ipmi-"+name] = d
		}
		if kind == 1 {
			return
		}
		c.FenceDevices["psu-a"], c.FenceDevices["psu-b"] = device(), device()
		for i := range sc.Nodes {
			name := nodeName(sc, i)
			c.FenceTopology[name] = &cib.FenceTopology{Levels: [][]string{{"ipmi-" + name}, {"psu-a", "psu-b"}}}
		}
	}
}

func resources(sc *Scenario, r *rand.Rand, c *cib.Config, large bool) {
	interval := func() time.Duration { return pick[time.Duration](r, 4, 8, 15) * time.Second }
	count := 1 + r.IntN(3)
	if large {
		count = 6 // each is probed on every node
	}
	for i := range count {
		c.Resources[fmt.Sprint("p", i+1)] = primitive(interval())
	}
	if r.IntN(2) == 0 {
		c.Resources["m1"], c.Resources["m2"] = primitive(interval()), primitive(interval())
		g := &cib.Resource{Group: []string{"m1", "m2"}}
		if r.IntN(2) == 0 {
			c.Resources["m3"] = primitive(interval())
			g.Group = append(g.Group, "m3")
		}
		c.Resources["g"] = g
	}
	if r.IntN(3) == 0 {
		c.Resources["cp"] = primitive(interval())
		cl := &cib.Clone{Resource: "cp", Interleave: r.IntN(2) == 0, Ordered: r.IntN(4) == 0}
		if large || r.IntN(2) == 0 {
			n := 2
			cl.Max = &n
		}
		c.Resources["c"] = &cib.Resource{Clone: cl}
	}
	if r.IntN(6) == 0 {
		n := 2
		c.Resources["up"] = primitive(interval())
		c.Resources["u"] = &cib.Resource{Clone: &cib.Clone{Resource: "up", GloballyUnique: true, Max: &n, NodeMax: pick(r, 1, 2)}}
	}
	constraints(sc, r, c)
	if cl := c.Resources["c"]; cl != nil {
		cl.Clone.Notify = r.IntN(2) == 0
	}
	if r.IntN(4) == 0 { // somebody is promoted, and the others are told
		c.Resources["db"] = primitive(interval())
		c.Resources["ms"] = &cib.Resource{Clone: &cib.Clone{Resource: "db", Promotable: true, Notify: r.IntN(4) > 0, Interleave: r.IntN(2) == 0}}
		for k := range sc.Nodes {
			id := fmt.Sprintf("pr%d", k)
			c.Constraints[id] = &cib.Constraint{Location: &cib.Location{Resource: "ms", Node: nodeName(sc, k), Role: cib.RolePromoted, Score: pick[cib.Score](r, 5, 10, 10, 20)}}
		}
	}
}

func constraints(sc *Scenario, r *rand.Rand, c *cib.Config) {
	add := func(id string, k cib.Constraint) { c.Constraints[id] = &k }
	if r.IntN(2) == 0 {
		add("l1", cib.Constraint{Location: &cib.Location{Resource: "p1", Node: nodeName(sc, r.IntN(sc.Nodes)), Score: pick[cib.Score](r, 50, 1000)}})
	}
	if r.IntN(6) == 0 {
		add("l2", cib.Constraint{Location: &cib.Location{Resource: "p1", Node: nodeName(sc, r.IntN(sc.Nodes)), Score: -cib.Infinity}})
	}
	if c.Resources["p2"] != nil && r.IntN(2) == 0 {
		score := pick[cib.Score](r, cib.Infinity, -cib.Infinity, 500, -500)
		add("k1", cib.Constraint{Colocation: &cib.Colocation{Resource: "p2", With: "p1", Score: score}})
		sc.Tight = sc.Tight || score == cib.Infinity
	}
	if c.Resources["g"] != nil && r.IntN(2) == 0 {
		add("o1", cib.Constraint{Order: &cib.Order{First: "p1", Then: "g", Kind: pick[cib.OrderKind](r, 0, cib.OrderMandatory, cib.OrderOptional)}})
	}
	if c.Resources["c"] != nil && r.IntN(2) == 0 {
		add("o2", cib.Constraint{Order: &cib.Order{First: "c", Then: "p1"}})
		if r.IntN(2) == 0 {
			add("k2", cib.Constraint{Colocation: &cib.Colocation{Resource: "p1", With: "c", Score: cib.Infinity}})
			sc.Tight = true
		}
	}
}

// drawFaults draws one thing that goes wrong; some come in pairs.
func drawFaults(sc *Scenario, r *rand.Rand) []Fault {
	node := func() string { return nodeName(sc, r.IntN(sc.Nodes)) }
	voter := func() string { return nodeName(sc, sc.Voters[r.IntN(len(sc.Voters))]) }
	some := func() string {
		if r.IntN(2) == 0 {
			return voter()
		}
		return node()
	}
	f := Fault{At: between(r, 4*time.Second, sc.Heal-2*time.Second), For: between(r, 200*time.Millisecond, 25*time.Second), Node: some()}
	prims := []string{}
	all := []string{}
	for _, id := range sortedKeys(sc.Config.Resources) {
		if sc.Config.Resources[id].Agent != "" {
			prims = append(prims, id)
		}
		if !strings.HasPrefix(id, "m") && id != "cp" && id != "up" && id != "db" {
			all = append(all, id)
		}
	}
	devs := sortedKeys(sc.Config.FenceDevices)
	pair := func(kind, back FaultKind) []Fault {
		f.Kind = kind
		g := f
		g.Kind, g.At = back, min(f.At+f.For, sc.Heal-time.Second)
		return []Fault{f, g}
	}
	short := func(low, high time.Duration) { f.For = between(r, low, high) }
	switch n := r.IntN(100); {
	case n < 12:
		f.Kind = PowerLoss
		if r.IntN(2) == 0 {
			f.For = 0
		}
	case n < 14:
		f.Kind, f.Node = ColdStart, ""
		short(time.Second, 5*time.Second)
	case n < 20:
		f.Kind, f.N = EngineCrash, r.IntN(2)
		short(200*time.Millisecond, 6*time.Second)
	case n < 23:
		f.Kind = EngineRestart
		short(500*time.Millisecond, 6*time.Second)
	case n < 26:
		f.Kind = NodeLeave
		short(2*time.Second, 10*time.Second)
	case n < 32:
		f.Kind = Pause
		if r.IntN(4) == 0 {
			f.N = 1
		}
	case n < 35:
		f.Kind = StopEngine
	case n < 42:
		f.Kind, f.Peer, f.N = pick(r, CutPair, CutOneWay), node(), r.IntN(sc.Links+1)
	case n < 50:
		f.Kind = pick(r, Isolate, Isolate, IsolateIn, IsolateOut)
	case n < 56:
		f.Kind, f.Node = pick(r, Partition, Partition, PartitionOneWay), ""
		f.N = r.IntN(1<<min(sc.Nodes, 30)-1) + 1
	case n < 60:
		f.Kind, f.Peer, f.P = Loss, node(), 0.2+0.7*r.Float64()
	case n < 61:
		f.Kind, f.Node, f.N = SlowNet, "", 50+r.IntN(300)
	case n < 65:
		f.Kind, f.Node = pick(r, StoreStall, StoreStall, LeaderMove), ""
	case n < 66:
		f.Kind, f.Node, f.N = StoreSlow, "", 50+r.IntN(1500)
	case n < 68:
		f.Kind, f.Node = MemberDown, voter()
	case n < 69:
		f.Kind = WatchStall
		short(200*time.Millisecond, 4*time.Second)
	case n < 77:
		f.Kind, f.Node, f.Resource, f.N = AgentSpell, pick(r, "", node()), pick(r, prims...), 1+r.IntN(3)
		f.Op = pick(r, "start", "start", "stop", "monitor")
		f.Mode = pick(r, agentFails, agentFails, agentHalf, agentHangs)
		if r.IntN(6) == 0 && f.Op != "monitor" {
			f.Mode = agentLies
		}
	case n < 80:
		f.Kind, f.Node, f.Resource = ResourceDies, "", pick(r, prims...)
	case n < 84:
		f.Kind, f.Text = pick(r, DeviceBroken, DeviceHangs, DeviceUnreachable), pick(r, devs...)
		if f.Kind != DeviceUnreachable {
			f.Node = ""
		}
		// Something has to be fenced meanwhile: a machine without power, or one that
		// goes on without being heard by all.
		f.For = between(r, time.Second, 45*time.Second)
		if f.Kind == DeviceBroken && r.IntN(2) == 0 {
			f.Text = "" // all of them
		}
		g := Fault{At: f.At + 500*time.Millisecond, Kind: pick(r, PowerLoss, CutPair, CutPair, Isolate), Node: voter(), For: f.For}
		if g.Kind == CutPair {
			g.Peer = voter()
		}
		return []Fault{f, g}
	case n < 85 && sc.Seed%16 == 3:
		f.Kind, f.Node, f.Text = DeviceLies, "", pick(r, devs...)
		return append([]Fault{f}, Fault{At: f.At + 500*time.Millisecond, Kind: Isolate, Node: node(), For: 12 * time.Second})
	case n < 86:
		f.Kind, f.N, f.For = WallJump, r.IntN(7200)-3600, 0
	case n < 90:
		f.Kind, f.Node, f.N = CrashDC, "", r.IntN(4)
		f.Text = pick(r, "", "elect", "view", "state", "ask", "ask", "withdraw", "fence-requested")
	case n < 91:
		f.Kind, f.Node, f.N = CrashExecutor, "", r.IntN(4)
		return append([]Fault{f}, Fault{At: f.At + 500*time.Millisecond, Kind: PowerLoss, Node: node(), For: 8 * time.Second})
	case n < 93:
		f.Kind, f.Node, f.N = CrashAgentNode, "", pick(r, 0, 1, 2, 2, 3, 4, 4)
		f.Text = pick(r, "", "start", "start")
		o := &sc.Config.Cluster.Options
		short(2*o.DetectionTime(), 2*o.DetectionTime()+o.ValidityTime()+6*time.Second)
	case n < 94:
		f.Kind, f.Node = AdminConfirm, node()
		return []Fault{{At: f.At - 3*time.Second, Kind: PowerLoss, Node: f.Node, For: 20 * time.Second}, f}
	default:
		f.Resource = pick(r, all...)
		f.Node = node()
		switch r.IntN(11) {
		case 0, 1:
			return pair(AdminStop, AdminStart)
		case 2:
			return pair(AdminStandby, AdminOnline)
		case 3:
			return pair(AdminUnmanage, AdminManage)
		case 4:
			return pair(AdminMaintenance, AdminNoMaintenance)
		case 5:
			return pair(AdminNodeMaintenance, AdminNodeManaged)
		case 6:
			f.Kind = AdminDelete
		case 7:
			f.Kind = AdminAdd
		case 8:
			f.Kind = AdminParameters
		case 9:
			f.Kind = pick(r, AdminMove, AdminMove, AdminCleanup)
		case 10:
			return pair(AdminStopAll, AdminNoStopAll)
		}
	}
	return []Fault{f}
}

// String describes the scenario for people.
func (sc *Scenario) String() string {
	var b strings.Builder
	o := &sc.Config.Cluster.Options
	voters := make([]string, len(sc.Voters))
	for i, v := range sc.Voters {
		voters[i] = nodeName(sc, v)
	}
	fmt.Fprintf(&b, "seed %d: %d nodes, voters %s, %d links, detection %s, validity %s, no-quorum-policy %s, fencing-action %s, watchdog %v\n",
		sc.Seed, sc.Nodes, strings.Join(voters, " "), sc.Links, o.DetectionTime(), o.ValidityTime(), o.NoQuorum(), o.FenceOp(), sc.Watchdog)
	if sc.Remotes > 0 {
		fmt.Fprintf(&b, "%d remote nodes\n", sc.Remotes)
	}
	fmt.Fprintf(&b, "loss %.3f, delay up to %s, agents fail %.3f\n", sc.Loss, sc.DelayMax, sc.AgentFails)
	fmt.Fprintf(&b, "resources %s; fence devices %s; constraints %s\n", strings.Join(sortedKeys(sc.Config.Resources), " "),
		strings.Join(sortedKeys(sc.Config.FenceDevices), " "), strings.Join(sortedKeys(sc.Config.Constraints), " "))
	for i := range sc.Faults {
		fmt.Fprintf(&b, "  %s\n", &sc.Faults[i])
	}
	fmt.Fprintf(&b, "heals at %s\n", sc.Heal.Round(time.Millisecond))
	return b.String()
}
