// Package pacemaker reads a cluster information base of Pacemaker, 1.x to 3.x,
// and turns it into a snapshot that engine/policy decides on. What has no place
// there is listed, each with element, id and reason: nothing is dropped silently.
//
//   - [Read] parses the XML within limits, whatever is in it.
//   - [Import] makes the snapshot of it, as of a time.
//   - [Configuration] makes of that snapshot what administrators write:
//     cluster.yaml.
//   - [Describe] writes a decision in the form in which those of Pacemaker are
//     compared.
//
// Rules that depend on the time are evaluated as of the time given, since our
// rules know node attributes only; each such rule is in the list.
//
// # How the files belong together
//
// xml.go reads elements, values.go scores, times and booleans, nvpairs.go and
// rules.go sets of names and values with their rules. import.go tells the story;
// options.go, nodes.go, resources.go, constraints.go and history.go are its
// steps, and digest.go tells whether parameters were changed. config.go is
// [Configuration], describe.go is [Describe].
package pacemaker
