// Package sim runs whole clusters from a seed.
//
// A [World] is a made-up cluster: the real [node.Node] of every node, and
// everything around them invented: network, store, clocks, machines, resource
// agents, fence devices, administrators. One seed gives one [Scenario], the list of
// what goes wrong is part of it, and the same scenario gives the same trace. There
// is no goroutine, clock, socket or file in a world, so a minute of a cluster's life
// takes a few milliseconds.
//
//	scenario.go  what one world is made of, drawn from its seed
//	fault.go     everything that can go wrong
//	world.go     the loop: events in the order of virtual time
//	net.go       links, cuts, and who reaches whom
//	store.go     a linearizable store with watches, leases and lost answers
//	machine.go   power, boots, engines, clocks, pauses, watchdogs
//	remote.go    remote nodes, and what runs agents there
//	proxy.go     a proxy's side of a connection to one
//	wire.go      what is between the two
//	agents.go    resource agents and what really runs
//	arbitrator.go a real core of belay-quorumd, in worlds of two nodes
//	devices.go   fence devices and what is really off
//	admin.go     administrators' changes
//	check.go     what must never happen, on the ground truth
//	settle.go    what must be so soon after the last fault has healed
//	run.go       many seeds at once
//	shrink.go    the smallest scenario that still breaks the same rule
//	mutants.go   deliberate breakages that the rules must notice
//
// The rules have the numbers of "What must never happen" in DESIGN.md.
//
// # What is not modelled
//
// Quorum devices but belay-quorumd; changes of the voter set, forced recovery and
// data generations but those of two nodes, whose logs never differ; resource fencing; a watchdog's bound as a proof; full disks; the daemon's own code. A hypervisor that pauses a machine may freeze the
// machine's clocks too: such a machine can go on acting, when it is resumed, for as
// long as it could have when it was paused. No software on it can notice, so the
// rules about validity count that machine's own time; that nothing runs twice rests on
// the power switch, which is checked in full.
package sim
