package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
)

// job is an operation that the cluster carries out. Its id says everything about it,
// so that every node can tell how far it is.
type job struct {
	ID         string     `json:"-"`
	Action     api.Action `json:"a"`
	Object     string     `json:"o"`
	Generation uint64     `json:"g"`
	Began      int64      `json:"t"` // Unix seconds
	user       string
}

// The states of a job.
const (
	jobRunning  = "running"
	jobDone     = "done"
	jobNotAsWas = "not-as-wanted" // nothing is left to do, and it is not so
)

type jobAnswer struct {
	ID         string            `json:"id"`
	Action     api.Action        `json:"action"`
	Object     string            `json:"object"`
	State      string            `json:"state" enum:"running,done,not-as-wanted"`
	Reason     string            `json:"reason,omitempty"`
	Generation uint64            `json:"generation"`
	Began      time.Time         `json:"began"`
	User       string            `json:"user,omitempty"`
	Left       []api.Step        `json:"left,omitempty" doc:"steps that the cluster is about to take"`
	Result     *api.ChangeResult `json:"result,omitempty"`
}

// jobsMax is how many jobs are listed.
const jobsMax = 200

type jobs struct {
	mu   sync.Mutex
	list []*job
}

func newJobs() *jobs { return &jobs{} }

func (l *jobs) add(ch *api.Change, r *api.ChangeResult, user string, now time.Time) *job {
	j := &job{Action: ch.Action, Object: ch.Object, Generation: r.Generation, Began: now.Unix(), user: user}
	b, _ := json.Marshal(j) // strings and numbers
	j.ID = base64.RawURLEncoding.EncodeToString(b)
	if ch.DryRun {
		return j
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, j)
	if len(l.list) > jobsMax {
		l.list = slices.Delete(l.list, 0, len(l.list)-jobsMax)
	}
	return j
}

func (l *jobs) all() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// parseJob reads the id of a job.
func parseJob(id string) (*job, error) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	j := &job{ID: id}
	if err == nil {
		err = json.Unmarshal(b, j)
	}
	known := slices.ContainsFunc(api.Actions, func(a struct {
		Action api.Action
		Text   string
		Risky  bool
	},
	) bool {
		return a.Action == j.Action
	})
	if err != nil || !known || j.Began <= 0 {
		return nil, api.NewProblem(api.CodeNotFound, "there is no such job")
	}
	return j, nil
}

// judgeJob says how far a job is: it runs as long as the cluster has something to do.
func (s *Server) judgeJob(ctx context.Context, j *job) jobAnswer {
	out := jobAnswer{ID: j.ID, Action: j.Action, Object: j.Object, State: jobRunning, Generation: j.Generation, Began: time.Unix(j.Began, 0).UTC(), User: j.user}
	v := s.opts.View.Current()
	plan, err := s.opts.Engine.Plan(ctx)
	if err != nil || !v.Known() {
		out.Reason = "the engine does not tell now"
		return out
	}
	out.Left = plan.Steps
	if len(plan.Steps) > 0 || len(v.Summary.Actions) > 0 || v.Summary.Cluster.Generation < j.Generation {
		return out
	}
	out.State = jobDone
	if out.Reason = missed(v.Summary, j); out.Reason != "" {
		out.State = jobNotAsWas
	}
	return out
}

// missed says what is not as the job wanted it; "" where all is.
func missed(v *status.Summary, j *job) string {
	_, id, _ := strings.Cut(j.Object, "/")
	switch j.Action {
	case api.ActionStart:
		if r := v.Resource(id); r != nil && r.Active == 0 {
			return strings.TrimRight("the resource does not run: "+r.Reason, ": ")
		}
	case api.ActionStop:
		if r := v.Resource(id); r != nil && r.Active > 0 {
			return strings.TrimRight("the resource still runs: "+r.Reason, ": ")
		}
	case api.ActionStandby, api.ActionDrain:
		if n := v.Node(id); n != nil && n.Running > 0 {
			return "resources still run on the node"
		}
	case api.ActionApply, api.ActionCreate, api.ActionUpdate, api.ActionPatch, api.ActionDelete, api.ActionRollback, api.ActionMove, api.ActionManage,
		api.ActionUnmanage, api.ActionMaintenanceOn, api.ActionMaintenanceOff, api.ActionOnline, api.ActionCleanup, api.ActionRefresh, api.ActionFence,
		api.ActionConfirm, api.ActionRemoveNode, api.ActionVoter:
	}
	return ""
}

func (s *Server) jobRoutes() {
	register(s, op{method: http.MethodGet, path: "/v1/jobs", id: "listJobs", tag: "operations", text: "The newest jobs that this node began, newest last", action: "read", object: "job/*"},
		func(ctx context.Context, _ *call, _ *none) (*body[[]jobAnswer], error) {
			out := []jobAnswer{}
			for _, j := range s.jobs.all() {
				out = append(out, s.judgeJob(ctx, j))
			}
			return &body[[]jobAnswer]{out}, nil
		})
	register(s, op{method: http.MethodGet, path: "/v1/jobs/{id}", id: "getJob", tag: "operations", text: "How far a job is; every node knows", action: "read", object: "job/*"},
		func(ctx context.Context, _ *call, in *struct {
			ID string `path:"id" maxLength:"1000"`
		},
		) (*body[jobAnswer], error) {
			j, err := parseJob(in.ID)
			if err != nil {
				return nil, err
			}
			return &body[jobAnswer]{s.judgeJob(ctx, j)}, nil
		})
}
