package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/belay-ha/belay/engine/api"
)

// Limits of what is remembered of requests with an idempotency key.
const (
	keyMaxBytes   = 200
	keysMax       = 10000
	keyLife       = 24 * time.Hour
	answerMaxByte = 256 << 10 // a larger answer is not kept; the engine still does the request once
)

// idempotency remembers the answers to requests with an Idempotency-Key. It is this
// node's memory; across nodes and restarts the engine knows the request by the id that
// is made from the key.
type idempotency struct {
	mu   sync.Mutex
	done map[string]*answered
}

type answered struct {
	body    [sha256.Size]byte // of the request, with method and path
	running bool
	at      time.Time
	status  int
	header  http.Header
	answer  []byte
}

func newIdempotency() *idempotency { return &idempotency{done: map[string]*answered{}} }

// begin notes a request. It returns the answer that it had before, or why it can't
// be carried out.
func (d *idempotency) begin(key string, body [sha256.Size]byte, now time.Time) (*answered, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.done[key]
	switch {
	case a != nil && now.Sub(a.at) > keyLife && !a.running:
	case a != nil && a.body != body:
		return nil, api.NewProblem(api.CodeKeyUsed, "the idempotency key was used for another request")
	case a != nil && a.running:
		p := api.NewProblem(api.CodeConflict, "the same request is on its way")
		p.RetryAfter = 1
		return nil, p
	case a != nil:
		return a, nil
	}
	if len(d.done) >= keysMax {
		for k, old := range d.done {
			if !old.running && now.Sub(old.at) > keyLife {
				delete(d.done, k)
			}
		}
		if len(d.done) >= keysMax {
			return nil, api.NewProblem(api.CodeTooMany, "too many idempotency keys are remembered")
		}
	}
	d.done[key] = &answered{body: body, running: true, at: now}
	return nil, nil
}

// end keeps the answer, unless the request may be tried again.
func (d *idempotency) end(key string, a *answered) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a == nil {
		delete(d.done, key)
		return
	}
	a.body = d.done[key].body
	d.done[key] = a
}

// recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	large  bool
}

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write copies what is written.
func (w *recorder) Write(b []byte) (int, error) {
	if w.body.Len()+len(b) > answerMaxByte {
		w.large = true
	} else {
		w.body.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// idempotent carries a request with an Idempotency-Key out once, and answers its
// repetitions with the first answer.
func (s *Server) idempotent(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		key := r.Header.Get("Idempotency-Key")
		k := callOf(r.Context())
		if key == "" || k.subject == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
			return next(c)
		}
		if len(key) > keyMaxBytes {
			return fail(c, api.NewProblem(api.CodeBadRequest, "an idempotency key has at most 200 characters"))
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return fail(c, api.NewProblem(api.CodeBadRequest, "the request's body did not arrive"))
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		full := k.subject.User + "\x00" + key
		sum := sha256.New()
		sum.Write([]byte(r.Method + "\x00" + r.URL.RequestURI() + "\x00" + r.Header.Get("If-Match") + "\x00"))
		sum.Write(b)
		before, err := s.keys.begin(full, [sha256.Size]byte(sum.Sum(nil)), s.now())
		if err != nil {
			return fail(c, err)
		}
		if before != nil {
			maps.Copy(c.Response().Header(), before.header)
			c.Response().Header().Set("Idempotency-Replayed", "true")
			return c.Blob(before.status, before.header.Get("Content-Type"), before.answer)
		}
		named := sha256.Sum256([]byte(full))
		k.key = "key-" + hex.EncodeToString(named[:24])
		w := &recorder{ResponseWriter: c.Response().Writer, status: http.StatusOK}
		c.Response().Writer = w
		kept := false
		defer func() {
			if !kept { // also where the handler panicked
				s.keys.end(full, nil)
			}
		}()
		if err := next(c); err != nil {
			s.handleError(err, c)
		}
		c.Response().Writer = w.ResponseWriter
		// What may work later is not an answer for good.
		if w.status < http.StatusInternalServerError && w.status != http.StatusTooManyRequests && !w.large {
			header := http.Header{}
			for _, name := range []string{"Content-Type", "Location", "Etag"} {
				if v := c.Response().Header().Values(name); len(v) > 0 {
					header[name] = v
				}
			}
			s.keys.end(full, &answered{at: s.now(), status: w.status, header: header, answer: w.body.Bytes()})
			kept = true
		}
		return nil
	}
}
