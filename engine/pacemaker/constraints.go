package pacemaker

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// constraintsMax bounds the constraints that sets and patterns are spread to.
const constraintsMax = 200_000

// importConstraints reads the constraints.
func (im *importer) importConstraints() {
	list := im.config.child("constraints")
	if list == nil {
		return
	}
	for _, e := range list.children {
		if e.attr("id") == "" {
			im.note(e, "", "it has no id")
			continue
		}
		switch e.name {
		case "rsc_location":
			im.location(e)
		case "rsc_colocation":
			im.colocation(e)
		case "rsc_order":
			im.order(e)
		case "rsc_ticket":
			im.ticket(e)
		default:
			im.note(e, e.attr("id"), "this kind of constraint is not known")
		}
		if e.child("lifetime") != nil {
			im.noteName(e, e.attr("id"), "lifetime", "constraints hold until they are removed here")
		}
	}
}

// add adds a constraint under an id that is free.
func (im *importer) add(id string, c *cib.Constraint) {
	all := im.Snapshot.Config.Constraints
	if len(all) >= constraintsMax {
		if len(all) == constraintsMax {
			im.note(im.config.child("constraints"), "", "there are more than %d constraints", constraintsMax)
		}
		return
	}
	key := id
	for n := 2; all[key] != nil; n++ {
		key = id + "-" + strconv.Itoa(n)
	}
	all[key] = c
}

// named finds what a constraint names: one resource, or all of a tag.
func (im *importer) named(e *element, id, role string) []string {
	list := im.resources(id)
	if len(list) == 0 {
		im.noteName(e, e.attr("id"), role, "there is no resource %q; the constraint has no effect", shorten(id))
	}
	return list
}

func (im *importer) location(e *element) {
	type target struct {
		id, role string
	}
	var targets []target
	role := e.first("role", "rsc-role")
	switch pattern := e.attr("rsc-pattern"); {
	case pattern != "":
		if _, err := regexp.Compile(strings.TrimPrefix(pattern, "!")); err != nil {
			im.noteName(e, e.attr("id"), "rsc-pattern", "the pattern is not understood: %v", err)
			return
		}
		if im.staysPattern(e, pattern) {
			im.locate(e, e.attr("id"), about{pattern: pattern}, im.role(e, role))
			return
		}
		for _, t := range (&cib.Location{Pattern: pattern}).Targets(im.Snapshot.Config, im.Snapshot.Config.Parents()) {
			targets = append(targets, target{t.Resource, role})
		}
		im.noteName(e, e.attr("id"), "rsc-pattern", "its rule is not carried over as it stands, so that it is spread to the resources that match now: %d", len(targets))
	case e.attr("rsc") != "":
		for _, id := range im.resources(e.attr("rsc")) {
			targets = append(targets, target{id, role})
		}
		if len(targets) == 0 {
			im.noteName(e, e.attr("id"), "rsc", "there is no resource %q; the constraint has no effect", shorten(e.attr("rsc")))
		}
	default:
		for _, s := range im.setsOf(e) {
			for _, m := range s.members {
				targets = append(targets, target{m, cmp.Or(s.role, role)})
			}
		}
	}
	for i, t := range targets {
		id := e.attr("id")
		if len(targets) > 1 {
			id += "-" + strconv.Itoa(i+1)
		}
		im.locate(e, id, about{resource: t.id}, im.role(e, t.role))
	}
}

// staysPattern reports whether all rules of a location with a pattern can be carried
// over for whatever the pattern fits.
func (im *importer) staysPattern(e *element, pattern string) bool {
	return !slices.ContainsFunc(e.all("rule"), func(r *element) bool {
		rule, ok := im.plain(r)
		return !ok || asksFor(rule) && im.differs(about{pattern: pattern}) || strings.HasPrefix(r.first("score-attribute", "score_attribute"), "#")
	})
}

// about is what a location is about: one resource, or those that fit a pattern.
type about struct{ resource, pattern string }

// locate makes the locations of a node, or of rules.
func (im *importer) locate(e *element, id string, what about, role cib.Role) {
	discovery := e.attr("resource-discovery")
	if discovery == "always" {
		discovery = ""
	}
	if node := e.attr("node"); node != "" {
		score, ok := parseScore(e.attr("score"))
		if !ok && e.attr("score") != "" {
			im.noteName(e, e.attr("id"), "score", "%q is no score; the constraint has no effect", shorten(e.attr("score")))
			return
		}
		h := im.hostBy[node]
		if h == nil {
			im.noteName(e, e.attr("id"), "node", "there is no node %q; the constraint has no effect", shorten(node))
			return
		}
		im.add(id, &cib.Constraint{Location: &cib.Location{Resource: what.resource, Pattern: what.pattern, Node: node, Score: score, Role: role, Discovery: discovery}})
		return
	}
	for i, r := range e.all("rule") {
		part := id
		if i > 0 {
			part = fmt.Sprintf("%s-rule-%d", id, i+1)
		}
		im.locateByRule(e, r, part, what, role, discovery)
	}
}

func (im *importer) locateByRule(e, r *element, id string, what about, role cib.Role, discovery string) {
	if r = im.follow(r); r == nil {
		return
	}
	if x := im.role(r, r.attr("role")); x != 0 {
		role = x
	}
	by := r.first("score-attribute", "score_attribute")
	score, ok := parseScore(r.attr("score"))
	if !ok && by == "" && r.attr("score") != "" {
		im.noteName(r, r.attr("id"), "score", "%q is no score; the rule has no effect", shorten(r.attr("score")))
		return
	}
	if rule, ok := im.plain(r); ok && !(asksFor(rule) && im.differs(what)) && !strings.HasPrefix(by, "#") {
		if by != "" {
			score = 0
		}
		im.add(id, &cib.Constraint{Location: &cib.Location{Resource: what.resource, Pattern: what.pattern, Rule: rule, Score: score, ScoreAttribute: by, Role: role, Discovery: discovery}})
		return
	}
	rsc := what.resource
	about := &subject{}
	if p := im.prims[rsc]; p != nil {
		about.agent, about.resource = [3]string{p.e.attr("class"), p.e.attr("provider"), p.e.attr("type")}, true
		var v values
		im.pairs(&v, p.e, "meta_attributes", "", nil)
		about.meta = v.of
	}
	im.note(r, cmp.Or(r.attr("id"), e.attr("id")), "rules here compare attributes of nodes with values and parameters, and dates, and no more: it is carried over as it holds at %s, node by node", im.Now.UTC().Format("2006-01-02 15:04:05"))
	for _, h := range im.hosts {
		about.node = h
		if p := im.prims[rsc]; p != nil { // parameters may differ from node to node
			var v values
			im.pairs(&v, p.e, "instance_attributes", "", about)
			about.params = v.of
		}
		if !im.holds(r, about) {
			continue
		}
		s := score
		if by != "" {
			text, _ := h.attribute(by)
			if s, ok = parseScore(text); !ok {
				s = -cib.Infinity
			}
		}
		im.add(id+"-"+h.name, &cib.Constraint{Location: &cib.Location{Resource: rsc, Node: h.name, Score: s, Role: role, Discovery: discovery}})
	}
}

// differs reports whether the parameters of a resource are not the same on every
// node; of a pattern, those of any that fits.
func (im *importer) differs(what about) bool {
	if what.pattern != "" {
		c := im.Snapshot.Config
		return slices.ContainsFunc((&cib.Location{Pattern: what.pattern}).Targets(c, c.Parents()), func(t cib.LocationTarget) bool { return im.differs(about{resource: t.Resource}) })
	}
	p := im.prims[what.resource]
	return p != nil && slices.ContainsFunc(p.e.all("instance_attributes"), func(e *element) bool { return e.child("rule") != nil })
}

// set is a resource_set.
type set struct {
	members    []string
	sequential bool
	requireAll bool
	action     string
	role       string
	score      string
}

// setsOf reads the sets of a constraint.
func (im *importer) setsOf(e *element) []set {
	var out []set
	for _, x := range e.all("resource_set") {
		if x = im.follow(x); x == nil {
			continue
		}
		s := set{sequential: true, requireAll: true, action: x.attr("action"), role: x.attr("role"), score: x.attr("score")}
		if v, ok := im.flag(x, "sequential"); ok {
			s.sequential = v
		}
		if v, ok := im.flag(x, "require-all"); ok {
			s.requireAll = v
		}
		for _, ref := range x.all("resource_ref") {
			list := im.resources(ref.attr("id"))
			if len(list) == 0 {
				im.noteName(e, e.attr("id"), "resource_ref", "there is no resource %q", shorten(ref.attr("id")))
			}
			s.members = append(s.members, list...)
		}
		if len(s.members) > 0 {
			out = append(out, s)
		}
	}
	return out
}

func (im *importer) colocation(e *element) {
	score, ok := parseScore(e.attr("score")) // none is 0, which means nothing
	if !ok && e.attr("score") != "" {
		im.noteName(e, e.attr("id"), "score", "%q is no score; the constraint has no effect", shorten(e.attr("score")))
	}
	var influence *bool
	if v, ok := im.flag(e, "influence"); ok {
		influence = &v
	}
	n := 0
	relate := func(rsc, with, role, withRole string, score cib.Score) {
		id := e.attr("id")
		if n++; n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		im.add(id, &cib.Constraint{Colocation: &cib.Colocation{
			Resource: rsc, With: with, Score: score, Role: startedIsAny(im.role(e, role)), WithRole: startedIsAny(im.role(e, withRole)),
			NodeAttribute: nodeAttribute(e.attr("node-attribute")), Influence: influence,
		}})
	}
	if len(e.all("resource_set")) > 0 {
		im.colocateSets(e, im.setsOf(e), score, relate)
		return
	}
	if im.severally(e.first("rsc", "from")) && im.severally(e.first("with-rsc", "to")) {
		im.note(e, e.attr("id"), "two templates or tags cannot be colocated; the constraint has no effect")
		return
	}
	withs := im.named(e, e.first("with-rsc", "to"), "with-rsc")
	for _, rsc := range im.named(e, e.first("rsc", "from"), "rsc") {
		for _, with := range withs {
			relate(rsc, with, e.first("rsc-role", "from_role"), e.first("with-rsc-role", "to_role"), score)
		}
	}
}

// flag reads a boolean; false where it is not there.
func (im *importer) flag(e *element, name string) (value, ok bool) {
	text := e.attr(name)
	if value, ok = parseBool(text); !ok && text != "" {
		im.noteName(e, e.attr("id"), name, "the value %q is not understood; the default holds", shorten(text))
	}
	return value, ok
}

// role reads the role that a constraint is about.
func (im *importer) role(e *element, text string) cib.Role {
	r := parseRole(text)
	if r == 0 && text != "" {
		im.noteName(e, e.attr("id"), "role", "%q is no role; the constraint is taken to be about any", shorten(text))
	}
	return r
}

// startedIsAny: in a colocation or ticket Started is every active role.
func startedIsAny(r cib.Role) cib.Role {
	if r == cib.RoleStarted {
		return 0
	}
	return r
}

func nodeAttribute(name string) string {
	if name == "#uname" {
		return ""
	}
	return name
}

// colocateSets spreads sets to pairs: within a set each member goes with the one
// before it, and of two sets the first goes with the second.
func (im *importer) colocateSets(e *element, sets []set, score cib.Score, relate func(rsc, with, role, withRole string, score cib.Score)) {
	im.noteName(e, e.attr("id"), "resource_set", "it is spread to pairs of resources")
	for i, s := range sets {
		own := score
		if v, ok := parseScore(s.score); ok {
			own = v
		}
		im.role(e, s.role)
		if s.sequential {
			for k := 1; k < len(s.members); k++ {
				if own >= 0 {
					relate(s.members[k], s.members[k-1], s.role, s.role, own)
					continue
				}
				for _, before := range s.members[:k] {
					relate(s.members[k], before, s.role, s.role, own)
				}
			}
		}
		if i == 0 {
			continue
		}
		last := sets[i-1]
		from, to := last.members, s.members
		if last.sequential {
			from = from[:1]
		}
		if s.sequential {
			to = to[len(to)-1:]
		}
		for _, a := range from {
			for _, b := range to {
				relate(a, b, last.role, s.role, score)
			}
		}
	}
}

func (im *importer) order(e *element) {
	o := cib.Order{Kind: im.orderKind(e)}
	if v, ok := im.flag(e, "symmetrical"); ok {
		o.Symmetrical = &v
	}
	if v, ok := im.flag(e, "require-all"); ok {
		o.RequireAll = &v
	}
	n := 0
	add := func(o cib.Order) {
		id := e.attr("id")
		if n++; n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		im.add(id, &cib.Constraint{Order: &o})
	}
	if len(e.all("resource_set")) > 0 {
		im.orderSets(e, im.setsOf(e), o, add)
		return
	}
	first, then := e.first("first", "to"), e.first("then", "from")
	if e.attr("type") == "before" {
		first, then = e.attr("from"), e.attr("to")
	}
	o.FirstAction, o.ThenAction = orderAction(e.first("first-action", "to_action", "action")), e.first("then-action", "action")
	if o.FirstAction == "" {
		o.ThenAction = orderAction(o.ThenAction) // else the default would be the first action
	}
	thens := im.named(e, then, "then")
	for _, o.First = range im.named(e, first, "first") {
		for _, o.Then = range thens {
			add(o)
		}
	}
}

// orderAction drops the default.
func orderAction(text string) string {
	if text == "start" {
		return ""
	}
	return text
}

func (im *importer) orderKind(e *element) cib.OrderKind {
	if text := e.attr("kind"); text != "" {
		k, err := cib.OrderKinds.Parse(text)
		if err != nil {
			im.noteName(e, e.attr("id"), "kind", "%q is not understood; it is taken as Mandatory", shorten(text))
		}
		return k
	}
	if s, ok := parseScore(e.attr("score")); ok && s == 0 {
		return cib.OrderOptional
	}
	return 0
}

// orderSets spreads sets to pairs.
func (im *importer) orderSets(e *element, sets []set, o cib.Order, add func(cib.Order)) {
	im.noteName(e, e.attr("id"), "resource_set", "it is spread to pairs of resources")
	for i, s := range sets {
		o.Alternative = ""
		o.FirstAction, o.ThenAction = orderAction(s.action), orderAction(s.action)
		if s.sequential {
			for k := 1; k < len(s.members); k++ {
				o.First, o.Then = s.members[k-1], s.members[k]
				add(o)
			}
		}
		if i == 0 {
			continue
		}
		last := sets[i-1]
		from, to := last.members, s.members
		up := last.action == "" || last.action == "start" || last.action == "promote"
		o.Alternative = ""
		if !last.requireAll && up && o.Kind == 0 {
			o.Alternative = e.attr("id") + "-" + strconv.Itoa(i)
		}
		if last.sequential && o.Alternative == "" {
			from = from[len(from)-1:]
		}
		if s.sequential && o.Alternative == "" {
			to = to[:1]
		}
		o.FirstAction, o.ThenAction = orderAction(last.action), orderAction(s.action)
		if o.ThenAction == "" && o.FirstAction != "" {
			o.ThenAction = "start"
		}
		for _, a := range from {
			for _, b := range to {
				o.First, o.Then = a, b
				add(o)
			}
		}
	}
}

func (im *importer) ticket(e *element) {
	add := func(id, rsc, role string) {
		im.add(id, &cib.Constraint{Ticket: &cib.TicketConstraint{Resource: rsc, Ticket: e.attr("ticket"), Role: startedIsAny(im.role(e, role)), LossPolicy: strings.ToLower(e.attr("loss-policy"))}})
		if t := e.attr("ticket"); im.Snapshot.Config.Tickets[t] == nil {
			im.Snapshot.Config.Tickets[t] = &cib.Ticket{}
		}
	}
	for _, s := range im.setsOf(e) {
		for _, m := range s.members {
			add(e.attr("id")+"-"+m, m, cmp.Or(s.role, e.attr("rsc-role")))
		}
	}
	if rsc := e.attr("rsc"); rsc != "" {
		for i, id := range im.named(e, rsc, "rsc") {
			key := e.attr("id")
			if i > 0 {
				key += "-" + id
			}
			add(key, id, e.attr("rsc-role"))
		}
	}
}

// importTickets reads which tickets are held. The oldest versions kept that as
// attributes.
func (im *importer) importTickets() {
	for _, t := range im.root.child("status").child("tickets").all("ticket_state") {
		id := t.attr("id")
		if id == "" {
			continue
		}
		im.Snapshot.Config.Tickets[id] = &cib.Ticket{Granted: isTrue(t.attr("granted")), Standby: isTrue(t.attr("standby"))}
	}
	var old values
	im.pairs(&old, im.root.child("status").child("tickets"), "instance_attributes", "", nil)
	for _, name := range old.names {
		if id, ok := strings.CutPrefix(name, "granted-ticket-"); ok {
			im.Snapshot.Config.Tickets[id] = &cib.Ticket{Granted: isTrue(old.of[name])}
		}
	}
}

// importTopology reads the order in which fence devices are tried.
func (im *importer) importTopology() {
	levels := im.config.child("fencing-topology").all("fencing-level")
	slices.SortStableFunc(levels, func(a, b *element) int {
		x, _ := strconv.Atoi(a.attr("index"))
		y, _ := strconv.Atoi(b.attr("index"))
		return cmp.Compare(x, y)
	})
	for _, l := range levels {
		target := l.attr("target")
		if _, err := strconv.Atoi(l.attr("index")); err != nil {
			im.noteName(l, l.attr("id"), "index", "%q is no number; the level is tried first", shorten(l.attr("index")))
		}
		if im.hostBy[target] == nil {
			im.note(l, l.attr("id"), "levels are for one node by its name here")
			continue
		}
		t := im.Snapshot.Config.FenceTopology[target]
		if t == nil {
			t = &cib.FenceTopology{}
			im.Snapshot.Config.FenceTopology[target] = t
		}
		var devices []string
		for d := range strings.SplitSeq(l.attr("devices"), ",") {
			if d = strings.TrimSpace(d); im.prims[d] != nil {
				devices = append(devices, d)
			} else {
				im.noteName(l, l.attr("id"), "devices", "there is no fence device %q", shorten(d))
			}
		}
		if len(devices) > 0 {
			t.Levels = append(t.Levels, devices)
		}
	}
}
