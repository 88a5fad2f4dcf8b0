package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/time/rate"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/auth"
)

// recoverPanics answers a request whose handler panicked, and goes on.
func (s *Server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if e, ok := r.(error); ok && errors.Is(e, http.ErrAbortHandler) {
					panic(r)
				}
				s.opts.Log.Error("a handler panicked", "path", c.Request().URL.Path, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
				err = api.NewProblem(api.CodeDefect, "the request could not be carried out")
				if !c.Response().Committed {
					err = fail(c, err)
				}
			}
		}()
		return next(c)
	}
}

// contentPolicy lets pages load from this server only, and nothing else be framed or
// sent elsewhere.
const contentPolicy = "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// headers sets what every answer has.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Strict-Transport-Security", "max-age=63072000")
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if strings.HasPrefix(c.Request().URL.Path, "/v1/") {
			h.Set("Cache-Control", "no-store")
		}
		return next(c)
	}
}

// depthMax is how deep a body may be nested.
const depthMax = 64

// readBody reads a body whole, within its limits, and checks that it is JSON of a
// sane depth before anything decodes it.
func (s *Server) readBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Body == nil || r.Body == http.NoBody || r.Method == http.MethodGet || r.Method == http.MethodHead {
			unhurried(c)
			return next(c)
		}
		if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
			return fail(c, api.NewProblem(api.CodeContentType, "a compressed body is not accepted"))
		}
		most := int64(bodyMaxBytes)
		if callOf(r.Context()).subject == nil {
			most = strangerBodyMaxBytes
		}
		b, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, most))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fail(c, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the request has more than %d bytes", most)))
		}
		if err != nil {
			return fail(c, api.NewProblem(api.CodeBadRequest, "the request's body did not arrive"))
		}
		if len(b) > 0 {
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" && kind != "application/merge-patch+json" {
				return fail(c, api.NewProblem(api.CodeContentType, "the request's body is not application/json"))
			}
			if why := checkJSON(b, depthMax); why != "" {
				return fail(c, api.NewProblem(api.CodeBadRequest, "body: "+why))
			}
			// huma knows one name of it.
			r.Header.Set("Content-Type", "application/json")
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		unhurried(c)
		return next(c)
	}
}

// unhurried lifts the limit on the time in which a request must have arrived, once it
// has: after it, net/http would end the context of a handler that still works.
func unhurried(c echo.Context) {
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
}

// strangerBodyMaxBytes bounds the body of who has not logged in.
const strangerBodyMaxBytes = 16 << 10

// compress compresses answers that are worth it. Streams are not: each event must go
// out at once.
func (s *Server) compress(next echo.HandlerFunc) echo.HandlerFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		Level: gzip.BestSpeed, MinLength: 4 << 10,
		Skipper: func(c echo.Context) bool {
			// The GUI's files come compressed.
			return streams(c.Request()) || strings.HasPrefix(c.Request().URL.Path, "/debug/") || c.Path() == "/*"
		},
	})(next)
}

// rates limits how often one caller may ask: a user, or an address without one.
type rates struct {
	perSecond float64
	mu        sync.Mutex
	callers   map[string]*caller
	swept     time.Time
}

type caller struct {
	*rate.Limiter
	seen time.Time
}

// Limits of those who have not logged in.
const (
	strangerRate  = 20
	strangerBurst = 60
	callersMax    = 20000
	callerIdle    = time.Minute
)

func newRates(perSecond float64) *rates {
	return &rates{perSecond: perSecond, callers: map[string]*caller{}}
}

// allow takes one request of a caller.
func (l *rates) allow(key string, perSecond float64, burst int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > callerIdle {
		l.swept = now
		for k, c := range l.callers {
			if now.Sub(c.seen) > callerIdle {
				delete(l.callers, k)
			}
		}
	}
	c := l.callers[key]
	if c == nil {
		if len(l.callers) >= callersMax {
			return false
		}
		c = &caller{Limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
		l.callers[key] = c
	}
	c.seen = now
	return c.AllowN(now, 1)
}

// limit refuses who asks too often.
func (s *Server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		k := callOf(c.Request().Context())
		if err := s.Allow(k.subject, k.address); err != nil {
			return fail(c, err)
		}
		return next(c)
	}
}

// Allow takes one request of a user, or with nil of who has not logged in at an address.
// It is a problem where there were too many. Other protocols ask it, too: a caller has one
// limit on all of them.
func (s *Server) Allow(subject *auth.Subject, address string) error {
	ok := true
	switch {
	case subject == nil:
		ok = s.limits.allow("a "+address, strangerRate, strangerBurst, s.opts.now())
	case s.limits.perSecond > 0:
		ok = s.limits.allow("u "+subject.User, s.limits.perSecond, int(2*s.limits.perSecond), s.opts.now())
	}
	if ok {
		return nil
	}
	p := api.NewProblem(api.CodeTooMany, "too many requests")
	p.RetryAfter = 1
	return p
}

// measure counts requests.
func (s *Server) measure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		err := next(c)
		if err != nil {
			s.handleError(err, c)
		}
		path := c.Path()
		if path == "" || path == "/*" {
			path = "other"
		}
		s.metrics.requests.WithLabelValues(c.Request().Method, path, strconv.Itoa(c.Response().Status)).Inc()
		if !streams(c.Request()) {
			s.metrics.duration.Observe(time.Since(began).Seconds())
		}
		return nil
	}
}
