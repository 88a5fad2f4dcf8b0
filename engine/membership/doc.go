// Package membership tracks which nodes hear each other, how long this node may
// act on what it knows, and which nodes make the next view.
//
// It is a core: values in, values out. The shell carries the messages and calls
// with the time of one steady clock, made from CLOCK_BOOTTIME, that also runs
// while the machine is suspended.
//
// # Hearing
//
// Voters send heartbeats to each other, every other node to every voter, which
// answers at once. A message carries a nonce, and the newest nonce that its
// sender heard from its receiver. A peer is heard when its messages arrive and
// name a nonce of ours that is not old: so a link that carries one direction
// only, or packets recorded yesterday, make nobody alive.
//
// # Validity
//
// A node is valid until its own send time + T (option validity) when a majority
// of the newest voter set has echoed a nonce sent then, with this node's data
// generation, the newest voter-set epoch and one and the same view with this
// node's incarnation in it. The invariants that make this safe:
//
//   - A voter never echoes a lower view than it echoed before, nor one lower than
//     a view it heard another voter has seen. Views are ordered by the number of
//     the data generation, then by their own.
//   - A restarted voter lets nothing count for T, since it does not know what it
//     echoed before. The shell must also read the view from the store with a
//     linearizable read before it tells it to [Tracker.Know] for the first time,
//     or a promise made before the restart could be broken after T.
//   - Two majorities of one voter set, or of two neighbouring ones, share a voter.
//     So once a majority has shown a view without some node ([Tracker.Promised]),
//     that node's validity ends within T of the moment when the last of them did,
//     by the node's own clock.
//   - Voter sets change by one, and the next change waits for
//     [Tracker.EpochSettled]. Echoes of another epoch than the newest one known
//     do not count.
//   - Half of an even voter set counts only as long as a tie-breaker's grant, and
//     only when a majority was once heard in this epoch.
//
// What was granted stands until it expires, except that a higher data generation,
// or a newer view without this node, ends it at once.
package membership
