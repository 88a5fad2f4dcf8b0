package membership

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// ValidUntil says until when this node may act; zero: not at all.
func (t *Tracker) ValidUntil() time.Time { return t.lease }

// SetGrant says how long the tie-breakers let this half of an even voter set act.
func (t *Tracker) SetGrant(until time.Time) {
	t.grant = until
	t.renew()
}

// Promise makes this node's messages count for nobody's validity but that of the
// nodes that it hears mutually, as long as it is on. Half of a voter set that asks a
// tie-breaker promises so: a voter of the other half whose messages arrive over a
// link that carries one direction only would stay valid otherwise.
func (t *Tracker) Promise(on bool) { t.promise = on }

// echoes reports whether this node's messages count for the validity of others,
// and its own word for its own.
func (t *Tracker) echoes() bool {
	return t.voter && t.know.Generation.Number != 0 && t.higher.Number == 0 && t.view != 0 && t.view >= t.viewHeard &&
		!t.now.Before(t.started.Add(t.setup.Validity))
}

// renew takes the echoes that there are and extends the validity where they
// allow it. What was granted before stands.
func (t *Tracker) renew() {
	if t.total == 0 || t.higher.Number != 0 || t.know.Generation.Number == 0 {
		return
	}
	self := t.inView && t.echoes()
	if self {
		t.renewIn(t.view, self)
	}
	for i, p := range t.target {
		if v := p.echo.view; t.counts(p) && !(self && v == t.view) && !t.sameView(t.target[:i], v) {
			t.renewIn(v, self && v == t.view)
		}
	}
}

// counts reports whether a voter's newest echo is good for anything.
func (t *Tracker) counts(p *peer) bool {
	return !p.echo.sent.IsZero() && p.echo.inView && p.echo.epoch == t.setup.VoterEpoch &&
		p.echo.gen == t.know.Generation && p.echo.view > t.excluded
}

func (t *Tracker) sameView(peers []*peer, view uint64) bool {
	for _, p := range peers {
		if p.echo.view == view && t.counts(p) {
			return true
		}
	}
	return false
}

// renewIn extends the validity by those who echo one view: it ends T after we
// sent the oldest nonce among the newest ones of a majority.
func (t *Tracker) renewIn(view uint64, self bool) {
	var list [MaxVoters]confirmed
	newest := list[:0]
	add := func(at time.Time, votes int) {
		i := len(newest)
		newest = append(newest, confirmed{})
		for ; i > 0 && newest[i-1].at.Before(at); i-- {
			newest[i] = newest[i-1]
		}
		newest[i] = confirmed{at, votes}
	}
	if self {
		add(t.now, t.votes)
	}
	for _, p := range t.target {
		if t.counts(p) && p.echo.view == view {
			add(p.echo.sent, p.votes)
		}
	}
	if at, ok := oldestOf(newest, t.total/2+1); ok {
		t.extend(at.Add(t.setup.Validity), view)
	}
	grant := t.grant
	if !t.voter {
		_, grant = t.granted(view)
	}
	if at, ok := oldestOf(newest, t.total/2); ok && t.total%2 == 0 && t.settled && t.now.Before(grant) {
		until := at.Add(t.setup.Validity)
		if grant.Before(until) {
			until = grant
		}
		t.extend(until, view)
	}
}

// confirmed is what a voter echoes: when we sent it, and how many votes that has.
type confirmed struct {
	at    time.Time
	votes int
}

// oldestOf returns when we sent the oldest of the newest ones that have enough votes
// together.
func oldestOf(newest []confirmed, need int) (at time.Time, ok bool) {
	for i := range newest {
		if need -= newest[i].votes; need <= 0 {
			return newest[i].at, true
		}
	}
	return time.Time{}, false
}

// granted returns the voter whose half may act by a tie-breaker for longest, of
// those that echo a view (any, for 0).
func (t *Tracker) granted(view uint64) (voter string, until time.Time) {
	for _, p := range t.target {
		if t.counts(p) && (view == 0 || p.echo.view == view) && p.echo.grant.After(until) {
			voter, until = p.name, p.echo.grant
		}
	}
	return voter, until
}

// Granted returns a voter that says that its half may act by a tie-breaker now. A
// node without a vote acts by that.
func (t *Tracker) Granted(now time.Time) (voter string, ok bool) {
	voter, until := t.granted(0)
	return voter, now.Before(until)
}

func (t *Tracker) extend(until time.Time, view uint64) {
	if until.After(t.lease) {
		t.lease = until
		t.leaseView = max(t.leaseView, view)
	}
}

// exclude notes a view without this incarnation: nothing granted in an earlier
// one is worth anything.
func (t *Tracker) exclude(view uint64) {
	if view > t.excluded {
		t.excluded = view
		if t.leaseView < view {
			t.lease = time.Time{}
		}
	}
}

// settle notes when a majority of the newest voter set knows its epoch.
func (t *Tracker) settle() {
	if t.settled || t.total == 0 {
		return
	}
	n := t.votes
	for _, p := range t.target {
		if p.said.Generation == t.know.Generation && p.said.VoterEpoch >= t.setup.VoterEpoch && p.incarnation != 0 {
			n += p.votes
		}
	}
	t.settled = 2*n > t.total
}

// EpochSettled reports whether a majority of the newest voter set was heard to
// know its epoch: the next change of the voter set waits for it.
func (t *Tracker) EpochSettled() bool { return t.settled }

// Promised reports whether a majority of the newest voter set was heard to know
// the view, or a later one: none of them renews the validity of a node that is
// not in it.
func (t *Tracker) Promised(view uint64) bool {
	n := 0
	if t.view >= view {
		n += t.votes
	}
	for _, p := range t.target {
		if p.incarnation != 0 && p.said.Generation == t.know.Generation && p.said.View >= view {
			n += p.votes
		}
	}
	return t.total > 0 && 2*n > t.total
}

// Conflict returns a peer that has the same data generation number with another
// nonce, if there is one: two histories exist, and changes must stop.
func (t *Tracker) Conflict() (peer string, ok bool) { return t.conflict, t.conflict != "" }

// Higher returns the highest data generation heard, if it is higher than the
// one this node knows: it is invalid until it knows that one.
func (t *Tracker) Higher() (cib.DataGeneration, bool) { return t.higher, t.higher.Number != 0 }
