package store

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/belay-ha/belay/engine/cib"
)

// Root is where the clusters' documents lie in etcd.
const Root = "/belay/"

// Prefix is where the documents of one cluster lie.
func Prefix(cluster string) string { return Root + cluster + "/" }

// Config says how the store is reached.
type Config struct {
	Cluster   string
	Node      string // this node
	Endpoints []Endpoint
	TLS       *tls.Config   // this node's certificate; its common name is the account in the store
	Detection time.Duration // of the cluster; see [Timing]
	// LeaseTTL is how long this engine may be silent before what it put on its
	// lease vanishes; default 5s. Whole seconds, and at least one and a half
	// election timeouts: the members raise what is less. A short one costs the
	// leader: it is renewed three times in its life. A node without a member gets
	// its lease with the first transaction that needs it.
	LeaseTTL time.Duration
	// CommitMax bounds a transaction whose context has no earlier end; default 5s.
	CommitMax time.Duration
	// Probe is how often the store is asked whether it is there when nothing else
	// shows it. Default 1s with a member on this node, else 5s: with a thousand
	// nodes every question counts.
	Probe time.Duration
	// OnLeaseLost is called when the lease turned out to be gone, with everything
	// on it. There is a new one already, or soon.
	OnLeaseLost func()
	Log         *slog.Logger // nil: nowhere
}

// Store is a client of the cluster's store. Its methods may be called from
// anywhere at the same time.
type Store struct {
	cfg      Config
	prefix   string
	patience patience
	log      *slog.Logger

	mu        sync.Mutex // guards what follows; never held during I/O
	endpoints []Endpoint // in the order they are tried
	at        int        // index of the one in use
	closed    bool

	cur     atomic.Pointer[conn]
	contact atomic.Int64 // unix nanoseconds of the newest proof that the store answers
	latency atomic.Int64 // of a write, smoothed; nanoseconds
	lease   atomic.Pointer[leaseState]
	lost    chan int64 // leases that a transaction found gone

	leaseOnce sync.Once
	leased    chan struct{} // closed when a lease is wanted

	state atomic.Pointer[published]

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Open makes a client. It does not wait for the store: whether it is there shows
// by [Store.LastContact] and by the first snapshot.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	// The store lives until Close, not until the context of the call that opened it ends.
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() { s.watch(ctx) })
	s.wg.Go(func() { s.keep(ctx) })
	s.wg.Go(func() { s.keepLease(ctx) })
	return s, nil
}

// newStore makes a client that connects when it is used, and no more.
func newStore(cfg Config) (*Store, error) {
	if cfg.Cluster == "" || strings.Contains(cfg.Cluster, "/") {
		return nil, fmt.Errorf("open the store: %q is no name for a cluster", cfg.Cluster)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.CommitMax <= 0 {
		cfg.CommitMax = 5 * time.Second
	}
	if cfg.LeaseTTL <= 0 {
		cfg.LeaseTTL = 5 * time.Second
	}
	s := &Store{
		cfg: cfg, prefix: Prefix(cfg.Cluster), patience: patienceFor(cfg.Detection), log: cfg.Log,
		lost: make(chan int64, 16), leased: make(chan struct{}), stop: func() {},
	}
	s.lease.Store(&leaseState{next: make(chan struct{})})
	s.state.Store(&published{next: make(chan struct{})})
	return s, s.SetEndpoints(cfg.Endpoints)
}

// Close ends the client. The lease runs out by itself; see [Store.Release].
func (s *Store) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.stop()
	if c := s.cur.Load(); c != nil {
		c.leave()
	}
	s.wg.Wait()
}

// SetEndpoints changes the ways to the store, after a change of the voters. The
// connection in use stays where it is still among them.
func (s *Store) SetEndpoints(list []Endpoint) error {
	if len(list) == 0 {
		return errors.New("open the store: no endpoint")
	}
	ordered := order(list, s.cfg.Node)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	old := s.cur.Load()
	s.endpoints, s.at = ordered, 0
	if old != nil {
		if s.at = slices.Index(ordered, old.ep); s.at >= 0 {
			s.mu.Unlock()
			return nil
		}
		s.at = 0
	}
	c, err := dial(ordered[0], s.cfg.TLS, s.patience) // does not wait
	if err == nil {
		s.cur.Store(c)
	}
	s.mu.Unlock()
	if err == nil && old != nil {
		old.leave()
	}
	return err
}

// order puts the local endpoints first. The others follow in a rotation that
// depends on the node's name, so that a thousand nodes don't all begin with the
// same voter.
func order(list []Endpoint, node string) []Endpoint {
	var local, far []Endpoint
	for _, e := range list {
		if e.Local {
			local = append(local, e)
		} else {
			far = append(far, e)
		}
	}
	if len(far) > 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(node))
		n := int(h.Sum32() % uint32(len(far)))
		far = append(slices.Clone(far[n:]), far[:n]...)
	}
	return append(local, far...)
}

// LastContact is when the store as a whole answered last: a committed or refused
// transaction, a read that the leader confirmed, an event. Zero: never.
func (s *Store) LastContact() time.Time {
	if n := s.contact.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Endpoint is the one in use.
func (s *Store) Endpoint() Endpoint { return s.cur.Load().ep }

// Distrust turns away from a node's member at once: membership has lost the node.
func (s *Store) Distrust(node string) {
	if c := s.cur.Load(); c.ep.Node == node && !c.ep.Local {
		s.turnFrom(c, errors.New("membership has lost the node"))
	}
}

func (s *Store) contacted() { s.contact.Store(time.Now().UnixNano()) }

// turnFrom goes on with the next endpoint, unless somebody else did already.
func (s *Store) turnFrom(c *conn, why error) {
	s.mu.Lock()
	if s.closed || s.cur.Load() != c {
		s.mu.Unlock()
		return
	}
	if len(s.endpoints) == 1 {
		s.mu.Unlock() // gRPC connects again by itself
		return
	}
	s.at = (s.at + 1) % len(s.endpoints)
	next, err := dial(s.endpoints[s.at], s.cfg.TLS, s.patience)
	if err == nil {
		s.cur.Store(next)
	}
	s.mu.Unlock()
	if err != nil {
		s.log.Error("store endpoint unusable", "endpoint", s.endpoints[s.at].URL, "err", err)
		return
	}
	s.log.Info("store endpoint changed", "from", c.ep.URL, "to", next.ep.URL, "reason", why.Error())
	c.leave()
}

// turnTo goes on with a connection that was tried before.
func (s *Store) turnTo(c *conn) {
	s.mu.Lock()
	at := slices.Index(s.endpoints, c.ep)
	if s.closed || at < 0 {
		s.mu.Unlock()
		c.leave()
		return
	}
	old := s.cur.Load()
	s.at = at
	s.cur.Store(c)
	s.mu.Unlock()
	s.log.Info("store endpoint changed", "from", old.ep.URL, "to", c.ep.URL, "reason", "preferred")
	old.leave()
}

// acquire returns the connection in use, to be given back with done.
func (s *Store) acquire() (*conn, error) {
	for {
		c := s.cur.Load()
		if c.use() {
			return c, nil
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
	}
}

// Pauses between tries when no member could do it.
const (
	pauseMin = 10 * time.Millisecond
	pauseMax = 100 * time.Millisecond
)

// do makes a call. Where the call certainly did nothing it is made again, at
// another member or a moment later, until the context ends. A read may be made
// again in any case.
func (s *Store) do(ctx context.Context, read bool, call func(context.Context, *conn) error) error {
	pause := pauseMin
	noLeader := map[*conn]time.Time{}
	for {
		c, err := s.acquire()
		if err != nil {
			return err
		}
		callCtx, sent := withSent(withLeader(ctx))
		cancel := context.CancelFunc(func() {})
		if read {
			callCtx, cancel = context.WithTimeout(callCtx, s.patience.probe)
		}
		err = call(callCtx, c)
		cancel()
		c.done()
		if err == nil {
			s.contacted()
			return nil
		}
		v, err := judge(err, sent.Load())
		if v == unknown && read {
			v, err = again, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if v == unknown && ctx.Err() == nil && !errors.Is(err, errLeaderLost) {
			s.turnFrom(c, err) // broken or hung
		}
		if v != again {
			return err
		}
		if s.wait(c, err, noLeader) {
			s.turnFrom(c, err)
		}
		select {
		case <-ctx.Done():
			return ofContext(ctx, err)
		case <-time.After(pause):
			pause = min(2*pause, pauseMax)
		}
	}
}

// wait decides whether the member is left. During an election every member is
// without a leader for a moment, and leaving it would help nobody; one that stays
// so is cut off from the others.
func (s *Store) wait(c *conn, err error, noLeader map[*conn]time.Time) bool {
	if !errors.Is(err, rpctypes.ErrNoLeader) && !strings.Contains(err.Error(), textDropped) {
		return true
	}
	since, ok := noLeader[c]
	if !ok {
		noLeader[c] = time.Now()
		return false
	}
	return time.Since(since) > s.patience.election/2
}

// Commit carries out a transaction. ok says whether its conditions held; when
// they did not, nothing was changed and err is nil. rev is the store's revision
// at that moment: a snapshot of at least that revision shows the change.
//
// Errors wrap [ErrUnknown] when it may have happened; with every other error
// nothing was changed.
func (s *Store) Commit(ctx context.Context, txn cib.Txn) (ok bool, rev int64, err error) {
	req, leased, err := s.request(txn)
	if err != nil {
		return false, 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.CommitMax, fmt.Errorf("no answer within %s", s.cfg.CommitMax))
	defer cancel()
	began := time.Now()
	for tries := 0; ; tries++ {
		var id int64
		if len(leased) > 0 {
			if id, err = s.awaitLease(ctx); err != nil {
				return false, 0, fmt.Errorf("commit: %w: no lease: %w", ErrUnreachable, ofContext(ctx, err))
			}
			for _, p := range leased {
				p.Lease = id
			}
		}
		var resp *pb.TxnResponse
		err = s.do(ctx, false, func(ctx context.Context, c *conn) error {
			ctx, release := s.watchOver(ctx, c)
			defer release()
			var err error
			resp, err = c.kv.Txn(ctx, req)
			if err == nil {
				c.term.Store(resp.Header.RaftTerm)
			}
			return ofContext(ctx, err)
		})
		if err == nil {
			s.measured(time.Since(began))
			return resp.Succeeded, resp.Header.Revision, nil
		}
		if errors.Is(err, rpctypes.ErrLeaseNotFound) && tries == 0 {
			s.leaseGone(id)
			continue // nothing was done: see judge
		}
		return false, 0, fmt.Errorf("commit: %w", err)
	}
}

// request translates a transaction, and returns its puts that hang on the lease.
func (s *Store) request(txn cib.Txn) (*pb.TxnRequest, []*pb.PutRequest, error) {
	req := &pb.TxnRequest{}
	var leased []*pb.PutRequest
	for _, c := range txn.If {
		req.Compare = append(req.Compare, &pb.Compare{
			Key: []byte(s.prefix + c.Key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: c.ModRev},
		})
	}
	for _, p := range txn.Put {
		value, err := json.Marshal(p.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("commit %s: %w: %w", p.Key, ErrInvalid, err)
		}
		put := &pb.PutRequest{Key: []byte(s.prefix + p.Key), Value: value}
		if p.Lease {
			leased = append(leased, put)
		}
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	for _, key := range txn.Delete {
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(s.prefix + key)},
		}})
	}
	return req, leased, nil
}

// When an answer is late, the member is asked whether it still has the leader to
// which it gave the transaction.
const lateAfter = 100 * time.Millisecond

var errLeaderLost = errors.New("the store's leader was lost before it answered")

// watchOver gives up a write that will not be answered. A member that handed it
// to a leader which died says nothing for 5s and more; this tells after the
// election. In the usual case it costs a timer.
func (s *Store) watchOver(ctx context.Context, c *conn) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	term := c.term.Load()
	timer := time.AfterFunc(lateAfter, func() { s.late(ctx, cancel, c, term) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

func (s *Store) late(ctx context.Context, cancel context.CancelCauseFunc, c *conn, term uint64) {
	tick := time.NewTicker(lateAfter / 2)
	defer tick.Stop()
	leaderless := false
	for {
		now, err := s.ask(ctx, c)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && term == 0:
			term = now
		case err == nil && (leaderless || now != term):
			// The new leader may have the transaction, and then answers now.
			select {
			case <-ctx.Done():
			case <-time.After(max(lateAfter, s.patience.election/4)):
				cancel(errLeaderLost)
			}
			return
		case errors.Is(err, rpctypes.ErrNoLeader):
			leaderless = true
		case errors.Is(err, context.DeadlineExceeded):
			cancel(errors.New("the store's member hangs"))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask returns the member's term without asking the others.
func (s *Store) ask(ctx context.Context, c *conn) (uint64, error) {
	ctx, cancel := context.WithTimeout(withLeader(ctx), s.patience.probe)
	defer cancel()
	resp, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(s.prefix + cib.KeyDataGen), Serializable: true, CountOnly: true})
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, rpctypes.Error(err)
	}
	return resp.Header.RaftTerm, nil
}

// measured smooths the latency of writes: the newest counts an eighth.
func (s *Store) measured(d time.Duration) {
	old := s.latency.Load()
	if old == 0 {
		s.latency.Store(int64(d))
		return
	}
	s.latency.Store(old + (int64(d)-old)/8)
}

// Latency is how long a write takes, smoothed; 0: none was made.
func (s *Store) Latency() time.Duration { return time.Duration(s.latency.Load()) }

// Get reads one document, as the leader has it. Its Value is nil and its ModRev 0
// where there is none.
func (s *Store) Get(ctx context.Context, key string) (cib.KV, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitMax)
	defer cancel()
	var resp *pb.RangeResponse
	err := s.do(ctx, true, func(ctx context.Context, c *conn) (err error) {
		resp, err = c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(s.prefix + key)})
		return err
	})
	if err != nil {
		return cib.KV{}, fmt.Errorf("read %s: %w", key, err)
	}
	if len(resp.Kvs) == 0 {
		return cib.KV{Key: key}, nil
	}
	return s.kv(resp.Kvs[0].Key, resp.Kvs[0].Value, resp.Kvs[0].ModRevision), nil
}

// List says which documents [Store.List] returns.
type List struct {
	Prefix   string
	Limit    int  // 0: all
	Newest   bool // the greatest keys first; generations and events are numbered
	KeysOnly bool // leave the values out
}

// List reads the documents below a prefix at one revision, as the leader has them.
func (s *Store) List(ctx context.Context, l List) (kvs []cib.KV, rev int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitMax)
	defer cancel()
	req := &pb.RangeRequest{
		Key: []byte(s.prefix + l.Prefix), RangeEnd: rangeEnd(s.prefix + l.Prefix),
		Limit: int64(l.Limit), KeysOnly: l.KeysOnly,
	}
	if l.Newest {
		req.SortOrder, req.SortTarget = pb.RangeRequest_DESCEND, pb.RangeRequest_KEY
	}
	var resp *pb.RangeResponse
	err = s.do(ctx, true, func(ctx context.Context, c *conn) (err error) {
		resp, err = c.kv.Range(ctx, req)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", l.Prefix, err)
	}
	for _, kv := range resp.Kvs {
		kvs = append(kvs, s.kv(kv.Key, kv.Value, kv.ModRevision))
	}
	return kvs, resp.Header.Revision, nil
}

func (s *Store) kv(key, value []byte, rev int64) cib.KV {
	if value == nil {
		value = []byte{}
	}
	return cib.KV{Key: strings.TrimPrefix(string(key), s.prefix), Value: value, ModRev: rev}
}

// rangeEnd is the end of the range of all keys with a prefix.
func rangeEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

// keep asks the store from time to time whether it is there, and returns to the
// member of this node when that is well again.
func (s *Store) keep(ctx context.Context) {
	probe := s.cfg.Probe
	if probe <= 0 {
		probe = 5 * time.Second
		if s.Endpoint().Local {
			probe = time.Second
		}
	}
	tick := time.NewTicker(probe)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Since(s.LastContact()) > probe*9/10 {
			limited, cancel := context.WithTimeout(ctx, 2*s.patience.probe)
			// A failure has turned to another endpoint; what it means is seen by
			// LastContact.
			_ = s.do(limited, true, s.confirm)
			cancel()
		}
		if best := s.preferred(); best != nil {
			s.tryPreferred(ctx, *best)
		}
	}
}

// confirm is a read that the leader must confirm with a majority.
func (s *Store) confirm(ctx context.Context, c *conn) error {
	_, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(s.prefix + cib.KeyDataGen), CountOnly: true})
	return err
}

// preferred returns the endpoint of this node's member when another is in use.
func (s *Store) preferred() *Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.at == 0 || !s.endpoints[0].Local {
		return nil
	}
	ep := s.endpoints[0]
	return &ep
}

func (s *Store) tryPreferred(ctx context.Context, ep Endpoint) {
	c, err := dial(ep, s.cfg.TLS, s.patience)
	if err != nil {
		return
	}
	limited, cancel := context.WithTimeout(withLeader(ctx), s.patience.probe)
	defer cancel()
	if err := s.confirm(limited, c); err != nil {
		c.leave()
		return
	}
	s.turnTo(c)
}
