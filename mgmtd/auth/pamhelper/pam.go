//go:build cgo

package pamhelper

import (
	"errors"

	"github.com/msteinert/pam/v2"

	"github.com/belay-ha/belay/mgmtd/auth"
)

// PAM asks PAM by the service of that name. With a directory the service file is
// read from there, and not from /etc/pam.d.
type PAM struct {
	Service string
	ConfDir string
}

// Check authenticates a user and asks whether the account may be used. No session is
// opened: nothing runs as that user.
func (p *PAM) Check(r auth.HelperRequest) auth.HelperAnswer {
	conversation := pam.ConversationFunc(func(s pam.Style, _ string) (string, error) {
		switch s {
		case pam.PromptEchoOff, pam.PromptEchoOn:
			return r.Password, nil
		case pam.ErrorMsg, pam.TextInfo:
			return "", nil
		case pam.BinaryPrompt:
		}
		return "", errors.New("such a question can't be answered here")
	})
	var tx *pam.Transaction
	var err error
	if p.ConfDir == "" {
		tx, err = pam.Start(p.Service, r.User, conversation)
	} else {
		tx, err = pam.StartConfDir(p.Service, r.User, conversation, p.ConfDir)
	}
	if err != nil {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: err.Error()}
	}
	defer func() { _ = tx.End() }()
	if err := errors.Join(tx.SetItem(pam.Rhost, r.Address), tx.SetItem(pam.Tty, "mgmtd")); err != nil {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: err.Error()}
	}
	if err := tx.Authenticate(pam.DisallowNullAuthtok); err != nil {
		return refusal(err)
	}
	if err := tx.AcctMgmt(pam.DisallowNullAuthtok); err != nil {
		return refusal(err)
	}
	name, err := tx.GetItem(pam.User)
	if err != nil || !auth.ValidUser(name) {
		return auth.HelperAnswer{Result: auth.ResultError, Detail: "PAM names no user"}
	}
	return auth.HelperAnswer{OK: true, User: name}
}

func refusal(err error) auth.HelperAnswer {
	a := auth.HelperAnswer{Result: auth.ResultDenied, Detail: err.Error()}
	switch {
	case errors.Is(err, pam.ErrNewAuthtokReqd), errors.Is(err, pam.ErrAcctExpired), errors.Is(err, pam.ErrAuthtokExpired), errors.Is(err, pam.ErrCredExpired):
		a.Result = auth.ResultExpired
	case errors.Is(err, pam.ErrAbort), errors.Is(err, pam.ErrService), errors.Is(err, pam.ErrSystem), errors.Is(err, pam.ErrBuf), errors.Is(err, pam.ErrOpen), errors.Is(err, pam.ErrSymbol), errors.Is(err, pam.ErrAuthinfoUnavail):
		a.Result = auth.ResultError
	}
	return a
}
