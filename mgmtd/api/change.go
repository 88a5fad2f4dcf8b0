package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/view"
)

// ChangeQuery is what every change of the configuration takes.
type ChangeQuery struct {
	DryRun    bool   `query:"dryRun" doc:"validate and simulate, change nothing"`
	PlanToken string `query:"planToken" maxLength:"200" doc:"of a dry run: refused where the plan is no longer that one"`
	Force     bool   `query:"force" doc:"do it although a warning stands against it"`
	ChangeRef string `query:"changeRef" maxLength:"200" doc:"number of the ticket, for the audit log"`
}

func (q *ChangeQuery) fill(ch *api.Change) *api.Change {
	ch.DryRun, ch.PlanToken, ch.Force, ch.ChangeRef = q.DryRun, q.PlanToken, q.Force, q.ChangeRef
	return ch
}

// Match says which configuration a change is about.
type Match struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"the ETag of what was read; * for whatever it is now"`
}

// generation is the generation that the caller has seen.
func (m *Match) generation() (uint64, error) {
	text := strings.Trim(strings.TrimPrefix(strings.TrimSpace(m.IfMatch), "W/"), `"`)
	switch text {
	case "":
		return 0, api.NewProblem(api.CodeNeedMatch, "the request does not say which configuration it is about")
	case "*":
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, api.NewProblem(api.CodeBadRequest, "If-Match is not the ETag of a configuration")
	}
	return n, nil
}

type changed struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     *api.ChangeResult
}

// do makes a change for the caller.
func (s *Server) do(ctx context.Context, k *call, ch *api.Change) (*changed, error) {
	if ch.RequestID == "" {
		ch.RequestID = k.key // the same key is one change on whatever node
	}
	out, err := s.opts.Door.Change(ctx, k.subject, ch)
	if err != nil {
		return nil, err
	}
	return &changed{ETag: strconv.Quote(strconv.FormatUint(out.Generation, 10)), Body: out}, nil
}

// matched is do on the configuration that the caller has seen: another one is 412.
func (s *Server) matched(ctx context.Context, k *call, m *Match, ch *api.Change) (*changed, error) {
	n, err := m.generation()
	if err != nil && !ch.DryRun {
		return nil, err
	}
	ch.ExpectedGeneration = n
	out, err := s.do(ctx, k, ch)
	if p, ok := errorAs(err); ok && p.Code == api.CodeConflict && n != 0 {
		return nil, api.NewProblem(api.CodeNoMatch, p.Detail)
	}
	return out, err
}

// ObjectPath names a document of the configuration.
type ObjectPath struct {
	Kind Kind   `path:"kind"`
	ID   string `path:"id" maxLength:"200"`
}

func (o *ObjectPath) object() string { return string(o.Kind) + "/" + o.ID }

type configItem struct {
	Kind     Kind            `json:"kind"`
	ID       string          `json:"id"`
	Document json.RawMessage `json:"document"`
}

// configRoutes are the reads of documents of the configuration.
func (s *Server) configRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/config/{kind}", id: "listConfig", tag: "configuration", text: "The documents of one kind", action: "read", object: "{kind}/*"},
		func(_ context.Context, _ *call, in *struct {
			Page
			Kind Kind `path:"kind"`
		},
		) (*tagged[listAnswer[configItem]], error) {
			return show(s, &in.Conditional, generationTag, func(v *view.View) (listAnswer[configItem], error) {
				docs := s.documentsOf(v, string(in.Kind))
				rows := make([]configItem, 0, len(docs))
				for id, d := range docs {
					rows = append(rows, configItem{in.Kind, id, d})
				}
				out, err := paginate(rows, &in.Page, row[configItem]{key: func(c *configItem) string { return c.ID }})
				out.Revision = v.Summary.Revision
				return out, err
			})
		})
	register(s, op{method: http.MethodGet, path: "/v1/config/{kind}/{id}", id: "getConfig", tag: "configuration", text: "One document", action: "read", object: "{kind}/*"},
		func(_ context.Context, _ *call, in *struct {
			Conditional
			ObjectPath
		},
		) (*tagged[json.RawMessage], error) {
			return show(s, &in.Conditional, generationTag, func(v *view.View) (json.RawMessage, error) {
				docs := s.documentsOf(v, string(in.Kind))
				d, ok := docs[in.ID]
				if !ok {
					return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no %s %q", in.Kind, in.ID))
				}
				return d, nil
			})
		})
}

// changeRoutes are the changes of the configuration.
func (s *Server) changeRoutes() {
	register(s, op{method: http.MethodPost, path: "/v1/change", id: "change", tag: "configuration", text: "Make any change; what the engine's socket takes"},
		func(ctx context.Context, k *call, in *struct{ Body api.Change }) (*changed, error) {
			if in.Body.Actor != nil {
				return nil, api.NewProblem(api.CodeBadRequest, "body.actor: who you are is known from the log-in")
			}
			return s.do(ctx, k, &in.Body)
		})
	type whole struct {
		ChangeQuery
		Match
		Body anyDocument
	}
	apply := func(merge bool) func(context.Context, *call, *whole) (*changed, error) {
		return func(ctx context.Context, k *call, in *whole) (*changed, error) {
			value, err := json.Marshal(in.Body)
			if err != nil {
				return nil, err
			}
			return s.matched(ctx, k, &in.Match, in.fill(&api.Change{Action: api.ActionApply, Object: "cluster", Merge: merge, Value: value}))
		}
	}
	register(s, op{method: http.MethodPut, path: "/v1/config", id: "replaceConfig", tag: "configuration", text: "Replace the whole configuration"}, apply(false))
	register(s, op{method: http.MethodPatch, path: "/v1/config", id: "mergeConfig", tag: "configuration", text: "Change what the document names, keep the rest"}, apply(true))

	type document struct {
		ChangeQuery
		Match
		ObjectPath
		Body anyDocument
	}
	edit := func(action api.Action) func(context.Context, *call, *document) (*changed, error) {
		return func(ctx context.Context, k *call, in *document) (*changed, error) {
			value, err := json.Marshal(in.Body)
			if err != nil {
				return nil, err
			}
			ch := in.fill(&api.Change{Action: action, Object: in.object(), Value: value})
			if action == api.ActionCreate {
				out, err := s.do(ctx, k, ch)
				if err == nil {
					out.Location = "/v1/config/" + in.object()
				}
				return out, err
			}
			return s.matched(ctx, k, &in.Match, ch)
		}
	}
	path := "/v1/config/{kind}/{id}"
	register(s, op{method: http.MethodPost, path: path, id: "createConfig", tag: "configuration", text: "Create a document", status: http.StatusCreated}, edit(api.ActionCreate))
	register(s, op{method: http.MethodPut, path: path, id: "updateConfig", tag: "configuration", text: "Replace a document"}, edit(api.ActionUpdate))
	register(s, op{method: http.MethodPatch, path: path, id: "patchConfig", tag: "configuration", text: "Change fields of a document (RFC 7396)"}, edit(api.ActionPatch))
	register(s, op{method: http.MethodDelete, path: path, id: "deleteConfig", tag: "configuration", text: "Delete a document", status: http.StatusOK},
		func(ctx context.Context, k *call, in *struct {
			ChangeQuery
			Match
			ObjectPath
		},
		) (*changed, error) {
			return s.matched(ctx, k, &in.Match, in.fill(&api.Change{Action: api.ActionDelete, Object: in.object()}))
		})
	register(s, op{method: http.MethodPost, path: "/v1/history/{n}/actions/rollback", id: "rollback", tag: "configuration", text: "Return to an earlier configuration"},
		func(ctx context.Context, k *call, in *struct {
			ChangeQuery
			Match
			N uint64 `path:"n"`
		},
		) (*changed, error) {
			return s.matched(ctx, k, &in.Match, in.fill(&api.Change{Action: api.ActionRollback, Object: fmt.Sprintf("generation/%d", in.N)}))
		})
}

// actionsOf are the operations on an object that are no edit of its document, by the
// noun in the path.
var actionsOf = map[string][]api.Action{
	"alarms":  {api.ActionAcknowledge},
	"cluster": {api.ActionMaintenanceOn, api.ActionMaintenanceOff, api.ActionTestNotify},
	"resources": {
		api.ActionStart, api.ActionStop, api.ActionRestart, api.ActionMove, api.ActionManage, api.ActionUnmanage, api.ActionMaintenanceOn, api.ActionMaintenanceOff,
		api.ActionCleanup, api.ActionRefresh,
	},
	"nodes": {
		api.ActionStandby, api.ActionOnline, api.ActionMaintenanceOn, api.ActionMaintenanceOff, api.ActionCleanup, api.ActionFence, api.ActionConfirm,
		api.ActionRemoveNode, api.ActionDrain, api.ActionVoter,
	},
}

type accepted struct {
	Status   int    // 200 where nothing is begun
	Location string `header:"Location"`
	Body     job.Answer
}

// actionRoutes are the operations on objects. They are begun here, and the cluster
// carries them out: the answer names the job to look at.
func (s *Server) actionRoutes() {
	texts := map[api.Action]string{}
	for _, a := range api.Actions {
		texts[a.Action] = a.Text
	}
	for _, noun := range []string{"alarms", "cluster", "nodes", "resources"} {
		for _, action := range actionsOf[noun] {
			path, kind := "/v1/"+noun+"/{id}/actions/"+string(action), strings.TrimSuffix(noun, "s")
			id := string(action) + strings.ToUpper(kind[:1]) + kind[1:]
			if noun == "cluster" {
				path = "/v1/cluster/actions/" + string(action)
			}
			o := op{
				method: http.MethodPost, path: path, id: id, tag: "operations", text: "To " + texts[action], status: http.StatusAccepted,
				describe: func(d *huma.Operation) {
					d.Description = "Needs the right to `" + string(action) + "` it. With `dryRun` nothing is begun: the answer is 200, and names no job."
				},
			}
			do := actionHandler(s, action)
			if noun == "cluster" {
				register(s, o, func(ctx context.Context, k *call, in *ActionInput) (*accepted, error) {
					return do(ctx, k, in, "cluster")
				})
				continue
			}
			register(s, o, func(ctx context.Context, k *call, in *actionIDInput) (*accepted, error) {
				return do(ctx, k, &in.ActionInput, kind+"/"+in.ID)
			})
		}
	}
	s.jobRoutes()
}

// ActionInput is the input of an operation on an object.
type ActionInput struct {
	ChangeQuery
	Body *anyDocument `required:"false" doc:"as the value of the action: {\"node\": \"n2\"} for move, {\"op\": \"off\"} for fence"`
}

type actionIDInput struct {
	ActionInput
	Named
}

func actionHandler(s *Server, action api.Action) func(context.Context, *call, *ActionInput, string) (*accepted, error) {
	return func(ctx context.Context, k *call, in *ActionInput, object string) (*accepted, error) {
		ch := in.fill(&api.Change{Action: action, Object: object})
		if in.Body != nil {
			value, err := json.Marshal(*in.Body)
			if err != nil {
				return nil, err
			}
			ch.Value = value
		} else if action == api.ActionMove {
			ch.Value = json.RawMessage("{}")
		}
		out, err := s.do(ctx, k, ch)
		if err != nil {
			return nil, err
		}
		if ch.DryRun {
			return &accepted{Status: http.StatusOK, Body: job.Answer{
				Action: action, Object: object, State: job.Done, Generation: out.Body.Generation, Began: s.now().UTC(), User: k.subject.User, Result: out.Body,
			}}, nil
		}
		j := s.jobs.Add(ch, out.Body, k.subject.User, s.now())
		answer := s.jobs.Judge(ctx, j)
		answer.Result = out.Body
		return &accepted{Status: http.StatusAccepted, Location: "/v1/jobs/" + j.ID, Body: answer}, nil
	}
}
