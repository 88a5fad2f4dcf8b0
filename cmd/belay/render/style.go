package render

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// Style says what a terminal can show.
type Style struct {
	Color   bool           // ANSI colours
	Unicode bool           // symbols beyond ASCII
	Width   int            // columns; 0: as wide as needed
	Zone    *time.Location // of times; nil: UTC
}

// stamp writes a time.
func (s Style) stamp(t time.Time, layout string) string {
	if s.Zone == nil {
		return t.UTC().Format(layout)
	}
	return t.In(s.Zone).Format(layout)
}

const (
	toSecond = "2006-01-02 15:04:05"
	toMilli  = "2006-01-02 15:04:05.000"
)

// tone is the meaning of a colour.
type tone uint8

const (
	plain tone = iota
	good
	warn
	bad
	dim
	strong
)

var ansi = map[tone]string{good: "\x1b[32m", warn: "\x1b[33m", bad: "\x1b[31;1m", dim: "\x1b[2m", strong: "\x1b[1m"}

// paint colours a text.
func (s Style) paint(t tone, text string) string {
	if !s.Color || t == plain || text == "" {
		return text
	}
	return ansi[t] + text + "\x1b[0m"
}

// symbol returns the first where the terminal can show it, else the second.
func (s Style) symbol(unicode, ascii string) string {
	if s.Unicode {
		return unicode
	}
	return ascii
}

// cell is one cell of a table.
type cell struct {
	text string
	tone tone
}

// table is rows of cells under a header. Columns that are empty in every row are
// left out, so that tables show what there is.
type table struct {
	header []string
	rows   [][]cell
	right  map[int]bool // columns that are aligned to the right
	indent string
}

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

func (t *table) render(s Style) string {
	if len(t.rows) == 0 {
		return ""
	}
	width := make([]int, len(t.header))
	for i := range t.header {
		for _, r := range t.rows {
			if i < len(r) {
				width[i] = max(width[i], utf8.RuneCountInString(r[i].text))
			}
		}
		if width[i] > 0 {
			width[i] = max(width[i], utf8.RuneCountInString(t.header[i]))
		}
	}
	var b strings.Builder
	head := make([]cell, len(t.header))
	for i, h := range t.header {
		head[i] = cell{h, dim}
	}
	t.line(&b, s, width, head)
	for _, r := range t.rows {
		t.line(&b, s, width, r)
	}
	return b.String()
}

func (t *table) line(b *strings.Builder, s Style, width []int, cells []cell) {
	last := -1
	for i := range cells {
		if width[i] > 0 && cells[i].text != "" {
			last = i
		}
	}
	b.WriteString(t.indent)
	used := utf8.RuneCountInString(t.indent)
	for i, c := range cells {
		if width[i] == 0 || i > last {
			continue
		}
		pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text))
		switch {
		case t.right[i]:
			b.WriteString(pad + s.paint(c.tone, c.text))
		case i == last:
			text := c.text
			if room := s.Width - used; s.Width > 0 && room > 8 && utf8.RuneCountInString(text) > room {
				text = string([]rune(text)[:room-3]) + "..."
			}
			b.WriteString(s.paint(c.tone, text))
		default:
			b.WriteString(s.paint(c.tone, c.text) + pad)
		}
		if i < last {
			b.WriteString("  ")
		}
		used += width[i] + 2
	}
	b.WriteByte('\n')
}

// section writes a part of a page with its title, or nothing where it is empty.
func section(b *strings.Builder, body string) {
	if body == "" {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(body)
}

// Ago says how long ago something was: 5s, 3m, 2h, 4d.
func Ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Span(now.Sub(t))
}

// Span writes a length of time with one unit, rounded down.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// short writes a measured length of time.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n == 0:
		return ""
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func clusterTone(s status.ClusterState) tone {
	switch s {
	case status.ClusterNormal:
		return good
	case status.ClusterFailed, status.ClusterNoQuorum:
		return bad
	case status.ClusterDegraded, status.ClusterMaintenance, status.ClusterUnknown:
	}
	return warn
}

func nodeTone(s status.NodeState) tone {
	switch s {
	case status.NodeOnline:
		return good
	case status.NodeUnclean, status.NodeFencing, status.NodeFenced:
		return bad
	case status.NodeUnknown, status.NodeOffline, status.NodeJoining, status.NodeLeaving, status.NodeStandby,
		status.NodeMaintenance, status.NodeRestarting:
	}
	return warn
}

func resourceTone(r *status.Resource) tone {
	switch r.State {
	case status.ResourceRunning, status.ResourcePromoted:
		if r.Active < r.Expected {
			return warn
		}
		return good
	case status.ResourceFailed, status.ResourceBlocked:
		return bad
	case status.ResourceStopped:
		if r.Wanted == cib.RoleStopped {
			return dim
		}
	case status.ResourceUnknown, status.ResourceStarting, status.ResourceStopping, status.ResourceMigrating, status.ResourceUnmanaged:
	}
	return warn
}

func instanceTone(s status.InstanceState) tone {
	switch s {
	case status.InstanceRunning, status.InstancePromoted:
		return good
	case status.InstanceFailed, status.InstanceBlocked:
		return bad
	case status.InstanceStopped:
		return dim
	case status.InstanceUnknown, status.InstanceStarting, status.InstanceStopping, status.InstanceNotAllowed:
	}
	return warn
}

func severityTone(s cib.Severity) tone {
	switch s {
	case cib.SeverityCritical, cib.SeverityMajor:
		return bad
	case cib.SeverityMinor, cib.SeverityWarning:
		return warn
	case cib.SeverityCleared:
		return good
	case cib.SeverityIndeterminate:
	}
	return plain
}

func fenceTone(r status.FenceReadiness) tone {
	switch r {
	case status.FenceReadinessReady:
		return good
	case status.FenceReadinessFailed, status.FenceReadinessNone, status.FenceReadinessOff:
		return bad
	case status.FenceReadinessUnknown:
	}
	return warn
}

func storeTone(s status.StoreState) tone {
	switch s {
	case status.StoreHealthy:
		return good
	case status.StoreUnhealthy:
		return bad
	case status.StoreUnknown, status.StoreLearner:
	}
	return warn
}

func linkTone(s status.LinkState) tone {
	switch s {
	case status.LinkUp:
		return good
	case status.LinkDown:
		return bad
	case status.LinkUnknown, status.LinkDegraded, status.LinkDisabled:
	}
	return warn
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
