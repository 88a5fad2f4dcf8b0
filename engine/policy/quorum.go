package policy

import "github.com/belay-ha/belay/engine/cib"

// A partition without quorum does what the no-quorum-policy says. In the daemon
// nobody plans without quorum (a node that lost it acts by itself); snapshots
// that are imported or simulated can be of such a partition.

// noQuorumRule is the option that decides without quorum.
const noQuorumRule = "no-quorum-policy"

// withoutQuorum returns what the partition does without quorum; 0 where it has
// quorum, or acts as if it had.
func (u *state) withoutQuorum() cib.NoQuorumPolicy {
	if u.s.Status.Quorum == cib.QuorumHeld {
		return 0
	}
	switch v := u.opt.NoQuorum(); {
	case v == cib.NoQuorumIgnore:
		return 0
	case v == cib.NoQuorumFence && (u.s.Status.Quorum == cib.QuorumNever || !u.opt.Fencing()):
		return cib.NoQuorumStop // who never had quorum has nothing to be fenced for
	default:
		return v
	}
}

// noQuorumReason says why a resource is to run nowhere without quorum; "" if it
// may.
func (u *state) noQuorumReason(r *rsc) string {
	if r.settings.requires == "nothing" {
		return ""
	}
	switch u.quorumLost {
	case cib.NoQuorumStop:
		return "there is no quorum"
	case cib.NoQuorumFreeze, cib.NoQuorumFence:
		if len(r.active) == 0 {
			return "there is no quorum to start it"
		}
	case cib.NoQuorumDemote:
		if r.clone == nil || r.clone.kind != cib.KindPromotable || len(r.active) == 0 {
			return "there is no quorum"
		}
	case cib.NoQuorumIgnore:
	}
	return ""
}

// mayBePromoted reports whether quorum lets an instance be promoted. What is
// promoted stays so only where resources are frozen.
func (u *state) mayBePromoted(here *fact) bool {
	switch u.quorumLost {
	case 0, cib.NoQuorumIgnore:
		return true
	case cib.NoQuorumFreeze, cib.NoQuorumFence:
		return here != nil && here.role == cib.RolePromoted
	case cib.NoQuorumStop, cib.NoQuorumDemote:
	}
	return false
}

// mayFence says why a node cannot be fenced for want of quorum; "" if it can.
// Members of the partition can: nobody else may decide about them.
func (u *state) mayFence(n *node) string {
	if u.quorumLost == 0 || n.member {
		return ""
	}
	return "there is no quorum to fence " + n.name
}

// fenceWithoutQuorum condemns the members of a partition that lost quorum where
// the policy is to fence them.
func (u *state) fenceWithoutQuorum() {
	if u.quorumLost != cib.NoQuorumFence {
		return
	}
	for i := range u.nodes {
		if n := &u.nodes[i]; n.member {
			u.condemn(n, "the partition lost quorum, and no-quorum-policy is fence")
		}
	}
}
