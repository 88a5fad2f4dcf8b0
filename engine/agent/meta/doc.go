// Package meta reads the metadata of resource agents and fence agents and
// checks parameters against it.
//
// What it promises:
//
//   - Both dialects, the OCF resource agent API 1.0 and 1.1 and the one of the
//     fence-agents catalogue, come out as one typed value, [Metadata].
//   - Nothing that an agent prints can make Parse load a file, resolve an
//     entity, recurse deeply or take much memory. The limits are constants.
//   - Validate reports every fault, in a fixed order, and changes nothing.
//
// It is pure: it runs no agent and reads no file. Package agent does that.
package meta
