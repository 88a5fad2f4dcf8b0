package policy

import "github.com/belay-ha/belay/engine/cib"

// priorityDelay is how much later a node is fenced than others, as the option
// priority-fencing-delay says: where no majority of the members is left, the lost
// ones with the highest priorities are given time, so that they win where both
// halves fence each other. The priority of a node is that of what runs on it.
func (u *state) priorityDelay(n *node) cib.Duration {
	delay := u.opt.FencingDelay
	if delay <= 0 || n.kind != kindCluster || n.member {
		return 0
	}
	members, online := 0, 0
	own := u.priorityOf(n)
	lowest, highest := own, own
	for i := range u.nodes {
		x := &u.nodes[i]
		if x.kind != kindCluster || x.cfg.Arbiter {
			continue
		}
		members++
		if x.member {
			online++
		}
		p := u.priorityOf(x)
		lowest, highest = min(lowest, p), max(highest, p)
	}
	if online > members/2 || lowest == highest || own < highest {
		return 0
	}
	return delay
}

// priorityOf adds up the priorities of what is active on a node. Who is promoted
// counts one more.
func (u *state) priorityOf(n *node) cib.Score {
	var sum cib.Score
	for _, r := range u.rscs {
		if r.kind != cib.KindPrimitive || r.settings.priority == 0 {
			continue
		}
		for _, f := range r.active {
			if f.node != n.index || f.failed != nil {
				continue
			}
			sum = sum.Add(r.settings.priority)
			if f.role == cib.RolePromoted {
				sum = sum.Add(1)
			}
		}
	}
	return sum
}
