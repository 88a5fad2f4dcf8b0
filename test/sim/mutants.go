package sim

import (
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/node"
)

// Mutant is a deliberate breakage, made between a node and its world, so that the
// engine itself has no hooks for it. A rule must notice.
type Mutant struct {
	Name string
	What string
	// Rules that catch it, the usual one first.
	Rules []int

	Commit      func(w *World, e *engine, c *node.Commit) bool // false: it is not sent
	Run         func(w *World, r *run) bool                    // false: it is not run
	Result      func(w *World, r *run, res *node.AgentResult)
	FenceCall   func(w *World, e *engine, x *node.FenceCall) bool
	FenceResult func(w *World, x *node.FenceCall, r *node.FenceResult)
	Message     func(w *World, e *engine, to int, m *membership.Message)
	Heard       func(w *World, e *engine, m *membership.Message) *membership.Message
	Snapshot    func(w *World, e *engine, s *cib.Snapshot) *cib.Snapshot

	IgnoreNotAfter, RunTwice, KeepLeftovers, NoSelfFence, CutsLeak bool
}

// Break makes a mutant of a world; nil changes nothing.
func (w *World) Break(m *Mutant) { w.mutant = m }

// Snapshot is what the store has now.
func (w *World) Snapshot() *cib.Snapshot { return w.store.snap }

// Mutants are all of them.
var Mutants = []Mutant{}
