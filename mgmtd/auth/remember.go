package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// rememberLife is how long a log-in with a password is remembered for protocols that send
// the password with every request: PAM takes some 30 ms, and a client may ask a thousand
// times in a row. A password that was changed is accepted for as long.
const rememberLife = time.Minute

// remembersMax bounds the log-ins that are remembered.
const remembersMax = 1000

// remembered are log-ins that have succeeded, under a hash of user, password and address
// with a key that only this process has: what is in its memory is no password.
type remembered struct {
	key [32]byte

	mu      sync.Mutex
	logins  map[[32]byte]*login
	waiting map[[32]byte]chan struct{} // log-ins that are being checked; closed at their end
}

type login struct {
	subject Subject
	until   time.Time
}

func newRemembered() *remembered {
	r := &remembered{logins: map[[32]byte]*login{}, waiting: map[[32]byte]chan struct{}{}}
	_, _ = rand.Read(r.key[:]) // it never fails
	return r
}

func (r *remembered) hash(l Login) (out [32]byte) {
	m := hmac.New(sha256.New, r.key[:])
	m.Write([]byte(strings.Join([]string{l.User, l.Address, l.Via, l.Password}, "\x00")))
	copy(out[:], m.Sum(nil))
	return out
}

// find returns the subject of a log-in that is remembered, or takes the check upon the
// caller, who must call the function that is returned. Callers with the same log-in wait for the one.
func (r *remembered) find(ctx context.Context, h [32]byte, now func() time.Time) (*Subject, func(*Subject), error) {
	for {
		r.mu.Lock()
		if e := r.logins[h]; e != nil && now().Before(e.until) {
			s := e.subject
			r.mu.Unlock()
			return &s, nil, nil
		}
		wait := r.waiting[h]
		if wait == nil {
			done := make(chan struct{})
			r.waiting[h] = done
			r.mu.Unlock()
			return nil, func(s *Subject) { r.end(h, s, now().Add(rememberLife), done) }, nil
		}
		r.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, api.NewProblem(api.CodeTimeout, "the log-in was given up")
		}
	}
}

// end remembers a log-in that has succeeded and wakes up those who wait.
func (r *remembered) end(h [32]byte, s *Subject, until time.Time, done chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, h)
	close(done)
	if s == nil {
		return
	}
	if len(r.logins) >= remembersMax {
		clear(r.logins)
	}
	r.logins[h] = &login{subject: *s, until: until}
}

// forget drops what is remembered of a user.
func (r *remembered) forget(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h, e := range r.logins {
		if e.subject.User == user {
			delete(r.logins, h)
		}
	}
}

// Remembered checks a user's password as [Authenticator.Password] does, and remembers for
// a minute that it was right. It is asked anew when the user's roles have changed, after
// a wrong password for the user from anywhere, and when the user's sessions were ended.
func (a *Authenticator) Remembered(ctx context.Context, l Login) (*Subject, error) {
	h := a.remembered.hash(l)
	s, end, err := a.remembered.find(ctx, h, time.Now)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if slices.Equal(s.Roles, a.opts.Roles(s.User, s.Groups)) {
			return s, nil
		}
		a.remembered.forget(s.User)
		if s, end, err = a.remembered.find(ctx, h, time.Now); err != nil || s != nil {
			return s, err
		}
	}
	var good *Subject
	defer func() { end(good) }()
	checked, err := a.Password(ctx, l)
	if err != nil {
		return nil, err
	}
	good = checked
	s = new(Subject)
	*s = *checked
	return s, nil
}
