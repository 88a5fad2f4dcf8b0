package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/quorumd"
)

// commits collects what must be durable, and what may be said after that. Many
// clusters that are split at once share one write.
type commits struct {
	mu      sync.Mutex
	saved   []quorumd.Saved
	records []*audit.Record
	after   []delivery
	writing bool
	poke    chan struct{}
}

func newCommits() *commits { return &commits{poke: make(chan struct{}, 1)} }

// busy reports whether anything is on its way to the disk.
func (c *commits) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing || len(c.saved) > 0 || len(c.records) > 0
}

func (c *commits) save(s quorumd.Saved) { c.add(func() { c.saved = append(c.saved, s) }) }

func (c *commits) record(r *audit.Record) { c.add(func() { c.records = append(c.records, r) }) }

func (c *commits) deliver(d delivery) { c.add(func() { c.after = append(c.after, d) }) }

func (c *commits) add(f func()) {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// commitLoop writes what is collected. An error ends the server: what it says
// afterwards could not be relied on after a restart.
func (s *Server) commitLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return s.commitOnce()
		case <-s.commits.poke:
		}
		if err := s.commitOnce(); err != nil {
			s.log.Error("the state can't be made durable: no more answers", "err", err)
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			return err
		}
	}
}

func (s *Server) commitOnce() error {
	c := s.commits
	c.mu.Lock()
	saved, records, after := c.saved, c.records, c.after
	c.saved, c.records, c.after, c.writing = nil, nil, nil, true
	c.mu.Unlock()
	err := s.write(saved, records)
	if err == nil {
		for _, d := range after {
			d.perform(nil)
		}
	}
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	return err
}

func (s *Server) write(saved []quorumd.Saved, records []*audit.Record) error {
	if len(saved) > 0 {
		if err := s.journal.append(saved); err != nil {
			return err
		}
		if s.journal.grown() {
			s.mu.Lock()
			all := s.arbiter.Saved()
			s.mu.Unlock()
			if err := s.journal.rewrite(all); err != nil {
				return err
			}
		}
	}
	if len(records) > 0 {
		return s.audit.Append(records...)
	}
	return nil
}

// The kinds of notices that the server adds to the arbiter's.
const (
	noticeStranger  quorumd.NoticeKind = "client-unknown"
	noticeHandshake quorumd.NoticeKind = "handshake-failed"
	noticeExpired   quorumd.NoticeKind = "certificate-expired"
	noticeAdmin     quorumd.NoticeKind = "administrator"
)

// levels of the notices; those that are not here are informational.
var levels = map[quorumd.NoticeKind]slog.Level{
	quorumd.NoticeGranted: slog.LevelWarn, quorumd.NoticeHandover: slog.LevelWarn, quorumd.NoticeOpened: slog.LevelWarn,
	quorumd.NoticeDenied: slog.LevelWarn, quorumd.NoticeForbidden: slog.LevelError, quorumd.NoticeProtocol: slog.LevelWarn,
	quorumd.NoticeTicketLost: slog.LevelWarn, quorumd.NoticeRevoked: slog.LevelWarn, quorumd.NoticeReset: slog.LevelWarn,
	noticeStranger: slog.LevelError, noticeHandshake: slog.LevelWarn, noticeExpired: slog.LevelWarn,
}

// tellRate bounds what strangers can make us write.
type tellRate struct {
	second  int64
	count   int
	dropped uint64
}

const tellMax = 20 // notices of one kind in a second, of the kinds that outsiders can cause

// tell logs a notice, and puts it into the audit log unless it is only that
// somebody came or went. s.mu is held.
func (s *Server) tell(n quorumd.Notice) {
	rate := s.told[n.Kind]
	if second := s.now().Unix(); second != rate.second {
		if rate.dropped > 0 {
			s.log.Warn("notices were left out", "kind", string(n.Kind), "count", rate.dropped)
		}
		rate = tellRate{second: second}
	}
	rate.count++
	outside := false
	switch n.Kind {
	case noticeStranger, noticeHandshake, noticeExpired, quorumd.NoticeForbidden, quorumd.NoticeProtocol, quorumd.NoticeDenied, quorumd.NoticeConnected, quorumd.NoticeGone:
		outside = true
	default:
	}
	if outside && rate.count > tellMax {
		rate.dropped++
		s.told[n.Kind] = rate
		return
	}
	s.told[n.Kind] = rate
	s.log.Log(context.Background(), levels[n.Kind], "notice", "kind", string(n.Kind), "cluster", n.Cluster, "node", n.Node, "ticket", n.Object, "text", n.Text)
	switch n.Kind {
	case quorumd.NoticeConnected, quorumd.NoticeGone, noticeHandshake:
		return
	default:
	}
	object := n.Cluster
	if n.Object != "" {
		object = "ticket/" + n.Object
	}
	s.commits.record(&audit.Record{
		Cluster: n.Cluster, Node: s.opts.Name, Time: time.Now().UTC(), Phase: audit.Note, Actor: audit.Actor{User: n.Node, Via: "quorumd"},
		Action: string(n.Kind), Object: object, Reason: n.Text,
	})
}
