package bench

import (
	"context"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestGoal(t *testing.T) {
	tests := []struct {
		goal  Goal
		value float64
		met   bool
		ratio float64
		text  string
	}{
		{Goal{}, 5, true, 0, "-"},
		{AtMost(3), 3, true, 1, "<= 3"},
		{AtMost(3), 1.5, true, 2, "<= 3"},
		{AtMost(3), 6, false, 0.5, "<= 3"},
		{AtMost(3), 0, true, math.Inf(1), "<= 3"},
		{AtLeast(20), 20, true, 1, ">= 20"},
		{AtLeast(20), 50, true, 2.5, ">= 20"},
		{AtLeast(5000), 2500, false, 0.5, ">= 5000"},
	}
	for _, tt := range tests {
		if got := tt.goal.Met(tt.value); got != tt.met {
			t.Errorf("%s met by %v: %v", tt.goal, tt.value, got)
		}
		if got := tt.goal.Ratio(tt.value); got != tt.ratio {
			t.Errorf("ratio of %v to %s: %v, want %v", tt.value, tt.goal, got, tt.ratio)
		}
		if got := tt.goal.String(); got != tt.text {
			t.Errorf("text %q, want %q", got, tt.text)
		}
	}
	for _, g := range []Goal{{}, AtMost(3), AtLeast(3)} {
		if g.Met(math.NaN()) {
			t.Errorf("%s is met by no number", g)
		}
	}
}

func TestReport(t *testing.T) {
	suites := []Suite{
		{"failover", func(_ context.Context, r *Report) error {
			r.Add(Figure{Name: "VIP answers again", Value: 1.75, Unit: "s", Goal: AtMost(3), Peer: "pacemaker", PeerValue: 8.8})
			r.Add(Figure{Name: "of ours", Value: 260, Unit: "ms", Goal: AtMost(200), Note: "median of 5"})
			r.Add(Figure{Name: "puts", Value: 14100, Unit: "1/s"})
			return nil
		}},
		{"memory", func(context.Context, *Report) error { return errors.New("no such process") }},
		{"other", func(context.Context, *Report) error { panic("not asked for") }},
	}
	r := Run(t.Context(), io.Discard, suites, regexp.MustCompile("failover|memory"))

	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"FIGURE             VALUE  UNIT  GOAL    RATIO  RESULT  PEER           NOTE",
		"VIP answers again  1.75   s     <= 3    1.71   ok      pacemaker 8.8  ",
		"of ours            260    ms    <= 200  0.769  MISSED  -              median of 5",
		"puts               14100  1/s   -       -      -       -              ",
		"not measured: memory: no such process",
		"",
	}, "\n")
	if table.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", table.String(), want)
	}

	err := r.Err()
	if err == nil {
		t.Fatal("a missed goal and a failed suite are no error")
	}
	if got, want := err.Error(), "memory: no such process\nof ours: 260 ms, goal <= 200 ms"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}

	var lines strings.Builder
	r.Add(Figure{Name: "nothing", Value: math.NaN(), Unit: "s"})
	if err := r.WriteJSON(&lines); err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"VIP answers again","value":1.75,"unit":"s","goal":"\u003c= 3","met":true,"peer":"pacemaker","peerValue":8.8}`; !strings.HasPrefix(lines.String(), want+"\n") {
		t.Errorf("JSON %s", lines.String())
	}
	if want := `{"name":"nothing","value":null,"unit":"s","met":false}`; !strings.HasSuffix(lines.String(), want+"\n") {
		t.Errorf("JSON %s", lines.String())
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	suites := []Suite{
		{"first", func(context.Context, *Report) error { cancel(errors.New("interrupted")); return nil }},
		{"second", func(context.Context, *Report) error { panic("runs after the end") }},
	}
	r := Run(ctx, io.Discard, suites, regexp.MustCompile("."))
	if err := r.Err(); err == nil || err.Error() != "bench: interrupted" {
		t.Errorf("error %v", err)
	}
}

func TestNothingMeasured(t *testing.T) {
	if (&Report{}).Err() == nil {
		t.Error("an empty report passes")
	}
	r := &Report{}
	r.Add(Figure{Name: "x", Value: 1, Unit: "s", Goal: AtMost(1)})
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := Median(values); got != want {
			t.Errorf("median of %v: %v, want %v", values, got, want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("nothing has a median")
	}
}
