package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/cluster"
)

// soakKills is how often both nodes die: twice, or as often as SOAK_KILLS says.
func soakKills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SOAK_KILLS")
	if text == "" {
		return 2
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SOAK_KILLS=%s is no number of kills", text)
	}
	return n
}

// Both of two nodes lose their power in the middle of changes, at once or one after the
// other, while the second one is at any step of going on alone; they come back in either
// order. Whoever was left last has the newest data: the cluster goes on with these, each
// service runs once, and no acknowledged change is lost.
func TestQuorumDoubleKill(t *testing.T) {
	c := twoNodes(t)
	w := newWriter(t, c)
	for round := range soakKills(t) {
		first, second := c.Nodes[round/2%2], c.Nodes[1-round/2%2]
		w.start(second)
		w.await(5)
		first.Hold()
		second.Hold()
		must(t, first.Host.PowerOff())
		switch round % 4 {
		case 0, 2: // before anything could be decided
			<-time.After(time.Duration(round*137%1000) * time.Millisecond) // a fault's own time
		case 1: // when the second one has gone on alone, and written more
			s, err := second.Client().Snapshot(deadline(t, 5*time.Second))
			must(t, err)
			alone(t, c, second, s.Status.Generation.Number+1)
			w.await(5)
		case 3: // at any step on the way to that
			<-time.After(10*time.Second + time.Duration(round*1370%12000)*time.Millisecond)
		}
		must(t, second.Host.PowerOff())
		w.stop()
		back := []*cluster.Node{first, second} // the one with the old data, where there is one, comes first
		if round%8 >= 4 {
			back[0], back[1] = second, first
		}
		for _, n := range back {
			must(t, n.Host.PowerOn(deadline(t, 20*time.Second)))
			must(t, n.Release())
		}
		until(t, 120*time.Second, "both are voters again", func() string {
			s, err := first.Client().Snapshot(deadline(t, 5*time.Second))
			if err != nil {
				return err.Error()
			}
			return together(t, c, s.Status.Generation.Number)
		})
		backTogether(t, c)
		for _, n := range c.Nodes {
			w.check(n)
		}
	}
	for _, n := range c.Nodes {
		t.Logf("on-%s was started %d times", n.Name, countRuns(t, c, "on-"+n.Name, cib.OpStart))
	}
}
