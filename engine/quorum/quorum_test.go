package quorum

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
)

// TestEvaluate runs the cases in testdata/evaluate: "evaluate voters=(n1,n2) present=n1",
// flags, and a line "kind id answer reason" for every tie-breaker.
func TestEvaluate(t *testing.T) {
	datadriven.Walk(t, "testdata/evaluate", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var in Input
			for _, a := range d.CmdArgs {
				switch a.Key {
				case "voters":
					in.Voters = a.Vals
				case "present":
					in.Present = a.Vals
				case "weights":
					for i := range a.Vals {
						var w int
						a.Scan(t, i, &w)
						in.Weights = append(in.Weights, w)
					}
				case "external":
					in.External = true
				case "store":
					in.StoreReachable = true
				case "wait-for-all":
					in.WaitForAll = true
				case "complete":
					in.Complete = true
				case "seen-all":
					in.SeenAll = true
				case "standalone":
					in.Standalone = true
				default:
					d.Fatalf(t, "unknown argument %s", a.Key)
				}
			}
			for line := range strings.Lines(d.Input) {
				f := strings.SplitN(strings.TrimSpace(line), " ", 4)
				dev := Device{ID: f[1]}
				var err error
				if dev.Kind, err = cib.QuorumDeviceKinds.Parse(f[0]); err != nil {
					t.Fatal(err)
				}
				if f[2] != "silent" {
					if dev.Answer, err = cib.QuorumAnswers.Parse(f[2]); err != nil {
						t.Fatal(err)
					}
				}
				if len(f) > 3 {
					dev.Reason = f[3]
				}
				in.Devices = append(in.Devices, dev)
			}
			r := Evaluate(in)
			var b strings.Builder
			fmt.Fprintf(&b, "quorate=%t: %s\n", r.Quorate, r.Reason)
			for _, m := range r.Modules {
				fmt.Fprintf(&b, "  %s\n", strings.Join(strings.Fields(fmt.Sprintf("%s %s: %s", m.Kind, m.ID, m.Answer)), " "))
			}
			return strings.ReplaceAll(b.String(), " :", ":")
		})
	})
}

// TestNeverTwo: two disjoint partitions never both have quorum, whatever the
// votes, if every tie-breaker but a ping says yes to at most one of them, and
// says tie only where it says yes to none.
func TestNeverTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "voters")
		var a, b Input
		for i := range n {
			v := fmt.Sprint("n", i)
			a.Voters = append(a.Voters, v)
			switch rapid.IntRange(0, 2).Draw(t, "side of "+v) {
			case 0:
				a.Present = append(a.Present, v)
			case 1:
				b.Present = append(b.Present, v)
			}
		}
		b.Voters = a.Voters
		if rapid.Bool().Draw(t, "weighted") {
			a.Weights = rapid.SliceOfN(rapid.IntRange(-1, 4), n, n).Draw(t, "weights")
			b.Weights = a.Weights
		}
		for _, in := range []*Input{&a, &b} {
			in.External = rapid.Bool().Draw(t, "external")
			in.StoreReachable = rapid.Bool().Draw(t, "store")
			in.WaitForAll = rapid.Bool().Draw(t, "wait-for-all")
			in.Complete = rapid.Bool().Draw(t, "complete")
			in.SeenAll = rapid.Bool().Draw(t, "seen all")
			in.Standalone = rapid.Bool().Draw(t, "standalone")
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "devices") {
			kind := rapid.SampledFrom(cib.QuorumDeviceKinds).Draw(t, "kind").Value
			toA := cib.QuorumAnswer(rapid.IntRange(0, 3).Draw(t, "to a"))
			toB := cib.QuorumAnswer(rapid.IntRange(0, 3).Draw(t, "to b"))
			have, tie := toA == cib.QuorumHave || toB == cib.QuorumHave, toA == cib.QuorumTie || toB == cib.QuorumTie
			if kind != cib.QuorumDevicePing && have && (tie || toA == toB) {
				toB = rapid.SampledFrom([]cib.QuorumAnswer{0, cib.QuorumNo}).Draw(t, "no to b")
				if toA == cib.QuorumTie {
					toA = cib.QuorumHave
				}
			}
			a.Devices = append(a.Devices, Device{ID: fmt.Sprint(i), Kind: kind, Answer: toA})
			b.Devices = append(b.Devices, Device{ID: fmt.Sprint(i), Kind: kind, Answer: toB})
		}
		ra, rb := Evaluate(a), Evaluate(b)
		if ra.Quorate && rb.Quorate {
			t.Fatalf("both have quorum: %+v and %+v", ra, rb)
		}
		if ra.Quorate && 2*ra.Votes < ra.Expected {
			t.Fatalf("quorum with less than half: %+v", ra)
		}
	})
}

// TestMoreIsBetter: another voter present never takes quorum away.
func TestMoreIsBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "voters")
		in := Input{WaitForAll: rapid.Bool().Draw(t, "wait-for-all"), SeenAll: rapid.Bool().Draw(t, "seen all")}
		for i := range n {
			in.Voters = append(in.Voters, fmt.Sprint("n", i))
		}
		k := rapid.IntRange(0, n-1).Draw(t, "present")
		in.Present = in.Voters[:k]
		before := Evaluate(in)
		in.Present = in.Voters[:k+1]
		if after := Evaluate(in); before.Quorate && !after.Quorate {
			t.Fatalf("%+v, with one more %+v", before, after)
		}
	})
}
