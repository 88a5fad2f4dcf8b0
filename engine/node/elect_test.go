package node

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// A node whose own boot is to be fenced becomes the DC after all others.
func TestRankOfTheUnclean(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		state cib.NodeState
		boot  string
		want  int
	}{
		{cib.NodeOnline, "b", 0},
		{cib.NodeUnclean, "b", 3},
		{cib.NodeFenced, "b", 3}, // it is here: the proof was wrong
		{cib.NodeUnclean, "before", 0},
		{cib.NodeFenced, "before", 0},
	} {
		n := joined(now)
		n.snap.Status.Voters.Voters = []string{"n1", "n2", "n3"}
		n.snap.Status.Nodes["n1"] = &cib.NodeStatus{State: c.state, BootID: c.boot}
		if got := n.rank(now); got != c.want {
			t.Errorf("%s in boot %s: rank %d, want %d", c.state, c.boot, got, c.want)
		}
	}
}
