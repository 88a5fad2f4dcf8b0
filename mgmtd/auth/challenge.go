package auth

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// ChallengeLife is how long a log-in waits for an answer: a code that comes by mail may
// take a while.
const ChallengeLife = 2 * time.Minute

// Limits of the log-ins that wait for an answer. Each of them holds a connection and a
// thread of the PAM helper; the oldest is given up for a new one, so that nobody who
// begins many keeps others out for long.
const (
	challengesMax        = 48
	challengesAddressMax = 8
	answersMax           = 8
)

// Challenge is what a log-in asks besides the password, such as a code from a telephone.
// It can be answered on the node that asked, once.
type Challenge struct {
	ID        string     `json:"id" doc:"for the answer; it is a secret of this log-in"`
	Questions []Question `json:"questions" doc:"to be answered in this order"`
	Messages  []string   `json:"messages,omitempty" doc:"to be shown with them"`
	Expires   time.Time  `json:"expires" doc:"the log-in is given up then"`
}

// ChallengeAnswer answers the questions of a challenge.
type ChallengeAnswer struct {
	ID      string
	Answers []string
	Client  string // User-Agent
}

// challenges are the log-ins that wait for an answer.
type challenges struct {
	mu      sync.Mutex
	waiting []*waiting // oldest first
}

type waiting struct {
	id        string // hash of what the caller has
	login     Login  // without the password
	questions int
	more      Conversation
	expires   time.Time
}

// add lets a log-in wait, and returns the one that must go for it, or nil.
func (c *challenges) add(w *waiting) *waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := func(x *waiting) bool { return x.login.Address == w.login.Address }
	own := 0
	for _, x := range c.waiting {
		if here(x) {
			own++
		}
	}
	drop := -1
	switch {
	case own >= challengesAddressMax:
		drop = slices.IndexFunc(c.waiting, here)
	case len(c.waiting) >= challengesMax:
		drop = 0
	}
	var out *waiting
	if drop >= 0 {
		out = c.waiting[drop]
		c.waiting = slices.Delete(c.waiting, drop, drop+1)
	}
	c.waiting = append(c.waiting, w)
	return out
}

// take returns the log-in of an id, which is then no longer there; nil for none.
func (c *challenges) take(id string) *waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.waiting, func(w *waiting) bool { return w.id == hash(id) })
	if i < 0 {
		return nil
	}
	w := c.waiting[i]
	c.waiting = slices.Delete(c.waiting, i, i+1)
	return w
}

// over takes out those whose time is over.
func (c *challenges) over(now time.Time) []*waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.waiting) && !now.Before(c.waiting[n].expires) {
		n++
	}
	out := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	return out
}

// challenge lets a log-in wait for answers.
func (a *Authenticator) challenge(ctx context.Context, l Login, ans *HelperAnswer) *Challenge {
	secret := newSecret()
	l.Password = ""
	w := &waiting{id: hash(secret), login: l, questions: len(ans.Questions), more: ans.More, expires: time.Now().Add(ChallengeLife)}
	if old := a.challenges.add(w); old != nil {
		a.giveUp(ctx, old, "there were too many log-ins that wait for an answer")
	}
	return &Challenge{ID: secret, Questions: ans.Questions, Messages: ans.Messages, Expires: w.expires.UTC()}
}

// giveUp ends a log-in that waited. It counts as a failed one: PAM may have judged the
// password before it asked.
func (a *Authenticator) giveUp(ctx context.Context, w *waiting, why string) {
	if err := w.more.Close(); err != nil {
		a.opts.Log.Debug("a log-in was given up", "err", err)
	}
	a.limits.Lock()
	a.limits.Fail(w.login.User, w.login.Address, time.Now())
	a.limits.Unlock()
	a.note(ctx, w.login, api.NewProblem(api.CodeLoginRefused, why))
}

// sweep gives up the log-ins whose time is over.
func (a *Authenticator) sweep(ctx context.Context) {
	for _, w := range a.challenges.over(time.Now()) {
		a.giveUp(ctx, w, "the questions were not answered in time")
	}
}

// Answer goes on with a log-in that asked something. The outcome is that of
// [Authenticator.Login]. A challenge is gone with its first answer, right or wrong.
func (a *Authenticator) Answer(ctx context.Context, in ChallengeAnswer) (*Begun, error) {
	a.sweep(ctx)
	w := a.challenges.take(in.ID)
	if w == nil {
		return nil, api.NewProblem(api.CodeLogin, "no log-in waits for this answer: it may have taken too long")
	}
	long := func(s string) bool { return len(s) > passwordMaxBytes || strings.ContainsRune(s, 0) }
	if len(in.Answers) != w.questions || slices.ContainsFunc(in.Answers, long) {
		a.giveUp(ctx, w, "the answers do not fit the questions")
		return nil, api.NewProblem(api.CodeBadRequest, "the answers do not fit the questions; log in again")
	}
	l := w.login
	l.Ask, l.Client = true, in.Client
	asked := false
	s, c, err := a.attempt(ctx, l, func(ctx context.Context) (*HelperAnswer, error) {
		asked = true
		return w.more.Reply(ctx, in.Answers)
	})
	if !asked { // there were too many tries
		_ = w.more.Close()
	}
	return a.begun(ctx, l, s, c, err)
}
