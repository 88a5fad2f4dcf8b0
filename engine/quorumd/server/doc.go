// Package server runs an arbiter of package quorumd: connections with pinned keys,
// a journal on disk, a status page, an audit log.
//
//	server.go   starts and ends everything; one lock around the arbiter
//	conn.go     one connection
//	commit.go   what must be durable before it is said
//	journal.go  the file that survives
//	config.go   what the administrator says
//	http.go     status page, metrics, and the administrator's socket
package server
