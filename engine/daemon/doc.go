// Package daemon performs what a node.Node asks for: the only package with
// goroutines, clocks and I/O around the cores.
//
//	daemon.go     starts and ends everything
//	loop.go       the one goroutine that owns the node: events in, effects out
//	effects.go    performs effects: transactions, agents, fence devices, events
//	keeper.go     the store of this node: its member process, the set of voters
//	arbiters.go   the tie-breakers: one worker each
//	tickets.go    the tickets that an arbitrator grants
//	change.go     the one door for every modification
//	api.go        the socket
//	peer.go       the node API between engines: join, certificates
//	bootstrap.go  cluster init and join
//	local.go      what the node keeps on its own disk
//	clock.go      the steady clock
package daemon
