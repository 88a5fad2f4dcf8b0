package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/status"
)

// Time-outs where the caller's context has no deadline. A stream has none.
const (
	ReadTimeout   = 15 * time.Second
	ChangeTimeout = 2 * time.Minute // a commit waits for the store
	VerifyTimeout = 2 * time.Minute // a long log is read whole
	dialTimeout   = 5 * time.Second
)

// answerMaxBytes limits an answer: a snapshot of the largest cluster is far below.
const answerMaxBytes = 512 << 20

// lineMaxBytes limits one line of a stream.
const lineMaxBytes = 64 << 20

// Client calls one engine. It may be used by several goroutines.
type Client struct {
	socket string // or the address of a management daemon
	base   string
	header http.Header // of every request
	remote bool
	http   *http.Client
}

// New returns a client of the engine that listens at the socket; "" means
// [api.SocketPath]. It opens nothing yet.
func New(socket string) *Client {
	if socket == "" {
		socket = api.SocketPath
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	// The host is never used; the socket is.
	return &Client{socket: socket, base: "http://belayd", http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		MaxIdleConns:       2,
		IdleConnTimeout:    30 * time.Second,
	}}}
}

// NewRemote returns a client of a management daemon, which answers what the engine's
// socket answers. The address is "https://HOST:PORT"; header goes with every request.
func NewRemote(address string, transport http.RoundTripper, header http.Header) *Client {
	return &Client{socket: address, base: strings.TrimSuffix(address, "/"), header: header, remote: true, http: &http.Client{Transport: transport}}
}

// actorKey is the context key of [WithActor].
type actorKey struct{}

// WithActor lets the requests of a context be made on somebody's behalf. The engine
// believes it of the management daemon and of root only.
func WithActor(ctx context.Context, a *api.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the state of the cluster. stale: also when the store does not
// answer.
func (c *Client) Status(ctx context.Context, stale bool) (*status.Summary, error) {
	path := "/v1/status"
	if stale {
		path += "?stale=1"
	}
	return get[status.Summary](ctx, c, path)
}

// Watch calls f with the state of the cluster, now and at each change, until ctx
// ends or f returns an error, which Watch returns.
func (c *Client) Watch(ctx context.Context, f func(*status.Summary) error) error {
	return stream(ctx, c, "/v1/watch", f)
}

// Snapshot returns everything that the engine knows, secrets left out.
func (c *Client) Snapshot(ctx context.Context) (*cib.Snapshot, error) {
	return get[cib.Snapshot](ctx, c, "/v1/snapshot")
}

// Events calls f with each event of the ring after a sequence number, and with
// follow also with those to come.
func (c *Client) Events(ctx context.Context, after uint64, follow bool, f func(*cib.Event) error) error {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}}
	if follow {
		q.Set("follow", "1")
	} else {
		var cancel context.CancelFunc
		ctx, cancel = deadline(ctx, ReadTimeout)
		defer cancel()
	}
	return stream(ctx, c, "/v1/events?"+q.Encode(), f)
}

// Config returns the configuration and its generation, secrets left out.
func (c *Client) Config(ctx context.Context) (*api.Config, error) {
	return get[api.Config](ctx, c, "/v1/config")
}

// History lists the generations of the configuration that are kept.
func (c *Client) History(ctx context.Context) ([]api.GenerationInfo, error) {
	return value(get[[]api.GenerationInfo](ctx, c, "/v1/history"))
}

// Generation returns what one generation changed.
func (c *Client) Generation(ctx context.Context, n uint64) (*cib.GenerationRecord, error) {
	return get[cib.GenerationRecord](ctx, c, "/v1/history/"+strconv.FormatUint(n, 10))
}

// Explain tells why a resource is where it is.
func (c *Client) Explain(ctx context.Context, resource string) (*graph.Explanation, error) {
	return get[graph.Explanation](ctx, c, "/v1/explain/resource/"+url.PathEscape(resource))
}

// Plan returns what the cluster is doing now.
func (c *Client) Plan(ctx context.Context) (*api.PlanSummary, error) {
	return get[api.PlanSummary](ctx, c, "/v1/plan")
}

// Agents lists the agents installed on the node.
func (c *Client) Agents(ctx context.Context) ([]string, error) {
	return value(get[[]string](ctx, c, "/v1/agents"))
}

// Agent returns the metadata of an agent as JSON.
func (c *Client) Agent(ctx context.Context, id string) (json.RawMessage, error) {
	return value(get[json.RawMessage](ctx, c, "/v1/agents/"+url.PathEscape(id)))
}

// Local returns the node as its own engine sees it, without asking the store.
func (c *Client) Local(ctx context.Context) (*api.Local, error) {
	return get[api.Local](ctx, c, "/v1/local")
}

// Audit returns a page of a node's audit log.
func (c *Client) Audit(ctx context.Context, q *api.AuditQuery) (*api.AuditPage, error) {
	return get[api.AuditPage](ctx, c, "/v1/audit?"+auditValues(q).Encode())
}

func auditValues(q *api.AuditQuery) url.Values {
	v := url.Values{}
	for name, text := range map[string]string{
		"node": q.Node, "user": q.User, "action": q.Action, "object": q.Object, "result": q.Result, "phase": q.Phase, "via": q.Via,
		"requestId": q.RequestID, "changeRef": q.ChangeRef, "from": q.From, "to": q.To,
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.After > 0 {
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// AuditVerify lets the engine verify the audit log of its node against what the other
// nodes signed.
func (c *Client) AuditVerify(ctx context.Context) (*api.AuditVerdict, error) {
	ctx, cancel := deadline(ctx, VerifyTimeout)
	defer cancel()
	return get[api.AuditVerdict](ctx, c, "/v1/audit/verify")
}

// AuditCluster lets the engines verify the audit logs of all nodes, and compares them with
// what the nodes signed of each other's.
func (c *Client) AuditCluster(ctx context.Context) (*api.AuditClusterVerdict, error) {
	ctx, cancel := deadline(ctx, VerifyTimeout)
	defer cancel()
	return get[api.AuditClusterVerdict](ctx, c, "/v1/audit/verify/cluster")
}

// RotateAuditKey replaces the key that signs the audit log of the engine's node.
func (c *Client) RotateAuditKey(ctx context.Context, r *api.AuditKeyRequest) (*api.AuditKey, error) {
	return posted[api.AuditKey](ctx, c, "/v1/audit/rotate-key", r)
}

// AuditExport writes the chosen records of the log of the engine's node in a format of
// the package audit to w. begun, if not nil, is called with the media type before.
func (c *Client) AuditExport(ctx context.Context, q *api.AuditQuery, format string, begun func(mediaType string), w io.Writer) error {
	v := auditValues(q)
	v.Set("format", format)
	resp, err := c.do(ctx, http.MethodGet, "/v1/audit/export?"+v.Encode(), nil)
	if err != nil {
		return finish(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if begun != nil {
		begun(resp.Header.Get("Content-Type"))
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the export broke off: %w", err)
	}
	return nil
}

// AuditState tells how the audit log of the engine's node stands.
func (c *Client) AuditState(ctx context.Context) (*api.AuditState, error) {
	return get[api.AuditState](ctx, c, "/v1/audit/state")
}

// AuditHeld returns what other nodes hold of the audit log of the engine's node.
func (c *Client) AuditHeld(ctx context.Context) (*api.AuditHeld, error) {
	return get[api.AuditHeld](ctx, c, "/v1/audit/held")
}

// Change changes something. It is sent again after a broken connection only where
// it has a RequestID: without one nobody could tell whether it was done.
func (c *Client) Change(ctx context.Context, ch *api.Change) (*api.ChangeResult, error) {
	out, err := post[api.ChangeResult](ctx, c, "/v1/change", ch)
	if p := (*api.Problem)(nil); errors.As(err, &p) && p.Code == codeBroken && ch.RequestID != "" && ctx.Err() == nil {
		out, err = post[api.ChangeResult](ctx, c, "/v1/change", ch)
	}
	return out, finish(err)
}

// SetAttribute sets or deletes a node attribute.
func (c *Client) SetAttribute(ctx context.Context, a *api.Attribute) error {
	_, err := post[json.RawMessage](ctx, c, "/v1/attribute", a)
	return finish(err)
}

// Attribute returns a node attribute. The node "local" is the engine's own.
func (c *Client) Attribute(ctx context.Context, node, name string) (*api.Attribute, error) {
	return get[api.Attribute](ctx, c, "/v1/attribute/"+url.PathEscape(node)+"/"+url.PathEscape(name))
}

// Token makes a join token.
func (c *Client) Token(ctx context.Context, r *api.TokenRequest) (*api.Token, error) {
	return posted[api.Token](ctx, c, "/v1/token", r)
}

// Backup saves the store on the node.
func (c *Client) Backup(ctx context.Context, r *api.BackupRequest) (*api.Backup, error) {
	return posted[api.Backup](ctx, c, "/v1/backup", r)
}

// SetLogLevel sets the level of the node's log.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	_, err := posted[json.RawMessage](ctx, c, "/v1/log", api.LogLevel{Level: level})
	return err
}

// Init makes a new cluster with this node as its first member.
func (c *Client) Init(ctx context.Context, r *api.Init) (*api.Joined, error) {
	return posted[api.Joined](ctx, c, "/v1/cluster/init", r)
}

// Join makes this node a member of a cluster.
func (c *Client) Join(ctx context.Context, r *api.Join) (*api.Joined, error) {
	return posted[api.Joined](ctx, c, "/v1/cluster/join", r)
}

// Documents returns what the management daemons keep.
func (c *Client) Documents(ctx context.Context) (*api.Documents, error) {
	return get[api.Documents](ctx, c, "/v1/documents")
}

// WatchDocuments calls f with all documents, now and at each change, until ctx ends or
// f returns an error, which WatchDocuments returns.
func (c *Client) WatchDocuments(ctx context.Context, f func(*api.Documents) error) error {
	return stream(ctx, c, "/v1/documents/watch", f)
}

// ChangeDocuments changes documents: all or none.
func (c *Client) ChangeDocuments(ctx context.Context, ch *api.DocumentChange) (*api.DocumentsChanged, error) {
	return posted[api.DocumentsChanged](ctx, c, "/v1/documents", ch)
}

// SNMP returns how the cluster shows itself over SNMP, secrets open.
func (c *Client) SNMP(ctx context.Context) (*api.SNMP, error) {
	return get[api.SNMP](ctx, c, "/v1/snmp")
}

// Notifiers returns webhooks and mail targets, with open secrets. Only the management
// daemon and root may ask.
func (c *Client) Notifiers(ctx context.Context) (*api.Notifiers, error) {
	return get[api.Notifiers](ctx, c, "/v1/notifiers")
}

// NotificationTargets tells who is told of events, and how far each is. A management
// daemon knows, the engine does not.
func (c *Client) NotificationTargets(ctx context.Context) ([]api.NotificationTarget, error) {
	out, err := get[struct {
		Items []api.NotificationTarget `json:"items"`
	}](ctx, c, "/v1/notification-targets?limit=1000")
	if err != nil {
		return nil, err
	}
	return out.Items, nil
}

// CIM returns what is needed to send indications, with open passwords. Only the
// management daemon and root may ask.
func (c *Client) CIM(ctx context.Context) (*api.CIM, error) {
	return get[api.CIM](ctx, c, "/v1/cim")
}

// Note writes something into the audit log that changes nothing.
func (c *Client) Note(ctx context.Context, n *api.Note) error {
	_, err := posted[json.RawMessage](ctx, c, "/v1/note", n)
	return err
}

// Certificate asks for the certificate of this node's management daemon.
func (c *Client) Certificate(ctx context.Context, r *api.CertificateRequest) (*api.Certificate, error) {
	return posted[api.Certificate](ctx, c, "/v1/certificate", r)
}

func value[T any](p *T, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	return *p, nil
}

func deadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	ctx, cancel := deadline(ctx, ReadTimeout)
	defer cancel()
	out, err := roundTrip[T](ctx, c, http.MethodGet, path, nil)
	return out, finish(err)
}

func posted[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	out, err := post[T](ctx, c, path, body)
	return out, finish(err)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	ctx, cancel := deadline(ctx, ChangeTimeout)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	if len(b) > api.BodyMaxBytes {
		return nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the request has %d bytes; at most %d are possible", len(b), api.BodyMaxBytes))
	}
	return roundTrip[T](ctx, c, http.MethodPost, path, b)
}

func roundTrip[T any](ctx context.Context, c *Client, method, path string, body []byte) (*T, error) {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out := new(T)
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerMaxBytes)).Decode(out); err != nil {
		return nil, c.problem(ctx, fmt.Errorf("read the answer: %w", err))
	}
	return out, nil
}

// do sends a request and turns an answer that is an error into a problem.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	maps.Copy(req.Header, c.header)
	if c.remote {
		req.Header.Set("Accept", "application/x-ndjson, application/json")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a, ok := ctx.Value(actorKey{}).(*api.Actor); ok && a != nil {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, api.NewProblem(api.CodeBadRequest, err.Error())
		}
		req.Header.Set(api.ActorHeader, base64.StdEncoding.EncodeToString(b))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.problem(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	p := &api.Problem{}
	if json.Unmarshal(b, p) != nil || p.Code == "" {
		return nil, api.NewProblem(api.CodeDefect, fmt.Sprintf("the engine answered %s: %s", resp.Status, bytes.TrimSpace(b)))
	}
	return nil, p
}

// codeBroken marks a request whose connection broke after it was made. It never
// leaves the package.
const codeBroken = "broken"

// finish turns a broken connection into what it means for the caller.
func finish(err error) error {
	if p := (*api.Problem)(nil); errors.As(err, &p) && p.Code == codeBroken {
		if p.Status == http.StatusBadGateway {
			return api.NewProblem(api.CodeUnreachable, p.Detail)
		}
		return api.NewProblem(api.CodeNotRunning, p.Detail)
	}
	return err
}

// problem says what an error of the connection means.
func (c *Client) problem(ctx context.Context, err error) *api.Problem {
	switch {
	case c.remote && ctx.Err() == nil:
		p := api.NewProblem(api.CodeUnreachable, "the management daemon at "+c.socket+" does not answer: "+err.Error())
		if ue, ok := errors.AsType[*net.OpError](err); ok && ue.Op != "dial" || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			p.Code = codeBroken
		}
		return p
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return api.NewProblem(api.CodeNotRunning, "no engine answers at "+c.socket+": this node takes no part in the cluster")
	case errors.Is(err, fs.ErrPermission):
		return api.NewProblem(api.CodeForbidden, "you may not talk to the engine at "+c.socket+": only root and the group belay may")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return api.NewProblem(api.CodeTimeout, "the engine did not answer in time")
	case ctx.Err() != nil:
		return api.NewProblem(api.CodeTimeout, "the request was given up")
	}
	return &api.Problem{Code: codeBroken, Detail: "the engine at " + c.socket + " did not answer: " + err.Error()}
}

// stream calls f with each line until the stream ends.
func stream[T any](ctx context.Context, c *Client, path string, f func(*T) error) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return finish(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := json.NewDecoder(&lineLimit{r: resp.Body})
	for {
		v := new(T)
		switch err := lines.Decode(v); {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return finish(c.problem(ctx, err))
		case err != nil:
			return finish(c.problem(ctx, err))
		}
		if err := f(v); err != nil {
			return err
		}
	}
}

// lineLimit ends a stream whose line is too long.
type lineLimit struct {
	r io.Reader
	n int // bytes since the last line break
}

// Read reads, and counts what stands in one line.
func (l *lineLimit) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		l.n = n - i
	} else {
		l.n += n
	}
	if l.n > lineMaxBytes {
		return 0, fmt.Errorf("a line of the stream has more than %d bytes", lineMaxBytes)
	}
	return n, err
}
