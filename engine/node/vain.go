package node

import (
	"maps"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/policy"
)

// A plan that asks for an action and, once it is in flight, wants something else would
// ask and take back as fast as the store writes. So what was taken back once stays in
// flight from then on, as long as the plan without it still asks for it. And should that
// not be enough, the DC lets such an action wait, longer each time.
const (
	vainFree    = 3 // how often an action is taken back and asked for again at once
	vainFirst   = 200 * time.Millisecond
	vainLongest = 10 * time.Second
	vainForget  = time.Minute // an action that was not taken back for so long begins anew
)

// vain is an action that was asked for and taken back before its node took it.
type vain struct {
	count int
	since time.Time // it was taken back last
	until time.Time // it is not asked for before that; zero: at once
}

func vainKey(a *cib.Action) string { return a.Node + " " + a.Key() }

// tookBack notes that the DC takes back an action.
func (n *Node) tookBack(now time.Time, a *cib.Action) {
	maps.DeleteFunc(n.vain, func(_ string, v vain) bool { return now.Sub(v.since) > vainForget })
	if n.vain == nil {
		n.vain = map[string]vain{}
	}
	v := n.vain[vainKey(a)]
	v.count++
	v.since = now
	if more := v.count - vainFree; more > 0 {
		v.until = now.Add(min(vainLongest, vainFirst<<min(more-1, 10)))
	}
	n.vain[vainKey(a)] = v
}

// unwanted returns those actions to take back that would not be asked for again at once.
// Where a plan depends on what it started itself, an action is wanted until it is in
// flight. The second time such a one stays: the plan without it decides.
func (n *Node) unwanted(now time.Time, withdraw []*cib.Pending) []*cib.Pending {
	var doubtful []*cib.Pending
	for _, p := range withdraw {
		if n.vain[vainKey(&p.Action)].count > 0 {
			doubtful = append(doubtful, p)
		}
	}
	if doubtful == nil {
		return withdraw
	}
	_, plan, _ := policy.Decide(without(n.snap, doubtful), now.Add(n.wall))
	return slices.DeleteFunc(withdraw, func(p *cib.Pending) bool {
		return slices.Contains(doubtful, p) && slices.ContainsFunc(plan.Actions, func(a graph.Action) bool {
			return len(a.After) == 0 && a.InFlight == "" && sameAction(&a.Action, &p.Action)
		})
	})
}

// sameAction reports whether two records ask for the same.
func sameAction(a, b *cib.Action) bool {
	return a.Node == b.Node && a.Key() == b.Key() && a.Role == b.Role && a.Peer == b.Peer && a.Phase == b.Phase && a.Round == b.Round && maps.Equal(a.Parameters, b.Parameters)
}

// without returns the snapshot in which nothing of the list was asked for.
func without(s *cib.Snapshot, list []*cib.Pending) *cib.Snapshot {
	out := *s
	out.Status.Pending = maps.Clone(s.Status.Pending)
	gone := func(node, instance string) {
		own := maps.Clone(out.Status.Pending[node])
		delete(own, instance)
		out.Status.Pending[node] = own
	}
	for _, p := range list {
		gone(p.Node, p.Instance)
		if p.Migration != "" { // it may have come there all the same
			before := *p
			before.State = cib.ActionExpected
			out.Status.Pending[p.Node][p.Instance] = &before
			continue
		}
		if e := s.Status.Pending[p.Peer][p.Instance]; p.Op == cib.OpMigrateTo && e != nil && e.State == cib.ActionExpected && e.Migration == p.ID {
			gone(e.Node, e.Instance)
		}
	}
	return &out
}

// holdsBack reports whether an action waits because it was taken back before, and has the
// plan made again when that is over.
func (n *Node) holdsBack(now time.Time, a *cib.Action) bool {
	v, ok := n.vain[vainKey(a)]
	if !ok || !now.Before(v.until) {
		return false
	}
	if n.replanAt.IsZero() || v.until.Before(n.replanAt) {
		n.replanAt = v.until
	}
	return true
}
