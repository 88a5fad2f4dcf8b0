package api

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/auth"
)

// call is what a handler knows of the request besides its input.
type call struct {
	id      string
	subject *auth.Subject // nil: nobody
	refused error         // why the credential that came is not good
	secret  string        // of the session, where one came
	cookie  bool          // it came in a cookie, as browsers send it by themselves
	address string
	request *http.Request
	answer  http.Header // of the answer
	key     string      // of idempotency, with the user's name; "" without
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	if c == nil {
		return &call{}
	}
	return c
}

func requestID(ctx context.Context) string { return callOf(ctx).id }

// requestIDMaxBytes bounds the id that a caller may give its request.
const requestIDMaxBytes = 64

// cookieName is bound to this host and to TLS by its prefix (RFC 6265bis, 4.1.3.2).
const cookieName = "__Host-belay"

// identify finds out who asks. A credential that is not good is told of where one is
// needed, and not before: the log-in page must open with an old cookie.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		k := &call{id: r.Header.Get("X-Request-Id"), address: host(r.RemoteAddr), request: r, answer: c.Response().Header()}
		if len(k.id) > requestIDMaxBytes || strings.ContainsFunc(k.id, func(x rune) bool { return x <= ' ' || x > '~' || x == '"' }) || k.id == "" {
			k.id = newID()
		}
		c.Response().Header().Set("X-Request-Id", k.id)
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), callKey{}, k)))
		now := s.now()
		switch scheme, bearer, ok := strings.Cut(r.Header.Get("Authorization"), " "); {
		case ok && strings.EqualFold(scheme, "Bearer"):
			k.secret = strings.TrimSpace(bearer)
			k.subject, k.refused = s.opts.Auth.Bearer(k.secret, now)
		case r.Header.Get("Authorization") != "":
			k.refused = api.NewProblem(api.CodeLogin, "only bearer tokens are accepted here")
		default:
			if cookie, err := r.Cookie(cookieName); err == nil {
				k.subject, k.refused = s.opts.Auth.Session(cookie.Value, now)
				k.secret, k.cookie = cookie.Value, true
			} else if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
				k.subject, k.refused = s.opts.Auth.ClientCertificate(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo, now)
			}
		}
		if k.subject != nil {
			k.subject.Address, k.subject.Via = k.address, "rest"
			if k.cookie {
				k.subject.Via = "gui"
				if err := checkOrigin(r, k.secret); err != nil {
					return fail(c, err)
				}
			}
		}
		return next(c)
	}
}

// checkOrigin refuses what another site lets a browser send. A cookie comes along by
// itself; the token in the header does not.
func checkOrigin(r *http.Request, secret string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return api.NewProblem(api.CodeCSRF, "the request comes from another site")
	}
	if !sameText(r.Header.Get("X-CSRF-Token"), auth.CSRFToken(secret)) {
		return api.NewProblem(api.CodeCSRF, "the request has not the token of the session")
	}
	return nil
}

// host is the address without the port.
func host(remote string) string {
	h, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return h
}

// who returns the subject, or why there is none.
func (k *call) who() (*auth.Subject, error) {
	if k.subject != nil {
		return k.subject, nil
	}
	if k.refused != nil {
		return nil, k.refused
	}
	return nil, api.NewProblem(api.CodeLogin, "this needs a log-in")
}
