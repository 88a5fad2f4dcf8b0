package node

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// What is asked for and taken back is asked for again at once a few times, then ever more
// slowly, and as at first when it was left alone.
func TestVain(t *testing.T) {
	n := &Node{}
	now := time.Unix(1000, 0)
	a := &cib.Action{Node: "n1", Instance: "web", Op: cib.OpStart}
	asked := 0
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(10 * time.Millisecond) {
		n.replanAt = time.Time{}
		if n.holdsBack(now, a) {
			if !n.replanAt.After(now) || n.replanAt.Sub(now) > vainLongest {
				t.Fatalf("decided again at %s, at %s", n.replanAt, now)
			}
			continue
		}
		asked++
		n.tookBack(now, a)
	}
	if asked < 300 || asked > 400 {
		t.Errorf("asked for %d times in an hour", asked)
	}
	if other := (&cib.Action{Node: "n2", Instance: "web", Op: cib.OpStart}); n.holdsBack(now, other) {
		t.Error("another node waits as well")
	}
	now = now.Add(2 * vainForget)
	if n.holdsBack(now, a) {
		t.Error("it waits for ever")
	}
	n.tookBack(now, a)
	if n.holdsBack(now, a) {
		t.Error("it was not forgotten")
	}
}
