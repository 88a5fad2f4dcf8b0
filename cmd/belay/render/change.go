package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Changes shows documents before and after as YAML, line by line.
func Changes(changes []cib.Changed, st Style) string {
	var b strings.Builder
	for _, ch := range changes {
		mark, tn := "~", warn
		switch {
		case ch.Before == nil:
			mark, tn = "+", good
		case ch.After == nil:
			mark, tn = "-", bad
		}
		fmt.Fprintf(&b, "%s\n", st.paint(tn, mark+" "+strings.TrimPrefix(ch.Key, cib.KeyConfig)))
		for _, l := range lines(document(ch.Before), document(ch.After)) {
			tn := plain
			switch l[0] {
			case '+':
				tn = good
			case '-':
				tn = bad
			}
			fmt.Fprintf(&b, "    %s\n", st.paint(tn, l))
		}
	}
	return b.String()
}

func document(doc json.RawMessage) []string {
	if doc == nil {
		return nil
	}
	b, err := yaml.JSONToYAML(doc)
	if err != nil {
		return []string{string(doc)}
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

// linesMax limits the table of the comparison; above it documents are shown whole.
const linesMax = 2000

// lines compares two lists of lines: what is only in the first is marked "-",
// only in the second "+".
func lines(a, b []string) []string {
	var out []string
	if len(a) > linesMax || len(b) > linesMax {
		a, b = append([]string{fmt.Sprintf("(%d lines)", len(a))}, a[:min(len(a), linesMax)]...), b[:min(len(b), linesMax)]
	}
	// longest[i][j] is the longest common subsequence of a[i:] and b[j:].
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if x == y {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

// Plan shows what will be done, and in which order.
func Plan(p *api.PlanSummary, st Style) string {
	if len(p.Steps) == 0 {
		return "nothing to do\n"
	}
	var b strings.Builder
	for _, x := range []struct {
		what  string
		tone  tone
		names []string
	}{
		{"starts", good, p.Start},
		{"stops", bad, p.Stop},
		{"moves", warn, p.Move},
		{"restarts", warn, p.Restart},
		{"is fenced", bad, p.Fence},
		{"loses redundancy", warn, p.Degraded},
	} {
		for _, n := range x.names {
			fmt.Fprintf(&b, "  %s %s\n", st.paint(x.tone, fmt.Sprintf("%-9s", x.what)), n)
		}
	}
	if p.Downtime > 0 {
		fmt.Fprintf(&b, "  about %s without service, going by the last times\n", short(p.Downtime))
	}
	t := table{header: []string{"STEP", "ACTION", "AFTER", "STATE", "BECAUSE"}, right: map[int]bool{0: true}}
	for _, s := range p.Steps {
		state := s.State
		if state == "waiting" {
			state = ""
		}
		t.row(cell{fmt.Sprint(s.Number + 1), dim}, cell{s.Text, strong}, cell{after(s.After), dim}, cell{state, warn}, cell{Why(s.Why), dim})
	}
	section(&b, t.render(st))
	return b.String()
}

func after(steps []int) string {
	var out []string
	for i, n := range steps {
		if i == 6 {
			out = append(out, "...")
			break
		}
		out = append(out, fmt.Sprint(n+1))
	}
	return strings.Join(out, " ")
}

// Result shows what a change did, or with dry would do.
func Result(r *api.ChangeResult, dry bool, st Style) string {
	var b strings.Builder
	section(&b, Changes(r.Changes, st))
	if w := Warnings(r.Warnings, st); w != "" {
		section(&b, w)
	}
	if dry {
		section(&b, st.paint(strong, "plan")+"\n"+Plan(&r.Plan, st))
	}
	return b.String()
}

// Warnings lists what is allowed but probably not meant.
func Warnings(faults []api.Fault, st Style) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "%s %s\n", st.paint(warn, "warning:"), strings.TrimPrefix(f.Path+": "+f.Text, ": "))
	}
	return b.String()
}

// History is the table of generations, newest last.
func History(h []api.GenerationInfo, st Style) string {
	t := table{header: []string{"GENERATION", "TIME", "WHO", "ACTION", "OBJECT", "CHANGED"}, right: map[int]bool{0: true}}
	for _, g := range h {
		keys := g.Keys
		if len(keys) > 4 {
			keys = append(slices.Clone(keys[:4]), fmt.Sprintf("and %d more", len(g.Keys)-4))
		}
		t.row(cell{fmt.Sprint(g.Generation), strong}, cell{st.stamp(g.Time, toSecond), dim}, cell{g.Actor, plain}, cell{g.Action, plain}, cell{g.Object, plain}, cell{strings.Join(keys, " "), dim})
	}
	return t.render(st)
}

// Explanation says why a resource is where it is, and why not elsewhere.
func Explanation(x *graph.Explanation, st Style) string {
	var b strings.Builder
	for i := range x.Instances {
		in := &x.Instances[i]
		place := "nowhere"
		if in.Node != "" {
			place = "on " + in.Node + " as " + in.Role.String()
		}
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s belongs %s", st.paint(strong, in.Instance), st.paint(good, place))
		if why := Why(in.Why); why != "" {
			fmt.Fprintf(&b, ": %s", why)
		}
		b.WriteString("\n")
		if why := Why(in.NotPromoted); why != "" {
			fmt.Fprintf(&b, "not promoted: %s\n", why)
		}
		if in.Blocked != "" {
			fmt.Fprintf(&b, "%s %s\n", st.paint(bad, "blocked:"), in.Blocked)
		}
		t := table{header: []string{"NODE", "SCORE", "RULE", "ADDS", "BECAUSE"}, right: map[int]bool{1: true, 3: true}, indent: "  "}
		for _, n := range in.Nodes {
			tn := plain
			switch {
			case n.Score < 0:
				tn = bad
			case n.Node == in.Node:
				tn = good
			}
			if len(n.Parts) == 0 {
				t.row(cell{n.Node, strong}, cell{n.Score.String(), tn})
			}
			for j, p := range n.Parts {
				name, score := cell{n.Node, strong}, cell{n.Score.String(), tn}
				if j > 0 {
					name, score = cell{}, cell{}
				}
				t.row(name, score, cell{p.Rule, dim}, cell{p.Score.String(), plain}, cell{p.Text, plain})
			}
		}
		b.WriteString(t.render(st))
	}
	return b.String()
}

// Event writes an event in one line.
func Event(e *cib.Event, st Style) string {
	severity := e.Severity.String()
	if e.Severity == cib.SeverityIndeterminate {
		severity = "info" // ITU's word for it tells nobody anything
	}
	return fmt.Sprintf("%s %s %s %s\n", st.paint(dim, st.stamp(e.Time, toMilli)),
		st.paint(severityTone(e.Severity), fmt.Sprintf("%-8s", severity)), e.Code, e.Text)
}

// Local shows a node as its own engine sees it.
func Local(l *api.Local, st Style) string {
	var b strings.Builder
	validity, tn := "no", bad
	if l.Valid {
		validity, tn = "yes, for "+l.ValidFor.Round(time.Millisecond).String(), good
	}
	for _, x := range []struct {
		name string
		text string
		tone tone
	}{
		{"node", l.Node, strong},
		{"cluster", l.Cluster, plain},
		{"version", l.Version, plain},
		{"may act", validity, tn},
		{"quorum", l.Quorum, plain},
		{"DC", l.DC, plain},
		{"hears", strings.Join(l.Alive, " "), plain},
		{"store", map[bool]string{true: "answers", false: "does not answer"}[l.StoreOK] + ", " + Span(l.SnapshotAge) + " ago", plain},
		{"log level", l.LogLevel, plain},
	} {
		if x.text != "" {
			fmt.Fprintf(&b, "%s %s\n", st.paint(dim, fmt.Sprintf("%-10s", x.name)), st.paint(x.tone, x.text))
		}
	}
	return b.String()
}

// Problem says what went wrong, what it means and what to do.
func Problem(p *api.Problem, st Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", st.paint(bad, "belay:"), p.Detail, st.paint(dim, "("+p.Code+")"))
	for _, f := range p.Faults {
		if f.Path == "" {
			fmt.Fprintf(&b, "  %s\n", f.Text)
		} else {
			fmt.Fprintf(&b, "  %s: %s\n", st.paint(strong, f.Path), f.Text)
		}
	}
	if p.Remedy != "" {
		fmt.Fprintf(&b, "%s %s\n", st.paint(dim, st.symbol("→", "->")), p.Remedy)
	}
	return b.String()
}
