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
	influence   bool     // the dependent's wishes count when the primary is placed
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
				influence: m.settings.critical, withinGroup: true,
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
		influence: pick(dependent.settings.critical, cfg.Influence),
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

// placedRole: Started means any active role in a constraint.
func placedRole(r cib.Role) cib.Role {
	if r == cib.RoleStarted || r == cib.RoleUnknown {
		return 0
	}
	return r
}

// sortColocations orders each list as Pacemaker does: by the other's priority,
// then by kind (what is placed first is what others are built from), score and
// id.
func (u *state) sortColocations() {
	for _, r := range u.rscs {
		slices.SortStableFunc(r.thisWith, func(a, b *colocation) int {
			return cmp.Or(cmp.Compare(b.primary.settings.priority, a.primary.settings.priority), compareColocations(a, b))
		})
		slices.SortStableFunc(r.withThis, func(a, b *colocation) int {
			return cmp.Or(cmp.Compare(b.dependent.settings.priority, a.dependent.settings.priority), compareColocations(a, b))
		})
	}
}

func compareColocations(a, b *colocation) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}

// thisWithOf lists the colocations in which r, or a collective it stands for,
// is the dependent. The first member of a group stands for the group: the
// others follow it.
func thisWithOf(r *rsc) []*colocation {
	if r.parent == nil {
		return r.thisWith
	}
	out := r.thisWith
	for p, c := r.parent, r; p != nil; p, c = p.parent, p {
		if p.kind == cib.KindGroup {
			if p.children[0] != c {
				return out
			}
			for _, m := range p.children[1:] {
				out = appendForeign(out, m.thisWith)
			}
		}
		out = append(slices.Clip(out), p.thisWith...)
	}
	return out
}

// appendForeign appends what does not tie members of one group together.
func appendForeign(out, list []*colocation) []*colocation {
	for _, c := range list {
		if !c.withinGroup {
			out = append(slices.Clip(out), c)
		}
	}
	return out
}

// withThisOf lists the colocations in which r, or a collective it stands for,
// is the primary. The last member of a group stands for the group: when it
// runs, the group does.
func withThisOf(r *rsc) []*colocation {
	if r.parent == nil {
		return r.withThis
	}
	out := r.withThis
	for p, c := r.parent, r; p != nil; p, c = p.parent, p {
		if p.kind == cib.KindGroup && p.children[len(p.children)-1] != c {
			return out
		}
		out = append(slices.Clip(out), p.withThis...)
	}
	return out
}
