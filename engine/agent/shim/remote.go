package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Path is where the engine's socket serves the tools' requests: one POST for
// each method of [Backend], Path + "local", "nodes", "query", "set", "delete",
// "resource" and "status".
const Path = "/v1/shim/"

// The way of a tool to its engine: the engine gives an agent both in its
// environment, and the tool shows the token in a header.
const (
	SocketVariable = "BELAY_SOCKET"
	TokenVariable  = "BELAY_TOKEN"
	TokenHeader    = "Belay-Token"
)

const (
	requestMaxBytes = 1 << 20
	replyMaxBytes   = 16 << 20
	requestTimeout  = 60 * time.Second
)

// wireRequest is the body of every request.
type wireRequest struct {
	Attribute *Attribute       `json:"attribute,omitempty"`
	Dampen    time.Duration    `json:"dampenNs,omitempty"`
	Resource  *ResourceRequest `json:"resource,omitempty"`
}

// wireReply is the body of every answer.
type wireReply struct {
	Local      *Local         `json:"local,omitempty"`
	Nodes      []Node         `json:"nodes,omitempty"`
	Attributes []Attribute    `json:"attributes,omitempty"`
	Existed    bool           `json:"existed,omitempty"`
	Resource   *ResourceReply `json:"resource,omitempty"`
	Status     *Status        `json:"status,omitempty"`
	Error      *wireError     `json:"error,omitempty"`
}

// wireError carries one of this package's errors by name.
type wireError struct {
	Kind string `json:"kind,omitempty"`
	Text string `json:"text"`
}

// kinds is the table of the errors that have a meaning for the tools.
var kinds = []struct {
	name string
	err  error
}{
	{"no-node", ErrNoNode},
	{"no-resource", ErrNoResource},
	{"exists", ErrExists},
	{"no-quorum", ErrNoQuorum},
	{"timeout", ErrTimeout},
	{"denied", ErrDenied},
	{"unavailable", ErrUnavailable},
}

func toWire(err error) *wireError {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return &wireError{k.name, err.Error()}
		}
	}
	return &wireError{"", err.Error()}
}

// fromWire gives back the error that toWire was given, for errors.Is.
func (w *wireError) fromWire() error {
	for _, k := range kinds {
		if k.name == w.Kind {
			return &remoteError{w.Text, k.err}
		}
	}
	return errors.New(w.Text)
}

type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

// Handler serves a Backend under Path. Who may call is the socket's matter.
func Handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	for name, method := range map[string]func(context.Context, *wireRequest, *wireReply) error{
		"local": func(ctx context.Context, _ *wireRequest, r *wireReply) error {
			local, err := b.Local(ctx)
			r.Local = &local
			return err
		},
		"nodes": func(ctx context.Context, _ *wireRequest, r *wireReply) (err error) {
			r.Nodes, err = b.Nodes(ctx)
			return err
		},
		"query": func(ctx context.Context, q *wireRequest, r *wireReply) (err error) {
			r.Attributes, err = b.QueryAttribute(ctx, *q.Attribute)
			return err
		},
		"set": func(ctx context.Context, q *wireRequest, _ *wireReply) error {
			return b.SetAttribute(ctx, *q.Attribute, q.Dampen)
		},
		"delete": func(ctx context.Context, q *wireRequest, r *wireReply) (err error) {
			r.Existed, err = b.DeleteAttribute(ctx, *q.Attribute, q.Dampen)
			return err
		},
		"resource": func(ctx context.Context, q *wireRequest, r *wireReply) error {
			reply, err := b.Resource(ctx, *q.Resource)
			r.Resource = &reply
			return err
		},
		"status": func(ctx context.Context, _ *wireRequest, r *wireReply) (err error) {
			r.Status, err = b.Status(ctx)
			return err
		},
	} {
		mux.HandleFunc("POST "+Path+name, func(w http.ResponseWriter, req *http.Request) {
			// What is not given is empty, not missing.
			q := wireRequest{Attribute: &Attribute{}, Resource: &ResourceRequest{}}
			var reply wireReply
			code := http.StatusOK
			if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, requestMaxBytes)).Decode(&q); err != nil || q.Attribute == nil || q.Resource == nil {
				code, reply.Error = http.StatusBadRequest, &wireError{Text: fmt.Sprintf("request cannot be read: %v", err)}
			} else if err := method(req.Context(), &q, &reply); err != nil {
				code, reply = http.StatusUnprocessableEntity, wireReply{Error: toWire(err)}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(&reply)
		})
	}
	return mux
}

// Dial gives the engine behind a unix socket. It connects when it is first
// asked; an engine that is not there is ErrUnavailable then. The token shows that
// an agent calls which the engine runs; it may be empty.
func Dial(socket, token string) Backend {
	var d net.Dialer
	return &remote{token: token, client: http.Client{Transport: &http.Transport{
		Proxy:       nil,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}}
}

type remote struct {
	token  string
	client http.Client
}

func (r *remote) ask(ctx context.Context, method string, q wireRequest, timeout time.Duration) (*wireReply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://belayd"+Path+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.token != "" {
		req.Header.Set(TokenHeader, r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: no answer within %v", ErrTimeout, timeout)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized {
		return nil, ErrDenied
	}
	var reply wireReply
	if err := json.NewDecoder(io.LimitReader(resp.Body, replyMaxBytes)).Decode(&reply); err != nil {
		return nil, fmt.Errorf("%w: its answer (%s) cannot be read: %w", ErrUnavailable, resp.Status, err)
	}
	if reply.Error != nil {
		return nil, reply.Error.fromWire()
	}
	return &reply, nil
}

// Local asks which node this is.
func (r *remote) Local(ctx context.Context) (Local, error) {
	reply, err := r.ask(ctx, "local", wireRequest{}, requestTimeout)
	if err != nil || reply.Local == nil {
		return Local{}, err
	}
	return *reply.Local, nil
}

// Nodes asks for the nodes.
func (r *remote) Nodes(ctx context.Context) ([]Node, error) {
	reply, err := r.ask(ctx, "nodes", wireRequest{}, requestTimeout)
	if err != nil {
		return nil, err
	}
	return reply.Nodes, nil
}

// QueryAttribute asks for attributes.
func (r *remote) QueryAttribute(ctx context.Context, q Attribute) ([]Attribute, error) {
	reply, err := r.ask(ctx, "query", wireRequest{Attribute: &q}, requestTimeout)
	if err != nil {
		return nil, err
	}
	return reply.Attributes, nil
}

// SetAttribute sets one.
func (r *remote) SetAttribute(ctx context.Context, a Attribute, dampen time.Duration) error {
	_, err := r.ask(ctx, "set", wireRequest{Attribute: &a, Dampen: dampen}, requestTimeout)
	return err
}

// DeleteAttribute removes one.
func (r *remote) DeleteAttribute(ctx context.Context, a Attribute, dampen time.Duration) (bool, error) {
	reply, err := r.ask(ctx, "delete", wireRequest{Attribute: &a, Dampen: dampen}, requestTimeout)
	if err != nil {
		return false, err
	}
	return reply.Existed, nil
}

// Resource asks for something about a resource.
func (r *remote) Resource(ctx context.Context, q ResourceRequest) (ResourceReply, error) {
	reply, err := r.ask(ctx, "resource", wireRequest{Resource: &q}, requestTimeout+q.Timeout)
	if err != nil || reply.Resource == nil {
		return ResourceReply{}, err
	}
	return *reply.Resource, nil
}

// Status asks for the state of the cluster.
func (r *remote) Status(ctx context.Context) (*Status, error) {
	reply, err := r.ask(ctx, "status", wireRequest{}, requestTimeout)
	if err != nil {
		return nil, err
	}
	if reply.Status == nil {
		reply.Status = &Status{}
	}
	return reply.Status, nil
}
