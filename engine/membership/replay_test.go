package membership

import (
	"testing"
	"time"
)

func three(t *testing.T) *world {
	t.Helper()
	names := []string{"n1", "n2", "n3"}
	w := newWorld(5, Setup{
		Nodes: names, Voters: names, VoterEpoch: 1, Links: 1,
		Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second,
	})
	for _, n := range names {
		w.boot(n, false)
	}
	w.newView(names...)
	w.sync(names...)
	return w
}

// TestReplay: whoever recorded everything that n1 got, and plays it to n1 again
// after its restart, makes nobody alive and n1 not valid.
func TestReplay(t *testing.T) {
	w := three(t)
	var tape []Message
	n1 := w.nodes["n1"]
	w.after = func() {
		for _, f := range w.queue {
			if f.to == "n1" && len(tape) < 500 {
				tape = append(tape, f.msg)
			}
		}
	}
	w.run(5 * time.Second)
	if !w.valid("n1") || len(tape) < 30 {
		t.Fatal("n1 should be valid and have heard much")
	}
	w.after = nil
	w.nodes["n2"].t, w.nodes["n3"].t = nil, nil
	w.boot("n1", true)
	w.newView("n1", "n2", "n3")
	w.sync("n1")
	for range 40 {
		for i := range tape {
			m := tape[i]
			n1.t.Receive(w.local(n1), 0, &m)
		}
		w.run(100 * time.Millisecond)
		if alive := n1.t.Alive(w.local(n1)); len(alive) != 1 {
			t.Fatalf("alive: %v", alive)
		}
		if w.valid("n1") || n1.t.Promised(3) {
			t.Fatal("valid, or promised, by replayed messages")
		}
	}
}

// TestClockWentBack: a machine that comes back with a lower incarnation, since
// its clock lost the time, is heard as soon as it proves that it is the present;
// late packets of its earlier life are not.
func TestClockWentBack(t *testing.T) {
	w := three(t)
	w.boot("n3", false)
	w.boot("n3", false)
	w.run(2 * time.Second)
	n1, n3 := w.nodes["n1"], w.nodes["n3"]
	var late Message
	w.after = func() {
		for _, f := range w.queue {
			if f.to == "n1" && f.msg.From == "n3" && f.msg.Incarnation == 3 {
				late = f.msg
			}
		}
	}
	w.run(time.Second)
	n3.inc = 1
	w.boot("n3", false)
	w.run(time.Second)
	p, _ := n1.t.Peer("n3")
	if !p.Up || p.Incarnation != 2 || p.BootID != w.member("n3").BootID {
		t.Fatalf("n3 is not heard in its new life: %+v", p)
	}
	if late.Incarnation != 3 {
		t.Fatal("nothing was recorded of its earlier life")
	}
	// Of the earlier life, with the higher number: what it echoes is older than the
	// present life.
	n1.t.Receive(w.local(n1), 0, &late)
	if p, _ = n1.t.Peer("n3"); !p.Up || p.Incarnation != 2 {
		t.Fatalf("an old packet ends a life: %+v", p)
	}
	// Much later it is taken for a newer life at first, but not for alive, and gives
	// way to who answers.
	w.run(10 * time.Second)
	n1.t.Receive(w.local(n1), 0, &late)
	if p, _ = n1.t.Peer("n3"); p.Up {
		t.Fatalf("alive by an old packet: %+v", p)
	}
	w.run(time.Second)
	if p, _ = n1.t.Peer("n3"); !p.Up || p.Incarnation != 2 {
		t.Fatalf("an old packet keeps n3 away: %+v", p)
	}
}
