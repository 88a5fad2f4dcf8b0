package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/belay-ha/belay/engine/cib"
)

// Admin changes the store itself. Its certificate must carry the name root once
// the store asks who may do what: see [Admin.EnableAuth]. Every method may be
// repeated after any error; done twice is the same as done once.
//
// The set of voters changes one step at a time: AddLearner, start of the new
// member, Promote, Barrier; and Remove.
type Admin struct{ s *Store }

// NewAdmin makes an administrator. Of the configuration it uses Cluster, Node,
// Endpoints, TLS, Detection, CommitMax and Log. Close it after use.
func NewAdmin(cfg Config) (*Admin, error) {
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	return &Admin{s}, nil
}

// SetEndpoints is [Store.SetEndpoints].
func (a *Admin) SetEndpoints(list []Endpoint) error { return a.s.SetEndpoints(list) }

// Close ends the administrator's connection.
func (a *Admin) Close() { a.s.Close() }

// Commit is [Store.Commit] as root: for what no node may write, such as the
// generation of the data. It has no lease.
func (a *Admin) Commit(ctx context.Context, txn cib.Txn) (ok bool, rev int64, err error) {
	for _, p := range txn.Put {
		if p.Lease {
			return false, 0, fmt.Errorf("commit %s: %w: an administrator has no lease", p.Key, ErrInvalid)
		}
	}
	return a.s.Commit(ctx, txn)
}

// Member is a member of the store.
type Member struct {
	ID         uint64
	Name       string // the node's; empty until it has started once
	PeerURLs   []string
	ClientURLs []string
	Learner    bool
}

// stepMax bounds a step whose context has no earlier end. A member that has just
// begun counts as unhealthy for 5s, and nothing may be removed meanwhile.
const stepMax = 15 * time.Second

// stepPause is the pause before a step is tried again.
const stepPause = 50 * time.Millisecond

// Members lists the members, as the leader has them, by name.
func (a *Admin) Members(ctx context.Context) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
	defer cancel()
	var resp *pb.MemberListResponse
	err := a.s.do(ctx, true, func(ctx context.Context, c *conn) (err error) {
		resp, err = c.member.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the store's members: %w", err)
	}
	return members(resp.Members), nil
}

// MembersAt lists the members as one node's member knows them, which may be cut off
// from the others.
func (a *Admin) MembersAt(ctx context.Context, name string) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
	defer cancel()
	var resp *pb.MemberListResponse
	err := a.at(ctx, &Member{Name: name}, func(ctx context.Context, c *conn) (err error) {
		resp, err = c.member.MemberList(ctx, &pb.MemberListRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the store's members as %s knows them: %w", name, err)
	}
	return members(resp.Members), nil
}

func members(list []*pb.Member) []Member {
	out := make([]Member, len(list))
	for i, m := range list {
		out[i] = Member{ID: m.ID, Name: m.Name, PeerURLs: slices.Sorted(slices.Values(m.PeerURLs)), ClientURLs: m.ClientURLs, Learner: m.IsLearner}
	}
	slices.SortFunc(out, func(a, b Member) int {
		switch {
		case a.Name != b.Name && a.Name < b.Name, a.Name == b.Name && a.ID < b.ID:
			return -1
		}
		return 1
	})
	return out
}

// find returns the member of a node. One that has never started has no name yet,
// and is known by its addresses.
func find(list []Member, name string, peerURLs []string) *Member {
	for i, m := range list {
		if m.Name == name || m.Name == "" && slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(peerURLs, u) }) {
			return &list[i]
		}
	}
	return nil
}

func (a *Admin) member(ctx context.Context, name string, peerURLs []string) (*Member, []Member, error) {
	list, err := a.Members(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := find(list, name, peerURLs)
	if m == nil {
		return nil, list, fmt.Errorf("node %s has no member of the store: %w", name, ErrNotFound)
	}
	return m, list, nil
}

// ErrNotFound says that there is no such member.
var ErrNotFound = errors.New("no such member")

// change makes a call that changes members. Its outcome may be unknown; every
// step looks before it acts, and so may be repeated.
func (a *Admin) change(ctx context.Context, what string, call func(context.Context, *conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
	defer cancel()
	return changed(what, a.s.do(ctx, false, call))
}

// changeAtLeader is change at the leader and nowhere else: what a member passes on
// to the leader for itself goes without the caller's name, and is refused once
// the store asks who may do what.
func (a *Admin) changeAtLeader(ctx context.Context, what string, list []Member, call func(context.Context, *conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.s.cfg.CommitMax)
	defer cancel()
	leader, err := a.leader(ctx, list)
	if err == nil {
		err = a.at(ctx, leader, call)
	}
	return changed(what, err)
}

func changed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrMemberLearnerNotReady), errors.Is(err, rpctypes.ErrTooManyLearners),
		errors.Is(err, rpctypes.ErrMemberNotEnoughStarted):
		return fmt.Errorf("%s: %w: %w", what, ErrNotReady, err)
	case isUnhealthy(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotReady, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// repeat makes a step until it is done, or fails for good, or time is up.
func repeat(ctx context.Context, step func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, stepMax)
		defer cancel()
	}
	for {
		err := step(ctx)
		if !errors.Is(err, ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			return ofContext(ctx, err)
		case <-time.After(stepPause):
		}
	}
}

// AddLearner adds a member that does not vote yet, and returns what its
// [ServerConfig] needs as Initial, with Existing. A node that is a member already
// stays what it is; one whose data are lost must be removed first.
func (a *Admin) AddLearner(ctx context.Context, name string, peerURLs []string) (initial map[string][]string, err error) {
	m, list, err := a.member(ctx, name, peerURLs)
	switch {
	case errors.Is(err, ErrNotFound):
		err = repeat(ctx, func(ctx context.Context) error {
			return a.change(ctx, "add "+name+" as a learner", func(ctx context.Context, c *conn) error {
				resp, err := c.member.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: peerURLs, IsLearner: true})
				if err == nil {
					list = members(resp.Members)
				}
				return err
			})
		})
	case err == nil && !slices.Equal(m.PeerURLs, slices.Sorted(slices.Values(peerURLs))):
		if err = a.UpdatePeerURLs(ctx, name, peerURLs); err == nil {
			m.PeerURLs = peerURLs
		}
	}
	if err != nil {
		return nil, err
	}
	initial = map[string][]string{}
	for _, m := range list {
		switch {
		case slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(peerURLs, u) }):
			m.Name = name
		case m.Name == "": // another one that has not started: etcd compares addresses, not names
			m.Name = strconv.FormatUint(m.ID, 16)
		}
		initial[m.Name] = m.PeerURLs
	}
	return initial, nil
}

// Promote makes a learner a voter, once it has caught up. That may be before it
// has everything: see [Admin.Barrier].
func (a *Admin) Promote(ctx context.Context, name string) error {
	return repeat(ctx, func(ctx context.Context) error {
		m, list, err := a.member(ctx, name, nil)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("promote %s: %w: %w", name, ErrNotReady, err) // added, but not started yet
		}
		if err != nil || !m.Learner {
			return err
		}
		err = a.changeAtLeader(ctx, "promote "+name, list, func(ctx context.Context, c *conn) error {
			_, err := c.member.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: m.ID})
			return err
		})
		if errors.Is(err, rpctypes.ErrMemberNotLearner) {
			return nil
		}
		return err
	})
}

// Barrier waits until a new voter has applied everything up to an index that the
// leader had after the promotion, its own promotion included. Only then may it
// survive alone: before, forced recovery on it would lose writes or fail. It
// returns the index.
func (a *Admin) Barrier(ctx context.Context, name string) (index uint64, err error) {
	list, err := a.Members(ctx)
	if err != nil {
		return 0, err
	}
	m := find(list, name, nil)
	if m == nil || m.Learner {
		return 0, fmt.Errorf("barrier of %s: %w: not a voter", name, ErrNotReady)
	}
	leader, err := a.leader(ctx, list)
	if err != nil {
		return 0, err
	}
	var st *pb.StatusResponse
	status := func(ctx context.Context, c *conn) (err error) {
		st, err = c.maint.Status(ctx, &pb.StatusRequest{})
		return err
	}
	if err := a.at(ctx, leader, status); err != nil {
		return 0, fmt.Errorf("barrier of %s: ask the leader %s: %w", name, leader.Name, err)
	}
	index = st.RaftIndex
	err = repeat(ctx, func(ctx context.Context) error {
		if err := a.at(ctx, m, status); err != nil {
			return fmt.Errorf("barrier of %s: %w: %w", name, ErrNotReady, err)
		}
		if st.IsLearner || st.RaftAppliedIndex < index {
			return fmt.Errorf("barrier of %s: %w: it has applied %d of %d", name, ErrNotReady, st.RaftAppliedIndex, index)
		}
		return nil
	})
	return index, err
}

// Remove takes a node's member away. The last voter cannot be removed. peerURLs
// help to find one that never started. For some seconds after another change the
// store refuses it; this waits as long as its context lasts, or 15s.
func (a *Admin) Remove(ctx context.Context, name string, peerURLs []string) error {
	return repeat(ctx, func(ctx context.Context) error {
		m, list, err := a.member(ctx, name, peerURLs)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		voters := 0
		for _, o := range list {
			if !o.Learner {
				voters++
			}
		}
		if voters == 1 && !m.Learner {
			return fmt.Errorf("remove %s: %w: it is the last voter", name, ErrInvalid)
		}
		err = a.change(ctx, "remove "+name, func(ctx context.Context, c *conn) error {
			_, err := c.member.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.ID})
			return err
		})
		if errors.Is(err, rpctypes.ErrMemberNotFound) {
			return nil
		}
		return err
	})
}

// UpdatePeerURLs changes where a member is reached by its peers, one address a link.
func (a *Admin) UpdatePeerURLs(ctx context.Context, name string, peerURLs []string) error {
	return repeat(ctx, func(ctx context.Context) error {
		m, _, err := a.member(ctx, name, peerURLs)
		if err != nil || slices.Equal(m.PeerURLs, slices.Sorted(slices.Values(peerURLs))) {
			return err
		}
		return a.change(ctx, "change the addresses of "+name, func(ctx context.Context, c *conn) error {
			_, err := c.member.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: m.ID, PeerURLs: peerURLs})
			return err
		})
	})
}

// MoveLeader makes a node's member the leader.
func (a *Admin) MoveLeader(ctx context.Context, name string) error {
	m, list, err := a.member(ctx, name, nil)
	if err != nil {
		return err
	}
	if m.Learner {
		return fmt.Errorf("make %s the store's leader: %w: it is a learner", name, ErrInvalid)
	}
	return repeat(ctx, func(ctx context.Context) error {
		leader, err := a.leader(ctx, list)
		if err != nil || leader.ID == m.ID {
			return err
		}
		err = a.at(ctx, leader, func(ctx context.Context, c *conn) error {
			_, err := c.maint.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: m.ID})
			return err
		})
		if errors.Is(err, rpctypes.ErrNotLeader) {
			return fmt.Errorf("make %s the store's leader: %w: %w", name, ErrNotReady, err)
		}
		if err != nil {
			return fmt.Errorf("make %s the store's leader: %w", name, err)
		}
		return nil
	})
}

// leader finds the leader among the members.
func (a *Admin) leader(ctx context.Context, list []Member) (*Member, error) {
	var st *pb.StatusResponse
	err := a.s.do(ctx, true, func(ctx context.Context, c *conn) (err error) {
		st, err = c.maint.Status(ctx, &pb.StatusRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the store's leader: %w", err)
	}
	i := slices.IndexFunc(list, func(m Member) bool { return m.ID == st.Leader })
	if i < 0 {
		return nil, fmt.Errorf("find the store's leader: %w", ErrNotReady)
	}
	return &list[i], nil
}

// at makes a call at one member, over the first of its links that works. No
// other member may answer in its place.
func (a *Admin) at(ctx context.Context, m *Member, call func(context.Context, *conn) error) error {
	var eps []Endpoint
	a.s.mu.Lock()
	for _, e := range a.s.endpoints {
		if e.Node == m.Name && e.Node != "" {
			eps = append(eps, e)
		}
	}
	a.s.mu.Unlock()
	for _, u := range m.ClientURLs {
		if !slices.ContainsFunc(eps, func(e Endpoint) bool { return e.URL == u }) {
			eps = append(eps, Endpoint{Node: m.Name, URL: u})
		}
	}
	err := fmt.Errorf("%w: no address of %s is known", ErrUnreachable, m.Name)
	for _, ep := range eps {
		var c *conn
		if c, err = dial(ep, a.s.cfg.TLS, a.s.patience); err != nil {
			return err
		}
		callCtx, sent := withSent(ctx)
		err = call(callCtx, c)
		c.leave()
		if err == nil {
			return nil
		}
		var v verdict
		if v, err = judge(err, sent.Load()); v != again {
			return err
		}
	}
	return err
}

// Snapshot reads everything once.
func (a *Admin) Snapshot(ctx context.Context) (*cib.Snapshot, error) {
	r := &replica{}
	err := a.s.do(ctx, true, func(ctx context.Context, c *conn) error { return a.s.readAll(ctx, c, r) })
	return r.snap, err
}

// List is [Store.List] as root.
func (a *Admin) List(ctx context.Context, l List) (kvs []cib.KV, rev int64, err error) {
	return a.s.List(ctx, l)
}
