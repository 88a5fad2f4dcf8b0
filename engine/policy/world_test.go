package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

// noon is the time in the tests.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world is a snapshot under construction, and a toy cluster that carries plans
// out.
type world struct {
	*cib.Snapshot
	now time.Time
	seq uint64
}

func newWorld() *world {
	w := &world{Snapshot: cib.Empty(), now: noon}
	w.Status.View = &cib.View{Number: 1, DC: "n1"}
	return w
}

// node adds a node that is online.
func (w *world) node(name string) *cib.Node {
	n := &cib.Node{ID: uint32(len(w.Config.Nodes) + 1)}
	w.Config.Nodes[name] = n
	w.boot(name, 1)
	return n
}

// boot brings a node up in its n-th boot.
func (w *world) boot(name string, number int) {
	boot := name + "-boot" + strconv.Itoa(number)
	w.Status.Members[name] = &cib.Member{Node: name, Incarnation: uint64(number), BootID: boot}
	w.state(name, cib.NodeOnline)
}

// state puts a node into a state, and into or out of the view.
func (w *world) state(name string, state cib.NodeState) {
	m := w.Status.Members[name]
	w.Status.Nodes[name] = &cib.NodeStatus{State: state, BootID: m.BootID, Since: w.now}
	v := *w.Status.View
	v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m cib.ViewMember) bool { return m.Node == name })
	if state == cib.NodeOnline || state == cib.NodeLeaving {
		v.Members = append(v.Members, cib.ViewMember{Node: name, Incarnation: m.Incarnation, BootID: m.BootID})
		slices.SortFunc(v.Members, func(a, b cib.ViewMember) int { return strings.Compare(a.Node, b.Node) })
	}
	w.Status.View = &v
	if state == cib.NodeFenced {
		w.Status.Nodes[name].Proof = "proof-" + name
	}
}

// history returns the history of an instance on a node, made where there is none.
func (w *world) history(node, instance string) *cib.History {
	if w.Status.Histories[node] == nil {
		w.Status.Histories[node] = map[string]*cib.History{}
	}
	h := w.Status.Histories[node][instance]
	m := w.Status.Members[node]
	if h == nil || h.BootID != m.BootID {
		h = &cib.History{Instance: instance, Resource: baseOf(instance), BootID: m.BootID}
		if r := w.Config.Resources[h.Resource]; r != nil {
			h.Agent = r.Agent
		}
		w.Status.Histories[node][instance] = h
	}
	h.Incarnation = m.Incarnation
	return h
}

func baseOf(instance string) string {
	base, _, _ := strings.Cut(instance, ":")
	return base
}

// result adds the result of an operation.
func (w *world) result(node, instance, op string, interval time.Duration, rc, expected int, status cib.OpStatus) *cib.OpResult {
	h := w.history(node, instance)
	w.seq++
	w.now = w.now.Add(time.Millisecond)
	r := cib.OpResult{Seq: w.seq, Op: op, Interval: cib.Duration(interval), RC: rc, Expected: expected, Status: status, Started: w.now, Ended: w.now}
	r.Probe = op == cib.OpMonitor && interval == 0
	failed := op != cib.OpNotify && (status != cib.OpDone || rc != expected && !r.Probe)
	r.Failed = failed
	h.Ops = slices.DeleteFunc(slices.Clone(h.Ops), func(o cib.OpResult) bool {
		return op != cib.OpNotify && o.Op == op && o.Interval == r.Interval && (o.Failed == failed || !o.Failed)
	})
	h.Ops = append(h.Ops, r)
	if failed && status != cib.OpUnknown {
		h.FailCount = h.FailCount.Add(1)
		h.LastFailure = w.now
	}
	return &h.Ops[len(h.Ops)-1]
}

// do carries out one action and records what came of it.
func (w *world) do(a *cib.Action, rc int) {
	defer w.doRemote(a)
	if a.Op == cib.OpFence {
		w.state(a.Node, cib.NodeFenced)
		delete(w.Status.Requests, a.Node)
		delete(w.Status.Pending, a.Node)
		return
	}
	if w.Status.Pending[a.Node] != nil {
		delete(w.Status.Pending[a.Node], a.Instance)
	}
	switch a.Op {
	case cib.OpCleanup:
		delete(w.Status.Histories[a.Node], a.Instance)
		return
	case cib.OpCancel:
		h := w.history(a.Node, a.Instance)
		h.Ops = slices.DeleteFunc(slices.Clone(h.Ops), func(o cib.OpResult) bool { return o.Op == cib.OpMonitor && o.Interval == a.Interval })
		return
	}
	r := w.result(a.Node, a.Instance, a.Op, a.Interval.D(), rc, a.Expected, cib.OpDone)
	r.Digest, r.Why, r.Peer, r.Round, r.Phase = cib.Digest(a.Parameters), a.Why, a.Peer, a.Round, a.Phase
	if a.Interval > 0 {
		r.Timeout = a.Timeout
	}
	h := w.history(a.Node, a.Instance)
	if a.Op == cib.OpReload {
		for _, o := range h.Ops {
			if o.RestartDigest != "" {
				r.Reloadable, r.RestartDigest = o.Reloadable, o.RestartDigest
			}
		}
		h.Parameters = a.Parameters
	}
	if a.Op == cib.OpStart || a.Op == cib.OpMigrateFrom {
		h.Agent, h.Parameters = a.Agent, a.Parameters
	}
	if h.Resource = a.Resource; h.Agent == "" {
		h.Agent = a.Agent
	}
}

// begin writes down the round of notifications that an action begins.
func (w *world) begin(g *graph.Graph, a *cib.Action) {
	for inner, r := range g.Rounds {
		if r.ID != cib.RoundID(a.Round) {
			continue
		}
		round := *r
		if w.Status.Rounds[inner] == nil {
			w.seq++
			round.ID = fmt.Sprintf("r%d-%s", w.seq, inner)
			a.Round = round.ID
		}
		all := maps.Clone(w.Status.Rounds)
		if all == nil {
			all = map[string]*cib.Round{}
		}
		all[inner] = &round
		w.Status.Rounds = all
	}
}

// end forgets the rounds of notifications that are over, and writes down that guests are
// dead.
func (w *world) end(g *graph.Graph) {
	w.Status.Rounds = maps.Clone(w.Status.Rounds)
	for _, inner := range g.Ended {
		delete(w.Status.Rounds, inner)
	}
	for _, name := range g.Gone {
		w.state(name, cib.NodeFenced)
		w.Status.Nodes[name].Remote = true
		delete(w.Status.Pending, name)
	}
}

// instances lists the history keys of all configured primitives.
func (w *world) instances() []string {
	var out []string
	inner := map[string]*cib.Clone{}
	var member func(id string, c *cib.Clone)
	member = func(id string, c *cib.Clone) {
		inner[id] = c
		if w.Config.Resources[id] == nil {
			return
		}
		for _, m := range w.Config.Resources[id].Group {
			member(m, c)
		}
	}
	for _, r := range w.Config.Resources {
		if r.Clone != nil {
			member(r.Clone.Resource, r.Clone)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.Config.Resources)) {
		r := w.Config.Resources[id]
		if r.Agent == "" || w.bundled(id) {
			continue
		}
		if c := inner[id]; c != nil && c.GloballyUnique {
			n := len(w.Config.Nodes)
			if c.Max != nil {
				n = *c.Max
			}
			for i := range n {
				out = append(out, id+":"+strconv.Itoa(i))
			}
			continue
		}
		out = append(out, id)
	}
	out = append(out, w.implied()...)
	slices.Sort(out)
	return out
}

// probed records a probe that found nothing wherever nothing is known.
func (w *world) probed() {
	for _, node := range slices.Sorted(maps.Keys(w.Config.Nodes)) {
		for _, i := range w.instances() {
			if w.Status.Histories[node][i] == nil && w.Status.Nodes[node].State == cib.NodeOnline && !w.Config.Nodes[node].Arbiter {
				w.result(node, i, cib.OpMonitor, 0, cib.NotRunning, cib.NotRunning, cib.OpDone)
			}
		}
	}
}

// running records that an instance was started and is monitored.
func (w *world) running(node, instance string, role cib.Role) {
	r := w.Config.Resources[baseOf(instance)]
	op := w.result(node, instance, cib.OpStart, 0, 0, 0, cib.OpDone)
	if r == nil {
		return
	}
	op.Digest = cib.Digest(r.Parameters)
	w.history(node, instance).Parameters = r.Parameters
	if role == cib.RolePromoted {
		w.result(node, instance, cib.OpPromote, 0, 0, 0, cib.OpDone)
	}
	for _, o := range r.Operations {
		if o.Name != cib.OpMonitor || o.Interval == 0 || o.Role == cib.RoleStopped || (o.Role == cib.RolePromoted) != (role == cib.RolePromoted) && o.Role != 0 {
			continue
		}
		rc := cib.OK
		if role == cib.RolePromoted {
			rc = cib.RunningPromoted
		}
		w.result(node, instance, cib.OpMonitor, o.Interval.D(), rc, rc, cib.OpDone).Digest = cib.Digest(r.Parameters)
	}
}

// parse reads a cluster in the language of the golden files; see testdata.
func (w *world) parse(input string) error {
	for i, line := range strings.Split(input, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := w.line(f[0], f[1:]); err != nil {
			return fmt.Errorf("line %d (%s): %w", i+1, line, err)
		}
		w.remotes()
	}
	return nil
}

func (w *world) line(word string, f []string) error {
	if len(f) == 0 && word != "probed" {
		return errors.New("too few words")
	}
	switch word {
	case "view":
		w.Status.View = nil
		return nil
	case "nodes":
		for _, n := range f {
			w.node(n)
		}
		return nil
	case "node":
		return w.parseNode(f)
	case "device":
		d := &cib.FenceDevice{Agent: "fence_x", Targets: map[string]string{}}
		for _, t := range f[1:] {
			if k, v, said := strings.Cut(t, "="); said && k == "unfencing" {
				d.Unfencing = new(v == "true")
			} else if said {
				d.Parameters = map[string]string{k: v}
			} else {
				d.Targets[t] = ""
			}
		}
		w.Config.FenceDevices[f[0]] = d
		return nil
	case "option", "options":
		return each(f, w.parseOption)
	case "defaults":
		return each(f, func(k, v string) error { return parseMeta(&w.Config.Cluster.ResourceDefaults, k, v) })
	case "defaults-for": // AGENT META...; AGENT may be hours=RANGE
		x := cib.ResourceDefaultRule{}
		if spec, ok := strings.CutPrefix(f[0], "hours="); ok {
			x.Rule.Dates = []cib.Date{{Operation: "date-spec", Spec: &cib.DateSpec{Hours: spec}}}
		} else {
			class, rest, _ := strings.Cut(f[0], ":")
			provider, kind, _ := strings.Cut(rest, ":")
			x.Rule.Agents = []cib.AgentMatch{{Class: class, Provider: provider, Type: kind}}
		}
		err := each(f[1:], func(k, v string) error { return parseMeta(&x.Meta, k, v) })
		w.Config.Cluster.ResourceDefaultRules = append(w.Config.Cluster.ResourceDefaultRules, x)
		return err
	case "operations-for": // OPERATION ON-FAIL
		v, err := cib.OnFails.Parse(f[1])
		w.Config.Cluster.OpDefaultRules = append(w.Config.Cluster.OpDefaultRules, cib.OpDefaultRule{
			Rule: cib.Rule{Operations: []cib.OperationMatch{{Name: f[0]}}}, Defaults: cib.OpDefaults{OnFail: v},
		})
		return err
	case "primitive", "group", "clone":
		return w.parseResource(word, f)
	case "unconfigure":
		for _, id := range f {
			delete(w.Config.Resources, id)
			delete(w.Config.Constraints, id)
		}
		return nil
	case "location", "colocation", "order", "ticket":
		c, err := w.parseConstraint(word, f)
		w.Config.Constraints[f[0]] = c
		return err
	case "grant":
		w.Config.Tickets[f[0]] = &cib.Ticket{Granted: true, Standby: len(f) > 1}
		return nil
	}
	if known, err := w.parseRemote(word, f); known {
		return err
	}
	return w.parseStatus(word, f)
}

func each(f []string, set func(k, v string) error) error {
	for _, x := range f {
		k, v, _ := strings.Cut(x, "=")
		if err := set(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) parseNode(f []string) error {
	name := f[0]
	n := w.Config.Nodes[name]
	if n == nil {
		n = w.node(name)
	}
	return each(f[1:], func(k, v string) error {
		switch k {
		case "standby":
			n.Standby = v != "false"
		case "maintenance":
			n.Maintenance = v != "false"
		case "arbiter":
			n.Arbiter = true
		case "fail-standby":
			w.Status.Nodes[name].FailStandby = true
		case "shutdown":
			w.Status.Members[name].Shutdown = true
		case "restarted": // its engine, not the machine
			w.Status.Members[name].Incarnation++
			w.state(name, cib.NodeOnline)
		case "rebooted":
			w.boot(name, int(w.Status.Members[name].Incarnation)+1)
		case "site":
			n.Site = v
		case "memory", "cpu":
			if n.Utilization == nil {
				n.Utilization = map[string]int{}
			}
			n.Utilization[k], _ = strconv.Atoi(v)
		default:
			if s, err := cib.NodeStates.Parse(k); err == nil {
				w.state(name, s)
				return nil
			}
			if v == "" {
				return fmt.Errorf("what is %q of a node", k)
			}
			if n.Attributes == nil {
				n.Attributes = map[string]string{}
			}
			n.Attributes[k] = v
		}
		return nil
	})
}

func (w *world) parseOption(k, v string) error {
	o := &w.Config.Cluster.Options
	yes := v != "false"
	switch k {
	case "symmetric-cluster":
		o.SymmetricCluster = &yes
	case "maintenance-mode":
		o.MaintenanceMode = yes
	case "stop-all-resources":
		o.StopAllResources = yes
	case "stop-orphan-resources":
		o.StopOrphans = &yes
	case "start-failure-is-fatal":
		o.StartFailureFatal = &yes
	case "enable-startup-probes":
		o.StartupProbes = &yes
	case "fencing-required":
		o.FencingRequired = &yes
	case "priority-fencing-delay":
		d, err := cib.ParseDuration(v)
		o.FencingDelay = d
		return err
	case "concurrent-fencing":
		o.ConcurrentFences = &yes
	case "placement-strategy":
		o.PlacementStrategy = v
	case "node-health-strategy":
		o.HealthStrategy = v
	case "node-health-red":
		s, err := cib.ParseScore(v)
		o.HealthRed = &s
		return err
	case "node-health-base":
		s, err := cib.ParseScore(v)
		o.HealthBase = &s
		return err
	case "tie-break":
		o.TieBreak = v
	case "load-limit":
		n, err := strconv.Atoi(v)
		o.LoadLimit = n
		return err
	case "op-on-fail":
		x, err := cib.OnFails.Parse(v)
		w.Config.Cluster.OpDefaults.OnFail = x
		return err
	case "op-timeout":
		d, err := cib.ParseDuration(v)
		w.Config.Cluster.OpDefaults.Timeout = d
		return err
	default:
		return parseTroubleOption(o, k, v)
	}
	return nil
}

func parseMeta(m *cib.Meta, k, v string) error {
	var err error
	score := func(dst **cib.Score) {
		var s cib.Score
		s, err = cib.ParseScore(v)
		*dst = &s
	}
	switch k {
	case "target-role":
		m.TargetRole, err = cib.Roles.Parse(v)
	case "managed":
		m.Managed = new(v == "true")
	case "maintenance":
		m.Maintenance = new(v == "true")
	case "allow-unhealthy-nodes":
		m.AllowUnhealthy = new(v == "true")
	case "priority":
		score(&m.Priority)
	case "stickiness":
		score(&m.Stickiness)
	case "threshold":
		var n int
		n, err = strconv.Atoi(v)
		m.MigrationThreshold = &n
	case "failure-timeout":
		var d cib.Duration
		d, err = cib.ParseDuration(v)
		m.FailureTimeout = &d
	case "multiple-active":
		m.MultipleActive, err = cib.MultipleActives.Parse(v)
	case "critical":
		m.Critical = new(v == "true")
	case "requires":
		m.Requires = v
	case "data":
		m.Data = v
	default:
		err = parseTroubleMeta(m, k, v)
	}
	return err
}

func (w *world) parseResource(word string, f []string) error {
	id := f[0]
	r := w.Config.Resources[id]
	if r == nil {
		r = &cib.Resource{}
	} else {
		c := *r
		r = &c
	}
	switch {
	case word == "primitive" && r.Agent == "":
		r.Agent = "ocf:heartbeat:Dummy"
	case word == "clone" && r.Clone == nil:
		r.Clone = &cib.Clone{}
	}
	w.Config.Resources[id] = r
	return each(f[1:], func(k, v string) error {
		n, _ := strconv.Atoi(v)
		switch {
		case word == "group" && v == "":
			r.Group = append(r.Group, k)
		case word == "clone" && v == "" && r.Clone.Resource == "":
			r.Clone.Resource = k
		case k == "agent":
			r.Agent = v
		case k == "restarts":
			r.Restarts = uint32(n)
		case strings.HasPrefix(k, "use."):
			r.Utilization = maps.Clone(r.Utilization)
			if r.Utilization == nil {
				r.Utilization = map[string]int{}
			}
			r.Utilization[k[4:]] = n
		case strings.HasPrefix(k, "p."):
			r.Parameters = maps.Clone(r.Parameters)
			if r.Parameters == nil {
				r.Parameters = map[string]string{}
			}
			r.Parameters[k[2:]] = v
		case k == "monitor" || k == "start" || k == "stop" || k == "promote" || k == "demote":
			return parseOp(r, k, v)
		case k == "max":
			r.Clone.Max = &n
		case k == "node-max":
			r.Clone.NodeMax = n
		case k == "min":
			r.Clone.Min = n
		case k == "promoted-max":
			r.Clone.PromotedMax = &n
		case k == "promoted-node-max":
			r.Clone.PromotedNodeMax = n
		case k == "unique":
			r.Clone.GloballyUnique = true
		case k == "notify":
			r.Clone.Notify = true
		case k == "interleave":
			r.Clone.Interleave = true
		case k == "ordered":
			r.Clone.Ordered = true
		case k == "promotable":
			r.Clone.Promotable = true
		default:
			return parseMeta(&r.Meta, k, v)
		}
		return nil
	})
}

// parseOp reads "10s", "10s,role:Promoted,on-fail:block,timeout:5s".
func parseOp(r *cib.Resource, name, text string) error {
	o := cib.Operation{Name: name}
	for i, part := range strings.Split(text, ",") {
		k, v, named := strings.Cut(part, ":")
		var err error
		switch {
		case i == 0 && !named:
			if part == "none" {
				r.Operations = slices.DeleteFunc(slices.Clone(r.Operations), func(x cib.Operation) bool { return x.Name == name })
				return nil
			}
			if part != "" {
				o.Interval, err = cib.ParseDuration(part)
			}
		case k == "role":
			o.Role, err = cib.Roles.Parse(v)
		case k == "enabled":
			o.Enabled = new(v == "true")
		case k == "on-fail":
			o.OnFail, err = cib.OnFails.Parse(v)
		case k == "timeout":
			o.Timeout, err = cib.ParseDuration(v)
		default:
			o.Parameters = map[string]string{k: v}
		}
		if err != nil {
			return err
		}
	}
	r.Operations = append(slices.Clone(r.Operations), o)
	return nil
}

func (w *world) parseConstraint(word string, f []string) (*cib.Constraint, error) {
	need := map[string]int{"location": 4, "colocation": 5, "order": 4, "ticket": 3}[word]
	if len(f) < need {
		return nil, errors.New("too few words")
	}
	switch word {
	case "location":
		// ID RESOURCE NODE SCORE, or ID RESOURCE SCORE and one of
		// if ATTRIBUTE OPERATION [VALUE], from START END, hours RANGE, before END,
		// after START, lasting START HOURS, spec WEEKDAYS MONTHS: those of time on
		// all nodes but n1. A score of @NAME is in that attribute.
		// A resource of ~REGEXP is a pattern.
		l := &cib.Location{Resource: f[1]}
		if pattern, ok := strings.CutPrefix(f[1], "~"); ok {
			l.Resource, l.Pattern = "", pattern
		}
		rest := f[4:]
		var err error
		score := func(text string) {
			if by, ok := strings.CutPrefix(text, "@"); ok {
				l.ScoreAttribute = by
			} else {
				l.Score, err = cib.ParseScore(text)
			}
		}
		switch f[3] {
		case "if":
			score(f[2])
			e := cib.Expression{Attribute: f[4], Operation: f[5]}
			rest = f[6:]
			if len(f) > 6 && !strings.Contains(f[6], "=") {
				e.Value, rest = f[6], f[7:]
			}
			if name, ok := strings.CutPrefix(e.Value, "param:"); ok {
				e.Value, e.Source = name, "param"
			}
			l.Rule = &cib.Rule{Expressions: []cib.Expression{e}}
		case "from", "hours", "before", "after", "lasting", "spec":
			var d cib.Date
			d, rest = parseDate(f[3], f[4:])
			l.Rule = &cib.Rule{Dates: []cib.Date{d}, Rules: []cib.Rule{{Expressions: []cib.Expression{{Attribute: "#uname", Operation: "ne", Value: "n1"}}}}}
			score(f[2])
		default:
			l.Node = f[2]
			l.Score, err = cib.ParseScore(f[3])
		}
		if err != nil {
			return nil, err
		}
		return &cib.Constraint{Location: l}, each(rest, func(k, v string) error {
			switch k {
			case "role":
				l.Role, err = cib.Roles.Parse(v)
			case "discovery":
				l.Discovery = v
			case "until-reached":
				l.UntilReached = true
			default:
				return fmt.Errorf("what is %q", k)
			}
			return err
		})
	case "colocation": // ID RESOURCE with OTHER SCORE
		s, err := cib.ParseScore(f[4])
		c := &cib.Colocation{Resource: f[1], With: f[3], Score: s}
		if err != nil {
			return nil, err
		}
		return &cib.Constraint{Colocation: c}, each(f[5:], func(k, v string) error {
			var err error
			switch k {
			case "role":
				c.Role, err = cib.Roles.Parse(v)
			case "with-role":
				c.WithRole, err = cib.Roles.Parse(v)
			case "attribute":
				c.NodeAttribute = v
			case "influence":
				c.Influence = new(v == "true")
			}
			return err
		})
	case "order": // ID FIRST then THEN
		o := &cib.Order{First: f[1], Then: f[3]}
		return &cib.Constraint{Order: o}, each(f[4:], func(k, v string) error {
			var err error
			switch k {
			case "kind":
				o.Kind, err = cib.OrderKinds.Parse(v)
			case "alternative":
				o.Alternative = v
			case "require-all":
				o.RequireAll = new(v != "false")
			case "symmetrical":
				o.Symmetrical = new(v == "true")
			case "first-action":
				o.FirstAction = v
			case "then-action":
				o.ThenAction = v
			}
			return err
		})
	}
	t := &cib.TicketConstraint{Resource: f[1], Ticket: f[2]}
	return &cib.Constraint{Ticket: t}, each(f[3:], func(k, v string) error {
		var err error
		if k == "role" {
			t.Role, err = cib.Roles.Parse(v)
		} else {
			t.LossPolicy = v
		}
		return err
	})
}

// parseDate reads the time of a location, and returns what follows.
func parseDate(word string, f []string) (cib.Date, []string) {
	switch word {
	case "hours":
		return cib.Date{Operation: "date-spec", Spec: &cib.DateSpec{Hours: f[0]}}, f[1:]
	case "spec":
		return cib.Date{Operation: "date-spec", Spec: &cib.DateSpec{Weekdays: f[0], Months: f[1]}}, f[2:]
	case "before":
		return cib.Date{Operation: "lt", End: f[0]}, f[1:]
	case "after":
		return cib.Date{Operation: "gt", Start: f[0]}, f[1:]
	case "lasting":
		hours, _ := strconv.Atoi(f[1])
		return cib.Date{Start: f[0], Duration: &cib.DateDuration{Hours: hours}}, f[2:]
	}
	return cib.Date{Start: f[0], End: f[1]}, f[2:]
}

// parseStatus reads what the nodes say.
func (w *world) parseStatus(word string, f []string) error {
	switch word {
	case "probed":
		w.probed()
		return nil
	case "later":
		d, err := time.ParseDuration(f[0])
		w.now = w.now.Add(d)
		return err
	case "request":
		s, err := cib.FenceStates.Parse(f[1])
		w.Status.Requests[f[0]] = &cib.FenceRequest{ID: "fence-1", Target: f[0], BootID: w.Status.Members[f[0]].BootID, State: s, Why: cib.Why{Cause: "an administrator asked for it"}}
		return err
	case "unfenced": // NODE: with the devices as they are now
		digests := ""
		for _, id := range w.Config.Unfencers(f[0]) {
			digests += w.Config.UnfencedDigest(id, f[0]) + ","
		}
		w.Status.Attributes[f[0]] = &cib.Attributes{
			BootID: w.Status.Members[f[0]].BootID, Values: map[string]string{cib.AttributeUnfenced: "1", cib.AttributeUnfencedDigests: digests},
		}
		return nil
	case "attribute": // NODE NAME=VALUE: transient
		values := map[string]string{}
		if a := w.Status.Attributes[f[0]]; a != nil {
			values = maps.Clone(a.Values)
		}
		w.Status.Attributes[f[0]] = &cib.Attributes{BootID: w.Status.Members[f[0]].BootID, Values: values}
		return each(f[1:], func(k, v string) error { values[k] = v; return nil })
	}
	if word == "advice" { // RESOURCE NODE=SCORE...: of the external program, for ten minutes from now
		if w.Status.Advice == nil {
			w.Status.Advice = &cib.Advice{Program: "/bin/place", Scores: map[string]map[string]cib.Score{}}
		}
		w.Status.Advice.Until = w.now.Add(10 * time.Minute)
		w.Status.Advice.Scores[f[0]] = map[string]cib.Score{}
		return each(f[1:], func(k, v string) error {
			score, err := cib.ParseScore(v)
			w.Status.Advice.Scores[f[0]][k] = score
			return err
		})
	}
	if known, err := w.parseTrouble(word, f); known {
		return err
	}
	if len(f) < 2 {
		return fmt.Errorf("what is %q", word)
	}
	instance, node := f[0], f[1]
	if w.Status.Members[node] == nil {
		return fmt.Errorf("no node %q", node)
	}
	switch word {
	case "running":
		role := cib.RoleStarted
		if len(f) > 2 {
			role = cib.RolePromoted
		}
		w.running(node, instance, role)
	case "found": // by a probe
		w.result(node, instance, cib.OpMonitor, 0, 0, cib.NotRunning, cib.OpDone)
	case "stopped":
		w.result(node, instance, cib.OpStop, 0, 0, 0, cib.OpDone)
	case "forget":
		delete(w.Status.Histories[node], instance)
	case "interrupted": // INSTANCE NODE OP
		w.result(node, instance, f[2], 0, 0, 0, cib.OpUnknown)
	case "failed": // INSTANCE NODE OP[@INTERVAL] RC [times=N]
		op, interval, _ := strings.Cut(f[2], "@")
		d, _ := time.ParseDuration(interval)
		rc, status := 1, cib.OpDone
		if len(f) > 3 && f[3] == "timeout" {
			status = cib.OpTimeout
		} else if len(f) > 3 {
			rc, _ = strconv.Atoi(f[3])
		}
		failed := w.result(node, instance, op, d, rc, 0, status)
		if r := w.Config.Resources[baseOf(instance)]; r != nil {
			if op == cib.OpStart {
				failed.Digest = cib.Digest(r.Parameters)
			}
			for i := range r.Operations { // as the plan would have asked for it
				if o := &r.Operations[i]; o.Name == op && o.Interval.D() == d {
					if failed.Role = o.Role; o.Role == cib.RolePromoted {
						failed.Expected = cib.RunningPromoted
					}
				}
			}
		}
		if len(f) > 4 {
			n, _ := strconv.Atoi(strings.TrimPrefix(f[4], "times="))
			w.history(node, instance).FailCount = cib.Score(n)
		}
	case "pending": // INSTANCE NODE OP[@INTERVAL] [STATE]
		op, interval, _ := strings.Cut(f[2], "@")
		d, _ := time.ParseDuration(interval)
		p := &cib.Pending{Action: cib.Action{ID: "7.1", Op: op, Instance: instance, Resource: baseOf(instance), Node: node, Interval: cib.Duration(d)}, State: cib.ActionRunning}
		if op == "probe" {
			p.Op, p.Probe = cib.OpMonitor, true
		}
		if len(f) > 3 {
			s, err := cib.ActionStates.Parse(f[3])
			if err != nil {
				return err
			}
			p.State = s
		}
		if w.Status.Pending[node] == nil {
			w.Status.Pending[node] = map[string]*cib.Pending{}
		}
		w.Status.Pending[node][instance] = p
	case "done":
		delete(w.Status.Pending[node], instance)
	default:
		return fmt.Errorf("what is %q", word)
	}
	return nil
}
