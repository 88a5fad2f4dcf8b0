// Package store keeps the cluster's state in etcd. It is the only package that
// knows etcd.
//
//   - [ServeChild] is an etcd member as a process of its own, and [Supervisor]
//     starts, watches and restarts it: when the member crashes, or has to be
//     recovered by force, the engine goes on.
//   - [Store] is the client: it delivers immutable snapshots, and commits
//     transactions. It works the same with an etcd that somebody else runs.
//   - [Admin] changes the set of members, saves, compacts and defragments, and
//     says who may write what. It acts as the account root.
//
// A transaction either happened, did not happen, or has an unknown outcome; the
// three are told apart and only the second is ever tried again. Whoever meets the
// third looks at the store before it decides.
package store
