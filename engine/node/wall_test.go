package node

import (
	"testing"
	"time"
)

// When the clock jumps, what was to be decided at some time is decided anew: it may be
// over already. A clock that is put right by little changes nothing.
func TestPlanAfterAJump(t *testing.T) {
	n := joined(time.Unix(1000, 0))
	for _, c := range []struct {
		wall time.Duration
		anew bool
	}{{clockTolerance / 20, false}, {time.Hour, true}, {time.Hour + clockTolerance/20, false}, {0, true}} {
		n.planned = n.snap
		n.setWall(c.wall)
		if anew := n.planned == nil; anew != c.anew {
			t.Errorf("offset %s: planned anew: %t", c.wall, anew)
		}
	}
}
