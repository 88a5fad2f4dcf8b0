package node

import (
	"maps"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// A plan that asks for an action and, once it is in flight, wants something else would
// ask and take back as fast as the store writes. The DC lets such an action wait, longer
// each time.
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
