// Package remote connects a proxy to a remote node: a machine that runs resource
// agents and has no engine of its own. [Server] is the remote node's side, [Dial] the
// proxy's.
//
// Both show certificates of the cluster over TLS 1.3. The remote node's is good for a
// server only, and names it; the proxy takes no other name. Over the connection go
// frames of JSON: the proxy says hello with the epoch of its connection, asks for
// agents to be run and killed, and answers pings. The remote node answers, and pings.
//
// A ping carries a number that the remote node has drawn, and the answer how long the
// proxy is valid from then on. The remote node counts from when it sent the ping, on
// its own clock, and starts no agent after that: what stands in a queue somewhere on
// the way is not executed late. A connection with a higher epoch ends an older one and
// what was being run over it, before anything else is run.
package remote
