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
// will change the decision. [Foresee] is for those who only want to know.
//
// [Planner] decides on one snapshot after another and takes over what cannot have
// changed; its answers are those of a decision about everything.
//
// # How the files belong together
//
// unpack.go makes the state both phases read; node.go, resource.go, history.go
// and last.go fill it, the constraints are in location.go, rule.go,
// colocation.go, order.go and ticket.go. place.go tells the story of Place, with
// score.go, assign.go, clone.go, promotable.go, wishes.go (scores of colocated
// resources), strategy.go, utilization.go and failure.go; reason.go, nowhere.go and demoted.go put it
// in words, waits.go what the plan shows that can't be done. plan.go
// tells the story of Plan, with instance.go, collective.go (groups, clones,
// orders), migration.go, reload.go, monitor.go, notify.go, network.go (what follows from what),
// emit.go and action.go. quorum.go and lock.go (shutdown-lock) serve both. parts.go, counts.go and incremental.go belong to Planner.
//
// # Where it differs from Pacemaker, and why
//
//   - Only scores move a resource, never the wish to even out numbers alone; see
//     best in assign.go.
//   - A start waits for the fence of those lost nodes on which the instance may
//     run or of which nothing is known, not for every fence in the cluster.
//   - Mandatory colocations also order: neither resource starts at the new place
//     while the other one is still at the old one.
//   - A migration whose outcome is not known, or whose source is lost on the way,
//     counts as arrived until the target has said otherwise, and the target is not
//     acted on before the source is fenced. What is migrated waits for all that its
//     group or an order puts before it, also where the order names a group.
//   - A resource whose mandatory colocations contradict each other, or that names
//     what does not exist, is stopped with that reason.
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
