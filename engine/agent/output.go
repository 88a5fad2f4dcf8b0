package agent

import (
	"slices"
	"strings"
	"sync"

	"github.com/belay-ha/belay/engine/agent/meta"
)

// Bounds on what is kept of an agent's output.
const (
	// CaptureBytes of the end of each stream are searched for exit reasons.
	CaptureBytes = 64 << 10
	// KeepBytes of the end of each stream stand in the result.
	KeepBytes = 4 << 10
)

const (
	exitReasonPrefix   = "ocf-exit-reason:"
	exitReasonMaxBytes = 1024
)

// tail keeps the last limit bytes of what is written to it, or with head the
// first, and counts them all. It grows with what is written, so that the
// many agents that print nothing cost nothing.
type tail struct {
	mu    sync.Mutex
	limit int
	head  bool
	buf   []byte
	total int64
}

// Write never fails: what does not fit is dropped.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	t.total += int64(n)
	if t.head {
		t.buf = append(t.buf, p[:min(n, t.limit-len(t.buf))]...)
		return n, nil
	}
	if n > t.limit {
		p = p[n-t.limit:]
	}
	// Twice the limit before the old half goes: each byte is moved once.
	if len(t.buf)+len(p) > 2*t.limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.limit:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// bytes gives what was kept.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.head && len(t.buf) > t.limit {
		return slices.Clone(t.buf[len(t.buf)-t.limit:])
	}
	return slices.Clone(t.buf)
}

func (t *tail) size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// exitReason finds the last ocf-exit-reason line of an agent's standard error.
func exitReason(stderr string) string {
	reason := ""
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), exitReasonPrefix); ok {
			reason = strings.TrimSpace(text)
		}
	}
	if len(reason) > exitReasonMaxBytes {
		reason = strings.ToValidUTF8(reason[:exitReasonMaxBytes], "")
	}
	return reason
}

// lastBytes cuts a text to its last n bytes, at a line if there is one.
func lastBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	if _, rest, ok := strings.Cut(s, "\n"); ok && rest != "" {
		return rest
	}
	return strings.ToValidUTF8(s, "")
}

// printable makes bytes a text that harms no terminal and no log.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
}

// secretMinBytes: shorter values are left alone, else every "1" of an output
// would go.
const secretMinBytes = 3

// redactor strikes the values of secret parameters and variables out of texts.
func redactor(named []string, given ...map[string]string) *strings.Replacer {
	var values []string
	for _, m := range given {
		for name, v := range m {
			if len(v) >= secretMinBytes && (meta.IsSecret(name) || slices.Contains(named, name)) {
				values = append(values, v)
			}
		}
	}
	// Longest first: one secret may be the beginning of another.
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(values))
	for _, v := range slices.Compact(values) {
		pairs = append(pairs, v, "******")
	}
	return strings.NewReplacer(pairs...)
}
