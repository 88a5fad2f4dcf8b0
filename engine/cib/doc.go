// Package cib holds the cluster information base: every noun of the cluster as
// plain data, and the rules that need nothing but that data.
//
// There are three parts:
//
//   - [Config] is what administrators decide. Its documents lie below config/
//     in the store; one counter, the configuration generation, counts changes.
//   - [Status] is what the engine knows. Its documents lie below status/, with
//     one writer a key (see keys.go).
//   - [Snapshot] is both at one revision of the store. It is immutable: readers
//     share it without locks, [Snapshot.Apply] makes the next one.
//
// Names in configuration documents are Pacemaker's, hyphens included
// ("no-quorum-policy"), since people type them; status and socket API use camelCase.
// The package imports nothing of this module and does no I/O.
package cib
