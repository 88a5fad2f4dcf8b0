package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// NewToken makes an API token for the user who asks. Its roles are some of those that
// they may use; none means all that they hold.
func (a *Authenticator) NewToken(ctx context.Context, by *Subject, usable []string, name string, roles, scope []string, life time.Duration) (*Token, string, error) {
	now := time.Now().UTC()
	bad := func(format string, args ...any) (*Token, string, error) {
		return nil, "", api.NewProblem(api.CodeBadRequest, fmt.Sprintf(format, args...))
	}
	if by.Method == ByToken {
		return nil, "", api.NewProblem(api.CodeForbidden, "an API token can't make another one")
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return bad("a token has a name of 1 to 64 characters")
	}
	if life < time.Minute || life > tokenLifeMax {
		return bad("a token lives from 1m to 366 days")
	}
	if len(roles) == 0 {
		roles = by.Roles
	}
	for _, r := range roles {
		if !slices.Contains(usable, r) {
			return nil, "", api.NewProblem(api.CodeForbidden, fmt.Sprintf("you have not the role %s, so a token of yours can't have it", r))
		}
	}
	for _, p := range scope {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return bad("scope %q is no pattern", p)
		}
	}
	a.mu.RLock()
	have := 0
	for _, t := range a.tokens {
		if t.User == by.User {
			have++
		}
	}
	a.mu.RUnlock()
	if have >= tokensUserMax {
		return bad("you have %d tokens; more are not possible", have)
	}
	id, secret := hash(newSecret())[:tokenIDLen], newSecret()
	t := &Token{ID: id, Name: name, User: by.User, Groups: by.Groups, Roles: roles, Scope: scope, Hash: hash(secret), Created: now, Expires: now.Add(life)}
	shown := *t
	shown.Hash = ""
	if err := a.put(ctx, by, "token-create", "api-token/"+id, kindToken+id, t, &shown); err != nil {
		return nil, "", err
	}
	return &shown, tokenPrefix + id + "_" + secret, nil
}

// put writes a new document.
func (a *Authenticator) put(ctx context.Context, by *Subject, action, object, name string, v, shown any) error {
	doc, err := document(name, v)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	details, err := json.Marshal(shown)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	_, err = a.change(ctx, &api.DocumentChange{
		Actor: by.Actor(), Action: action, Object: object, Details: details, If: []api.DocumentRevision{{Name: name}}, Put: []api.Document{doc},
	})
	return err
}

// Tokens lists the tokens of a user, or of all, by id.
func (a *Authenticator) Tokens(user string) []Token {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := []Token{}
	for _, t := range a.tokens {
		if user == "" || t.User == user {
			shown := t.Token
			shown.Hash = ""
			if at := time.Unix(0, t.used.Load()).UTC(); at.After(shown.Used) && at.Unix() > 0 {
				shown.Used = at
			}
			out = append(out, shown)
		}
	}
	slices.SortFunc(out, func(x, y Token) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// DeleteToken voids a token.
func (a *Authenticator) DeleteToken(ctx context.Context, by *Subject, id string) error {
	a.mu.RLock()
	t := a.tokens[id]
	a.mu.RUnlock()
	if t == nil {
		return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no API token %q", id))
	}
	rev, err := a.change(ctx, &api.DocumentChange{Actor: by.Actor(), Action: "token-delete", Object: "api-token/" + id, Delete: []string{kindToken + id}})
	if err == nil {
		a.mu.Lock()
		delete(a.tokens, id)
		a.voided[kindToken+id] = rev
		a.mu.Unlock()
	}
	return err
}

// AddCertificate lets the holder of a key in. key is the SHA-256 of its
// SubjectPublicKeyInfo, in hex.
func (a *Authenticator) AddCertificate(ctx context.Context, by *Subject, c Certificate) error {
	c.Key = strings.ToLower(strings.ReplaceAll(c.Key, ":", ""))
	if len(c.Key) != 64 || strings.Trim(c.Key, "0123456789abcdef") != "" || !ValidUser(c.User) || len(c.Note) > 200 {
		return api.NewProblem(api.CodeBadRequest, "a client certificate has the SHA-256 of its public key (64 hex digits) and a user")
	}
	c.By, c.Created = by.User, time.Now().UTC()
	if c.Expires.Before(c.Created) {
		return api.NewProblem(api.CodeBadRequest, "a client certificate is accepted until a time to come: expires")
	}
	err := a.put(ctx, by, "certificate-add", "client-certificate/"+publicID(c.Key), kindCertificate+c.Key, &c, &c)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeConflict {
		return api.NewProblem(api.CodeExists, "this key is known already")
	}
	return err
}

// Certificates lists the keys that are let in.
func (a *Authenticator) Certificates() []Certificate {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := []Certificate{}
	for _, c := range a.certs {
		out = append(out, c.Certificate)
	}
	slices.SortFunc(out, func(x, y Certificate) int { return strings.Compare(x.Key, y.Key) })
	return out
}

// DeleteCertificate keeps the holder of a key out again.
func (a *Authenticator) DeleteCertificate(ctx context.Context, by *Subject, key string) error {
	a.mu.RLock()
	c := a.certs[key]
	a.mu.RUnlock()
	if c == nil {
		return api.NewProblem(api.CodeNotFound, "no such key is known")
	}
	rev, err := a.change(ctx, &api.DocumentChange{
		Actor: by.Actor(), Action: "certificate-delete", Object: "client-certificate/" + publicID(key), Delete: []string{kindCertificate + key},
	})
	if err == nil {
		a.mu.Lock()
		delete(a.certs, key)
		a.voided[kindCertificate+key] = rev
		a.mu.Unlock()
	}
	return err
}

// own is who ends sessions by itself.
func (a *Authenticator) own() *api.Actor { return &api.Actor{User: "belay-mgmtd", Via: "rest"} }

// RolesChanged ends the sessions whose user has other roles by now: what somebody may
// no longer do, they may not go on doing.
func (a *Authenticator) RolesChanged(ctx context.Context) error {
	return a.endWhere(ctx, a.own(), "the user's roles have changed", func(e *entry) bool {
		return e.Method == ByPassword && !slices.Equal(e.Roles, a.opts.Roles(e.User, e.Groups))
	})
}

// Maintain writes back when sessions were used last, removes what is over, and asks
// whether users are still in their groups. It is called every minute or so.
func (a *Authenticator) Maintain(ctx context.Context) error {
	now := time.Now().UTC()
	a.sweep(ctx)
	ch := &api.DocumentChange{}
	a.mu.Lock()
	users := map[string][]string{}
	for h, t := range a.ended {
		if now.After(t) {
			delete(a.ended, h)
			continue
		}
		if len(ch.Delete) < endsAtOnce/2 {
			ch.Delete = append(ch.Delete, kindSession+h) // in case the store did not answer then
		}
	}
	for h, e := range a.byHash {
		used := e.lastUsed()
		switch over := e.over(now, used) != ""; {
		case over && e.rev == 0:
			delete(a.byHash, h)
		case over && now.Sub(used) > 2*time.Duration(e.IdleSecs)*time.Second || now.After(e.Expires.Add(time.Minute)):
			// Another node may have seen it later than this one; not twice as late.
			if len(ch.Delete) < endsAtOnce {
				ch.Delete = append(ch.Delete, kindSession+h)
			}
		case !over && e.Method == ByPassword:
			users[e.User] = e.Groups
			if e.rev != 0 && used.Sub(e.Used) > time.Duration(e.IdleSecs)*time.Second/3 && len(ch.Put) < 10 {
				s := e.Session
				s.Used = used.UTC()
				if doc, err := document(kindSession+h, &s); err == nil {
					ch.Put = append(ch.Put, doc)
					ch.If = append(ch.If, api.DocumentRevision{Name: doc.Name, Rev: e.rev})
				}
			}
		}
	}
	a.mu.Unlock()
	var errs []error
	if len(ch.Put)+len(ch.Delete) > 0 {
		_, err := a.change(ctx, ch)
		errs = append(errs, err)
	}
	for user, groups := range users {
		ans, err := a.passwords.Ask(ctx, HelperRequest{Op: HelperGroups, User: user})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !ans.OK || !slices.Equal(ans.Groups, groups) {
			errs = append(errs, a.endWhere(ctx, a.own(), "the user's groups have changed", func(e *entry) bool {
				return e.User == user && e.Method == ByPassword && (!ans.OK || !slices.Equal(e.Groups, ans.Groups))
			}))
		}
	}
	return errors.Join(errs...)
}
