// Package node composes the cores into one deterministic node.
//
// A [Node] decides for one cluster node: is it valid, who is a member, who is
// the DC, what is fenced, what runs next. It has no goroutine, clock, socket or
// file. The daemon feeds it events and performs the effects it returns; the
// simulator does the same with a made-up world. [Node.Step] is the one entrance;
// node.go tells the story, one file each has its chapters:
//
//	view.go     who is a member: made by the DC from what the nodes hear
//	elect.go    who is the DC: a key in the store that every write compares
//	fence.go    fencing requests, their execution and their proofs
//	drive.go    the DC asks for actions: pending records in the store
//	outage.go   services that were lost, until they run again: what is told of a fail-over
//	local.go    this node's share: claims, runs, results, recurring monitors
//	arbitrate.go  exactly half of the voters: what the tie-breakers say
//	invalid.go  what a node does on its own when its validity ends
package node
