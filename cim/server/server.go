package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
)

// Options are what a [Server] is made of.
type Options struct {
	Schemas []*object.Schema  // one for each namespace
	Aliases map[string]string // other names of namespaces, in small letters: "root/interop" to "interop"
	// Login says who asks. An error that is a [Refusal] says how to answer.
	Login func(r *http.Request) (Session, error)
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now

	Requests     int           // that are worked on at a time; default 32
	Contexts     int           // open enumerations; default 100
	UserContexts int           // of one user; default 20
	Timeout      time.Duration // of an enumeration that names none; default 2 minutes
}

// Refusal is a log-in that is refused.
type Refusal struct {
	Status     int // 401, 429 or 503
	RetryAfter int // seconds; 0: unknown
	Text       string
}

// Error is the text.
func (e *Refusal) Error() string { return e.Text }

// Server answers CIM-XML over HTTP (DSP0200, 7). It is safe for concurrent use.
type Server struct {
	opts    Options
	schemas map[string]*object.Schema
	busy    chan struct{}
	pulls   pulls
}

// bodyMax bounds the time in which a request's body must arrive and its answer be taken.
const bodyMax = 2 * time.Minute

// New makes a server.
func New(o Options) *Server {
	o.Requests, o.Contexts, o.UserContexts, o.Timeout = cmp.Or(o.Requests, 32), cmp.Or(o.Contexts, 100), cmp.Or(o.UserContexts, 20), cmp.Or(o.Timeout, 2*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{opts: o, schemas: map[string]*object.Schema{}, busy: make(chan struct{}, o.Requests)}
	for _, x := range o.Schemas {
		s.schemas[object.Fold(x.Namespace)] = x
	}
	s.pulls.enumerations = newEnumerations(o.Contexts, o.UserContexts)
	return s
}

// schema finds a namespace by any of its names.
func (s *Server) schema(namespace string) (*object.Schema, error) {
	n := object.Fold(strings.Trim(namespace, "/"))
	if x := s.schemas[cmp.Or(s.opts.Aliases[n], n)]; x != nil {
		return x, nil
	}
	return nil, object.Errorf(object.InvalidNamespace, "%.100q", namespace)
}

// httpError is an answer that is no message.
type httpError struct {
	status   int
	cimError string
	err      error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

func refuse(status int, cimError, format string, args ...any) error {
	return &httpError{status, cimError, fmt.Errorf(format, args...)}
}

// headerMismatch is the value of CIMError when headers and message differ.
const headerMismatch = "header-mismatch"

// extension is what M-POST names in its header Man, and OPTIONS in Opt (DSP0200, 7.3).
const extension = "http://www.dmtf.org/cim/mapping/http/v1.0"

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := ""
	switch r.Method {
	case http.MethodOptions:
		s.options(w)
		return
	case http.MethodPost:
	case "M-POST":
		ns, ok := manPrefix(r.Header.Values("Man"))
		if !ok {
			http.Error(w, "the extension is not known", http.StatusNotExtended)
			return
		}
		prefix = ns + "-"
	default:
		w.Header().Set("Allow", "POST, M-POST, OPTIONS")
		http.Error(w, "the method is not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := s.post(w, r, prefix); err != nil {
		s.fail(w, r, prefix, err)
	}
}

// manPrefix finds the two digits that M-POST puts before its headers.
func manPrefix(man []string) (string, bool) {
	for _, m := range man {
		uri, rest, _ := strings.Cut(m, ";")
		_, ns, ok := strings.Cut(rest, "=")
		ns = strings.TrimSpace(ns)
		if strings.Trim(strings.TrimSpace(uri), `"`) == extension && ok && len(ns) == 2 && strings.Trim(ns, "0123456789") == "" {
			return ns, true
		}
	}
	return "", false
}

// setHeader sets a header whose case some clients look at.
func setHeader(h http.Header, name, value string) { h[name] = []string{value} }

// options tells what the server is able to (DSP0200, 7.4).
func (s *Server) options(w http.ResponseWriter) {
	h := w.Header()
	setHeader(h, "Opt", extension+" ; ns=48")
	setHeader(h, "48-CIMOM", "/cimom")
	setHeader(h, "48-CIMProtocolVersion", "1.0")
	setHeader(h, "48-CIMSupportedFunctionalGroups", "basic-read,basic-write,instance-manipulation,association-traversal,query-execution,qualifier-declaration")
	setHeader(h, "48-CIMSupportedQueryLanguages", "WQL,DMTF:CQL,DMTF:FQL")
	setHeader(h, "48-CIMValidation", "loosely-validating")
	h.Set("Allow", "POST, M-POST, OPTIONS")
	w.WriteHeader(http.StatusOK)
}

// fail answers what never came to an operation.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, prefix string, err error) {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		if refusal.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="belay", charset="UTF-8"`)
		}
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(refusal.RetryAfter))
		}
		http.Error(w, refusal.Text, cmp.Or(refusal.Status, http.StatusUnauthorized))
		return
	}
	status := http.StatusBadRequest
	if x, ok := errors.AsType[*cimxml.Error](err); ok {
		setHeader(w.Header(), prefix+"CIMError", x.CIMError)
		switch x.CIMError {
		case cimxml.UnsupportedVersion, cimxml.MultipleRequests, cimxml.UnsupportedCIM, cimxml.UnsupportedDTD:
			status = http.StatusNotImplemented
		}
	}
	if x, ok := errors.AsType[*httpError](err); ok {
		status = x.status
		if x.cimError != "" {
			setHeader(w.Header(), prefix+"CIMError", x.cimError)
		}
	}
	s.opts.Log.Debug("a CIM request is refused", "addr", r.RemoteAddr, "err", err)
	http.Error(w, err.Error(), status)
}

// post answers a message, or returns why it is none.
func (s *Server) post(w http.ResponseWriter, r *http.Request, prefix string) error {
	if err := checkHeaders(r, prefix); err != nil {
		return err
	}
	who, err := s.opts.Login(r)
	if err != nil {
		return err
	}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		return &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 1, Text: "too many requests are being worked on"}
	}
	// A client that sends or reads too slowly must not hold its place for ever.
	rc := http.NewResponseController(w)
	if err := errors.Join(rc.SetReadDeadline(time.Now().Add(bodyMax)), rc.SetWriteDeadline(time.Now().Add(bodyMax))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set a deadline: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cimxml.MaxBytes))
	if _, tooMuch := errors.AsType[*http.MaxBytesError](err); tooMuch {
		return refuse(http.StatusRequestEntityTooLarge, "", "the request is longer than %d bytes", cimxml.MaxBytes)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, cimxml.NotWellFormed, "read the request: %w", err)
	}
	req, err := cimxml.ParseRequest(body)
	if err != nil {
		return err
	}
	if err := matchHeaders(r, prefix, req); err != nil {
		return err
	}
	if prefix != "" {
		setHeader(w.Header(), "Ext", "")
		setHeader(w.Header(), "Man", extension+" ; ns="+strings.TrimSuffix(prefix, "-"))
	}
	setHeader(w.Header(), prefix+"CIMOperation", "MethodResponse")
	w.Header().Set("Content-Type", cimxml.ContentType)
	w.Header().Set("Cache-Control", "no-cache")
	s.answer(r.Context(), w, r.Host, who, req)
	return nil
}

// answer carries an operation out and writes what comes of it. Where part of an answer
// is with the client already, an error breaks the connection off: half an answer must
// not look like a whole one.
func (s *Server) answer(ctx context.Context, w io.Writer, host string, who Session, req *cimxml.Request) {
	out := cimxml.NewWriter(w)
	out.Response(req)
	c := &call{ctx: ctx, server: s, who: who, req: req, out: out, host: host}
	if err := c.guarded(); err != nil {
		if out.Sent() {
			s.opts.Log.Warn("an answer is broken off", "op", req.Name, "err", err)
			panic(http.ErrAbortHandler)
		}
		e := object.AsError(err)
		s.opts.Log.Debug("a CIM operation failed", "op", req.Name, "user", who.User(), "err", e)
		out.Reset()
		out.Response(req)
		out.Error(e)
	}
	if err := out.Close(); err != nil {
		s.opts.Log.Debug("a CIM client went away", "op", req.Name, "err", err)
	}
}

// guarded carries the operation out. A mistake of the model must not take more than one
// answer with it, and must be seen.
func (c *call) guarded() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.opts.Log.Error("a CIM operation ended in a mistake of the program", "op", c.req.Name, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = object.Errorf(object.Failed, "the server made a mistake; its log has more")
		}
	}()
	return c.run()
}

// checkHeaders looks at the headers that say what kind of message comes.
func checkHeaders(r *http.Request, prefix string) error {
	get := func(name string) string { return r.Header.Get(prefix + name) }
	if v := get("CIMProtocolVersion"); v != "" && !strings.HasPrefix(v, "1.") {
		return refuse(http.StatusNotImplemented, cimxml.UnsupportedVersion, "protocol version %.20q", v)
	}
	if get("CIMBatch") != "" {
		return refuse(http.StatusNotImplemented, cimxml.MultipleRequests, "several requests in one message are not supported")
	}
	if v := get("CIMOperation"); !strings.EqualFold(v, "MethodCall") {
		return refuse(http.StatusBadRequest, cimxml.Unsupported, "CIMOperation is %.40q", v)
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || media != "application/xml" && media != "text/xml" || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return refuse(http.StatusUnsupportedMediaType, "", "the content type is %.80q, want application/xml in UTF-8", r.Header.Get("Content-Type"))
	}
	if v := r.Header.Get("Content-Encoding"); v != "" && !strings.EqualFold(v, "identity") {
		return refuse(http.StatusUnsupportedMediaType, "", "the content encoding %.40q is not supported", v)
	}
	return nil
}

// matchHeaders checks that the headers name the method and the object of the message.
func matchHeaders(r *http.Request, prefix string, req *cimxml.Request) error {
	for name, want := range map[string]string{"CIMMethod": req.Name, "CIMObject": req.Namespace} {
		got, err := url.PathUnescape(r.Header.Get(prefix + name))
		if name == "CIMObject" { // of a method: namespace, class and keys
			got, _, _ = strings.Cut(got, ":")
			got = strings.Trim(got, "/")
		}
		if err != nil || !object.Same(got, want) {
			return refuse(http.StatusBadRequest, headerMismatch, "the header %s is %.80q, and the message has %.80q", name, got, want)
		}
	}
	return nil
}
