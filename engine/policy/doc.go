// Package policy decides what runs where, and which actions lead there. It is
// Pacemaker's scheduler in vocabulary and meaning.
//
// Two phases with a value between them:
//
//   - [Place] reads a snapshot and says where every instance should run, in
//     which role, and why.
//   - [Plan] reads the snapshot and the placement and says which actions are
//     still to be done, each after which others.
//
// Both are level-triggered: they know nothing of earlier decisions, only what
// the snapshot shows. What is in flight stands in the snapshot and is part of
// the plan, or holds up what must not happen meanwhile. [Check] is a linter of
// plans that shares no decision with Plan, and [NextChange] says when time alone
// will change the decision.
//
// # How the files belong together
//
// unpack.go makes the state both phases read; node.go, resource.go and
// history.go fill it, the constraints are in location.go, rule.go,
// colocation.go, order.go and ticket.go. place.go tells the story of Place, with
// assign.go, clone.go, promotable.go, wishes.go (scores of colocated resources)
// and failure.go; reason.go puts it in words. plan.go tells the story of Plan,
// with instance.go, collective.go (groups, clones, orders), monitor.go,
// network.go (what follows from what), emit.go and action.go.
//
// # Cost
//
// Nodes and resources are dense indexes, scores are slices by node. Place takes
// resources × nodes steps, and for each colocation as many as there are nodes.
// The members of a group collect the scores of those after them, which is
// quadratic in the length of the group, and the instances of a clone are ranked
// node by node, which is instances × nodes. Plan is linear in the actions and
// constraints, but two clones that are ordered without interleave make every
// action of one wait for every action of the other.
package policy
