package sim

import (
	"maps"
	"slices"
	"time"
)

// Shrink looks for a smaller scenario that still breaks the same rule: fewer faults,
// less noise, fewer resources and constraints. It stops after the given time.
func Shrink(sc *Scenario, mutant *Mutant, limit time.Duration) *Scenario {
	deadline := time.Now().Add(limit)
	breaks := func(sc *Scenario) *Failure {
		w := New(sc)
		w.mutant = mutant
		return w.Run()
	}
	first := breaks(sc)
	if first == nil {
		return sc
	}
	best := sc
	try := func(c *Scenario) bool {
		if time.Now().After(deadline) {
			return false
		}
		if f := breaks(c); f == nil || f.Rule != first.Rule {
			return false
		}
		best = c
		return true
	}
	for changed := true; changed && time.Now().Before(deadline); {
		changed = false
		for size := (len(best.Faults) + 1) / 2; size > 0; size /= 2 {
			for at := 0; at < len(best.Faults); {
				c := *best
				c.Faults = slices.Delete(slices.Clone(best.Faults), at, min(at+size, len(best.Faults)))
				if try(&c) {
					changed = true
				} else {
					at += size
				}
			}
		}
		for _, quiet := range []func(*Scenario){
			func(c *Scenario) { c.Loss = 0 },
			func(c *Scenario) { c.Duplicate = 0 },
			func(c *Scenario) { c.AgentFails = 0 },
			func(c *Scenario) { c.DelayMax = 0 },
			func(c *Scenario) { c.Watchdog = false },
			func(c *Scenario) { clear(c.Drift) },
			func(c *Scenario) { clear(c.WallOffset) },
			func(c *Scenario) { c.BootSpread = 0 },
		} {
			c := *best
			c.Drift, c.WallOffset = slices.Clone(c.Drift), slices.Clone(c.WallOffset)
			quiet(&c)
			if !same(&c, best) && try(&c) {
				changed = true
			}
		}
		if slices.ContainsFunc(smaller(best), try) {
			changed = true // the others were made from the old one
		}
	}
	return best
}

func same(a, b *Scenario) bool {
	return a.Loss == b.Loss && a.Duplicate == b.Duplicate && a.AgentFails == b.AgentFails && a.DelayMax == b.DelayMax && a.Watchdog == b.Watchdog &&
		slices.Equal(a.Drift, b.Drift) && slices.Equal(a.WallOffset, b.WallOffset) && a.BootSpread == b.BootSpread
}

// smaller returns the scenarios with one constraint or one resource that nothing
// refers to less.
func smaller(sc *Scenario) []*Scenario {
	var out []*Scenario
	with := func(change func(c *Scenario)) {
		c := *sc
		cfg := *sc.Config
		cfg.Resources, cfg.Constraints = maps.Clone(cfg.Resources), maps.Clone(cfg.Constraints)
		c.Config = &cfg
		change(&c)
		out = append(out, &c)
	}
	for _, id := range sortedKeys(sc.Config.Constraints) {
		with(func(c *Scenario) { delete(c.Config.Constraints, id) })
	}
	for _, id := range sortedKeys(sc.Config.Resources) {
		used := referenced(sc.Config, id) || slices.ContainsFunc(sc.Faults, func(f Fault) bool { return f.Resource == id })
		if !used && len(sc.Config.Resources) > 1 {
			with(func(c *Scenario) { delete(c.Config.Resources, id) })
		}
	}
	return out
}
