package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// location is a location constraint bound to its resource.
type location struct {
	id   string
	cfg  *cib.Location // as it is for that resource
	rule *rule         // of cfg.Rule
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
			for _, t := range c.Location.Targets(u.s.Config, u.parents) {
				u.locations[t.Resource] = append(u.locations[t.Resource], u.newLocation(id, c.Location, t))
			}
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

// newLocation makes a location ready for one of the resources that it is about.
func (u *state) newLocation(id string, cfg *cib.Location, t cib.LocationTarget) *location {
	l := &location{id: id, cfg: cfg}
	if cfg.Rule == nil {
		return l
	}
	if len(t.Parts) > 1 {
		own := *cfg
		own.ScoreAttribute, own.Rule = fillIn(cfg.ScoreAttribute, t.Parts), fillRule(cfg.Rule, t.Parts, 0)
		l.cfg = &own
	}
	var params map[string]string
	if r := u.s.Config.Resources[t.Resource]; r != nil {
		params = r.Parameters
	}
	l.rule = new(compile(l.cfg.Rule, u.now, params, u.changesAt, 0))
	return l
}

// fillIn puts what the groups of a pattern matched for %1 to %9.
func fillIn(text string, parts []string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+1 < len(text) && text[i+1] >= '1' && text[i+1] <= '9' {
			if n := int(text[i+1] - '0'); n < len(parts) {
				out.WriteString(parts[n])
			}
			i++
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// fillRule does the same with the attributes that a rule looks at.
func fillRule(r *cib.Rule, parts []string, depth int) *cib.Rule {
	out := *r
	out.Expressions, out.Rules = slices.Clone(r.Expressions), slices.Clone(r.Rules)
	for i := range out.Expressions {
		out.Expressions[i].Attribute = fillIn(out.Expressions[i].Attribute, parts)
	}
	for i := range out.Rules {
		if depth < cib.RuleDepthMax {
			out.Rules[i] = *fillRule(&out.Rules[i], parts, depth+1)
		}
	}
	return &out
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

// confines returns a location that limits a resource to other nodes by exclusive
// discovery; nil if there is none, or one that allows the node.
func (u *state) confines(base string, n int32) *location {
	var first *location
	for _, l := range u.locations[base] {
		if l.cfg.Discovery != "exclusive" {
			continue
		}
		if l.applies(&u.nodes[n]) {
			return nil
		}
		first = cmp.Or(first, l)
	}
	return first
}
