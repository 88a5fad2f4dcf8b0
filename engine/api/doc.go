// Package api is the contract of the engine's socket: paths, requests, answers
// and error codes. The daemon serves it as HTTP with JSON over the unix socket
// /run/belay/belayd.sock; engine/client calls it, and the command line, the
// management daemon and the agents' tools call engine/client.
//
// Version 1. Fields are added, never renamed or removed; readers ignore fields
// that they do not know; a request with an unknown field is refused, since it asks
// for something that would not happen.
//
//	GET  /v1/status                 status.Summary (query: stale=1 answers without a store too)
//	GET  /v1/watch                  stream, one JSON a line: status.Summary at each change of state
//	GET  /v1/snapshot               the whole cib.Snapshot, secrets sealed
//	GET  /v1/events?after=N&follow=1  stream or list of cib.Event
//	GET  /v1/config                 Config: the configuration and its generation
//	GET  /v1/history                []GenerationInfo; /v1/history/N cib.GenerationRecord
//	GET  /v1/explain/resource/ID    graph.Explanation
//	GET  /v1/plan                   PlanSummary of what is being done now
//	GET  /v1/agents, /v1/agents/ID  installed agents; their metadata
//	GET  /v1/local                  Local: this node as its own engine sees it, without the store
//	GET  /v1/audit/state            AuditState of this node's audit log
//	POST /v1/change                 Change in, ChangeResult out
//	POST /v1/attribute              Attribute in; a transient one of another node is forwarded to it
//	POST /v1/shim/...               the tools that agents call, see package engine/agent/shim
//	GET  /v1/attribute/NODE/NAME    Attribute
//	POST /v1/token                  TokenRequest in, Token out: a join token
//	POST /v1/backup                 BackupRequest in, Backup out
//	POST /v1/log                    LogLevel in: run-time log level of this node
//	POST /v1/cluster/init           Init in, Joined out
//	POST /v1/cluster/join           Join in, Joined out
//
// For the management daemon and root only:
//
//	GET  /v1/documents              Documents; /v1/documents/watch the same as a stream, at each change
//	POST /v1/documents              DocumentChange in, DocumentsChanged out
//	POST /v1/note                   Note in, for the audit log
//	GET  /v1/audit                  AuditPage of this node's audit log; ?node=, and the other fields of AuditQuery
//	GET  /v1/audit/held             AuditHeld: what other nodes hold of this node's log
//	GET  /v1/audit/verify           AuditVerdict: whether this node's log is whole, by what others hold, too
//	GET  /v1/audit/verify/cluster   AuditClusterVerdict: the same of every node's log
//	POST /v1/audit/rotate-key       AuditKeyRequest in, AuditKey out: another key signs this node's log
//	GET  /v1/snmp                   SNMP: how the cluster shows itself over SNMP, secrets open
//	GET  /v1/notifiers              Notifiers: webhooks and mail targets, secrets open
//	POST /v1/certificate            CertificateRequest in, Certificate out
//
// Errors are application/problem+json, see [Problem].
package api
