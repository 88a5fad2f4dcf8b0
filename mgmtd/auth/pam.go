package auth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Helper is the client of the PAM helper, a process of its own: PAM's modules need
// rights, block and crash, and the management daemon has none of that.
type Helper struct {
	Socket string
}

// HelperSocket is where the helper listens.
const HelperSocket = "/run/belay-mgmtd-pam/pam.sock"

// The operations of the helper.
const (
	HelperCheck  = "check"  // a password
	HelperGroups = "groups" // of a user that was checked before
)

// HelperRequest is one line to the helper.
type HelperRequest struct {
	Op       string `json:"op"`
	User     string `json:"user"`
	Password string `json:"password,omitempty"`
	Address  string `json:"address,omitempty"` // PAM_RHOST
	// Interactive says that who logs in can be asked for more than a password: what PAM
	// asks besides comes back as questions. Else such a question ends the try.
	Interactive bool `json:"interactive,omitempty"`
}

// HelperAnswer is the line that comes back. One with questions is followed by more:
// the helper goes on when it has read a [HelperReply].
type HelperAnswer struct {
	OK     bool     `json:"ok"`
	User   string   `json:"user,omitempty"`   // as PAM names it
	Groups []string `json:"groups,omitempty"` // names
	Result string   `json:"result,omitempty"` // of a refusal: denied, expired, error
	Detail string   `json:"detail,omitempty"` // for the log, never for the caller

	Questions []Question `json:"questions,omitempty"` // to be answered first
	Messages  []string   `json:"messages,omitempty"`  // what PAM says with the questions
	// More takes the answers to the questions; nil without questions.
	More Conversation `json:"-"`
}

// Question is one question of PAM.
type Question struct {
	Text   string `json:"text" doc:"as PAM words it, such as \"Verification code: \""`
	Hidden bool   `json:"hidden" doc:"the answer is not to be shown while it is typed"`
}

// HelperReply is a further line to the helper: one answer for each question.
type HelperReply struct {
	Answers []string `json:"answers"`
}

// Conversation is a try to log in that waits for answers.
type Conversation interface {
	// Reply gives the answers and waits for what PAM says then. It ends the
	// conversation, unless there are more questions.
	Reply(ctx context.Context, answers []string) (*HelperAnswer, error)
	// Close gives the try up. It may be called at any time, and twice.
	Close() error
}

// The results of a refusal.
const (
	ResultDenied  = "denied"
	ResultExpired = "expired" // right, but the password or the account has run out
	ResultError   = "error"   // PAM could not tell
)

// HelperLineMaxBytes bounds a line of the helper's protocol.
const HelperLineMaxBytes = 16 << 10

// helperMax bounds one question to the helper: PAM waits by itself after a wrong
// password, and a module may ask a telephone.
const helperMax = 60 * time.Second

// Ask asks the helper.
func (h *Helper) Ask(ctx context.Context, r HelperRequest) (*HelperAnswer, error) {
	dctx, cancel := context.WithTimeout(ctx, helperMax)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(dctx, "unix", h.Socket)
	if err != nil {
		return nil, fmt.Errorf("ask the PAM helper: %w", err)
	}
	return (&dialogue{conn: c, in: bufio.NewReader(c)}).say(ctx, r)
}

// dialogue is a connection to the helper on which it waits for answers.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
}

// Reply answers its questions.
func (d *dialogue) Reply(ctx context.Context, answers []string) (*HelperAnswer, error) {
	return d.say(ctx, HelperReply{Answers: answers})
}

// Close hangs up: the helper gives the try up.
func (d *dialogue) Close() error {
	if err := d.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("leave the PAM helper: %w", err)
	}
	return nil
}

// say sends a line and reads one. Unless that has questions, the connection is closed.
func (d *dialogue) say(ctx context.Context, v any) (*HelperAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, helperMax)
	defer cancel()
	a, err := d.exchange(ctx, v)
	if err != nil || len(a.Questions) == 0 {
		return a, errors.Join(err, d.Close())
	}
	a.More = d
	return a, nil
}

func (d *dialogue) exchange(ctx context.Context, v any) (*HelperAnswer, error) {
	if t, ok := ctx.Deadline(); ok {
		if err := d.conn.SetDeadline(t); err != nil {
			return nil, fmt.Errorf("ask the PAM helper: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = d.conn.Close() })
	defer stop()
	b, err := json.Marshal(v)
	if err == nil {
		_, err = d.conn.Write(append(b, '\n'))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the PAM helper: %w", err)
	}
	line, err := ReadHelperLine(d.in)
	if err != nil {
		return nil, fmt.Errorf("the PAM helper does not answer: %w", err)
	}
	a := &HelperAnswer{}
	if err := json.Unmarshal(line, a); err != nil {
		return nil, fmt.Errorf("the PAM helper's answer: %w", err)
	}
	return a, nil
}

// ReadHelperLine reads a line of the helper's protocol, and refuses one that is too long.
func ReadHelperLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > HelperLineMaxBytes {
			return nil, fmt.Errorf("a line of more than %d bytes", HelperLineMaxBytes)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
