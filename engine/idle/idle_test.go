package idle

import (
	"runtime/debug"
	"testing"
)

func TestWidth(t *testing.T) {
	var w width
	looks := func(n int, load float64, wantNarrow bool) {
		t.Helper()
		for range n {
			w.look(load)
		}
		if w.narrow != wantNarrow {
			t.Fatalf("after %d looks at a load of %.2f: narrow %v, want %v", n, load, w.narrow, wantNarrow)
		}
	}
	looks(calmLooks-1, 0.01, false) // a process that starts is given time
	looks(1, 0.3, false)            // and works a little: counted from the beginning
	looks(calmLooks-1, 0.01, false)
	looks(1, 0.01, true)
	looks(3, 0.3, true) // not enough to need more
	looks(1, 0.9, false)
	looks(calmLooks-1, 0, false)
	looks(1, 0, true)
}

// The heap of an idle process is collected earlier, unless the process does so already
// or never.
func TestTighten(t *testing.T) {
	usual := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(usual) })
	for _, c := range []struct{ before, after int }{{100, 50}, {50, 50}, {20, 20}, {-1, -1}} {
		debug.SetGCPercent(c.before)
		if was := tighten(50); was != c.before {
			t.Errorf("%d: it was %d", c.before, was)
		}
		if got := debug.SetGCPercent(c.before); got != c.after {
			t.Errorf("%d became %d, not %d", c.before, got, c.after)
		}
	}
}
