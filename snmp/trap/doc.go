// Package trap sends the cluster's events as SNMP notifications, each to every target
// that wants it: at least once, in order, with a sequence that has no gaps.
//
// The queue is the cluster's ring of events and one [Cursor] per target in the store.
// Whoever sends next, on this node or another, goes on where the cursor stands, and a
// notification that is sent again has the number that it had before. queue.go decides,
// sender.go runs, packet.go knows gosnmp.
package trap
