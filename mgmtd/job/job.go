// Package job knows how far the operations are that the cluster carries out: REST and
// CIM answer with a job where a change goes on after its answer.
package job

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Job is an operation that the cluster carries out. Its id says everything about it,
// so that every node can tell how far it is.
type Job struct {
	ID         string     `json:"-"`
	Action     api.Action `json:"a"`
	Object     string     `json:"o"`
	Generation uint64     `json:"g"`
	Began      int64      `json:"t"` // Unix seconds
	RequestID  string     `json:"r,omitempty"`
	User       string     `json:"-"` // where this node began it
}

// The states of a job.
const (
	Running  = "running"
	Done     = "done"
	NotAsWas = "not-as-wanted" // nothing is left to do, and it is not so
)

// Answer is a job with what has become of it.
type Answer struct {
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

// listMax is how many jobs are listed.
const listMax = 200

// Planner tells what the cluster is about to do.
type Planner interface {
	Plan(ctx context.Context) (*api.PlanSummary, error)
}

// Book lists the newest jobs that this node began. It is safe for concurrent use.
type Book struct {
	view   *view.Holder
	engine Planner

	mu   sync.Mutex
	list []*Job
}

// New returns an empty book.
func New(holder *view.Holder, engine Planner) *Book { return &Book{view: holder, engine: engine} }

// Add notes a change that was made and returns it as a job; that of a dry run is listed
// nowhere.
func (l *Book) Add(ch *api.Change, r *api.ChangeResult, user string, now time.Time) *Job {
	j := &Job{Action: ch.Action, Object: ch.Object, Generation: r.Generation, Began: now.Unix(), RequestID: r.RequestID, User: user}
	b, _ := json.Marshal(j) // strings and numbers
	j.ID = base64.RawURLEncoding.EncodeToString(b)
	if ch.DryRun {
		return j
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, j)
	if len(l.list) > listMax {
		l.list = slices.Delete(l.list, 0, len(l.list)-listMax)
	}
	return j
}

// All lists the jobs, newest last.
func (l *Book) All() []*Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// Parse reads the id of a job.
func Parse(id string) (*Job, error) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	j := &Job{ID: id}
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

// Judge says how far a job is: it runs as long as the cluster has something to do.
func (l *Book) Judge(ctx context.Context, j *Job) Answer {
	out := Answer{ID: j.ID, Action: j.Action, Object: j.Object, State: Running, Generation: j.Generation, Began: time.Unix(j.Began, 0).UTC(), User: j.User}
	v := l.view.Current()
	plan, err := l.engine.Plan(ctx)
	if err != nil || !v.Known() {
		out.Reason = "the engine does not tell now"
		return out
	}
	out.Left = plan.Steps
	if len(plan.Steps) > 0 || len(v.Summary.Actions) > 0 || v.Summary.Cluster.Generation < j.Generation {
		return out
	}
	out.State = Done
	if out.Reason = missed(v.Summary, j); out.Reason != "" {
		out.State = NotAsWas
	}
	return out
}

// missed says what is not as the job wanted it; "" where all is.
func missed(v *status.Summary, j *Job) string {
	_, id, _ := strings.Cut(j.Object, "/")
	switch j.Action {
	case api.ActionStart, api.ActionRestart:
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
		api.ActionConfirm, api.ActionRemoveNode, api.ActionVoter, api.ActionAcknowledge,
		api.ActionTestNotify:
	}
	return ""
}
