package store

import (
	"time"
	_ "unsafe" // go:linkname
)

// etcd's members probe each other over HTTP every 4s, twice for each peer, for
// metrics and a warning in the log that nobody here reads. Each probe is a
// connection of its own, and its TLS handshakes were a third of what an idle member
// costs. There is no option for it.
//
//go:linkname proberInterval go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp.proberInterval
var proberInterval time.Duration

// probePause is the time between two probes of a peer.
const probePause = 5 * time.Minute
