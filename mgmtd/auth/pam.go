package auth

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
}

// HelperAnswer is the one line that comes back.
type HelperAnswer struct {
	OK     bool     `json:"ok"`
	User   string   `json:"user,omitempty"`   // as PAM names it
	Groups []string `json:"groups,omitempty"` // names
	Result string   `json:"result,omitempty"` // of a refusal: denied, expired, locked, error
	Detail string   `json:"detail,omitempty"` // for the log, never for the caller
}

// The results of a refusal.
const (
	ResultDenied  = "denied"
	ResultExpired = "expired" // right, but the password or the account has run out
	ResultError   = "error"   // PAM could not tell
)

// HelperLineMaxBytes bounds a line of the helper's protocol.
const HelperLineMaxBytes = 16 << 10

// helperMax bounds one question: PAM waits by itself after a wrong password.
const helperMax = 30 * time.Second

// Ask asks the helper.
func (h *Helper) Ask(ctx context.Context, r HelperRequest) (*HelperAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, helperMax)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", h.Socket)
	if err != nil {
		return nil, fmt.Errorf("ask the PAM helper: %w", err)
	}
	defer c.Close() //nolint:errcheck // all was read
	if t, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(t); err != nil {
			return nil, fmt.Errorf("ask the PAM helper: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	b, err := json.Marshal(r) //nolint:gosec // it goes to the one process that needs the password
	if err == nil {
		_, err = c.Write(append(b, '\n'))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the PAM helper: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(c, HelperLineMaxBytes)).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the PAM helper does not answer: %w", err)
	}
	a := &HelperAnswer{}
	if err := json.Unmarshal(line, a); err != nil {
		return nil, fmt.Errorf("the PAM helper's answer: %w", err)
	}
	return a, nil
}
