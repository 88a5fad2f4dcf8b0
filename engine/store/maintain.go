package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/belay-ha/belay/engine/cib"
)

// Status fills in the store as this node sees it, from the member in use. Backup
// is left for the caller.
func (s *Store) Status(ctx context.Context) (cib.StoreStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitMax)
	defer cancel()
	out := cib.StoreStatus{Node: s.cfg.Node, Latency: s.Latency()}
	err := s.do(ctx, true, func(ctx context.Context, c *conn) error {
		st, err := c.maint.Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		list, err := c.member.MemberList(ctx, &pb.MemberListRequest{})
		if err != nil {
			return err
		}
		out.Member = c.ep.Local
		out.Learner = out.Member && st.IsLearner
		for _, m := range list.Members {
			if m.ID == st.Leader {
				out.Leader = m.Name
			}
		}
		out.SizeBytes, out.InUse, out.Quota, out.Revision = st.DbSize, st.DbSizeInUse, st.DbSizeQuota, st.Header.Revision
		out.Alarm = alarmText(st.Errors)
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("ask for the status of the store: %w", err)
	}
	out.Time = time.Now()
	return out, nil
}

// alarmText says what is wrong with the store in the words of etcd's alarms.
func alarmText(list []string) string {
	var out []string
	for _, e := range list {
		for _, name := range []string{"NOSPACE", "CORRUPT"} {
			if strings.Contains(e, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return strings.Join(out, " ")
}

// A member's file is rewritten when it is worth it: at least this large, and at
// most half of it in use; or when its size keeps the store from writing.
const (
	defragMinBytes = 32 << 20
	spaceEnough    = 0.9 // of the quota: below it, writing may go on
)

// Upkeep says what [Admin.Maintain] did.
type Upkeep struct {
	Compacted    int64 // the revision; 0: not
	Defragmented bool
	Cleared      bool // the alarm that the store is full
}

// Maintain does the housekeeping of this node's member; the engines of all members
// call it from time to time. Members take turns at rewriting their files, which
// stops a member for a moment: by name, the leader last, and it hands its office
// over first. When the store is full, old revisions are dropped, files rewritten,
// and writing is allowed again.
func (a *Admin) Maintain(ctx context.Context) (done Upkeep, err error) {
	list, err := a.Members(ctx)
	if err != nil {
		return done, err
	}
	self := find(list, a.s.cfg.Node, nil)
	if self == nil {
		return done, nil // no member here
	}
	states := map[uint64]*pb.StatusResponse{}
	for _, m := range list {
		err := a.at(ctx, &m, func(ctx context.Context, c *conn) error {
			st, err := c.maint.Status(ctx, &pb.StatusRequest{})
			states[m.ID] = st
			return err
		})
		if err != nil {
			return done, fmt.Errorf("housekeeping of the store waits for the member of %s: %w", m.Name, err)
		}
	}
	mine := states[self.ID]
	full := strings.Contains(alarmText(mine.Errors), "NOSPACE")
	if full && mine.Leader == self.ID {
		if done.Compacted, err = a.compact(ctx, mine.Header.Revision); err != nil {
			return done, err
		}
	}
	if turn(list, states) == self.ID {
		if err := a.defragment(ctx, self, list, mine.Leader == self.ID); err != nil {
			return done, err
		}
		done.Defragmented = true
	}
	if full {
		done.Cleared, err = a.clearSpace(ctx, self)
	}
	return done, err
}

// turn returns the member that may rewrite its file now; 0: none needs to.
func turn(list []Member, states map[uint64]*pb.StatusResponse) uint64 {
	var first uint64
	for _, m := range list { // by name
		st := states[m.ID]
		full := strings.Contains(alarmText(st.Errors), "NOSPACE") && float64(st.DbSize) >= spaceEnough*float64(st.DbSizeQuota)
		if !full && (st.DbSize < defragMinBytes || st.DbSizeInUse*2 > st.DbSize) {
			continue
		}
		if st.Leader != m.ID {
			return m.ID
		}
		first = m.ID
	}
	return first
}

// compact drops old revisions and waits until that is done.
func (a *Admin) compact(ctx context.Context, rev int64) (int64, error) {
	err := a.s.do(ctx, true, func(ctx context.Context, c *conn) error {
		_, err := c.kv.Compact(ctx, &pb.CompactionRequest{Revision: rev, Physical: true})
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "has been compacted") {
		return 0, fmt.Errorf("compact the store at revision %d: %w", rev, err)
	}
	return rev, nil
}

// defragMax bounds the rewriting of a file.
const defragMax = 5 * time.Minute

func (a *Admin) defragment(ctx context.Context, self *Member, list []Member, leader bool) error {
	if leader {
		for _, m := range list {
			if !m.Learner && m.ID != self.ID {
				if err := a.MoveLeader(ctx, m.Name); err != nil {
					return err
				}
				break
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, defragMax)
	defer cancel()
	err := a.at(ctx, self, func(ctx context.Context, c *conn) error {
		_, err := c.maint.Defragment(ctx, &pb.DefragmentRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("defragment the store's member of %s: %w", self.Name, err)
	}
	return nil
}

// clearSpace ends this member's alarm when there is room again.
func (a *Admin) clearSpace(ctx context.Context, self *Member) (bool, error) {
	var cleared bool
	err := a.at(ctx, self, func(ctx context.Context, c *conn) error {
		st, err := c.maint.Status(ctx, &pb.StatusRequest{})
		if err != nil || float64(st.DbSize) >= spaceEnough*float64(st.DbSizeQuota) {
			return err
		}
		alarms, err := c.maint.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
		if err != nil {
			return err
		}
		for _, al := range alarms.Alarms {
			if al.Alarm == pb.AlarmType_NOSPACE && al.MemberID == self.ID {
				_, err := c.maint.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: al.MemberID, Alarm: al.Alarm})
				if err != nil {
					return err
				}
				cleared = true
			}
		}
		return nil
	})
	if err != nil {
		return cleared, fmt.Errorf("end the alarm that the store is full: %w", err)
	}
	return cleared, nil
}
