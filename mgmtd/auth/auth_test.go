package auth

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// keeper keeps documents in memory.
type keeper struct {
	mu   sync.Mutex
	docs map[string]api.Document
	rev  int64
	fail error
}

// ChangeDocuments changes them.
func (k *keeper) ChangeDocuments(_ context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return nil, k.fail
	}
	for _, i := range ch.If {
		if k.docs[i.Name].Rev != i.Rev {
			return nil, api.NewProblem(api.CodeConflict, "changed")
		}
	}
	k.rev++
	for _, d := range ch.Put {
		d.Rev = k.rev
		k.docs[d.Name] = d
	}
	for _, name := range ch.Delete {
		delete(k.docs, name)
	}
	return &api.DocumentsChanged{Revision: k.rev}, nil
}

// Note does nothing.
func (k *keeper) Note(context.Context, *api.Note) error { return nil }

func (k *keeper) all() *api.Documents {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := &api.Documents{Revision: k.rev}
	for _, d := range k.docs {
		out.Documents = append(out.Documents, d)
	}
	return out
}

// passwords takes some time, as PAM does.
type passwords struct {
	groups []string
	slow   map[string]time.Duration
}

// Ask knows anna with the password "right".
func (p *passwords) Ask(_ context.Context, r HelperRequest) (*HelperAnswer, error) {
	time.Sleep(p.slow[r.User])
	if r.User != "anna" || r.Op == HelperCheck && r.Password != "right" {
		return &HelperAnswer{Result: ResultDenied}, nil
	}
	return &HelperAnswer{OK: true, User: "anna", Groups: p.groups}, nil
}

func newTest() (*Authenticator, *keeper, *passwords) {
	k := &keeper{docs: map[string]api.Document{}}
	p := &passwords{groups: []string{"g"}, slow: map[string]time.Duration{}}
	a := New(Options{Node: func() string { return "n1" }, Roles: func(_ string, groups []string) []string { return groups }}, k, p)
	return a, k, p
}

func code(err error) string {
	if p, ok := err.(*api.Problem); ok { //nolint:errorlint // as it comes
		return p.Code
	}
	return ""
}

// A refused log-in takes the same time, whatever was wrong and however long PAM took.
func TestSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, p := newTest()
		p.slow["anna"] = 2500 * time.Millisecond
		p.slow["slow"] = 3500 * time.Millisecond
		for user, want := range map[string]time.Duration{"anna": FailTime, "nosuch": FailTime, "a b": FailTime, "slow": 2 * FailTime} {
			began := time.Now()
			_, err := a.Login(t.Context(), Login{User: user, Password: "wrong", Address: "192.0.2.1"})
			if took := time.Since(began); took != want || code(err) != api.CodeLoginRefused {
				t.Errorf("%s: %s, %v", user, took, err)
			}
		}
	})
}

// Sessions end when they are not used, when they are too old, and at the log-out; on
// every node.
func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, k, _ := newTest()
		begin := func() string {
			t.Helper()
			b, err := a.Login(t.Context(), Login{User: "anna", Password: "right", Address: "192.0.2.1"})
			if err != nil {
				t.Fatal(err)
			}
			return b.Secret
		}
		other, _, _ := newTest()
		secret := begin()
		for name, d := range k.all().Documents {
			if b, _ := json.Marshal(d); strings.Contains(string(b), secret) {
				t.Errorf("the secret is kept in %v", name)
			}
		}
		other.Update(k.all())
		if s, err := other.Session(secret, time.Now()); err != nil || s.User != "anna" || s.Roles[0] != "g" {
			t.Fatalf("on another node: %+v, %v", s, err)
		}
		time.Sleep(14 * time.Minute)
		if !a.Alive(secret, time.Now()) {
			t.Error("it ended too early")
		}
		if _, err := a.Session(secret, time.Now()); err != nil {
			t.Error(err)
		}
		if err := a.Maintain(t.Context()); err != nil { // tells the others that it was used
			t.Error(err)
		}
		other.Update(k.all())
		time.Sleep(14 * time.Minute)
		if _, err := other.Session(secret, time.Now()); err != nil {
			t.Errorf("used elsewhere meanwhile: %v", err)
		}
		time.Sleep(16 * time.Minute)
		if _, err := other.Session(secret, time.Now()); code(err) != api.CodeLogin {
			t.Errorf("not used for 16 minutes: %v", err)
		}
		secret = begin()
		for range 8*6 + 1 {
			time.Sleep(10 * time.Minute)
			_, _ = a.Session(secret, time.Now())
		}
		if _, err := a.Session(secret, time.Now()); code(err) != api.CodeLogin {
			t.Errorf("after 8 hours: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := a.Maintain(t.Context()); err != nil || len(k.all().Documents) != 0 {
			t.Errorf("what is over is kept: %v, %v", k.all().Documents, err)
		}
	})
}

// Who loses a group or a role loses the sessions that had it.
func TestRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, k, p := newTest()
		b, err := a.Login(t.Context(), Login{User: "anna", Password: "right"})
		if err != nil {
			t.Fatal(err)
		}
		p.groups = []string{"other"}
		if err := a.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Session(b.Secret, time.Now()); code(err) != api.CodeLogin || len(k.all().Documents) != 0 {
			t.Errorf("the groups changed: %v", err)
		}
		if b, err = a.Login(t.Context(), Login{User: "anna", Password: "right"}); err != nil {
			t.Fatal(err)
		}
		a.opts.Roles = func(string, []string) []string { return nil }
		if err := a.RolesChanged(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Session(b.Secret, time.Now()); code(err) != api.CodeLogin {
			t.Errorf("the roles changed: %v", err)
		}
	})
}

// Without the store a log-in begins a session of this node, which a later copy of the
// store does not end.
func TestLocalSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, k, _ := newTest()
		k.fail = api.NewProblem(api.CodeStore, "no leader")
		b, err := a.Login(t.Context(), Login{User: "anna", Password: "right"})
		if err != nil || !b.Session.Local || time.Until(b.Session.Expires) > localLife {
			t.Fatalf("%+v, %v", b, err)
		}
		k.fail = nil
		a.Update(k.all())
		if s, err := a.Session(b.Secret, time.Now()); err != nil || !s.Local {
			t.Errorf("%+v, %v", s, err)
		}
		k.fail = api.NewProblem(api.CodeAudit, "disk full")
		if _, err := a.Login(t.Context(), Login{User: "anna", Password: "right"}); code(err) != api.CodeAudit {
			t.Errorf("a log-in that can't be recorded: %v", err)
		}
	})
}

// Tries are limited by user and address together, by address, and by user; a right
// password from elsewhere is not kept out by few wrong ones.
func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLimiter()
	try := func(user, address string, failed bool) bool {
		t.Helper()
		_, ok := l.Begin(user, address, now)
		if ok {
			l.End(user, address, map[bool]outcome{true: tryFailed, false: tryGood}[failed], now)
		}
		return ok
	}
	for range failsPair {
		if !try("anna", "a", true) {
			t.Fatal("limited too early")
		}
	}
	if wait, ok := l.Begin("anna", "a", now); ok || wait != failsWindow {
		t.Errorf("the sixth: %v %v", wait, ok)
	}
	if !try("anna", "b", false) || !try("bert", "a", false) {
		t.Error("others are kept out")
	}
	for i := range failsAddress {
		try("u"+string(rune('a'+i)), "a", true)
	}
	if try("carl", "a", false) {
		t.Error("an address may try any number of users")
	}
	now = now.Add(failsWindow)
	if !try("anna", "a", false) {
		t.Error("limited for ever")
	}
	for range checksAddress {
		if _, ok := l.Begin("x", "c", now); !ok {
			t.Fatal("limited too early")
		}
	}
	if _, ok := l.Begin("y", "c", now); ok {
		t.Error("one address checks any number at a time")
	}
	for i := range entriesMax {
		l.fails["p "+string(rune(i))] = []time.Time{now}
	}
	l.total = 0
	try("z", "z", true)
	if len(l.fails) > 10 {
		t.Errorf("%d entries", len(l.fails))
	}
}

func TestValidUser(t *testing.T) {
	for name, ok := range map[string]bool{
		"anna": true, "a.b@example.com": true, `DOM\anna`: true, "": false, "-r": false, "a b": false, "a:b": false, "a/b": false, "a\nb": false, "a\x00": false,
		strings.Repeat("a", 129): false, "\xff": false,
	} {
		if ValidUser(name) != ok {
			t.Errorf("%q: %v", name, !ok)
		}
	}
}

// TestVoided checks that a token and a certificate that were voided stay void when the
// store tells of a state from before that, and that the key may be let in again.
func TestVoided(t *testing.T) {
	a, k, _ := newTest()
	by := &Subject{User: "anna"}
	_, secret, err := a.NewToken(t.Context(), by, []string{"viewer"}, "monitoring", nil, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Repeat("ab", 32)
	add := func() {
		t.Helper()
		if err := a.AddCertificate(t.Context(), by, Certificate{Key: key, User: "ci", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	before := k.all()
	a.Update(before)
	if err := a.DeleteToken(t.Context(), by, strings.Split(secret, "_")[1]); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteCertificate(t.Context(), by, key); err != nil {
		t.Fatal(err)
	}
	for _, docs := range []*api.Documents{before, k.all()} {
		a.Update(docs)
		if _, err := a.Token(secret, time.Now()); err == nil {
			t.Error("a voided token is accepted again")
		}
		if len(a.Certificates()) != 0 {
			t.Error("a key that was kept out is known again")
		}
	}
	if len(a.voided) != 0 {
		t.Errorf("what the store no longer holds is still remembered: %v", a.voided)
	}
	add()
	a.Update(k.all())
	if len(a.Certificates()) != 1 {
		t.Error("the key can't be let in again")
	}
}
