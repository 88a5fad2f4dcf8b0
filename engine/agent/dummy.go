package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// dummy is belay:dummy: a resource that is nothing but a file. It exists for
// tests and demonstrations, and can be told to fail.
type dummy struct{ stateDir string }

// stateful is belay:stateful: a dummy with a promoted role.
type stateful struct{ stateDir string }

// Promotion scores as those of Pacemaker's Stateful agent.
const (
	scoreUnpromoted = 5
	scorePromoted   = 10
)

func dummyMetadata() *meta.Metadata {
	return &meta.Metadata{
		Kind: meta.Resource, Name: "dummy", Version: "1.0", APIVersion: "1.1",
		ShortDesc: "A resource that does nothing, for tests",
		LongDesc: "Keeps a file as long as it is started. It runs inside the engine and starts no process. " +
			"The parameters make it slow, make it fail, or make it claim what it did not do.",
		Parameters: append([]meta.Parameter{
			{Name: "state", Type: meta.String, Unique: true, ShortDesc: "File that stands for the running service; default: in the engine's state directory"},
			{Name: "fake", Type: meta.String, Reloadable: true, ShortDesc: "Has no effect; a change of it needs no restart"},
		}, faultParameters()...),
		Actions: []meta.Action{
			{Name: cib.OpStart, Timeout: 20 * time.Second},
			{Name: cib.OpStop, Timeout: 20 * time.Second},
			{Name: cib.OpMonitor, Timeout: 20 * time.Second, Interval: 10 * time.Second},
			{Name: cib.OpReload, Timeout: 20 * time.Second},
			{Name: "reload", Timeout: 20 * time.Second},
			{Name: cib.OpMigrateTo, Timeout: 20 * time.Second},
			{Name: cib.OpMigrateFrom, Timeout: 20 * time.Second},
			{Name: cib.OpNotify, Timeout: 20 * time.Second},
			{Name: opValidateAll, Timeout: 5 * time.Second},
			{Name: opMetaData, Timeout: 5 * time.Second},
		},
	}
}

func statefulMetadata() *meta.Metadata {
	m := dummyMetadata()
	m.Name, m.ShortDesc = "stateful", "A promotable resource that does nothing, for tests"
	m.Parameters = slices.Insert(m.Parameters, 1, meta.Parameter{
		Name: "score", Type: meta.Integer, HasDefault: true, Default: strconv.Itoa(scoreUnpromoted), Reloadable: true,
		ShortDesc: "Promotion score of an unpromoted instance; a promoted one has 5 more",
	})
	m.Actions = slices.DeleteFunc(m.Actions, func(a meta.Action) bool {
		return a.Name == cib.OpMonitor || a.Name == cib.OpMigrateTo || a.Name == cib.OpMigrateFrom
	})
	m.Actions = append(
		m.Actions,
		meta.Action{Name: cib.OpPromote, Timeout: 20 * time.Second},
		meta.Action{Name: cib.OpDemote, Timeout: 20 * time.Second},
		meta.Action{Name: cib.OpMonitor, Timeout: 20 * time.Second, Interval: 10 * time.Second, Role: "Promoted"},
		meta.Action{Name: cib.OpMonitor, Timeout: 20 * time.Second, Interval: 11 * time.Second, Role: "Unpromoted"},
	)
	return m
}

// faultParameters make a dummy misbehave.
func faultParameters() []meta.Parameter {
	return []meta.Parameter{
		{Name: "delay", Type: meta.String, ShortDesc: `How long operations take: "2s", or for some of them "start:2s monitor:100ms"`},
		{Name: "fail_op", Type: meta.String, ShortDesc: `Operations that fail, with the return code: "start", "monitor:7 stop:1"`},
		{Name: "fail_times", Type: meta.Integer, ShortDesc: "How often they fail before they succeed on a node; default: always"},
		{Name: "fail_on", Type: meta.String, ShortDesc: "Nodes where they fail; default: all"},
		{Name: "lie", Type: meta.String, ShortDesc: "Operations that report success and do nothing"},
	}
}

func (d dummy) run(ctx context.Context, q *Request) Answer {
	f := dummyFile(d.stateDir, q)
	if a, over := misbehave(ctx, q, f); over {
		return a
	}
	switch q.Op {
	case cib.OpStart, cib.OpMigrateFrom:
		return answer(writeDummy(f, "started"))
	case cib.OpStop, cib.OpMigrateTo:
		return answer(removeDummy(f))
	case cib.OpMonitor:
		if _, running, err := readDummy(f); err != nil || !running {
			return notRunning(err)
		}
	}
	return Answer{RC: cib.OK}
}

func (d stateful) run(ctx context.Context, q *Request) Answer {
	f := dummyFile(d.stateDir, q)
	if a, over := misbehave(ctx, q, f); over {
		return a
	}
	score := scoreUnpromoted
	if s := q.Params["score"]; s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return Answer{RC: cib.NotConfigured, Reason: "parameter score: " + strconv.Quote(s) + " is no number"}
		}
		score = n
	}
	const promoted, unpromoted = "promoted", "unpromoted"
	promotedScore := score + scorePromoted - scoreUnpromoted
	role, running, err := readDummy(f)
	if err != nil {
		return answer(err)
	}
	switch q.Op {
	case cib.OpStart:
		return scored(score, writeDummy(f, unpromoted))
	case cib.OpPromote:
		if !running {
			return notRunning(nil)
		}
		return scored(promotedScore, writeDummy(f, promoted))
	case cib.OpDemote:
		if !running {
			return notRunning(nil)
		}
		return scored(score, writeDummy(f, unpromoted))
	case cib.OpStop:
		return answer(removeDummy(f))
	case cib.OpMonitor:
		switch {
		case !running:
			return notRunning(nil)
		case role == promoted:
			return Answer{RC: cib.RunningPromoted, PromotionScore: &promotedScore}
		}
		return Answer{RC: cib.OK, PromotionScore: &score}
	}
	return Answer{RC: cib.OK}
}

func answer(err error) Answer {
	if err != nil {
		return Answer{RC: cib.GenericError, Reason: err.Error()}
	}
	return Answer{RC: cib.OK}
}

func scored(score int, err error) Answer {
	a := answer(err)
	if err == nil {
		a.PromotionScore = &score
	}
	return a
}

func notRunning(err error) Answer {
	if err != nil {
		return answer(err)
	}
	return Answer{RC: cib.NotRunning}
}

// misbehave does what the fault parameters ask for, and says whether the
// operation is over with that.
func misbehave(ctx context.Context, q *Request, file string) (Answer, bool) {
	wait, err := delayOf(q)
	if err != nil {
		return Answer{RC: cib.NotConfigured, Reason: err.Error()}, true
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return Answer{RC: cib.GenericError, Reason: "the delay was cut short"}, true
		}
	}
	if rc, fails, err := failureOf(q, file); err != nil || fails {
		if err != nil {
			return Answer{RC: cib.NotConfigured, Reason: err.Error()}, true
		}
		return Answer{RC: rc, Reason: "told to fail by parameter fail_op"}, true
	}
	if slices.Contains(words(q.Params["lie"]), q.Op) {
		return Answer{RC: cib.OK, Reason: "told to lie by parameter lie"}, true
	}
	return Answer{}, false
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' })
}

func delayOf(q *Request) (time.Duration, error) {
	for _, w := range words(q.Params["delay"]) {
		op, text, ok := strings.Cut(w, ":")
		if !ok {
			op, text = q.Op, w
		}
		d, err := meta.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("parameter delay: %w", err)
		}
		if op == q.Op {
			return d, nil
		}
	}
	return 0, nil
}

func failureOf(q *Request, file string) (rc int, fails bool, err error) {
	for _, w := range words(q.Params["fail_op"]) {
		op, text, ok := strings.Cut(w, ":")
		rc = cib.GenericError
		if ok {
			if rc, err = strconv.Atoi(text); err != nil {
				return 0, false, fmt.Errorf("parameter fail_op: %q is no return code", text)
			}
		}
		if op != q.Op {
			continue
		}
		if on := words(q.Params["fail_on"]); len(on) > 0 && !slices.Contains(on, q.Node) {
			return 0, false, nil
		}
		again, err := countDown(q, file)
		return rc, again && err == nil, err
	}
	return 0, false, nil
}

// countDown says whether a failure is still due, and counts it.
func countDown(q *Request, file string) (bool, error) {
	times := q.Params["fail_times"]
	if times == "" {
		return true, nil
	}
	most, err := strconv.Atoi(times)
	if err != nil {
		return false, fmt.Errorf("parameter fail_times: %q is no number", times)
	}
	name := file + "." + q.Op + ".failed"
	raw, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	done, _ := strconv.Atoi(string(raw))
	if done >= most {
		return false, nil
	}
	return true, writeDummy(name, strconv.Itoa(done+1))
}

// instanceFile is where a built-in agent keeps the state of an instance.
func instanceFile(stateDir, agent, instance string) string {
	return filepath.Join(stateDir, agent, url.PathEscape(instance))
}

func dummyFile(stateDir string, q *Request) string {
	if f := q.Params["state"]; f != "" {
		return f
	}
	return instanceFile(stateDir, q.Agent.Type, q.Instance)
}

func writeDummy(file, state string) error {
	err := os.WriteFile(file, []byte(state), 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, []byte(state), 0o600)
		}
	}
	return err
}

func readDummy(file string) (state string, running bool, err error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return strings.TrimSpace(string(raw)), err == nil, err
}

func removeDummy(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
