package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Page is what every list takes.
type Page struct {
	Conditional
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"rows at most"`
	PageToken string `query:"pageToken" maxLength:"400" doc:"nextPageToken of the page before"`
	Search    string `query:"search" maxLength:"200" doc:"only rows that contain this text"`
	State     string `query:"state" maxLength:"100" doc:"only rows in one of these states, separated by commas"`
	Node      string `query:"node" maxLength:"200" doc:"only rows about this node"`
}

// listAnswer is a page of rows. Revision is that of the state they are from.
type listAnswer[T any] struct {
	Items    []T    `json:"items"`
	Next     string `json:"nextPageToken,omitempty" doc:"of the page after; none: this is the last"`
	Total    int    `json:"total" doc:"rows that the filters let through"`
	Revision int64  `json:"revision" doc:"of the state"`
}

// row is what a list needs to know of its rows.
type row[T any] struct {
	key    func(*T) string   // unique, and the order
	states func(*T) []string // the row's state
	nodes  func(*T) []string
	texts  func(*T) []string // searched, besides the key
}

// paginate filters rows, which are in any order, and cuts a page. A page goes on after
// the last key of the one before, so that rows that come and go in between move none of
// the others.
func paginate[T any](rows []T, p *Page, r row[T]) (listAnswer[T], error) {
	out := listAnswer[T]{Items: []T{}}
	after := ""
	if p.PageToken != "" {
		b, err := base64.RawURLEncoding.DecodeString(p.PageToken)
		if err != nil || len(b) == 0 {
			return out, api.NewProblem(api.CodeBadRequest, "the page token is not one of this list")
		}
		after = string(b)
	}
	var kept []*T
	for i := range rows {
		if r.matches(&rows[i], p) {
			kept = append(kept, &rows[i])
		}
	}
	slices.SortStableFunc(kept, func(a, b *T) int { return strings.Compare(r.key(a), r.key(b)) })
	out.Total = len(kept)
	if after != "" {
		i, found := slices.BinarySearchFunc(kept, after, func(x *T, k string) int { return strings.Compare(r.key(x), k) })
		if found {
			i++
		}
		kept = kept[i:]
	}
	limit := p.Limit
	if limit == 0 {
		limit = 100
	}
	for _, x := range kept[:min(limit, len(kept))] {
		out.Items = append(out.Items, *x)
	}
	if len(kept) > limit {
		out.Next = base64.RawURLEncoding.EncodeToString([]byte(r.key(kept[limit-1])))
	}
	return out, nil
}

func (r *row[T]) matches(x *T, p *Page) bool {
	if p.State != "" && (r.states == nil || !slices.ContainsFunc(r.states(x), func(s string) bool {
		return slices.Contains(strings.Split(p.State, ","), s)
	})) {
		return false
	}
	if p.Node != "" && (r.nodes == nil || !slices.Contains(r.nodes(x), p.Node)) {
		return false
	}
	if p.Search == "" {
		return true
	}
	texts := []string{r.key(x)}
	if r.texts != nil {
		texts = append(texts, r.texts(x)...)
	}
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), strings.ToLower(p.Search)) })
}

func revisionTag(v *view.View) string { return fmt.Sprintf(`W/"%d"`, v.Number) }

// list registers a list of rows, and with one its single rows.
func list[T any](s *Server, noun, id, text, object string, rows func(*view.View) []T, r row[T]) {
	register(s, op{method: http.MethodGet, path: "/v1/" + noun, id: "list" + id, tag: "state", text: text, action: "read", object: object},
		func(_ context.Context, _ *call, in *Page) (*tagged[listAnswer[T]], error) {
			return show(s, &in.Conditional, revisionTag, func(v *view.View) (listAnswer[T], error) {
				out, err := paginate(rows(v), in, r)
				out.Revision = v.Summary.Revision
				return out, err
			})
		})
}

// single registers the rows of a list by name.
func single[T any](s *Server, noun, id, text, kind string, find func(*status.Summary, string) *T) {
	register(s, op{method: http.MethodGet, path: "/v1/" + noun + "/{id}", id: "get" + id, tag: "state", text: text, action: "read", object: kind + "/{id}"},
		func(_ context.Context, _ *call, in *struct {
			Conditional
			Named
		},
		) (*tagged[*T], error) {
			return show(s, &in.Conditional, revisionTag, func(v *view.View) (*T, error) {
				x := find(v.Summary, in.ID)
				if x == nil {
					return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no %s %q", kind, in.ID))
				}
				return x, nil
			})
		})
}

func find[T any](rows []T, is func(*T) bool) *T {
	for i := range rows {
		if is(&rows[i]) {
			return &rows[i]
		}
	}
	return nil
}

func (s *Server) listRoutes() {
	list(s, "nodes", "Nodes", "The nodes", "cluster", func(v *view.View) []status.Node { return v.Summary.Nodes }, row[status.Node]{
		key: func(n *status.Node) string { return n.Name }, states: func(n *status.Node) []string { return []string{n.State.String()} },
		nodes: func(n *status.Node) []string { return []string{n.Name} }, texts: func(n *status.Node) []string { return []string{n.Site, n.Reason} },
	})
	single(s, "nodes", "Node", "One node", "node", (*status.Summary).Node)
	list(s, "resources", "Resources", "The resources", "cluster", func(v *view.View) []status.Resource { return v.Summary.Resources }, row[status.Resource]{
		key: func(r *status.Resource) string { return r.ID }, states: func(r *status.Resource) []string { return []string{r.State.String()} },
		nodes: func(r *status.Resource) []string { return r.Nodes }, texts: func(r *status.Resource) []string { return []string{r.Agent, r.Description, r.Reason} },
	})
	single(s, "resources", "Resource", "One resource", "resource", (*status.Summary).Resource)
	list(s, "fence-devices", "FenceDevices", "The fence devices", "cluster", func(v *view.View) []status.FenceDevice { return v.Summary.FenceDevices }, row[status.FenceDevice]{
		key: func(d *status.FenceDevice) string { return d.ID }, states: func(d *status.FenceDevice) []string { return []string{d.State.String()} },
		nodes: func(d *status.FenceDevice) []string { return d.Targets },
	})
	single(s, "fence-devices", "FenceDevice", "One fence device", "fence-device", func(x *status.Summary, id string) *status.FenceDevice {
		return find(x.FenceDevices, func(d *status.FenceDevice) bool { return d.ID == id })
	})
	list(s, "fencing", "Fencing", "Fencing requests with their proofs", "cluster", func(v *view.View) []status.Fencing { return v.Summary.Fencing }, row[status.Fencing]{
		key: func(f *status.Fencing) string { return f.ID }, states: func(f *status.Fencing) []string { return []string{f.State.String()} },
		nodes: func(f *status.Fencing) []string { return []string{f.Target} },
	})
	list(s, "links", "Links", "The links between nodes", "cluster", func(v *view.View) []status.Link { return v.Summary.Links }, row[status.Link]{
		key:    func(l *status.Link) string { return fmt.Sprintf("%s/%s/%d", l.Node, l.Peer, l.Link) },
		states: func(l *status.Link) []string { return []string{l.State.String()} },
		nodes:  func(l *status.Link) []string { return []string{l.Node, l.Peer} },
	})
	list(s, "alarms", "Alarms", "What is wrong now, with what to do about it", "alarm/*", func(v *view.View) []status.Alarm { return v.Summary.Alarms }, row[status.Alarm]{
		key: func(a *status.Alarm) string { return a.ID }, states: func(a *status.Alarm) []string { return []string{a.Severity.String()} },
		nodes: func(a *status.Alarm) []string { return []string{a.Node} }, texts: func(a *status.Alarm) []string { return []string{a.Text, a.Code, a.Resource} },
	})
	list(s, "failovers", "Failovers", "The fail-overs and moves of services, resources or whole groups, from node to node", "cluster", func(v *view.View) []status.Failover { return v.Summary.Failovers }, row[status.Failover]{
		key: func(f *status.Failover) string {
			return f.Time.UTC().Format("2006-01-02T15:04:05.000000000Z") + "/" + f.Resource
		},
		states: func(f *status.Failover) []string { return []string{f.Result.String()} },
		nodes:  func(f *status.Failover) []string { return []string{f.From, f.To} },
	})
	list(s, "operations", "Operations", "The actions in flight", "cluster", func(v *view.View) []status.Action { return v.Summary.Actions }, row[status.Action]{
		key: func(a *status.Action) string { return a.ID }, states: func(a *status.Action) []string { return []string{a.State.String()} },
		nodes: func(a *status.Action) []string { return []string{a.Node} }, texts: func(a *status.Action) []string { return []string{a.Text} },
	})
	list(s, "tickets", "Tickets", "The tickets", "cluster", func(v *view.View) []status.Ticket { return v.Summary.Tickets }, row[status.Ticket]{key: func(t *status.Ticket) string { return t.ID }})
	part(s, "cluster", "Cluster", "The cluster as a whole", func(x *status.Summary) *status.Cluster { return &x.Cluster })
	part(s, "quorum", "Quorum", "The votes", func(x *status.Summary) *status.Quorum { return &x.Quorum })
	part(s, "store", "Store", "The store and its members", func(x *status.Summary) *status.Store { return &x.Store })
	s.configRoutes()
}

// part registers a part of the state that is there once.
func part[T any](s *Server, noun, id, text string, get func(*status.Summary) *T) {
	register(s, op{method: http.MethodGet, path: "/v1/" + noun, id: "get" + id, tag: "state", text: text, action: "read", object: "cluster"},
		func(_ context.Context, _ *call, in *Conditional) (*tagged[*T], error) {
			return show(s, in, revisionTag, func(v *view.View) (*T, error) { return get(v.Summary), nil })
		})
}

// documents are the documents of a configuration in JSON, made once for all readers.
type documents struct {
	of   *api.Config
	docs map[string]json.RawMessage // by key of the store
}

// documentsOf lists the documents of the configuration of one kind, by id.
func (s *Server) documentsOf(v *view.View, kind string) map[string]json.RawMessage {
	d := s.docs.Load()
	if d == nil || d.of != v.Config {
		d = &documents{v.Config, cib.Documents(v.Config.Config)}
		s.docs.Store(d)
	}
	out := map[string]json.RawMessage{}
	for key, doc := range d.docs {
		if id, ok := strings.CutPrefix(key, cib.KeyConfig+kind+"/"); ok {
			out[id] = doc
		}
	}
	return out
}
