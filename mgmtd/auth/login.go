package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// Login is a try to log in.
type Login struct {
	User, Password string
	Address        string
	Client         string // User-Agent
	Via            string
	// Ask lets PAM ask for the password, too: none came.
	Ask bool
}

// Begun is a session that has begun, with its secret: the one time that it is shown. Or,
// with a challenge, one that has not.
type Begun struct {
	Secret    string
	Session   Session
	Challenge *Challenge
}

// Password checks a user's password without beginning a session: for protocols that
// send it with every request, and can't ask for more. The answer to an unknown user and
// to a wrong password is the same, and takes the same time.
func (a *Authenticator) Password(ctx context.Context, l Login) (*Subject, error) {
	s, _, err := a.attempt(ctx, l, func(ctx context.Context) (*HelperAnswer, error) {
		return a.passwords.Ask(ctx, HelperRequest{Op: HelperCheck, User: l.User, Password: l.Password, Address: l.Address})
	})
	return s, err
}

// attempt makes one step of a log-in: what ask says about it is a subject, a challenge,
// or a refusal, which is recorded and takes its time.
func (a *Authenticator) attempt(ctx context.Context, l Login, ask func(context.Context) (*HelperAnswer, error)) (*Subject, *Challenge, error) {
	began := time.Now()
	s, c, err := a.step(ctx, l, ask)
	if err != nil {
		a.remembered.forget(l.User)
		a.note(ctx, l, err)
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeTooMany {
			return nil, nil, err
		}
		if werr := a.sit(ctx, began); werr != nil {
			return nil, nil, api.NewProblem(api.CodeTimeout, "the log-in was given up")
		}
		return nil, nil, err
	}
	return s, c, nil
}

// sit waits until a multiple of the time for a refused log-in is over, so that its
// length says nothing about its reason.
func (a *Authenticator) sit(ctx context.Context, began time.Time) error {
	took := time.Since(began)
	t := time.NewTimer(a.opts.Fail - took%a.opts.Fail)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Authenticator) step(ctx context.Context, l Login, ask func(context.Context) (*HelperAnswer, error)) (*Subject, *Challenge, error) {
	a.limits.Lock()
	wait, ok := a.limits.Begin(l.User, l.Address, time.Now())
	a.limits.Unlock()
	if !ok {
		return nil, nil, TooMany(wait)
	}
	outcome := tryOpen
	defer func() {
		a.limits.Lock()
		a.limits.End(l.User, l.Address, outcome, time.Now())
		a.limits.Unlock()
	}()
	refused := api.NewProblem(api.CodeLoginRefused, "user name or password is wrong, or the account is locked")
	if !ValidUser(l.User) || l.Password == "" && !l.Ask || len(l.Password) > passwordMaxBytes {
		outcome = tryFailed
		return nil, nil, refused
	}
	ans, err := ask(ctx)
	switch {
	case err != nil:
		a.opts.Log.Error("passwords can't be checked", "err", err)
		return nil, nil, api.NewProblem(api.CodeNotRunning, "passwords can't be checked now: the PAM helper does not answer")
	case ans.OK && ans.User != "":
		outcome = tryGood
		return &Subject{User: ans.User, Groups: ans.Groups, Roles: a.opts.Roles(ans.User, ans.Groups), Method: ByPassword, Address: l.Address, Via: l.Via}, nil, nil
	case len(ans.Questions) > 0 && ans.More != nil:
		return nil, a.challenge(ctx, l, ans), nil
	case ans.Result == ResultExpired:
		p := api.NewProblem(api.CodeLoginRefused, "the password or the account has run out")
		p.Remedy = "Set a new password on the node, with passwd(1)."
		return nil, nil, p
	case ans.Result == ResultError:
		a.opts.Log.Error("PAM could not check a password", "user", l.User, "detail", ans.Detail)
	default:
		a.opts.Log.Info("a log-in was refused", "user", l.User, "address", l.Address, "detail", ans.Detail)
	}
	outcome = tryFailed
	return nil, nil, refused
}

// passwordMaxBytes bounds a password: it must fit into a line to the helper, however it
// is encoded there.
const passwordMaxBytes = HelperLineMaxBytes / 8

// TooMany is the refusal of one who must wait.
func TooMany(wait time.Duration) *api.Problem {
	p := api.NewProblem(api.CodeTooMany, fmt.Sprintf("too many tries; wait %s", max(time.Second, wait.Round(time.Second))))
	p.RetryAfter = max(1, int(wait.Seconds()+0.999))
	return p
}

// note records a log-in that was refused. Where that is not possible, the log has it.
func (a *Authenticator) note(ctx context.Context, l Login, err error) {
	user := l.User
	if !ValidUser(user) {
		user = "?"
	}
	n := &api.Note{
		Actor: &api.Actor{User: user, Via: l.Via, Address: l.Address}, Action: "login", Object: "session", Result: "refused", Reason: err.Error(),
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		n.Reason = p.Code + ": " + p.Detail
	}
	if err := a.keeper.Note(context.WithoutCancel(ctx), n); err != nil {
		a.opts.Log.Warn("a refused log-in can't be recorded", "user", user, "err", err)
	}
}

// Login checks a password and begins a session, or asks for more: see [Challenge].
func (a *Authenticator) Login(ctx context.Context, l Login) (*Begun, error) {
	a.sweep(ctx)
	s, c, err := a.attempt(ctx, l, func(ctx context.Context) (*HelperAnswer, error) {
		return a.passwords.Ask(ctx, HelperRequest{Op: HelperCheck, User: l.User, Password: l.Password, Address: l.Address, Interactive: true})
	})
	return a.begun(ctx, l, s, c, err)
}

func (a *Authenticator) begun(ctx context.Context, l Login, s *Subject, c *Challenge, err error) (*Begun, error) {
	if err != nil {
		return nil, err
	}
	if c != nil {
		return &Begun{Challenge: c}, nil
	}
	return a.Begin(ctx, s, l.Client)
}

// Begin begins a session for a subject that was authenticated otherwise.
func (a *Authenticator) Begin(ctx context.Context, s *Subject, client string) (*Begun, error) {
	now := time.Now().UTC()
	secret := newSecret()
	h := hash(secret)
	e := &entry{Session: Session{
		ID: publicID(h), User: s.User, Groups: s.Groups, Roles: s.Roles, Method: s.Method, Address: s.Address, Client: client[:min(len(client), 200)],
		Node: a.opts.Node(), Created: now, Used: now, Expires: now.Add(a.opts.Life), IdleSecs: int(a.opts.Idle.Seconds()),
	}}
	e.used.Store(now.UnixNano())
	drop, err := a.room(s.User)
	if err != nil {
		return nil, err
	}
	doc, err := document(kindSession+h, &e.Session)
	if err != nil {
		return nil, fmt.Errorf("begin a session: %w", err)
	}
	details, err := json.Marshal(map[string]any{"roles": s.Roles, "method": s.Method, "session": e.ID})
	if err != nil {
		return nil, fmt.Errorf("begin a session: %w", err)
	}
	actor := s.Actor()
	actor.Session = e.ID
	ch := &api.DocumentChange{Actor: actor, Action: "login", Object: "session/" + e.ID, Details: details, Put: []api.Document{doc}, Delete: drop}
	kctx, cancel := context.WithTimeout(ctx, keepMax)
	rev, err := a.change(kctx, ch)
	cancel()
	p, ok := errors.AsType[*api.Problem](err)
	switch {
	case err == nil:
		e.rev = rev
	case ok && ctx.Err() == nil && (p.Code == api.CodeTimeout || p.Code == api.CodeStore || p.Code == api.CodeNoQuorum || p.Code == api.CodeNoCluster || p.Code == api.CodeNotRunning):
		// Who can log in must be able to see what is wrong, even now.
		e.Local, e.Expires = true, now.Add(min(localLife, a.opts.Life))
		a.opts.Log.Warn("a session of this node alone began", "user", s.User, "err", err)
	default:
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.byHash[h]; old == nil { // the store may have told already
		a.byHash[h] = e
	}
	return &Begun{Secret: secret, Session: e.Session}, nil
}

// keepMax is how long a log-in waits for the store before it begins a session of this
// node alone.
const keepMax = 5 * time.Second

// room names the sessions to be ended so that one more of the user has its place.
func (a *Authenticator) room(user string) ([]string, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.byHash) >= sessionsMax {
		return nil, api.NewProblem(api.CodeTooMany, fmt.Sprintf("there are %d sessions; more are not possible", len(a.byHash)))
	}
	type one struct {
		hash string
		used time.Time
	}
	var own []one
	for h, e := range a.byHash {
		if e.User == user && e.rev != 0 {
			own = append(own, one{h, e.lastUsed()})
		}
	}
	slices.SortFunc(own, func(x, y one) int { return cmp.Or(x.used.Compare(y.used), cmp.Compare(x.hash, y.hash)) })
	var drop []string
	for i := range own[:max(0, len(own)-sessionsUserMax+1)] {
		drop = append(drop, kindSession+own[i].hash)
	}
	return drop, nil
}

// End ends sessions: the one with that public name, for who may end it.
func (a *Authenticator) End(ctx context.Context, by *Subject, id, why string) error {
	return a.endWhere(ctx, by.Actor(), why, func(e *entry) bool { return e.ID == id })
}

// EndUser ends every session of a user.
func (a *Authenticator) EndUser(ctx context.Context, by *Subject, user, why string) error {
	a.remembered.forget(user)
	return a.endWhere(ctx, by.Actor(), why, func(e *entry) bool { return e.User == user })
}

// Owner returns whose session that is; "" where there is none.
func (a *Authenticator) Owner(id string) string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, e := range a.byHash {
		if e.ID == id {
			return e.User
		}
	}
	return ""
}

// endsAtOnce bounds the documents of one transaction.
const endsAtOnce = 50

func (a *Authenticator) endWhere(ctx context.Context, actor *api.Actor, why string, is func(*entry) bool) error {
	a.mu.Lock()
	var names, ids []string
	for h, e := range a.byHash {
		if !is(e) || len(names) >= endsAtOnce {
			continue
		}
		// Here it is over in any case, also when the store does not answer.
		delete(a.byHash, h)
		ids = append(ids, e.ID)
		if e.rev != 0 {
			a.ended[h] = e.Expires
			names = append(names, kindSession+h)
		}
	}
	a.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	details, err := json.Marshal(map[string]any{"sessions": ids, "reason": why})
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	object := "sessions"
	if len(ids) == 1 {
		object = "session/" + ids[0]
	}
	_, err = a.change(ctx, &api.DocumentChange{Actor: actor, Action: "logout", Object: object, Details: details, Delete: names})
	return err
}
