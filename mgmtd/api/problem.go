package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/belay-ha/belay/engine/api"
)

// Problem is an error answer (RFC 9457): that of the engine's socket, with a type.
type Problem struct {
	Type string `json:"type"` // /problems/BLYnnnn
	*api.Problem
	Request string `json:"request,omitempty"` // id of the request, as in X-Request-Id
}

// notModified is the answer to a reader who has what there is.
type notModified struct{}

// GetStatus returns 304.
func (notModified) GetStatus() int { return http.StatusNotModified }

// Error says it in words.
func (notModified) Error() string { return "not modified" }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders says when it may work.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Code == api.CodeLogin || p.Code == api.CodeLoginRefused {
		h.Set("WWW-Authenticate", `Bearer realm="belay"`)
	}
	return h
}

// ContentType returns the content type of problems.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problemOf turns an error into an answer. What is no problem of ours is a defect,
// and its text is for the log only.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p, ok := errors.AsType[*api.Problem](err)
	switch {
	case ok:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p = api.NewProblem(api.CodeTimeout, "the request was given up")
	default:
		p = api.NewProblem(api.CodeDefect, "the request could not be carried out")
	}
	out := *p
	if out.RetryAfter == 0 && (out.Code == api.CodeNoQuorum || out.Code == api.CodeStore || out.Code == api.CodeNotRunning) {
		out.RetryAfter = 5
	}
	return &Problem{Type: "/problems/" + p.Code, Problem: &out}
}

// codeOf is the code for an HTTP status that a library chose.
func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return api.CodeNotFound
	case http.StatusMethodNotAllowed:
		return api.CodeMethod
	case http.StatusRequestEntityTooLarge:
		return api.CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return api.CodeContentType
	case http.StatusRequestTimeout:
		return api.CodeTimeout
	case http.StatusTooManyRequests:
		return api.CodeTooMany
	case http.StatusPreconditionFailed:
		return api.CodeNoMatch
	}
	if status >= http.StatusInternalServerError {
		return api.CodeDefect
	}
	return api.CodeBadRequest
}

// useOurProblems lets huma answer with our problems.
var useOurProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		p := api.NewProblem(codeOf(status), text)
		for _, err := range errs {
			var d huma.ErrorDetailer
			switch {
			case errors.As(err, &d):
				detail := d.ErrorDetail()
				p.Faults = append(p.Faults, api.Fault{Path: detail.Location, Text: detail.Message})
			case err != nil && status < http.StatusInternalServerError:
				p.Faults = append(p.Faults, api.Fault{Text: err.Error()})
			}
		}
		return problemOf(p)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, text string, errs ...error) huma.StatusError {
		err := huma.NewError(status, text, errs...)
		if p, ok := errors.AsType[*Problem](err); ok && ctx != nil {
			p.Request = requestID(ctx.Context())
		}
		return err
	}
})

// fail writes a problem.
func fail(c echo.Context, err error) error {
	p := problemOf(err)
	p.Request = requestID(c.Request().Context())
	maps.Copy(c.Response().Header(), p.GetHeaders())
	b, merr := json.Marshal(p)
	if merr != nil {
		return fmt.Errorf("encode a problem: %w", merr)
	}
	return c.Blob(p.Status, "application/problem+json", b)
}

// handleError is what echo does with an error that a handler returned.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		err = api.NewProblem(codeOf(he.Code), fmt.Sprint(he.Message))
	} else if _, ok := errors.AsType[*api.Problem](err); !ok {
		s.opts.Log.Error("a request ended with a defect", "path", c.Path(), "err", err)
	}
	if werr := fail(c, err); werr != nil {
		s.opts.Log.Debug("an answer was not taken", "err", werr)
	}
}

func errorAs(err error) (*api.Problem, bool) { return errors.AsType[*api.Problem](err) }
