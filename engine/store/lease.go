package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// leaseState is the lease in force.
type leaseState struct {
	id   int64         // 0: none yet
	next chan struct{} // closed when it is replaced
}

// awaitLease returns the lease in force, and waits for one where there is none.
func (s *Store) awaitLease(ctx context.Context) (int64, error) {
	s.wantLease()
	for {
		l := s.lease.Load()
		if l.id != 0 {
			return l.id, nil
		}
		select {
		case <-l.next:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// wantLease begins the lease. A node with a member of its own has one from the
// start; of a thousand others few will ever need one, and each costs the leader a
// renewal three times a second.
func (s *Store) wantLease() { s.leaseOnce.Do(func() { close(s.leased) }) }

func (s *Store) setLease(id int64) {
	close(s.lease.Swap(&leaseState{id: id, next: make(chan struct{})}).next)
}

// leaseGone is called by a transaction that was refused for its lease.
func (s *Store) leaseGone(id int64) {
	if l := s.lease.Load(); l.id == id && s.lease.CompareAndSwap(l, &leaseState{next: make(chan struct{})}) {
		close(l.next)
	}
	select {
	case s.lost <- id:
	default: // the keeper of the lease has enough to do, and finds out by itself
	}
}

// keepLease owns the lease: it gets one, renews it three times in its life, and
// gets a new one when the store has forgotten it.
func (s *Store) keepLease(ctx context.Context) {
	if s.Endpoint().Local {
		s.wantLease()
	}
	select {
	case <-s.leased:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		id, ttl, err := s.grantLease(ctx)
		if err != nil {
			s.log.Debug("no lease from the store", "err", err)
			s.pause(ctx, s.patience.election/2)
			continue
		}
		s.setLease(id)
		if !s.renewLease(ctx, id, ttl) {
			return
		}
		s.setLease(0)
		s.log.Warn("lease of the store lost", "lease", id)
		if s.cfg.OnLeaseLost != nil {
			s.cfg.OnLeaseLost()
		}
	}
}

func (s *Store) grantLease(ctx context.Context) (int64, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitMax)
	defer cancel()
	var resp *pb.LeaseGrantResponse
	// Not a read, but a lease too many harms nobody: it runs out.
	err := s.do(ctx, true, func(ctx context.Context, c *conn) (err error) {
		resp, err = c.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: int64((s.cfg.LeaseTTL + time.Second - 1) / time.Second)})
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("get a lease: %w", err)
	}
	return resp.ID, time.Duration(resp.TTL) * time.Second, nil
}

// renewLease returns true when the lease is gone, false when the context ended.
func (s *Store) renewLease(ctx context.Context, id int64, ttl time.Duration) bool {
	wait := ttl / 3
	for {
		select {
		case <-ctx.Done():
			return false
		case gone := <-s.lost:
			if gone == id {
				return true
			}
			continue
		case <-time.After(wait):
		}
		limited, cancel := context.WithTimeout(ctx, ttl/2)
		left, err := s.renewOnce(limited, id)
		cancel()
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound), err == nil && left <= 0:
			return true
		case err != nil:
			// Only the store can say that a lease has run out; until it does, go on.
			wait = min(ttl/10, s.patience.election/4)
		default:
			wait = ttl / 3
		}
	}
}

func (s *Store) renewOnce(ctx context.Context, id int64) (time.Duration, error) {
	var left int64
	err := s.do(ctx, true, func(ctx context.Context, c *conn) error {
		// The stream ends with its context, which do cancels.
		stream, err := c.lease.LeaseKeepAlive(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			return err
		}
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		left = resp.TTL
		return stream.CloseSend()
	})
	return time.Duration(left) * time.Second, err
}

// Release gives the lease back: what hangs on it vanishes at once. For an orderly
// end, before [Store.Close].
func (s *Store) Release(ctx context.Context) error {
	l := s.lease.Load()
	if l.id == 0 {
		return nil
	}
	err := s.do(ctx, true, func(ctx context.Context, c *conn) error {
		_, err := c.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: l.id})
		return err
	})
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("give the lease back: %w", err)
	}
	return nil
}

// pause waits, or until the context ends.
func (s *Store) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
