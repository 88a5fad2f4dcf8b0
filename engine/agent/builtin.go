package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// Builtin is an agent of class belay: a function in the engine's own process.
// Metadata.Name is its type.
type Builtin struct {
	Metadata *meta.Metadata
	// Run carries out any operation but meta-data and validate-all. ctx ends at
	// the time-out. It must hold to ctx and must not panic.
	Run func(ctx context.Context, q *Request) Answer
}

// Answer is what a built-in agent reports.
type Answer struct {
	RC             int
	Reason         string
	Output         string
	PromotionScore *int
}

func ownBuiltins(stateDir string) []Builtin {
	return []Builtin{
		{Metadata: dummyMetadata(), Run: dummy{stateDir}.run},
		{Metadata: statefulMetadata(), Run: stateful{stateDir}.run},
		{Metadata: processMetadata(), Run: processAgent{stateDir}.run},
	}
}

func (r *Runner) runBuiltin(ctx context.Context, q Request) Result {
	b, ok := r.builtins[q.Agent.Type]
	if !ok {
		return Result{Status: cib.OpNotInstalled, RC: cib.NotInstalled, Reason: "there is no built-in agent " + q.Agent.String()}
	}
	switch q.Op {
	case opMetaData:
		return Result{Status: cib.OpDone, RC: cib.OK, Stdout: string(b.Metadata.Marshal())}
	case opValidateAll:
		return validateBuiltin(b.Metadata, &q)
	}
	if !b.Metadata.HasAction(q.Op) {
		return Result{Status: cib.OpDone, RC: cib.Unimplemented, Reason: q.Agent.String() + " knows no " + q.Op}
	}
	if ctx.Err() != nil {
		return Result{Status: cib.OpCancelled, RC: cib.GenericError, Reason: q.describe() + " was cancelled"}
	}
	if now := r.cfg.Now(); !q.NotAfter.IsZero() && now.After(q.NotAfter) {
		late := now.Sub(q.NotAfter).Round(time.Millisecond)
		return Result{Status: cib.OpNotRun, RC: cib.GenericError, Reason: fmt.Sprintf("%s was not started: its time was over %v ago", q.describe(), late)}
	}
	limit, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	begin := time.Now()
	a := b.Run(limit, &q)
	res := Result{
		Status: cib.OpDone, RC: a.RC, Reason: a.Reason, PromotionScore: a.PromotionScore,
		Started: begin, Ended: time.Now(), Exec: time.Since(begin),
		Stdout: lastBytes(a.Output, KeepBytes), OutputBytes: int64(len(a.Output)),
	}
	// An answer other than failure stands, even if it came at the last moment.
	if a.RC == cib.GenericError && limit.Err() != nil {
		res.Status = cib.OpTimeout
		res.Reason = join(q.describe()+" did not end within "+q.Timeout.String(), a.Reason)
		if errors.Is(ctx.Err(), context.Canceled) {
			res.Status, res.Reason = cib.OpCancelled, join(q.describe()+" was cancelled", a.Reason)
		}
	}
	return res
}

func validateBuiltin(m *meta.Metadata, q *Request) Result {
	res := Result{Status: cib.OpDone, RC: cib.OK}
	for _, f := range m.Validate(q.Params) {
		if f.Kind != meta.Deprecated {
			res.RC, res.Reason = cib.NotConfigured, join(f.Error(), res.Reason)
		}
	}
	return res
}
