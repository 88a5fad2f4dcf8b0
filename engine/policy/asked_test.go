package policy

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// A copy that was stopped before another one was started is no second copy, also where the
// clock of its node was ahead: what was started anew would be started anew for ever.
func TestAskedLater(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		start, stop string
		ahead       time.Duration // the stop's clock
		later       bool
	}{
		{"89.0", "84.1", time.Hour, true},
		{"89.0", "84.1", -time.Hour, true},
		{"9.0", "84.1", -time.Hour, false},
		{"84.2", "84.1", -time.Second, true},
		{"84.2", "84.1", time.Second, false},
		{"", "84.1", -time.Second, true},
		{"probe", "", time.Second, false},
	} {
		start, stop := cib.OpResult{ActionID: c.start, Ended: now}, cib.OpResult{ActionID: c.stop, Ended: now.Add(c.ahead)}
		if later := askedLater(&start, &stop); later != c.later {
			t.Errorf("start %s, stop %s whose clock is %s ahead: later %t", c.start, c.stop, c.ahead, later)
		}
	}
}
