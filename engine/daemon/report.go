package daemon

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/status"
)

// How often a node looks at itself, and how old a report may get when nothing
// changed: every report is a write that all nodes see.
const (
	reportPause  = 5 * time.Second
	reportSoon   = 250 * time.Millisecond // until this node's member of the store was told of
	reportMaxAge = 5 * time.Minute
)

// report writes what this node sees of its links and of the store when it changed,
// and, on the DC, removes what is no longer needed.
func (e *engine) report(ctx context.Context) {
	tick := time.NewTicker(reportSoon)
	defer tick.Stop()
	age := reportMaxAge
	for full := time.Now().Add(reportPause); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := e.snap.Load()
		if s == nil || s.Config.Nodes[e.local.Node] == nil {
			continue
		}
		e.reportStore(ctx, s, age)
		age = reportMaxAge
		if time.Now().Before(full) {
			if !e.unreported() {
				tick.Reset(reportPause)
				age = 0 // a start is slower than what comes after it
			}
			continue // the links have had no time yet
		}
		tick.Reset(reportPause)
		e.reportLinks(ctx, s)
		if s.Status.DC != nil && s.Status.DC.Node == e.local.Node {
			e.collect(ctx, s)
		}
	}
}

// unreported reports whether this node is a voter, and its member of the store has not
// been told of as one.
func (e *engine) unreported() bool {
	s := e.snap.Load()
	st := s.Status.Stores[e.local.Node]
	return s.Status.Voters.VotesOf(e.local.Node) == 0 || st == nil || !st.Member && !e.external()
}

func (e *engine) reportLinks(ctx context.Context, s *cib.Snapshot) {
	r := &cib.LinkReport{Node: e.local.Node, Time: time.Now().UTC()}
	err := e.ask(ctx, func(n *node.Node) {
		r.Peers, r.ClockOffset = n.Links(e.clock.now()), n.ClockOffset()
	})
	if err != nil {
		return
	}
	for _, st := range e.transport.Stats() {
		for i := range r.Peers {
			if p := &r.Peers[i]; p.Peer == st.Peer && p.Link == st.Link {
				p.Sent, p.Received, p.Rejected = st.Sent, st.Received, st.Rejected
			}
		}
	}
	old := s.Status.Links[e.local.Node]
	e.clockAlarm(r.ClockOffset)
	if old != nil && r.Time.Sub(old.Time) < reportMaxAge && slices.EqualFunc(old.Peers, r.Peers, func(a, b cib.LinkPeer) bool {
		return a.Peer == b.Peer && a.Link == b.Link && a.Up == b.Up
	}) {
		return
	}
	e.put(ctx, cib.KeyLinks+e.local.Node, r)
}

// Clock offsets between nodes at which the alarm begins and ends.
const (
	clockAlarmOn  = status.ClockOffsetMax
	clockAlarmOff = status.ClockOffsetMax / 2
)

func (e *engine) clockAlarm(off time.Duration) {
	_, on := e.told.Load("clock")
	switch {
	case !on && off.Abs() > clockAlarmOn:
		e.told.Store("clock", true)
		e.emit(event.New(event.ClockOffset, "node", e.local.Node, "offset", off.Round(time.Millisecond).String()))
	case on && off.Abs() < clockAlarmOff:
		e.told.Delete("clock")
		e.emit(event.New(event.ClockInStep, "node", e.local.Node))
	}
}

// reportStore tells of this node's member of the store when that has changed, or what
// was told is older than an age.
func (e *engine) reportStore(ctx context.Context, s *cib.Snapshot, age time.Duration) {
	tctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	st, err := e.store.Status(tctx)
	if err != nil {
		return // the store does not answer: that is told elsewhere
	}
	r := &st
	r.Time = time.Now().UTC()
	old := s.Status.Stores[e.local.Node]
	if at := e.backedUp.Load(); at != nil {
		r.Backup = *at
	}
	if old != nil {
		if old.Backup.After(r.Backup) {
			r.Backup = old.Backup
		}
		if r.Backup.Equal(old.Backup) && r.Time.Sub(old.Time) < age && old.Member == r.Member && old.Leader == r.Leader && old.Alarm == r.Alarm && old.Learner == r.Learner {
			return
		}
	}
	e.put(ctx, cib.KeyStore+e.local.Node, r)
}

// put writes one of this node's own documents.
func (e *engine) put(ctx context.Context, key string, v any) {
	tctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if _, _, err := e.store.Commit(tctx, cib.Txn{Put: []cib.Put{{Key: key, Value: v}}}); err != nil && ctx.Err() == nil {
		e.log.Debug("a report was not written", "key", key, "err", err)
	}
}

// fenceHistoryMax is how many ended fencing requests and proofs are kept.
const fenceHistoryMax = 200

// collect deletes what is beyond the limits: the oldest events, ended fencing
// requests, proofs that nothing names, and configuration generations.
func (e *engine) collect(ctx context.Context, s *cib.Snapshot) {
	keys := garbage(s)
	if n := s.ConfigGen.Number; n > uint64(s.Config.Cluster.Options.HistoryRing()) {
		if last := n - uint64(s.Config.Cluster.Options.HistoryRing()); last > e.collected {
			for g := max(1, e.collected); g <= last && len(keys) < 1000; g++ {
				keys = append(keys, generationKey(g))
				e.collected = g
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	tctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if _, _, err := e.store.Commit(tctx, cib.Txn{Delete: keys}); err != nil && ctx.Err() == nil {
		e.log.Debug("old documents were not removed", "err", err)
	}
}

// garbage lists the keys that are beyond the limits.
func garbage(s *cib.Snapshot) []string {
	var keys []string
	if over := len(s.Status.Events) - s.Config.Cluster.Options.EventRing(); over > 0 {
		for _, ev := range s.Status.Events[:over] {
			keys = append(keys, ev.Key)
		}
	}
	ended := sortedKeys(s.Status.Fenced)
	slices.SortStableFunc(ended, func(a, b string) int { return s.Status.Fenced[a].Ended.Compare(s.Status.Fenced[b].Ended) })
	for _, id := range ended[:max(0, len(ended)-fenceHistoryMax)] {
		keys = append(keys, cib.KeyFenceHistory+id)
	}
	named := map[string]bool{}
	for _, st := range s.Status.Nodes {
		named[st.Proof] = true
	}
	proofs := sortedKeys(s.Status.Proofs)
	slices.SortStableFunc(proofs, func(a, b string) int { return s.Status.Proofs[a].Time.Compare(s.Status.Proofs[b].Time) })
	for _, id := range proofs[:max(0, len(proofs)-fenceHistoryMax)] {
		if !named[id] {
			keys = append(keys, cib.KeyProof+id)
		}
	}
	return keys
}

// backup saves the store; the authority's sealed key is in it.
func (e *engine) backup(ctx context.Context, file string) (*api.Backup, error) {
	if e.external() {
		p := api.NewProblem(api.CodeBadRequest, "the store of this cluster is run by somebody else, and holds more than this cluster")
		p.Remedy = "Save the store with etcdctl snapshot save, and /var/lib/belay/pki of one node with it: its seal key opens the secrets and the certificate authority in the store."
		return nil, p
	}
	if e.keeper.admin() == nil {
		return nil, api.NewProblem(api.CodeBadRequest, "only a voter can back the store up: run it on "+fmt.Sprint(e.snap.Load().Status.Voters.Voters))
	}
	if file == "" {
		file = e.d.path(dirBackup, "belay-"+e.local.Cluster+"-"+time.Now().UTC().Format("20060102T150405Z")+".backup")
	}
	if !filepath.IsAbs(file) {
		return nil, api.NewProblem(api.CodeBadRequest, "the name of a backup file is absolute: "+file)
	}
	if err := os.MkdirAll(e.d.path(dirBackup), 0o700); err != nil {
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	saved, err := e.writeBackup(ctx, file)
	if err != nil {
		e.emit(event.New(event.BackupFailed, "node", e.local.Node, "reason", err.Error()))
		return nil, api.NewProblem(api.CodeStore, err.Error())
	}
	now := time.Now().UTC()
	e.backedUp.Store(&now)
	e.emit(event.New(event.BackupDone, "node", e.local.Node, "file", saved.File))
	return &saved, nil
}

func postBackup(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var in api.BackupRequest
	if err := body(r, &in); err != nil {
		return nil, err
	}
	var out *api.Backup
	err := e.audited(c.Actor, "backup", "cluster", &in, func() (err error) {
		out, err = e.backup(ctx, in.File)
		return err
	})
	return out, err
}
