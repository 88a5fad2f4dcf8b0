// Package audit keeps the append-only, tamper-evident record of who changed what:
// an intent before every change and an outcome after it, refused tries, log-ins, and
// what the engine did by itself.
//
// Each node has its own log, so that one that is cut off still records. Records are
// JSON lines in segment files. Three things make tampering show, each where the one
// before it ends:
//
//   - A record carries the hash of the one before it and of itself. An altered,
//     deleted or reordered record shows by itself, and is named.
//   - The records are the leaves of a Merkle tree (RFC 6962, section 2.1), whose
//     size and root the node signs from time to time: a checkpoint. A truncated log,
//     or one rewritten from some record on, does not fit the checkpoints.
//   - The other nodes sign the checkpoints, too, and only those that continue what
//     they signed before ([Witness]). A node that was rolled back as a whole, or that
//     has two histories, does not fit what the others hold.
//
// Anything may be checked offline, from the files or from an export: [Verify]. The
// package imports nothing of this module: evidence depends on nothing that it reports
// on.
package audit
