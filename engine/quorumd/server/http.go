package server

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/quorumd"
)

// statusPage shows the state to whoever can reach it, and changes nothing.
func (s *Server) statusPage() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /status", s.json)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", s.health)
	return mux
}

// adminPage is what root can do over the unix socket.
func (s *Server) adminPage() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.json)
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, "reload", s.Reload()) })
	mux.HandleFunc("POST /tickets/{name}/revoke", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		s.byAdmin(w, "revoke ticket "+name, func(now time.Time) ([]quorumd.Effect, error) { return s.arbiter.Revoke(now, name) })
	})
	mux.HandleFunc("POST /tickets/{name}/grant", func(w http.ResponseWriter, r *http.Request) {
		name, cluster := r.PathValue("name"), r.FormValue("cluster")
		s.byAdmin(w, "grant ticket "+name+" to "+cluster, func(now time.Time) ([]quorumd.Effect, error) { return s.arbiter.Grant(now, name, cluster) })
	})
	mux.HandleFunc("POST /clusters/{name}/forget", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		s.byAdmin(w, "forget cluster "+name, func(now time.Time) ([]quorumd.Effect, error) { return s.arbiter.Forget(now, name) })
	})
	return mux
}

func (s *Server) byAdmin(w http.ResponseWriter, what string, f func(now time.Time) ([]quorumd.Effect, error)) {
	var err error
	s.do(nil, func(now time.Time) []quorumd.Effect {
		var effects []quorumd.Effect
		effects, err = f(now)
		text := what
		if err != nil {
			text += ": refused: " + err.Error()
		}
		return append(effects, quorumd.Notice{Kind: noticeAdmin, Text: text})
	})
	s.answer(w, what, err)
}

func (s *Server) answer(w http.ResponseWriter, what string, err error) {
	if err != nil {
		http.Error(w, fmt.Sprintf("%s: %v", what, err), http.StatusConflict)
		return
	}
	_, _ = fmt.Fprintln(w, "done")
}

// View returns the state of everything.
func (s *Server) View() quorumd.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arbiter.View(s.now())
}

func (s *Server) json(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.View()) // the client may have gone
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	err := s.failed
	s.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// metrics are in the text format of Prometheus, version 0.0.4.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	v, n := s.arbiter.View(s.now()), s.arbiter.Counts()
	conns := len(s.conns)
	s.mu.Unlock()
	var b strings.Builder
	add := func(name, kind, help string, value any) {
		fmt.Fprintf(&b, "# HELP belay_quorumd_%s %s\n# TYPE belay_quorumd_%s %s\nbelay_quorumd_%s %v\n", name, help, name, kind, name, value)
	}
	held, silent, tickets := 0, 0, 0
	for i := range v.Clusters {
		if len(v.Clusters[i].Holder) > 0 {
			held++
		}
		for j := range v.Clusters[i].Nodes {
			if !v.Clusters[i].Nodes[j].Connected {
				silent++
			}
		}
	}
	for i := range v.Tickets {
		if v.Tickets[i].Holder != "" {
			tickets++
		}
	}
	add("clusters", "gauge", "Clusters that are known.", len(v.Clusters))
	add("connections", "gauge", "Connections of clients.", conns)
	add("nodes_silent", "gauge", "Configured nodes without a connection.", silent)
	add("grants_held", "gauge", "Clusters of which a half has the grant.", held)
	add("tickets_held", "gauge", "Tickets that a cluster has.", tickets)
	add("requests_total", "counter", "Requests of clients.", n.Requests)
	add("grants_total", "counter", "Grants that were given.", n.Grants)
	add("handovers_total", "counter", "Grants that went to another half.", n.Handovers)
	add("opens_total", "counter", "Data generations that were opened.", n.Opens)
	add("ticket_grants_total", "counter", "Tickets that were given.", n.TicketGrants)
	add("denials_total", "counter", "Requests that were refused.", n.Denials)
	add("protocol_errors_total", "counter", "Connections that ended for what they sent.", n.Protocol)
	add("strangers_total", "counter", "Connections with a key that is nobody's.", n.Strangers)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprint(w, b.String())
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>belay-quorumd {{.Server}}</title>
<meta http-equiv="refresh" content="5">
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;margin-bottom:2rem}
th,td{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #ccc;vertical-align:top}.bad{color:#a00}.hold{color:#850}</style></head>
<body><h1>belay-quorumd {{.Server}}</h1>
<h2>Clusters</h2>
<table><thead><tr><th>Cluster</th><th>Data generation</th><th>Grant</th><th>Nodes</th></tr></thead><tbody>
{{range .Clusters}}<tr><td>{{.Name}}</td><td>{{.Generation.Number}}{{with .OpenedBy}} (opened by {{.}}){{end}}</td>
<td>{{if .Holder}}<span class="hold">{{range .Holder}}{{.}} {{end}}{{if .Settled}}settled{{end}}</span>{{else}}nobody{{end}}</td>
<td>{{range .Nodes}}<div{{if not .Connected}} class="bad"{{end}}>{{.Name}}: {{if .Connected}}connected{{else}}silent{{end}}{{with .Present}}, hears {{range .}}{{.}} {{end}}{{end}}{{with .Answer}}, answer {{.}}{{end}}{{with .Refusal}} ({{.}}){{end}}</div>{{end}}</td></tr>
{{else}}<tr><td colspan="4">no cluster is configured</td></tr>{{end}}</tbody></table>
<h2>Tickets</h2>
<table><thead><tr><th>Ticket</th><th>Holder</th><th>Term</th><th>State</th></tr></thead><tbody>
{{range .Tickets}}<tr><td>{{.Name}}</td><td>{{.Holder}}</td><td>{{.Term}}</td><td>{{if .Revoked}}revoked{{else if .Holder}}held{{else}}free{{end}}{{with .Assigned}}, for {{.}} only{{end}}</td></tr>
{{else}}<tr><td colspan="4">no ticket is configured</td></tr>{{end}}</tbody></table>
</body></html>
`))

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = pageTemplate.Execute(w, s.View()) // the client may have gone
}
