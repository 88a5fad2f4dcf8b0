package trial

import (
	"fmt"
	"strings"
	"time"
)

// Step is one thing that the agent was asked.
type Step struct {
	What  string        `json:"what"`            // "start again, while it runs"
	Op    string        `json:"op"`              // the operation
	RC    int           `json:"rc"`              // what the agent returned
	Took  time.Duration `json:"tookNs"`          // how long it took
	Said  string        `json:"said,omitempty"`  // the agent's own reason, or the end of its output
	Fault string        `json:"fault,omitempty"` // what is wrong with that; "" if nothing
}

// Report is what came of a trial.
type Report struct {
	Agent   string   `json:"agent"`
	Version string   `json:"version,omitempty"` // of the agent
	Steps   []Step   `json:"steps"`
	Faults  []string `json:"faults"`          // what is wrong, in words
	Notes   []string `json:"notes,omitempty"` // what is unusual, but nothing that a cluster suffers from
	// Skipped is what was not tried, and why.
	Skipped []string `json:"skipped,omitempty"`
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *Report) skip(text string) {
	r.Skipped = append(r.Skipped, text)
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	for _, s := range r.Steps {
		mark := "ok   "
		if s.Fault != "" {
			mark = "FAULT"
		}
		fmt.Fprintf(&b, "%s  %-52s %3d  %6.2fs\n", mark, s.What, s.RC, s.Took.Seconds())
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s:\n", title)
		}
		for _, l := range lines {
			fmt.Fprintf(&b, "  - %s\n", l)
		}
	}
	list("not tried", r.Skipped)
	list("unusual", r.Notes)
	list("wrong", r.Faults)
	if r.OK() {
		fmt.Fprintf(&b, "%s does what a cluster asks of it\n", r.Agent)
	}
	return b.String()
}

// withReason is the fault of a step with what the agent said.
func withReason(s Step) string {
	if s.Said == "" {
		return s.Fault
	}
	return s.Fault + "; it said: " + s.Said
}

// lastLine is the last line of a text that says something.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
