package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/belay-ha/belay/engine/cib"
)

// inSnapshot are the parts of the store that a snapshot is made of. History and
// tokens are read when somebody asks for them.
var inSnapshot = []string{"config/", "event/", "status/", cib.KeyAccess}

// published is the newest snapshot, and the way to the one after it.
type published struct {
	snap *cib.Snapshot // nil: none yet
	next chan struct{} // closed when there is a newer one
}

// Snapshot returns the newest snapshot; nil before the first.
func (s *Store) Snapshot() *cib.Snapshot { return s.state.Load().snap }

// Watch calls f with the newest snapshot and then with every newer one, in the
// order of their revisions, until the context ends. While f works, snapshots that
// are outdated before f could see them are left out. Any number of watchers share
// one stream from the store.
func (s *Store) Watch(ctx context.Context, f func(*cib.Snapshot)) error {
	p := s.state.Load()
	for {
		if p.snap != nil {
			f(p.snap)
		}
		select {
		case <-p.next:
			p = s.state.Load()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Await returns a snapshot of at least that revision: with the revision of a
// commit, one that shows it.
func (s *Store) Await(ctx context.Context, rev int64) (*cib.Snapshot, error) {
	for {
		p := s.state.Load()
		if p.snap != nil && p.snap.Revision >= rev {
			return p.snap, nil
		}
		select {
		case <-p.next:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for revision %d of the store: %w", rev, context.Cause(ctx))
		}
	}
}

func (s *Store) publish(snap *cib.Snapshot) {
	close(s.state.Swap(&published{snap: snap, next: make(chan struct{})}).next)
}

// replica follows the store. It belongs to the goroutine of watch.
type replica struct {
	snap *cib.Snapshot
	keys map[string]int64 // key to ModRev of everything in snap
	next int64            // the first revision that is not in snap; 0: read everything
}

// watch keeps the snapshot up to date until the context ends.
func (s *Store) watch(ctx context.Context) {
	r := &replica{}
	for ctx.Err() == nil {
		c, err := s.acquire()
		if err != nil {
			return
		}
		err = s.followUntilLeft(ctx, c, r)
		c.done()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errCompacted) {
			s.log.Info("store watch fell behind and reads everything again", "rev", r.next)
			r.next = 0
			continue
		}
		if errors.Is(err, errOlder) {
			s.log.Warn("store refused", "endpoint", c.ep.URL, "err", err)
		}
		s.log.Debug("store watch interrupted", "endpoint", c.ep.URL, "rev", r.next, "err", err)
		if !errors.Is(err, errLeft) {
			s.turnFrom(c, err)
			s.pause(ctx, pauseMax/2)
		}
	}
}

var (
	errCompacted = errors.New("the revision was compacted")
	errLeft      = errors.New("another endpoint is in use")
)

// followUntilLeft follows through one connection, whatever it waits for there,
// until that fails or the store turns to another one.
func (s *Store) followUntilLeft(ctx context.Context, c *conn, r *replica) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var left sync.WaitGroup
	left.Go(func() {
		select {
		case <-c.left:
			cancel(errLeft)
		case <-ctx.Done():
		}
	})
	defer left.Wait()
	defer cancel(nil) // before it
	err := s.follow(ctx, c, r)
	if errors.Is(context.Cause(ctx), errLeft) {
		return errLeft
	}
	return err
}

// follow watches through one connection until that fails.
func (s *Store) follow(ctx context.Context, c *conn, r *replica) error {
	ctx, cancel := context.WithCancel(withLeader(ctx))
	defer cancel()
	if r.next > 0 {
		// A watch from a revision that is yet to come waits in silence. Where the
		// store as a whole has not come so far, its history is another one.
		rev, err := s.revision(ctx, c)
		if err != nil {
			return err
		}
		if rev < r.next-1 {
			s.log.Warn("store is at an older revision than this node", "rev", rev, "known", r.next-1)
			r.next = 0
		}
	}
	if r.next == 0 {
		if err := s.readAll(ctx, c, r); err != nil {
			return err
		}
	}
	stream, err := c.watch.Watch(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte(s.prefix), RangeEnd: rangeEnd(s.prefix), StartRevision: r.next, ProgressNotify: true,
	}}})
	if err != nil {
		return err
	}
	// A bounded queue: when this side is slow, the member waits and keeps what
	// comes, and one day says that it was compacted.
	queue := make(chan *pb.WatchResponse, 64)
	var ended error // of the stream; to be read once queue is closed
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		for {
			var resp *pb.WatchResponse
			if resp, ended = stream.Recv(); ended != nil {
				return
			}
			select {
			case queue <- resp:
			case <-ctx.Done():
				ended = ctx.Err()
				return
			}
		}
	})
	defer reader.Wait()
	defer cancel()
	for resp := range queue {
		if err := s.take(r, resp, queue); err != nil {
			return err
		}
	}
	return ended
}

func (s *Store) revision(ctx context.Context, c *conn) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience.probe)
	defer cancel()
	resp, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(s.prefix + cib.KeyDataGen), CountOnly: true})
	if err != nil {
		return 0, err
	}
	s.contacted()
	return resp.Header.Revision, nil
}

// take applies a response and all that wait behind it, as one new snapshot.
// Every response holds whole transactions: etcd splits them only for a watcher
// that asks for it.
func (s *Store) take(r *replica, resp *pb.WatchResponse, queue <-chan *pb.WatchResponse) error {
	var kvs []cib.KV
	rev, changed := r.next-1, false
	for {
		if resp.Canceled || resp.CompactRevision > 0 {
			if resp.CompactRevision > 0 {
				return errCompacted
			}
			return fmt.Errorf("the member ended the watch: %s", resp.CancelReason)
		}
		for _, ev := range resp.Events {
			changed = true
			rev = max(rev, ev.Kv.ModRevision)
			kv := s.kv(ev.Kv.Key, ev.Kv.Value, ev.Kv.ModRevision)
			if !relevant(kv.Key) {
				continue
			}
			if ev.Type == mvccpb.Event_DELETE {
				kv.Value = nil
				delete(r.keys, kv.Key)
			} else {
				r.keys[kv.Key] = kv.ModRev
			}
			kvs = append(kvs, kv)
		}
		if len(resp.Events) == 0 && !resp.Created && resp.Header != nil {
			// A progress notice: everything up to this revision was delivered.
			rev = max(rev, resp.Header.Revision)
		}
		var more bool
		select {
		case resp, more = <-queue:
		default:
		}
		if !more {
			break
		}
	}
	r.next = rev + 1
	if changed {
		s.contacted()
		r.snap = r.snap.Apply(kvs, rev)
		s.publish(r.snap)
	}
	return nil
}

func relevant(key string) bool {
	for _, p := range inSnapshot {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// readAll reads everything at one revision. What did not change since the last
// snapshot is kept as it is, also where it can't be read now.
func (s *Store) readAll(ctx context.Context, c *conn, r *replica) error {
	ctx, cancel := context.WithTimeout(ctx, max(10*time.Second, 4*s.patience.probe))
	defer cancel()
	req := &pb.TxnRequest{}
	for _, p := range inSnapshot {
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: []byte(s.prefix + p), RangeEnd: rangeEnd(s.prefix + p)},
		}})
	}
	resp, err := c.kv.Txn(ctx, req)
	if err != nil {
		return fmt.Errorf("read everything: %w", err)
	}
	s.contacted()
	rev := resp.Header.Revision
	var all []cib.KV
	for _, part := range resp.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			all = append(all, s.kv(kv.Key, kv.Value, kv.ModRevision))
		}
	}
	fresh := cib.Empty().Apply(all, rev)
	if r.snap != nil {
		switch older := compare(fresh, r.snap); {
		case older < 0:
			return fmt.Errorf("%w: revision %d after %d", errOlder, rev, r.snap.Revision)
		case fresh.Status.Generation == r.snap.Status.Generation:
			fresh = r.snap.Apply(r.difference(all), rev)
		}
	}
	r.keys = make(map[string]int64, len(all))
	for _, kv := range all {
		r.keys[kv.Key] = kv.ModRev
	}
	r.snap, r.next = fresh, rev+1
	s.publish(fresh)
	return nil
}

var errOlder = errors.New("the store is older than what is known")

// compare orders snapshots by the generation of the data, then by revision.
func compare(a, b *cib.Snapshot) int64 {
	if n, m := a.Status.Generation.Number, b.Status.Generation.Number; n != m {
		return int64(n) - int64(m)
	}
	return a.Revision - b.Revision
}

// difference returns what must be applied to get from the replica to all.
func (r *replica) difference(all []cib.KV) []cib.KV {
	var kvs []cib.KV
	here := make(map[string]bool, len(all))
	for _, kv := range all {
		here[kv.Key] = true
		if r.keys[kv.Key] != kv.ModRev {
			kvs = append(kvs, kv)
		}
	}
	for key := range r.keys {
		if !here[key] {
			kvs = append(kvs, cib.KV{Key: key})
		}
	}
	return kvs
}
