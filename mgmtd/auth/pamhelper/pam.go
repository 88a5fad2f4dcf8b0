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
// opened: nothing runs as that user. What PAM asks besides the password goes through
// ask.
func (p *PAM) Check(r auth.HelperRequest, ask Ask) auth.HelperAnswer {
	conversation := pam.ConversationFunc((&prompter{request: r, ask: ask}).respond)
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

// prompter answers what PAM asks.
type prompter struct {
	request  auth.HelperRequest
	ask      Ask
	asked    string   // the question that the password answered; "" for none so far
	messages []string // for whoever logs in, with the next question
}

// respond answers one question. The password is the answer to the first one whose
// answer is hidden, and to the same question again, since modules behind each other ask
// so; all others are for whoever logs in.
func (p *prompter) respond(s pam.Style, text string) (string, error) {
	switch s {
	case pam.TextInfo:
		p.messages = append(p.messages[max(0, len(p.messages)+1-messagesMax):], text)
		return "", nil
	case pam.ErrorMsg:
		// It may tell why, and who is refused is not told that.
		return "", nil
	case pam.PromptEchoOff, pam.PromptEchoOn:
	case pam.BinaryPrompt:
		return "", errors.New("such a question can't be answered here")
	}
	hidden := s == pam.PromptEchoOff
	if p.request.Password != "" && hidden && (p.asked == "" || p.asked == text) {
		p.asked = text
		return p.request.Password, nil
	}
	if p.ask == nil {
		return "", errors.New("there is a further question, and nobody to ask")
	}
	messages := p.messages
	p.messages = nil
	return p.ask(auth.Question{Text: text, Hidden: hidden}, messages)
}
