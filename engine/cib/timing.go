package cib

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Timing is how long things take at worst, as the configuration says it.
type Timing struct {
	Budgets  []Budget `json:"budgets"`
	Problems []string `json:"problems,omitempty"` // times that do not fit together
}

// Budget is the time of one thing that can happen, as the sum of its terms.
type Budget struct {
	Name     string        `json:"name"`
	Worst    time.Duration `json:"worstNs"`
	Dominant string        `json:"dominant"` // the name of the longest term
	Terms    []Term        `json:"terms"`
}

// Term is one part of a budget.
type Term struct {
	Name string        `json:"name"`
	Time time.Duration `json:"timeNs"`
	From string        `json:"from"` // the options that it follows from
}

func budget(name string, terms ...Term) Budget {
	b := Budget{Name: name, Terms: terms}
	for _, t := range terms {
		b.Worst += t.Time
	}
	b.Dominant = slices.MaxFunc(terms, func(a, b Term) int { return cmp.Compare(a.Time, b.Time) }).Name
	return b
}

// CheckTiming computes the worst times of detection, fencing, stop and recovery from
// a configuration, and finds times that do not fit together.
func CheckTiming(c *Config) *Timing {
	o := &c.Cluster.Options
	t := &Timing{Budgets: []Budget{}}
	detection := Term{"detection", o.DetectionTime() + o.HeartbeatInterval(), "detection"}
	fence, unfenced := worstFencing(c)
	start := Term{"start", opMax(c, OpStart), "time-outs of the start operations"}
	if fence.Time > 0 {
		t.Budgets = append(t.Budgets, budget("a node dies: its services run elsewhere", detection, fence, start))
	}
	lost := []Term{
		{"validity", o.ValidityTime(), "validity"},
		{"stop", min(opMax(c, OpStop), o.StopGraceTime()), "time-outs of the stop operations, stop-grace"},
	}
	if stop := opMax(c, OpStop); stop > o.StopGraceTime() {
		t.Problems = append(t.Problems, fmt.Sprintf("a stop may take %s, and stop-grace is %s: a node without quorum is reset before it has stopped; raise stop-grace", stop, o.StopGraceTime()))
	}
	t.Budgets = append(t.Budgets, budget("a node loses quorum: nothing runs there, or it is reset", append(lost, Term{
		"reset", o.LoserTime() - lost[0].Time - lost[1].Time, "stop-grace, watchdog-timeout, the start of an engine, clocks",
	})...))
	for _, id := range c.QuorumOrder() {
		t.device(c, id, detection, fence, start)
	}
	t.ticketTiming(c, fence)
	if o.ValidityTime() < o.DetectionTime() {
		t.Problems = append(t.Problems, fmt.Sprintf("validity %s is shorter than detection %s: a node may not act any more before anybody misses it; raise validity", o.ValidityTime(), o.DetectionTime()))
	}
	if o.WatchdogTime()%time.Second != 0 {
		t.Problems = append(t.Problems, fmt.Sprintf("watchdog-timeout %s is not a number of seconds: a watchdog counts in seconds", o.WatchdogTime()))
	}
	for _, name := range unfenced {
		t.Problems = append(t.Problems, fmt.Sprintf("no fence device can fence %s: what runs there is recovered only when somebody confirms its death", name))
	}
	return t
}

// device adds what a tie-breaker that is asked needs.
func (t *Timing) device(c *Config, id string, detection, fence, start Term) {
	d, o := c.QuorumDevices[id], &c.Cluster.Options
	if d.Kind != QuorumDeviceQuorumd && d.Kind != QuorumDeviceDisk {
		return
	}
	p, err := d.Params(o)
	if err != nil {
		return // refused elsewhere
	}
	handover := Term{"hand-over", p.Handover, "hand-over-delay of " + id + ", by default from validity, stop-grace and watchdog-timeout"}
	if p.Handover < o.LoserTime() {
		t.Problems = append(t.Problems, fmt.Sprintf("hand-over-delay of %s is %s, and a node may need %s until it has stopped or reset itself: raise it", id, p.Handover, o.LoserTime()))
	}
	t.Budgets = append(t.Budgets, budget("quorum device "+id+": the half that has the grant dies, the other one goes on",
		detection, Term{"lease", p.Lease, "lease of " + id}, handover))
	if d.Kind == QuorumDeviceQuorumd && voters(c) == 2 && fence.Time > 0 {
		t.Budgets = append(t.Budgets, budget("quorum device "+id+": one of two voters dies, its services run on the other one",
			detection, handover, Term{"store", 2 * time.Second, "the store goes on with one voter"}, fence, start))
	}
}

func voters(c *Config) (n int) {
	for _, node := range c.Nodes {
		if node.Voter {
			n++
		}
	}
	return n
}

// opMax is the longest time-out of an operation of any resource.
func opMax(c *Config, name string) time.Duration {
	var longest time.Duration
	for _, r := range c.Resources { // their order does not matter
		if r.Agent != "" {
			longest = max(longest, opTimeout(c, r, name))
		}
	}
	return longest
}

// worstFencing is the longest that it takes to fence any node when its last level
// does it, and which nodes can't be fenced.
func worstFencing(c *Config) (Term, []string) {
	worst := Term{Name: "fencing", From: "no fence device"}
	var unfenced []string
	for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
		var levels [][]string
		if t := c.FenceTopology[name]; t != nil {
			levels = t.Levels
		} else {
			for _, id := range slices.Sorted(maps.Keys(c.FenceDevices)) {
				if _, named := c.FenceDevices[id].Targets[name]; named || len(c.FenceDevices[id].Targets) == 0 {
					levels = append(levels, []string{id})
				}
			}
		}
		var sum time.Duration
		for _, level := range levels {
			for _, id := range level {
				sum += deviceMax(&c.Cluster.Options, c.FenceDevices[id])
			}
		}
		if len(levels) == 0 {
			unfenced = append(unfenced, name)
		}
		if sum > worst.Time {
			worst.Time, worst.From = sum, "delay, timeout and retries of the devices of "+name+", fencing-timeout"
		}
	}
	return worst, unfenced
}

// deviceMax is the longest that one device takes: its delay, each try to switch off,
// and the reading of the state.
func deviceMax(o *Options, d *FenceDevice) time.Duration {
	if d == nil {
		return 0
	}
	call := cmp.Or(d.Timeout.D(), o.FenceTimeout())
	return d.Delay.D() + time.Duration(1+max(1, d.Retries))*call + call
}
