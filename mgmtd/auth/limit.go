package auth

import (
	"time"
)

// Limits of tries to log in. The account's own lock is PAM's (pam_faillock); these
// keep one address from trying many accounts, and strangers from keeping a user out:
// a user is counted together with the address.
const (
	failsWindow   = 15 * time.Minute
	failsPair     = 5  // of one user from one address
	failsAddress  = 20 // of one address
	failsUser     = 50 // of one user from anywhere
	entriesMax    = 20000
	checksTotal   = 8 // passwords checked at a time
	checksAddress = 2 // of one address
)

// Limiter counts failed tries to log in. It is not safe for concurrent use.
type Limiter struct {
	fails  map[string][]time.Time // by key, oldest first
	active map[string]int         // checks on their way, by address
	total  int
}

// NewLimiter returns a limiter that has seen nothing.
func NewLimiter() *Limiter {
	return &Limiter{fails: map[string][]time.Time{}, active: map[string]int{}}
}

func keys(user, address string) map[string]int {
	return map[string]int{"p " + user + " " + address: failsPair, "a " + address: failsAddress, "u " + user: failsUser}
}

// Begin says whether a try may be made now, or how long to wait. A try that may be
// made must be ended with End.
func (l *Limiter) Begin(user, address string, now time.Time) (wait time.Duration, ok bool) {
	if l.total >= checksTotal || l.active[address] >= checksAddress {
		return time.Second, false
	}
	for key, most := range keys(user, address) {
		recent := l.recent(key, now)
		if len(recent) >= most {
			wait = max(wait, recent[len(recent)-most].Add(failsWindow).Sub(now))
		}
	}
	if wait > 0 {
		return wait, false
	}
	l.total++
	l.active[address]++
	return 0, true
}

// outcome is what became of a try.
type outcome int

const (
	tryOpen   outcome = iota // nothing was decided: more was asked, or nobody could tell
	tryGood                  // it succeeded
	tryFailed                // it failed
)

// End notes the outcome of a try.
func (l *Limiter) End(user, address string, o outcome, now time.Time) {
	l.total--
	if l.active[address]--; l.active[address] <= 0 {
		delete(l.active, address)
	}
	switch o {
	case tryGood:
		delete(l.fails, "p "+user+" "+address)
	case tryFailed:
		l.Fail(user, address, now)
	case tryOpen:
	}
}

// Fail notes a failed try.
func (l *Limiter) Fail(user, address string, now time.Time) {
	for key := range keys(user, address) {
		if len(l.fails) >= entriesMax {
			l.prune(now)
		}
		l.fails[key] = append(l.recent(key, now), now)
	}
}

func (l *Limiter) recent(key string, now time.Time) []time.Time {
	f := l.fails[key]
	for len(f) > 0 && now.Sub(f[0]) >= failsWindow {
		f = f[1:]
	}
	if len(f) == 0 {
		delete(l.fails, key)
		return nil
	}
	l.fails[key] = f
	return f
}

// prune forgets what is over. Where that is not enough, all is forgotten: memory is
// bounded, and the accounts have PAM's own lock.
func (l *Limiter) prune(now time.Time) {
	for key := range l.fails {
		l.recent(key, now)
	}
	if len(l.fails) >= entriesMax {
		clear(l.fails)
	}
}
