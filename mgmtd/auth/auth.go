package auth

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// Keeper keeps documents for all management daemons of the cluster, and takes notes
// for the audit log. It is the engine.
type Keeper interface {
	ChangeDocuments(ctx context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error)
	Note(ctx context.Context, n *api.Note) error
}

// Passwords checks passwords. It is the PAM helper.
type Passwords interface {
	Ask(ctx context.Context, r HelperRequest) (*HelperAnswer, error)
}

// Options are how an [Authenticator] decides.
type Options struct {
	Node  func() string // this one
	Idle  time.Duration // a session that was not used for so long is over; default 15m
	Life  time.Duration // the longest life of a session; default 8h
	Fail  time.Duration // a refused log-in is answered after so long, or a multiple of it; default FailTime
	Log   *slog.Logger
	Roles func(user string, groups []string) []string // of whoever has logged in
}

// FailTime is how long a refused log-in takes. It is above the delay that PAM's modules ask
// for after a wrong password, 2 s and up to a quarter more: a module that delays for users
// it knows only would else tell who is one.
const FailTime = 3 * time.Second

// localLife bounds a session that began without quorum.
const localLife = time.Hour

// Limits of what is kept.
const (
	sessionsUserMax = 32 // the oldest is ended when there is one more
	sessionsMax     = 5000
	tokensUserMax   = 64
	tokenLifeMax    = 366 * 24 * time.Hour
)

// Authenticator knows sessions, tokens and certificates. It is safe for concurrent
// use.
type Authenticator struct {
	opts      Options
	keeper    Keeper
	passwords Passwords

	remembered *remembered
	challenges challenges

	limits struct {
		sync.Mutex
		*Limiter
	}
	mu     sync.RWMutex
	known  bool                 // documents were read at least once
	byHash map[string]*entry    // sessions by the hash of their secret
	tokens map[string]*tokenDoc // by id
	certs  map[string]*certDoc  // by key
	ended  map[string]time.Time // sessions ended here that the store may still name, until then
	voided map[string]int64     // tokens and certificates voided here by name of their document, with the store's revision of that
}

// entry is a session as this node knows it.
type entry struct {
	Session
	rev  int64 // of its document; 0 for one of this node alone
	used atomic.Int64
}

func (e *entry) lastUsed() time.Time { return time.Unix(0, e.used.Load()) }

type tokenDoc struct {
	Token
	rev  int64
	used atomic.Int64
}

type certDoc struct {
	Certificate
	rev int64
}

// New returns an authenticator that knows nobody yet.
func New(o Options, k Keeper, p Passwords) *Authenticator {
	if o.Idle <= 0 {
		o.Idle = 15 * time.Minute
	}
	if o.Life <= 0 {
		o.Life = 8 * time.Hour
	}
	if o.Fail <= 0 {
		o.Fail = FailTime
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{
		opts: o, keeper: k, passwords: p, byHash: map[string]*entry{}, tokens: map[string]*tokenDoc{}, certs: map[string]*certDoc{}, ended: map[string]time.Time{},
		voided: map[string]int64{},
	}
	a.limits.Limiter, a.remembered = NewLimiter(), newRemembered()
	return a
}

// Update takes over what the store holds. Sessions of this node alone stay. What was
// voided here stays void while docs are of before that: they may have been on their way.
func (a *Authenticator) Update(docs *api.Documents) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sessions, tokens, certs := map[string]*entry{}, map[string]*tokenDoc{}, map[string]*certDoc{}
	for _, d := range docs.Documents {
		if docs.Revision < a.voided[d.Name] {
			continue
		}
		kind, id, _ := strings.Cut(d.Name, "/")
		var err error
		switch kind + "/" {
		case kindSession:
			e := a.byHash[id]
			if e == nil || e.rev != d.Rev {
				fresh := &entry{rev: d.Rev}
				err = json.Unmarshal(d.Value, &fresh.Session)
				fresh.used.Store(fresh.Used.UnixNano())
				if e != nil {
					fresh.used.Store(max(e.used.Load(), fresh.used.Load()))
				}
				e = fresh
			}
			if err == nil && a.ended[id].IsZero() {
				sessions[id] = e
			}
		case kindToken:
			t := a.tokens[id]
			if t == nil || t.rev != d.Rev {
				t = &tokenDoc{rev: d.Rev}
				err = json.Unmarshal(d.Value, &t.Token)
				t.used.Store(t.Used.UnixNano())
			}
			tokens[id] = t
		case kindCertificate:
			c := &certDoc{rev: d.Rev}
			err = json.Unmarshal(d.Value, &c.Certificate)
			certs[id] = c
		}
		if err != nil {
			a.opts.Log.Warn("a document can't be read", "name", d.Name, "err", err)
		}
	}
	for h, e := range a.byHash {
		if e.rev == 0 {
			sessions[h] = e
		}
	}
	maps.DeleteFunc(a.voided, func(_ string, at int64) bool { return docs.Revision >= at })
	a.byHash, a.tokens, a.certs, a.known = sessions, tokens, certs, true
}

// Session finds the session of a secret.
func (a *Authenticator) Session(secret string, now time.Time) (*Subject, error) {
	h := hash(secret)
	a.mu.RLock()
	e := a.byHash[h]
	a.mu.RUnlock()
	if e == nil {
		return nil, api.NewProblem(api.CodeLogin, "there is no such session; it may have ended")
	}
	if why := e.over(now, e.lastUsed()); why != "" {
		return nil, api.NewProblem(api.CodeLogin, why)
	}
	e.used.Store(now.UnixNano())
	return &Subject{User: e.User, Groups: e.Groups, Roles: e.Roles, Method: e.Method, Session: e.ID, Local: e.Local}, nil
}

// Alive reports whether a session goes on, without using it: an open stream does not
// keep a session from ending.
func (a *Authenticator) Alive(secret string, now time.Time) bool {
	a.mu.RLock()
	e := a.byHash[hash(secret)]
	a.mu.RUnlock()
	return e != nil && e.over(now, e.lastUsed()) == ""
}

// Token finds the API token of a text.
func (a *Authenticator) Token(text string, now time.Time) (*Subject, error) {
	id, secret, ok := splitToken(text)
	a.mu.RLock()
	t := a.tokens[id]
	a.mu.RUnlock()
	// The comparison of two hashes tells nothing of the secret by its time.
	if !ok || t == nil || t.Hash != hash(secret) {
		return nil, api.NewProblem(api.CodeLogin, "there is no such API token")
	}
	if !now.Before(t.Expires) {
		return nil, api.NewProblem(api.CodeLogin, "the API token has run out")
	}
	t.used.Store(now.UnixNano())
	return &Subject{User: t.User, Groups: t.Groups, Roles: t.Roles, Only: t.Roles, Method: ByToken, Session: "token:" + t.ID, Scope: t.Scope}, nil
}

// Bearer finds whom a bearer token (RFC 6750) stands for.
func (a *Authenticator) Bearer(text string, now time.Time) (*Subject, error) {
	if strings.HasPrefix(text, tokenPrefix) {
		return a.Token(text, now)
	}
	return a.Session(text, now)
}

// ClientCertificate finds whom the key of a client certificate stands for. That the
// caller holds the key, TLS has shown.
func (a *Authenticator) ClientCertificate(spki []byte, now time.Time) (*Subject, error) {
	a.mu.RLock()
	c := a.certs[hash(string(spki))]
	a.mu.RUnlock()
	if c == nil || !now.Before(c.Expires) {
		return nil, api.NewProblem(api.CodeLogin, "the key of this client certificate is not known, or no longer")
	}
	return &Subject{User: c.User, Roles: a.opts.Roles(c.User, nil), Method: ByCertificate, Session: "certificate:" + publicID(c.Key)}, nil
}

// change changes documents and takes note of what it means at once, without waiting
// for the store to tell.
func (a *Authenticator) change(ctx context.Context, ch *api.DocumentChange) (int64, error) {
	out, err := a.keeper.ChangeDocuments(ctx, ch)
	if err != nil {
		return 0, err
	}
	return out.Revision, nil
}

func document(name string, v any) (api.Document, error) {
	b, err := json.Marshal(v)
	return api.Document{Name: name, Value: b}, err
}

// Sessions lists the sessions of a user, or of all, newest first.
func (a *Authenticator) Sessions(user string, now time.Time) []Session {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := []Session{}
	for _, e := range a.byHash {
		if (user == "" || e.User == user) && e.over(now, e.lastUsed()) == "" {
			s := e.Session
			if t := e.lastUsed(); t.After(s.Used) {
				s.Used = t.UTC()
			}
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(x, y Session) int {
		if c := y.Created.Compare(x.Created); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return out
}
