// Package change is the one door of the management daemon for everything that
// somebody wants to see or change: REST, GUI, CIM and the remote command line go
// through it. It asks authz whether the caller may, holds what needs a second person
// back until that person agrees, and hands the rest to the engine with the caller's
// name. The engine validates, simulates, records and commits.
package change
