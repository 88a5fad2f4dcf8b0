package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
)

// A Suite measures one part of the product.
type Suite struct {
	Name string // chosen by pattern
	// Run adds figures to the report. An error says that it could not measure;
	// a figure below its goal is no error.
	Run func(ctx context.Context, r *Report) error
}

// Suites lists what "make bench" measures, in order.
var Suites = []Suite{
	{"policy-replan", replanning},
	{"policy", scheduling},
	{"engine-failover", failOver},
	{"engine-resources", manyResources},
	{"engine-footprint", footprint},
	{"engine-heartbeats", heartbeats},
	{"engine-peers", peers},
	{"quorumd", arbitrator},
	{"audit", auditing},
	{"snmp", snmp},
	{"cim", cim},
	{"rest", rest},
	{"gui", gui},
}

// Run executes the suites whose names match, each to its end, and returns what
// they measured. Progress goes to w.
func Run(ctx context.Context, w io.Writer, suites []Suite, match *regexp.Regexp) *Report {
	r := &Report{}
	for _, s := range suites {
		if !match.MatchString(s.Name) {
			continue
		}
		_, _ = fmt.Fprintf(w, "== %s\n", s.Name) // progress only
		if err := s.Run(ctx, r); err != nil {
			r.Fail(s.Name, err)
		}
		if ctx.Err() != nil {
			r.Fail("bench", context.Cause(ctx))
			return r
		}
	}
	return r
}

// Median returns the middle of some values, the mean of the two middle ones of
// an even number, and NaN of none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(n-1)/2] + v[n/2]) / 2
}
