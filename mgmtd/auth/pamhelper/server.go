// Package pamhelper is the process beside the management daemon that asks PAM. It
// answers one line for one line on a unix socket, to the management daemon's user and
// root only, and knows nothing of the cluster.
package pamhelper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/mgmtd/auth"
)

// Limits.
const (
	connectionsMax = 16
	lineMax        = 5 * time.Second // for a request to arrive
	answerMax      = time.Minute     // PAM's modules may wait
)

// Server answers requests.
type Server struct {
	Check  func(r auth.HelperRequest) auth.HelperAnswer // password and account
	Groups func(user string) ([]string, error)
	UID    uint32 // whom it answers, besides root and its own user
	Log    *slog.Logger
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var work sync.WaitGroup
	defer work.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	slots := make(chan struct{}, connectionsMax)
	for {
		slots <- struct{}{}
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		work.Go(func() {
			defer func() { <-slots }()
			defer c.Close() //nolint:errcheck // all was written
			if err := s.serve(c); err != nil {
				s.Log.Warn("a request was not answered", "err", err)
			}
		})
	}
}

func (s *Server) serve(c net.Conn) error {
	uid, err := peerUID(c)
	if err != nil {
		return err
	}
	if uid != 0 && uid != s.UID && uid != uint32(os.Getuid()) {
		return fmt.Errorf("user %d may not ask", uid)
	}
	if err := c.SetDeadline(time.Now().Add(lineMax)); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(c, auth.HelperLineMaxBytes)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	a := s.answer(line)
	b, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if err := c.SetDeadline(time.Now().Add(answerMax)); err != nil {
		return err
	}
	_, err = c.Write(append(b, '\n'))
	return err
}

// answer is the answer to one line.
func (s *Server) answer(line []byte) auth.HelperAnswer {
	var r auth.HelperRequest
	if err := json.Unmarshal(line, &r); err != nil {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: "not a request"}
	}
	if !auth.ValidUser(r.User) {
		return auth.HelperAnswer{Result: auth.ResultDenied, Detail: "not a user's name"}
	}
	a := auth.HelperAnswer{OK: true, User: r.User}
	switch r.Op {
	case auth.HelperCheck:
		if a = s.Check(r); !a.OK {
			return a
		}
	case auth.HelperGroups:
	default:
		return auth.HelperAnswer{Result: auth.ResultError, Detail: "no such operation"}
	}
	groups, err := s.Groups(a.User)
	if err != nil {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: err.Error()}
	}
	a.Groups = groups
	return a
}

func peerUID(c net.Conn) (uint32, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return 0, fmt.Errorf("peer credentials: %w", errors.Join(err, cerr))
	}
	return cred.Uid, nil
}
