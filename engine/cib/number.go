package cib

import (
	"maps"
	"slices"
)

// AssignNumbers gives every resource, device and SNMP target of c its number:
// the one that it has in old, else the next after last. It returns the last number
// given, which stands in [ConfigGeneration], so that none is given twice. What c says
// itself counts for nothing: it may come from another cluster. The documents that
// change are copied; others may share them.
func AssignNumbers(c, old *Config, last uint32) uint32 {
	assignNumbers(c.Resources, old.Resources, &last, func(r *Resource) *uint32 { return &r.Number })
	assignNumbers(c.FenceDevices, old.FenceDevices, &last, func(d *FenceDevice) *uint32 { return &d.Number })
	assignNumbers(c.QuorumDevices, old.QuorumDevices, &last, func(d *QuorumDevice) *uint32 { return &d.Number })
	assignNumbers(c.SNMPTargets, old.SNMPTargets, &last, func(t *SNMPTarget) *uint32 { return &t.Number })
	return last
}

// KeepRestarts lets the count of restarts of no resource fall: one that a document leaves
// out, or that comes back with an earlier configuration, asks for nothing. The documents
// that change are copied; others may share them.
func KeepRestarts(c, old *Config) {
	for id, r := range c.Resources {
		if was := old.Resources[id]; was != nil && r.Restarts < was.Restarts {
			kept := *r
			kept.Restarts = was.Restarts
			c.Resources[id] = &kept
		}
	}
}

func assignNumbers[T any](objects, old map[string]*T, last *uint32, number func(*T) *uint32) {
	for _, id := range slices.Sorted(maps.Keys(objects)) {
		var have uint32
		if o := old[id]; o != nil {
			have = *number(o)
		}
		if have == 0 {
			*last++
			have = *last
		}
		if o := objects[id]; *number(o) != have {
			changed := *o
			*number(&changed) = have
			objects[id] = &changed
		}
	}
}
