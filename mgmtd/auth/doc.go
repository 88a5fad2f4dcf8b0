// Package auth says who a caller of the management daemon is: by a password, which a
// helper process checks with PAM, by a session that a log-in began, by an API token,
// or by the key of a client certificate.
//
// What all management daemons of a cluster must know lies in the store as documents
// of the engine (see package engine/api): of sessions and tokens only hashes. Each
// daemon holds a copy in memory, so that a check costs no question, and goes on with
// it while there is no quorum. A log-in without quorum makes a session of this node
// alone.
package auth
