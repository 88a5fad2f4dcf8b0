package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/graph"
)

// answerMaxBytes bounds what a placement program may write.
const answerMaxBytes = 16 << 20

// RunPlacement asks an external placement program: the question goes to its
// standard input, its answer is read from its standard output, both as JSON. It is
// ended after the time-out.
func (r *Runner) RunPlacement(ctx context.Context, program string, q graph.Question, timeout time.Duration) (*graph.Answer, error) {
	in, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write the question to %s: %w", program, err)
	}
	out := r.run(ctx, command{
		path: program, stdin: in, timeout: timeout, wholeStdout: answerMaxBytes, env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		record: record{Agent: program, Op: "placement"},
	})
	switch {
	case out.how == timedOut:
		return nil, fmt.Errorf("%s did not answer within %s", program, timeout)
	case out.how != exited:
		return nil, fmt.Errorf("run %s: %w", program, out.err)
	case out.code != 0:
		return nil, fmt.Errorf("%s ended with %d: %s", program, out.code, strings.TrimSpace(string(out.stderr.bytes())))
	}
	var a graph.Answer
	if err := json.Unmarshal(out.stdout.bytes(), &a); err != nil {
		return nil, fmt.Errorf("the answer of %s is not understood: %w", program, err)
	}
	if a.Scores == nil {
		return nil, errors.New("the answer of " + program + " has no scores")
	}
	return &a, nil
}
