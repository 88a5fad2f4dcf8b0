package policy

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// nowhere is the index of no node.
const nowhere int32 = -1

// state is a snapshot unpacked for deciding: nodes and resources by dense
// index, inherited settings resolved, histories read. It is computed from the
// snapshot alone and not changed afterwards.
type state struct {
	s          *cib.Snapshot
	now        time.Time
	opt        *cib.Options
	inView     map[string]cib.ViewMember
	nodes      []node // by name
	nodeIndex  map[string]int32
	members    int    // cluster nodes; remote nodes and guests come after them
	rscs       []*rsc // the whole tree; rsc.index is the place in it
	top        []*rsc // those without a parent, by id, orphans last
	byID       map[string]*rsc
	parents    map[string]string  // by id: the group or clone it is in
	ledgers    map[string]*ledger // by history key
	byKey      []*ledger          // in the order in which they were made
	locations  map[string][]*location
	colocs     []*colocation
	orders     []*order
	ordersThen [][]*order           // by resource: those that put something before it
	quorumLost cib.NoQuorumPolicy   // what is done without quorum; 0 where there is quorum
	defaultsAt time.Time            // when defaults are looked at
	defaultsOf map[string]*cib.Meta // by agent; nil where they are the same for all
	unfences   bool                 // a fence device unfences nodes
	next       time.Time            // when the decision changes by time alone; zero: never
}

// unpack reads a snapshot.
func unpack(s *cib.Snapshot, now time.Time) *state { return unpackWith(s, now, now) }

// unpackWith reads a snapshot with the defaults of another time.
func unpackWith(s *cib.Snapshot, now, defaultsAt time.Time) *state {
	u := &state{s: s, now: now, defaultsAt: defaultsAt, opt: &s.Config.Cluster.Options}
	if s.Status.View == nil {
		return u
	}
	u.inView = make(map[string]cib.ViewMember, len(s.Status.View.Members))
	for _, m := range s.Status.View.Members {
		u.inView[m.Node] = m
	}
	u.quorumLost = u.withoutQuorum()
	u.unfences = s.Config.Unfencing()
	u.unpackNodes()
	u.unpackRemotes()
	u.fenceWithoutQuorum()
	u.changesAt(s.Config.Cluster.DefaultsChange(now))
	u.unpackResources()
	u.bindRemotes()
	u.unpackHistories()
	u.unpackMigrations()
	u.spreadInstances()
	u.unpackConstraints()
	return u
}

// changesAt notes that the decision may change at t by time alone.
func (u *state) changesAt(t time.Time) {
	if t.After(u.now) && (u.next.IsZero() || t.Before(u.next)) {
		u.next = t
	}
}

// NextChange returns when the decision would next change though nothing but the
// time does: a failure expires. The zero time means never.
func NextChange(s *cib.Snapshot, now time.Time) time.Time {
	_, _, next := Decide(s, now)
	return next
}
