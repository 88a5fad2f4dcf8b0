package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// location is a location constraint bound to its resource.
type location struct {
	id   string
	cfg  *cib.Location
	rule *rule // of cfg.Rule
}

// unpackConstraints binds the constraints to the resources they name. One that
// names what does not exist is left out; where it is mandatory, the resource it
// restricts is stopped with that reason, since to run it would break the rule.
func (u *state) unpackConstraints() {
	u.locations = make(map[string][]*location)
	u.groupColocations()
	u.colocateGuests()
	for _, id := range slices.Sorted(maps.Keys(u.s.Config.Constraints)) {
		c := u.s.Config.Constraints[id]
		switch {
		case c == nil:
		case c.Location != nil:
			u.locations[c.Location.Resource] = append(u.locations[c.Location.Resource], u.newLocation(id, c.Location))
		case c.Colocation != nil:
			u.unpackColocation(id, c.Colocation)
		case c.Order != nil:
			u.unpackOrder(id, c.Order)
		case c.Ticket != nil:
			u.unpackTicket(id, c.Ticket)
		}
	}
	u.sortColocations()
	u.findOrderCycles()
}

// applies reports whether the constraint concerns a node.
func (l *location) applies(n *node) bool {
	if l.rule != nil {
		return l.rule.holds(n)
	}
	return l.cfg.Node == n.name
}

// newLocation makes a location ready.
func (u *state) newLocation(id string, cfg *cib.Location) *location {
	l := &location{id: id, cfg: cfg}
	if cfg.Rule != nil {
		var params map[string]string
		if r := u.s.Config.Resources[cfg.Resource]; r != nil {
			params = r.Parameters
		}
		l.rule = new(compile(cfg.Rule, u.now, params, u.changesAt, 0))
	}
	return l
}

// score is what the constraint is worth on a node. One that takes it from an
// attribute bans the nodes that do not have it.
func (l *location) score(n *node) cib.Score {
	if l.cfg.ScoreAttribute == "" {
		return l.cfg.Score
	}
	if text, ok := n.attribute(l.cfg.ScoreAttribute); ok {
		if s, err := cib.ParseScore(text); err == nil {
			return s
		}
	}
	return -cib.Infinity
}

// text says in words what the constraint does to a node.
func (l *location) text(n *node, score cib.Score) string {
	switch {
	case score >= cib.Infinity:
		return fmt.Sprintf("location requires %s", n.name)
	case score <= -cib.Infinity:
		return fmt.Sprintf("location forbids %s", n.name)
	case score < 0:
		return fmt.Sprintf("location avoids %s (%s)", n.name, score)
	}
	return fmt.Sprintf("location prefers %s (%s)", n.name, score)
}

// forPlacement reports whether the constraint says where the resource runs, and
// not only where it is promoted.
func (l *location) forPlacement() bool {
	return l.cfg.Role != cib.RolePromoted
}

// dated reports whether the constraint depends on the time. Where a resource is
// looked for does not.
func (l *location) dated() bool { return l.rule != nil && l.rule.dated }

// discovers reports whether the resource may be looked for on a node.
func (u *state) discovers(r *rsc, n *node) bool {
	allowed, exclusive := false, false
	for p := r; p != nil; p = p.parent {
		for _, l := range u.locations[p.base] {
			switch l.cfg.Discovery {
			case "never":
				if !l.dated() && l.applies(n) {
					return false
				}
			case "exclusive":
				exclusive = true
				allowed = allowed || l.dated() || l.applies(n)
			}
		}
	}
	return !exclusive || allowed
}

// exclusive reports whether discovery of the resource is limited to the nodes
// that its location constraints name.
func (u *state) exclusive(base string) bool {
	return slices.ContainsFunc(u.locations[base], func(l *location) bool { return l.cfg.Discovery == "exclusive" })
}
