package render

import (
	"fmt"
	"strings"

	"github.com/belay-ha/belay/engine/policy"
)

// Impact shows what would happen without a node or a resource.
func Impact(x *policy.Impact, st Style) string {
	var b strings.Builder
	kind, name, _ := strings.Cut(x.Object, "/")
	fmt.Fprintf(&b, "without %s %s:\n", kind, st.paint(strong, name))
	t := table{header: []string{"RESOURCE", "WOULD", "NOW ON", "THEN ON"}}
	add := func(list []policy.Shift, what string, tone tone) {
		for _, s := range list {
			w := what
			if s.Promoted {
				w = "be promoted elsewhere"
			}
			t.row(cell{s.Resource, strong}, cell{w, tone}, cell{strings.Join(s.From, " "), plain}, cell{strings.Join(s.To, " "), plain})
		}
	}
	add(x.Stop, "stop", bad)
	add(x.Degraded, "run on fewer nodes", warn)
	add(x.Move, "move", plain)
	if len(t.rows) == 0 {
		b.WriteString("nothing else stops, moves or loses redundancy\n")
	} else {
		b.WriteString(t.render(st))
	}
	if x.Quorum != "" {
		tone := plain
		if x.Lost {
			tone = bad
		}
		fmt.Fprintln(&b, st.paint(tone, x.Quorum))
	}
	for _, n := range x.Notes {
		fmt.Fprintln(&b, n)
	}
	return b.String()
}
