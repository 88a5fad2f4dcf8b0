package wbem

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Engine is what the engine is asked for besides changes.
type Engine interface {
	Audit(ctx context.Context, q *api.AuditQuery) (*api.AuditPage, error)
	Token(ctx context.Context, r *api.TokenRequest) (*api.Token, error)
}

// Options are what a service needs.
type Options struct {
	Version string
	Node    func() string // that answers
	URLs    func() []string
	Schemas map[string]*object.Schema // by namespace
	View    *view.Holder
	Door    *change.Door
	Engine  Engine
	Jobs    *job.Book
	// As lets the engine's socket record a request under the caller's name.
	As func(ctx context.Context, a *api.Actor) context.Context
}

// Service makes sessions. It is safe for concurrent use.
type Service struct {
	opts Options

	mu    sync.Mutex
	state *model.State // of the view with number
	of    uint64
}

// New returns a service.
func New(o Options) *Service {
	if o.As == nil {
		o.As = func(ctx context.Context, _ *api.Actor) context.Context { return ctx }
	}
	return &Service{opts: o}
}

// State is the newest state, made once for each view.
func (s *Service) State() (*model.State, error) {
	v := s.opts.View.Current()
	if !v.Known() {
		if v.Problem != nil {
			return nil, problem(v.Problem)
		}
		return nil, object.Errorf(object.Failed, "this node has not read the cluster's state yet")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil || s.of != v.Number {
		var urls []string
		if s.opts.URLs != nil {
			urls = s.opts.URLs()
		}
		s.state = model.New(s.opts.Schemas, model.View{Summary: v.Summary, Config: v.Config, Version: s.opts.Version, URLs: urls})
		s.of = v.Number
	}
	return s.state, nil
}

// Session is one caller; see cim/server, which declares the interface.
type Session struct {
	*Service
	subject *auth.Subject
}

// Session is what a subject sees and changes. It is recorded as coming over CIM.
func (s *Service) Session(subject *auth.Subject) *Session {
	own := *subject
	own.Via = "cim"
	return &Session{Service: s, subject: &own}
}

// User is the caller's name.
func (s *Session) User() string { return s.subject.User }

// Source is what is there now, as far as the caller may see it.
func (s *Session) Source(ctx context.Context) (object.Source, error) {
	state, err := s.State()
	if err != nil {
		return nil, err
	}
	if err := s.opts.Door.Require(ctx, s.subject, "read", "cluster"); err != nil {
		return nil, problem(err)
	}
	recorded := false
	return state.Source(model.Access{
		Node: s.opts.Node(),
		Read: func(what string) error { return problem(s.opts.Door.Require(ctx, s.subject, "read", what)) },
		Jobs: func() ([]model.Job, error) {
			var out []model.Job
			for _, j := range s.opts.Jobs.All() {
				out = append(out, s.job(ctx, j))
			}
			return out, nil
		},
		Job: func(id string) (*model.Job, error) {
			j, err := job.Parse(id)
			if err != nil {
				return nil, nil //nolint:nilerr // there is no such job
			}
			out := s.job(ctx, j)
			return &out, nil
		},
		Audit: func(after uint64, limit int) ([]json.RawMessage, uint64, error) {
			if !recorded { // that the log was read is recorded in it
				if err := s.opts.Door.Record(ctx, s.subject, "read", "audit"); err != nil {
					return nil, 0, problem(err)
				}
				recorded = true
			}
			page, err := s.opts.Engine.Audit(s.opts.As(ctx, s.subject.Actor()), &api.AuditQuery{After: after, Limit: limit})
			if err != nil {
				return nil, 0, problem(err)
			}
			return page.Records, page.Next, nil
		},
	}), nil
}

func (s *Session) job(ctx context.Context, j *job.Job) model.Job {
	a := s.opts.Jobs.Judge(ctx, j)
	return model.Job{
		ID: j.ID, Action: j.Action, Object: j.Object, Generation: j.Generation, RequestID: j.RequestID, User: j.User, Began: a.Began,
		Over: a.State != job.Running, Failed: a.State == job.NotAsWas, Reason: a.Reason,
	}
}

// settleMax bounds how long an answer waits until the change can be seen here.
const settleMax = 3 * time.Second

// change makes a change, and waits until this node shows it: a client goes on with what
// it has just made.
func (s *Session) change(ctx context.Context, ch *api.Change) (*api.ChangeResult, error) {
	out, err := s.opts.Door.Change(ctx, s.subject, ch)
	if err != nil || ch.DryRun {
		return out, err
	}
	late := time.After(settleMax)
	for {
		next := s.opts.View.Next()
		v := s.opts.View.Current()
		if !v.Known() || v.Config.Generation >= out.Generation {
			return out, nil
		}
		select {
		case <-next:
		case <-late:
			return out, nil
		case <-ctx.Done():
			return out, nil
		}
	}
}

// Create makes an instance.
func (s *Session) Create(ctx context.Context, i *object.Instance) (*object.Path, error) {
	state, err := s.State()
	if err != nil {
		return nil, err
	}
	o, err := state.Create(i, s.subject.User)
	if err != nil {
		return nil, err
	}
	if _, err := s.change(ctx, o.Change); err != nil {
		return nil, problem(err)
	}
	return o.Path, nil
}

// Modify changes what is set in an instance.
func (s *Session) Modify(ctx context.Context, i *object.Instance) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	o, err := state.Modify(i)
	if err != nil || o.Change == nil {
		return err
	}
	_, err = s.change(ctx, o.Change)
	return problem(err)
}

// Delete removes an instance.
func (s *Session) Delete(ctx context.Context, path *object.Path) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	o, err := state.Delete(path)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, o.Change)
	return problem(err)
}

// Invoke calls a method. What the engine refuses is a return code where the method has
// one for it; a caller who may not is refused as everywhere else.
func (s *Session) Invoke(ctx context.Context, c *object.Call) (*object.Result, error) {
	state, err := s.State()
	if err != nil {
		return nil, err
	}
	if c.Class.IsA("Belay_Job") && c.Method.Name == "GetError" {
		return s.jobError(ctx, state, c)
	}
	o, err := state.Invoke(c)
	if err != nil {
		return nil, err
	}
	if o.Token != nil {
		return s.joinToken(ctx, c, o.Token)
	}
	if o.Change == nil {
		return c.Out(o.Return, o.Out...), nil
	}
	result, err := s.change(ctx, o.Change)
	if p, ok := errors.AsType[*api.Problem](err); ok {
		if code, ok := returned[p.Code]; ok {
			return c.Out(code), nil
		}
	}
	if err != nil {
		return nil, problem(err)
	}
	if o.Change.DryRun {
		return c.Out(model.ReturnDone), nil
	}
	for _, ch := range o.Then {
		if _, err := s.change(ctx, ch); err != nil {
			e := object.AsError(problem(err))
			return nil, object.Errorf(e.Code, "what stands before is done; %s of %s: %s", ch.Action, ch.Object, e.Text)
		}
	}
	out := o.Out
	j := s.opts.Jobs.Add(o.Change, result, s.subject.User, time.Now())
	if goesOn(o.Change.Action, result) {
		if c.Method.Parameter("Job") != nil {
			return c.Out(model.ReturnJob, append(out, "Job", model.JobPath(j.ID))...), nil
		}
		if beginsJobs(c.Method) {
			return c.Out(model.ReturnJob, out...), nil
		}
	}
	return c.Out(model.ReturnDone, out...), nil
}

// returned are the return codes for what the engine refuses: what a client may want to
// act upon. Everything else is an error of CIM with its text.
var returned = map[string]int{
	api.CodeConflict: model.ReturnConflict, api.CodeNoMatch: model.ReturnConflict, api.CodePlanChanged: model.ReturnConflict,
	api.CodeApproval: model.ReturnApproval, api.CodeInUse: model.ReturnInUse, api.CodeStillAlive: model.ReturnInvalidTransition,
}

// goesOn reports whether a change has more to do than to be written down.
func goesOn(a api.Action, r *api.ChangeResult) bool {
	switch a {
	case api.ActionFence, api.ActionConfirm, api.ActionDrain, api.ActionCleanup, api.ActionRefresh:
		return true
	case api.ActionApply, api.ActionCreate, api.ActionUpdate, api.ActionPatch, api.ActionDelete, api.ActionRollback, api.ActionStart, api.ActionStop, api.ActionRestart, api.ActionMove,
		api.ActionManage, api.ActionUnmanage, api.ActionMaintenanceOn, api.ActionMaintenanceOff, api.ActionStandby, api.ActionOnline, api.ActionRemoveNode, api.ActionVoter, api.ActionAcknowledge,
		api.ActionTestNotify:
	}
	return len(r.Plan.Steps) > 0
}

// beginsJobs reports whether a method may say that it has begun a job. Some of the
// standard's do, and have no parameter to name it.
func beginsJobs(m *object.Method) bool {
	q := m.Qualifiers.Get("ValueMap")
	if q == nil {
		return false
	}
	values, _ := q.Value.([]any)
	return slices.Contains(values, any(strconv.Itoa(model.ReturnJob)))
}

func (s *Session) joinToken(ctx context.Context, c *object.Call, r *api.TokenRequest) (*object.Result, error) {
	if err := s.opts.Door.Require(ctx, s.subject, "join", "cluster"); err != nil {
		return nil, problem(err)
	}
	t, err := s.opts.Engine.Token(s.opts.As(ctx, s.subject.Actor()), r)
	if err != nil {
		return nil, problem(err)
	}
	return c.Out(model.ReturnDone, "Token", t.Token, "Expires", t.Expires.UTC()), nil
}

func (s *Session) jobError(ctx context.Context, state *model.State, c *object.Call) (*object.Result, error) {
	if err := s.opts.Door.Require(ctx, s.subject, "read", "job/*"); err != nil {
		return nil, problem(err)
	}
	id, _ := model.JobOf(c.Path)
	j, err := job.Parse(id)
	if err != nil {
		return nil, problem(err)
	}
	judged := s.job(ctx, j)
	if e := state.JobError(&judged); e != nil {
		return c.Out(model.ReturnDone, "Error", e), nil
	}
	return c.Out(model.ReturnDone), nil
}

// codes are the codes of CIM for the engine's.
var codes = map[string]object.Code{
	api.CodeForbidden: object.AccessDenied, api.CodeLogin: object.AccessDenied, api.CodeNotFound: object.NotFound, api.CodeExists: object.AlreadyExists,
	api.CodeInvalid: object.InvalidParameter, api.CodeBadRequest: object.InvalidParameter, api.CodeTooLarge: object.LimitsExceeded, api.CodeTooMany: object.LimitsExceeded,
	api.CodeMethod: object.NotSupported,
}

// problem is an error with a code of CIM; its text begins with the engine's own code.
func problem(err error) error {
	if err == nil {
		return nil
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	code, ok := codes[p.Code]
	if !ok {
		code = object.Failed
		if p.Status == http.StatusNotFound {
			code = object.NotFound
		}
	}
	return object.Errorf(code, "%s", p.Error())
}
