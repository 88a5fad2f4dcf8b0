package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/access"
	"github.com/belay-ha/belay/mgmtd/auth"
)

type loginInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		User     string  `json:"user" maxLength:"128" doc:"name as the node knows it"`
		Password *string `json:"password,omitempty" maxLength:"2048" doc:"without it the first question asks for it"`
		// Cookie asks for the session in a cookie, for browsers: the token is then not
		// in the answer, where a script could read it.
		Cookie bool `json:"cookie,omitempty" doc:"give the session as a cookie, for browsers"`
	}
}

type sessionAnswer struct {
	Token   string        `json:"token,omitempty" doc:"for the header Authorization: Bearer; shown once"`
	CSRF    string        `json:"csrfToken,omitempty" doc:"for the header X-CSRF-Token of changes, where the session is in a cookie"`
	Session *auth.Session `json:"session,omitempty" doc:"not there with a challenge"`
	// Challenge comes with the status 202: PAM wants to know more, such as a code.
	Challenge *auth.Challenge `json:"challenge,omitempty" doc:"with status 202: there is no session yet, answer this with POST /v1/session/answers"`
}

// sessionReply has status 201 with a session, and 202 with a challenge.
type sessionReply struct {
	Status int
	Body   sessionAnswer
}

type answersInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		ID      string   `json:"id" maxLength:"100" doc:"of the challenge"`
		Answers []string `json:"answers" minItems:"1" maxItems:"8" doc:"one for each question, in their order"`
		Cookie  bool     `json:"cookie,omitempty" doc:"give the session as a cookie, for browsers"`
	}
}

type whoAmI struct {
	User    string      `json:"user"`
	Roles   []string    `json:"roles" doc:"held now"`
	Only    []string    `json:"only,omitempty" doc:"the roles that an API token may use"`
	Groups  []string    `json:"groups,omitempty"`
	Method  auth.Method `json:"method"`
	Session string      `json:"session" doc:"public id"`
	Local   bool        `json:"local,omitempty" doc:"known on this node only: it began without quorum"`
	Node    string      `json:"node" doc:"that answers"`
	Cluster string      `json:"cluster,omitempty"`
	CSRF    string      `json:"csrfToken,omitempty" doc:"for the header X-CSRF-Token of changes, where the session is in a cookie"`
}

type body[T any] struct{ Body T }

type none struct{}

// Named is the input of what is about one thing.
type Named struct {
	ID string `path:"id" maxLength:"200"`
}

// cookieFor makes the cookie of a session; without a secret one that ends it.
func cookieFor(secret string) http.Cookie {
	//nolint:gosec // all three are set
	c := http.Cookie{Name: cookieName, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// setCookie puts a cookie into the answer.
func (k *call) setCookie(c http.Cookie) { k.answer.Add("Set-Cookie", c.String()) }

// mayAsk adds the second way in which a log-in is answered.
func mayAsk(o *huma.Operation) {
	o.Responses = map[string]*huma.Response{"202": {
		Description: "More is asked: there is a challenge, and no session yet",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/SessionAnswer"}}},
	}}
}

// begun answers a log-in.
func (k *call) begun(cookie bool) func(*auth.Begun, error) (*sessionReply, error) {
	return func(b *auth.Begun, err error) (*sessionReply, error) {
		if err != nil {
			return nil, err
		}
		if b.Challenge != nil {
			return &sessionReply{http.StatusAccepted, sessionAnswer{Challenge: b.Challenge}}, nil
		}
		out := sessionAnswer{Token: b.Secret, Session: &b.Session}
		if cookie {
			// A cookie that came along is not taken over: every log-in is a new session.
			out.Token, out.CSRF = "", auth.CSRFToken(b.Secret)
			k.setCookie(cookieFor(b.Secret))
		}
		return &sessionReply{http.StatusCreated, out}, nil
	}
}

func (s *Server) sessionRoutes() {
	text := "Log in with a password. Status 202 and a challenge say that more is asked, such as a code"
	register(s, op{method: http.MethodPost, path: "/v1/session", id: "login", tag: "session", text: text, public: true, status: http.StatusCreated, describe: mayAsk},
		func(ctx context.Context, k *call, in *loginInput) (*sessionReply, error) {
			l := auth.Login{User: in.Body.User, Ask: in.Body.Password == nil, Address: k.address, Client: in.UserAgent, Via: "rest"}
			if in.Body.Password != nil {
				l.Password = *in.Body.Password
			}
			return k.begun(in.Body.Cookie)(s.opts.Auth.Login(ctx, l))
		})
	text = "Answer what a log-in asks. The outcome is that of the log-in"
	register(s, op{method: http.MethodPost, path: "/v1/session/answers", id: "answerLogin", tag: "session", text: text, public: true, status: http.StatusCreated, describe: mayAsk},
		func(ctx context.Context, k *call, in *answersInput) (*sessionReply, error) {
			return k.begun(in.Body.Cookie)(s.opts.Auth.Answer(ctx, auth.ChallengeAnswer{ID: in.Body.ID, Answers: in.Body.Answers, Client: in.UserAgent}))
		})
	register(s, op{method: http.MethodGet, path: "/v1/session", id: "whoami", tag: "session", text: "Tell who I am and what I hold"},
		func(_ context.Context, k *call, _ *none) (*body[whoAmI], error) {
			w := k.subject
			out := whoAmI{
				User: w.User, Roles: s.opts.Door.Roles(w.User, w.Groups), Only: w.Only, Groups: w.Groups, Method: w.Method, Session: w.Session,
				Local: w.Local, Node: s.opts.Node(),
			}
			if out.Roles == nil {
				out.Roles = []string{}
			}
			if v := s.opts.View.Current(); v.Summary != nil {
				out.Cluster = v.Summary.Cluster.Name
			}
			if k.cookie {
				out.CSRF = auth.CSRFToken(k.secret)
			}
			return &body[whoAmI]{out}, nil
		})
	register(s, op{method: http.MethodDelete, path: "/v1/session", id: "logout", tag: "session", text: "Log out"},
		func(ctx context.Context, k *call, _ *none) (*struct{}, error) {
			k.setCookie(cookieFor(""))
			return nil, s.opts.Auth.End(ctx, k.subject, k.subject.Session, "log-out")
		})
	register(s, op{method: http.MethodGet, path: "/v1/sessions", id: "listSessions", tag: "session", text: "List my sessions, or everybody's where I may"},
		func(_ context.Context, k *call, _ *none) (*body[[]auth.Session], error) {
			user := k.subject.User
			if s.opts.Door.Can(k.subject, "read", "session/*").Allowed {
				user = ""
			}
			return &body[[]auth.Session]{s.opts.Auth.Sessions(user, s.now())}, nil
		})
	register(s, op{method: http.MethodDelete, path: "/v1/sessions/{id}", id: "endSession", tag: "session", text: "End a session"},
		func(ctx context.Context, k *call, in *Named) (*struct{}, error) {
			owner := s.opts.Auth.Owner(in.ID)
			if owner != k.subject.User {
				if err := s.opts.Door.Require(ctx, k.subject, "delete", "session/"+in.ID); err != nil {
					return nil, err
				}
			}
			if owner == "" {
				return nil, api.NewProblem(api.CodeNotFound, "there is no such session")
			}
			return nil, s.opts.Auth.End(ctx, k.subject, in.ID, "ended by "+k.subject.User)
		})
	s.tokenRoutes()
	s.certificateRoutes()
	s.rightsRoutes()
}

type tokenInput struct {
	Body struct {
		Name  string       `json:"name" minLength:"1" maxLength:"64" doc:"what it is for"`
		Roles []string     `json:"roles,omitempty" doc:"the roles it may use; default: all of mine"`
		Scope []string     `json:"scope,omitempty" maxItems:"32" doc:"objects it may change, such as resource/web*; default: all"`
		Life  cib.Duration `json:"life" doc:"how long it lives, at most 8784h"`
	}
}

type tokenAnswer struct {
	Secret string     `json:"secret" doc:"for the header Authorization: Bearer; shown once"`
	Token  auth.Token `json:"token"`
}

func (s *Server) tokenRoutes() {
	register(s, op{method: http.MethodPost, path: "/v1/api-tokens", id: "createAPIToken", tag: "session", text: "Make an API token for a program", status: http.StatusCreated},
		func(ctx context.Context, k *call, in *tokenInput) (*body[tokenAnswer], error) {
			held := *k.subject
			held.Roles = s.opts.Door.Roles(held.User, held.Groups)
			t, secret, err := s.opts.Auth.NewToken(ctx, &held, s.opts.Door.Usable(held.User, held.Groups), in.Body.Name, in.Body.Roles, in.Body.Scope, in.Body.Life.D())
			if err != nil {
				return nil, err
			}
			return &body[tokenAnswer]{tokenAnswer{secret, *t}}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/api-tokens", id: "listAPITokens", tag: "session", text: "List my API tokens, or everybody's where I may"},
		func(_ context.Context, k *call, _ *none) (*body[[]auth.Token], error) {
			user := k.subject.User
			if s.opts.Door.Can(k.subject, "read", "api-token/*").Allowed {
				user = ""
			}
			return &body[[]auth.Token]{s.opts.Auth.Tokens(user)}, nil
		})
	register(s, op{method: http.MethodDelete, path: "/v1/api-tokens/{id}", id: "deleteAPIToken", tag: "session", text: "Void an API token"},
		func(ctx context.Context, k *call, in *Named) (*struct{}, error) {
			own := slices.ContainsFunc(s.opts.Auth.Tokens(k.subject.User), func(t auth.Token) bool { return t.ID == in.ID })
			if !own {
				if err := s.opts.Door.Require(ctx, k.subject, "delete", "api-token/"+in.ID); err != nil {
					return nil, err
				}
			}
			return nil, s.opts.Auth.DeleteToken(ctx, k.subject, in.ID)
		})
}

type certificateInput struct {
	Body struct {
		Key     string    `json:"key" minLength:"64" maxLength:"95" doc:"SHA-256 of the SubjectPublicKeyInfo, in hex"`
		User    string    `json:"user" maxLength:"128" doc:"who comes with it"`
		Note    string    `json:"note,omitempty" maxLength:"200"`
		Expires time.Time `json:"expires"`
	}
}

func (s *Server) certificateRoutes() {
	object := "api-token/client-certificate"
	register(s, op{method: http.MethodGet, path: "/v1/client-certificates", id: "listClientCertificates", tag: "session", text: "List the client certificates that are let in", action: "read", object: object},
		func(_ context.Context, _ *call, _ *none) (*body[[]auth.Certificate], error) {
			return &body[[]auth.Certificate]{s.opts.Auth.Certificates()}, nil
		})
	register(s, op{method: http.MethodPost, path: "/v1/client-certificates", id: "addClientCertificate", tag: "session", text: "Let the holder of a key in by a client certificate", action: "create", object: object, status: http.StatusCreated},
		func(ctx context.Context, k *call, in *certificateInput) (*struct{}, error) {
			if in.Body.User == k.subject.User {
				return nil, api.NewProblem(api.CodeForbidden, "nobody enters a certificate for themselves")
			}
			return nil, s.opts.Auth.AddCertificate(ctx, k.subject, auth.Certificate{Key: in.Body.Key, User: in.Body.User, Note: in.Body.Note, Expires: in.Body.Expires.UTC()})
		})
	register(s, op{method: http.MethodDelete, path: "/v1/client-certificates/{id}", id: "deleteClientCertificate", tag: "session", text: "Keep the holder of a key out", action: "delete", object: object},
		func(ctx context.Context, k *call, in *Named) (*struct{}, error) {
			return nil, s.opts.Auth.DeleteCertificate(ctx, k.subject, in.ID)
		})
}

// MayInput is what is asked about.
type MayInput struct {
	Action string `query:"action" required:"true" maxLength:"64"`
	Object string `query:"object" required:"true" maxLength:"300"`
}

type mayAnswer struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule,omitempty" doc:"the rule that decided"`
	Reason  string `json:"reason"`
}

// RightsInput is whose rights are asked for.
type RightsInput struct {
	User  string   `query:"user" maxLength:"128" doc:"whose rights; default: mine"`
	Group []string `query:"group" maxItems:"100" doc:"groups of that user, separated by commas: who is in a group is known to the name service"`
}

// about is whose rights are asked for. Those of somebody else are for who may see the
// bindings.
func (s *Server) about(ctx context.Context, k *call, in *RightsInput) (*auth.Subject, error) {
	if in.User == "" && len(in.Group) == 0 {
		return k.subject, nil
	}
	if err := s.opts.Door.Require(ctx, k.subject, "read", "role-binding/*"); err != nil {
		return nil, err
	}
	return &auth.Subject{User: in.User, Groups: in.Group}, nil
}

type rightsRow struct {
	Kind    string   `json:"kind"`
	Object  string   `json:"object" doc:"the object that was asked about: of its kind, any"`
	Actions []string `json:"actions" doc:"that are allowed"`
}

type rightsTable struct {
	User     string      `json:"user"`
	Groups   []string    `json:"groups,omitempty"`
	Roles    []string    `json:"roles"`
	Bindings []string    `json:"bindings"`
	Conflict string      `json:"conflict,omitempty" doc:"duties in one hand that should not be: the roles that bring them count for nothing"`
	Rows     []rightsRow `json:"rows"`
}

// anyObject is an object of a kind that no rule names.
func anyObject(kind string) string {
	if kind == "cluster" || kind == "audit" {
		return kind
	}
	return kind + "/*"
}

func (s *Server) rightsRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/can-i", id: "canI", tag: "session", text: "Tell whether I, or somebody else, may do something, and why"},
		func(ctx context.Context, k *call, in *struct {
			MayInput
			RightsInput
		},
		) (*body[mayAnswer], error) {
			who, err := s.about(ctx, k, &in.RightsInput)
			if err != nil {
				return nil, err
			}
			d := s.opts.Door.Can(who, in.Action, in.Object)
			return &body[mayAnswer]{mayAnswer{d.Allowed, d.Rule, d.Reason}}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/access/table", id: "rights", tag: "session", text: "Every action that I, or somebody else, may do, by kind of object"},
		func(ctx context.Context, k *call, in *RightsInput) (*body[rightsTable], error) {
			who, err := s.about(ctx, k, in)
			if err != nil {
				return nil, err
			}
			held := s.opts.Door.Held(who)
			out := rightsTable{User: who.User, Groups: who.Groups, Roles: held.Roles, Bindings: held.Bindings, Conflict: held.Conflict, Rows: []rightsRow{}}
			for _, kind := range cib.AccessKinds() {
				row := rightsRow{Kind: kind, Object: anyObject(kind), Actions: []string{}}
				for _, a := range cib.AccessActions {
					if s.opts.Door.Can(who, a.Name, row.Object).Allowed {
						row.Actions = append(row.Actions, a.Name)
					}
				}
				out.Rows = append(out.Rows, row)
			}
			return &body[rightsTable]{out}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/access", id: "accessReview", tag: "session", text: "Review access: who can do what, since when and by whose hand, and when they last used it", action: "read", object: "role-binding/*"},
		func(ctx context.Context, k *call, in *struct {
			Use bool `query:"use" doc:"read the audit logs for the last use; needs the right to read them"`
		},
		) (*body[*access.Report], error) {
			if in.Use {
				if err := s.opts.Door.Require(ctx, k.subject, "read", "audit"); err != nil {
					return nil, err
				}
				if err := s.opts.Door.Record(ctx, k.subject, "read", "audit"); err != nil {
					return nil, err
				}
			}
			v, err := s.known()
			if err != nil {
				return nil, err
			}
			out, err := access.Review(s.as(ctx, k), s.opts.Engine, v.Config, in.Use, s.now())
			return &body[*access.Report]{out}, err
		})
}
