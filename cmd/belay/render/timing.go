package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Timing shows how long things take at worst.
func Timing(x *cib.Timing, st Style) string {
	var b strings.Builder
	t := table{header: []string{"AT WORST", "WHAT", "OF WHICH", "FROM"}}
	for _, g := range x.Budgets {
		t.row(cell{g.Worst.Round(time.Millisecond).String(), strong}, cell{g.Name, plain}, cell{}, cell{})
		for _, term := range g.Terms {
			tone := plain
			if term.Name == g.Dominant {
				tone = strong
			}
			t.row(cell{}, cell{}, cell{term.Name + " " + term.Time.Round(time.Millisecond).String(), tone}, cell{term.From, plain})
		}
	}
	b.WriteString(t.render(st))
	for _, p := range x.Problems {
		fmt.Fprintln(&b, st.paint(bad, p))
	}
	return b.String()
}
