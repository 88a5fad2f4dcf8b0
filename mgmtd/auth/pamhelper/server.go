// Package pamhelper is the process beside the management daemon that asks PAM. It
// answers lines with lines on a unix socket, to the management daemon's user and
// root only, and knows nothing of the cluster.
package pamhelper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/mgmtd/auth"
)

// Limits.
const (
	connectionsMax = 64
	lineMax        = 5 * time.Second // for a request to arrive
	answerMax      = time.Minute     // for an answer to be taken
	replyMax       = auth.ChallengeLife + 10*time.Second
	questionsMax   = 8 // of one try
	messagesMax    = 8 // with one question
	textMaxBytes   = 500
)

// Ask asks whoever logs in, and returns what they say.
type Ask func(q auth.Question, messages []string) (string, error)

// Server answers requests.
type Server struct {
	Check  func(r auth.HelperRequest, ask Ask) auth.HelperAnswer // password and account; ask is nil where nobody can be asked
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
	d := &dialogue{conn: c, in: bufio.NewReader(c)}
	line, err := auth.ReadHelperLine(d.in)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	return d.write(s.answer(line, d.ask))
}

// dialogue is the connection of one try.
type dialogue struct {
	conn  net.Conn
	in    *bufio.Reader
	asked int
}

// ask sends a question and waits for its answer. Its error ends the try: who asked has
// gone, or waits for too long.
func (d *dialogue) ask(q auth.Question, messages []string) (string, error) {
	if d.asked++; d.asked > questionsMax {
		return "", fmt.Errorf("more than %d questions", questionsMax)
	}
	q.Text = clip(q.Text)
	for i := range messages {
		messages[i] = clip(messages[i])
	}
	if err := d.write(auth.HelperAnswer{Questions: []auth.Question{q}, Messages: messages}); err != nil {
		return "", err
	}
	if err := d.conn.SetDeadline(time.Now().Add(replyMax)); err != nil {
		return "", fmt.Errorf("wait for an answer: %w", err)
	}
	line, err := auth.ReadHelperLine(d.in)
	if err != nil {
		return "", fmt.Errorf("wait for an answer: %w", err)
	}
	var r auth.HelperReply
	if err := json.Unmarshal(line, &r); err != nil || len(r.Answers) != 1 || strings.ContainsRune(r.Answers[0], 0) {
		return "", errors.New("not one answer to one question")
	}
	return r.Answers[0], nil
}

func (d *dialogue) write(a auth.HelperAnswer) error {
	b, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if err := d.conn.SetDeadline(time.Now().Add(answerMax)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := d.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// clip makes a module's words fit to be shown.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "?")
	for len(text) > textMaxBytes {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// answer is the answer to one line.
func (s *Server) answer(line []byte, ask Ask) auth.HelperAnswer {
	var r auth.HelperRequest
	if err := json.Unmarshal(line, &r); err != nil {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: "not a request"}
	}
	if !auth.ValidUser(r.User) {
		return auth.HelperAnswer{Result: auth.ResultDenied, Detail: "not a user's name"}
	}
	if !r.Interactive {
		ask = nil
	}
	a := auth.HelperAnswer{OK: true, User: r.User}
	switch r.Op {
	case auth.HelperCheck:
		if a = s.Check(r, ask); !a.OK {
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
