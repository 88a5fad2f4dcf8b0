package policy

import "github.com/belay-ha/belay/engine/cib"

// quorum: a partition without quorum leaves those outside alone, and at most
// recovers what it runs already.
func (c *checker) quorum(i int) error {
	a := &c.g.Actions[i]
	if c.u.s.Status.Quorum == cib.QuorumHeld || c.u.opt.NoQuorum() == cib.NoQuorumIgnore {
		return nil
	}
	switch a.Op {
	case cib.OpFence:
		if n := &c.u.nodes[c.u.nodeIndex[a.Node]]; !n.member {
			return c.fault(i, "fences a node of another partition without quorum")
		}
	case cib.OpStart, cib.OpPromote:
		l := c.u.ledgers[a.Instance]
		if l == nil || l.rsc == nil || l.rsc.settings.requires == "nothing" {
			return nil
		}
		for _, f := range l.facts {
			if !f.dead && f.role > cib.RoleStopped && (a.Op == cib.OpStart || f.role == cib.RolePromoted) {
				return nil
			}
		}
		return c.fault(i, "is new, and there is no quorum")
	}
	return nil
}
