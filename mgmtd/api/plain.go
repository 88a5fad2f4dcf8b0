package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/belay-ha/belay/engine/api"
)

//go:embed pages
var pages embed.FS

var templates = template.Must(template.ParseFS(pages, "pages/*.html"))

// OpenAPI returns the description of the API (OpenAPI 3.1), as it stands in
// docs/openapi.json.
func (s *Server) OpenAPI() ([]byte, error) {
	b, err := json.MarshalIndent(s.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the description of the API: %w", err)
	}
	return append(b, '\n'), nil
}

// plainRoutes are those that are no operations of the API.
func (s *Server) plainRoutes() {
	e := s.echo
	description := sync.OnceValues(s.OpenAPI)
	e.GET("/openapi.json", func(c echo.Context) error {
		b, err := description()
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", b)
	})
	page := sync.OnceValue(s.operations)
	e.GET("/docs", func(c echo.Context) error {
		return s.page(c, "docs.html", page())
	})
	e.GET("/style.css", func(c echo.Context) error {
		b, err := pages.ReadFile("pages/style.css")
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "text/css; charset=utf-8", b)
	})
	e.GET("/problems/:code", func(c echo.Context) error {
		i := slices.IndexFunc(api.Codes, func(d api.Definition) bool { return d.Code == c.Param("code") })
		if i < 0 {
			return fail(c, api.NewProblem(api.CodeNotFound, "there is no such code"))
		}
		return s.page(c, "problem.html", api.Codes[i])
	})
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "alive\n") })
	e.GET("/readyz", s.ready)
	handler := promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{EnableOpenMetrics: false})
	e.GET("/metrics", s.guarded("read", "metrics/prometheus", func(c echo.Context) error {
		handler.ServeHTTP(c.Response(), c.Request())
		return nil
	}))
	for name, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
		"goroutine": pprof.Handler("goroutine").ServeHTTP, "heap": pprof.Handler("heap").ServeHTTP, "allocs": pprof.Handler("allocs").ServeHTTP,
		"block": pprof.Handler("block").ServeHTTP, "mutex": pprof.Handler("mutex").ServeHTTP,
	} {
		e.GET("/debug/pprof/"+name, s.guarded("report", "cluster", func(c echo.Context) error {
			h(c.Response(), c.Request())
			return nil
		}))
	}
	// The one place of the GUI: everything that is not of the API is its own.
	gui := s.opts.GUI
	e.RouteNotFound("/*", func(c echo.Context) error {
		path := c.Request().URL.Path
		switch {
		case strings.HasPrefix(path, "/v1/") || path == "/v1":
			return fail(c, api.NewProblem(api.CodeNotFound, "there is no such path"))
		case c.Request().Method != http.MethodGet && c.Request().Method != http.MethodHead:
			return fail(c, api.NewProblem(api.CodeMethod, "nothing can be sent here"))
		case gui != nil:
			gui.ServeHTTP(c.Response(), c.Request())
			return nil
		case path == "/":
			return s.page(c, "index.html", map[string]string{"Version": s.opts.Version, "Node": s.opts.Node()})
		}
		return fail(c, api.NewProblem(api.CodeNotFound, "there is no such page"))
	})
}

// guarded lets those through only who have a right.
func (s *Server) guarded(action, object string, h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := callOf(c.Request().Context()).who()
		if err == nil {
			err = s.opts.Door.Require(c.Request().Context(), who, action, object)
		}
		if err != nil {
			return fail(c, err)
		}
		return h(c)
	}
}

func (s *Server) page(c echo.Context, name string, data any) error {
	c.Response().Header().Set("Content-Type", "text/html; charset=utf-8")
	c.Response().WriteHeader(http.StatusOK)
	return templates.ExecuteTemplate(c.Response(), name, data)
}

// ready says whether this node can serve: it knows the state of the cluster and hears
// of changes. It says nothing more to strangers.
func (s *Server) ready(c echo.Context) error {
	v := s.opts.View.Current()
	switch {
	case !v.Known():
		return c.String(http.StatusServiceUnavailable, "not ready: the state of the cluster is not known\n")
	case v.Problem != nil:
		return c.String(http.StatusServiceUnavailable, "not ready: the engine does not answer\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// docOp is an operation as the page shows it.
type docOp struct {
	Method, Path, Text, Description string
	Public                          bool
	Params                          []docParam
	Statuses                        []string
}

type docParam struct{ Name, In, Text string }

type docTag struct {
	Name string
	Ops  []docOp
}

// operations lists the operations by tag, for the page.
func (s *Server) operations() []docTag {
	tags := map[string][]docOp{}
	paths := s.huma.OpenAPI().Paths
	for path, item := range paths {
		for method, o := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if o == nil {
				continue
			}
			d := docOp{Method: method, Path: path, Text: o.Summary, Description: strings.ReplaceAll(o.Description, "`", ""), Public: o.Security != nil && len(o.Security) == 0}
			for _, p := range o.Parameters {
				text := p.Description
				if p.Schema != nil && text == "" {
					text = p.Schema.Description
				}
				d.Params = append(d.Params, docParam{p.Name, p.In, text})
			}
			tags[o.Tags[0]] = append(tags[o.Tags[0]], d)
		}
	}
	var out []docTag
	for _, name := range []string{"session", "state", "streams", "operations", "configuration", "approvals", "audit", "cluster"} {
		slices.SortFunc(tags[name], func(a, b docOp) int {
			if c := strings.Compare(a.Path, b.Path); c != 0 {
				return c
			}
			return strings.Compare(a.Method, b.Method)
		})
		out = append(out, docTag{name, tags[name]})
	}
	return out
}

// Metrics answers /metrics alone, to whoever reaches it: for a listener of its own.
func (s *Server) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{}))
	return mux
}
