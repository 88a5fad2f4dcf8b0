package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/belay-ha/belay/engine/cib"
)

// colocation says that dependent wants to be (or not to be) where primary is.
type colocation struct {
	id          string
	dependent   *rsc
	primary     *rsc
	score       cib.Score
	role        cib.Role // of the dependent; 0 is any
	withRole    cib.Role // of the primary; 0 is any
	attribute   string   // #uname, or the node attribute that makes two nodes one place
	influence   bool     // the dependent's wishes count when the primary is placed; as long as that does not run they always do
	withinGroup bool
}

func (c *colocation) mandatory() bool { return c.score >= cib.Infinity || c.score <= -cib.Infinity }

// groupColocations makes members follow the one before.
func (u *state) groupColocations() {
	for _, g := range u.rscs {
		if g.kind != cib.KindGroup {
			continue
		}
		for i := 1; i < len(g.children); i++ {
			m, prev := g.children[i], g.children[i-1]
			c := &colocation{
				id: g.base, dependent: m, primary: prev, score: cib.Infinity, attribute: "#uname",
				influence: m.settings.critical || !running(prev), withinGroup: true,
			}
			m.thisWith = append(m.thisWith, c)
			prev.withThis = append(prev.withThis, c)
		}
	}
}

func (u *state) unpackColocation(id string, cfg *cib.Colocation) {
	dependent, primary := u.byID[cfg.Resource], u.byID[cfg.With]
	switch {
	case dependent == nil:
		return
	case primary == nil:
		if cfg.Score >= cib.Infinity {
			dependent.fault, dependent.faultRule = fmt.Sprintf("colocation names %s, which does not exist", cfg.With), id
		}
		return
	case dependent == primary || cfg.Score == 0:
		return
	case dependent.within(primary) || primary.within(dependent):
		if cfg.Score <= -cib.Infinity {
			dependent.fault, dependent.faultRule = "colocation keeps it apart from "+primary.base+", and one is in the other", id
		}
		return
	}
	c := &colocation{
		id: id, dependent: dependent, primary: primary, score: cfg.Score,
		role: placedRole(cfg.Role), withRole: placedRole(cfg.WithRole), attribute: cmp.Or(cfg.NodeAttribute, "#uname"),
		influence: pick(dependent.settings.critical, cfg.Influence) || !running(primary),
	}
	dependent.thisWith = append(dependent.thisWith, c)
	primary.withThis = append(primary.withThis, c)
	u.colocs = append(u.colocs, c)
}

// within reports whether a resource is in another one.
func (r *rsc) within(other *rsc) bool {
	for p := r.parent; p != nil; p = p.parent {
		if p == other {
			return true
		}
	}
	return false
}

// running reports whether some of a resource is active.
func running(r *rsc) bool {
	return len(r.active) > 0 || slices.ContainsFunc(r.children, running)
}

// placedRole: Started means any active role in a constraint.
func placedRole(r cib.Role) cib.Role {
	if r == cib.RoleStarted || r == cib.RoleUnknown {
		return 0
	}
	return r
}

// sortColocations orders each list as Pacemaker does: by the other's priority,
// then by kind (what has more parts first), then by id.
func (u *state) sortColocations() {
	for _, r := range u.rscs {
		slices.SortStableFunc(r.thisWith, byPrimary)
		slices.SortStableFunc(r.withThis, byDependent)
	}
}

func byPrimary(a, b *colocation) int { return compareColocations(a, b, a.primary, b.primary) }

func byDependent(a, b *colocation) int { return compareColocations(a, b, a.dependent, b.dependent) }

func compareColocations(a, b *colocation, x, y *rsc) int {
	return cmp.Or(
		cmp.Compare(y.settings.priority, x.settings.priority), cmp.Compare(sizes[y.kind], sizes[x.kind]), cmp.Compare(a.id, b.id))
}

// sizes says of which kind of resource the colocations come first.
var sizes = map[cib.Kind]int{cib.KindGroup: 1, cib.KindClone: 2, cib.KindPromotable: 3, cib.KindBundle: 4}

// thisWithOf lists the colocations in which r, or a collective it stands for,
// is the dependent. The first member of a group stands for the group: the
// others follow it, unless one before them is not managed and does not move.
func thisWithOf(r *rsc) []*colocation {
	if r.parent == nil && r.kind != cib.KindGroup {
		return r.thisWith
	}
	out := slices.Clone(r.thisWith)
	for p, c := r.parent, r; p != nil; p, c = p.parent, p {
		if p.kind == cib.KindBundle && c.part != partContainer {
			break // the containers stand for the bundle
		}
		if p.kind == cib.KindGroup && p.children[0] != c {
			if !afterUnmanaged(p, c) {
				break
			}
			for _, x := range p.thisWith {
				if x.score >= cib.Infinity {
					out = append(out, x)
				}
			}
			break
		}
		out = append(out, p.thisWith...)
		out = appendForeign(out, p, c, func(m *rsc) []*colocation { return m.thisWith })
	}
	if r.kind == cib.KindGroup {
		out = appendForeign(out, r, nil, func(m *rsc) []*colocation { return m.thisWith })
	}
	slices.SortStableFunc(out, byPrimary)
	return out
}

// afterUnmanaged reports whether a member of a group that is not managed comes
// before another one.
func afterUnmanaged(g, member *rsc) bool {
	for _, m := range g.children {
		if m == member {
			return false
		}
		if !m.settings.managed || m.settings.maintenance {
			return true
		}
	}
	return false
}

// appendForeign appends what ties the other members of a group to something
// outside of it.
func appendForeign(out []*colocation, g, but *rsc, list func(*rsc) []*colocation) []*colocation {
	if g.kind != cib.KindGroup {
		return out
	}
	for _, m := range g.children {
		if m == but {
			continue
		}
		for _, c := range list(m) {
			if !c.withinGroup {
				out = append(out, c)
			}
		}
	}
	return out
}

// withThisOf lists the colocations in which r, or a collective it stands for,
// is the primary. The last member of a group stands for the group: when it
// runs, the group does.
func withThisOf(r *rsc) []*colocation {
	if r.parent == nil && r.kind != cib.KindGroup {
		return r.withThis
	}
	out := slices.Clone(r.withThis)
	for p, c := r.parent, r; p != nil; p, c = p.parent, p {
		if p.kind == cib.KindGroup && p.children[len(p.children)-1] != c || p.kind == cib.KindBundle && c.part != partContainer {
			break
		}
		out = append(out, p.withThis...)
		out = appendForeign(out, p, c, func(m *rsc) []*colocation { return m.withThis })
	}
	if r.kind == cib.KindGroup {
		out = appendForeign(out, r, nil, func(m *rsc) []*colocation { return m.withThis })
	}
	slices.SortStableFunc(out, byDependent)
	return out
}
