package idle

import "testing"

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
