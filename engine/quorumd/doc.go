// Package quorumd decides for the arbitrator that stands outside the clusters.
//
// It grants quorum to one half of a cluster that fell into two halves, and
// tickets to one cluster of several. It is a core: values in, values out. The
// server around it carries the lines of the protocol (docs/quorumd-protocol.md),
// checks certificates, and makes what [Arbiter.Step] calls durable before it lets
// any answer out that depends on it.
//
//	protocol.go  the messages and their limits
//	arbiter.go   the one entrance: connections, beats, time
//	grant.go     who of a cluster has the grant
//	ticket.go    which cluster has a ticket
//	state.go     what must survive a restart
//
// # The grant
//
// Invariants:
//
//   - A grant names the half that has it, as the exact set of its nodes. Nobody
//     else has it until it is free: each of those nodes gave it back, or the
//     lease that was given last has run out and the hand-over delay after it has
//     passed too.
//   - Leases count from the moment when the node sent its request, on the node's
//     clock, and from the moment when the answer was made on ours: ours end later.
//   - A half with an older data generation than one that was ever reported by a
//     majority, or opened, never gets the grant. A half of a cluster that no
//     majority has ever reported gets nothing either.
//   - A grant is settled when every node of its half has asked for it in one and
//     the same episode for the hand-over delay: since then none of them has heard
//     the other half, so that the other half's validity has ended and its services
//     are stopped or its watchdogs have fired.
//   - The next data generation is opened under a settled grant only, and durably
//     before anybody is told. From then on the other half is stale: the grant
//     never moves again.
package quorumd
