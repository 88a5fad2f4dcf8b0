package comm

import (
	"net/netip"
	"sync"
	"time"
)

// Problem says what was dropped.
type Problem struct {
	Reason string         // constant text
	Node   string         // the peer, where it is known
	Link   int            // index of the link
	Source netip.AddrPort // the other address, or the own one where it cannot be used
	Count  uint64         // how many since the last report
	Err    error          // of the operating system
}

const (
	reportEvery = 10 * time.Second
	reportKinds = 256 // remembered; then counting starts anew
)

// reporter passes on each kind of problem at most every ten seconds: whoever can
// send packets to us could fill the log otherwise.
type reporter struct {
	log func(Problem)

	mu    sync.Mutex
	kinds map[problemKind]*reported
}

type problemKind struct {
	reason, node string
	link         int
}

type reported struct {
	last  time.Time
	count uint64
}

func (r *reporter) problem(p Problem) {
	if r.log == nil {
		return
	}
	now := time.Now()
	kind := problemKind{p.Reason, p.Node, p.Link}
	r.mu.Lock()
	k := r.kinds[kind]
	if k == nil {
		if r.kinds == nil || len(r.kinds) >= reportKinds {
			r.kinds = map[problemKind]*reported{}
		}
		k = &reported{}
		r.kinds[kind] = k
	}
	k.count++
	due := k.last.IsZero() || now.Sub(k.last) >= reportEvery
	if due {
		p.Count = k.count
		k.count, k.last = 0, now
	}
	r.mu.Unlock()
	if due {
		r.log(p)
	}
}
