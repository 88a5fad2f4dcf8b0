// Package graph holds the two values that lead from a snapshot to actions: the
// placement (what should run where, and why) and the transition graph (the
// ordered actions that lead there).
package graph
