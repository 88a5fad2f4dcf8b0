// Package gui holds the web GUI: the files that "make build" makes of web/src, and a
// handler that serves them. A binary that was built without them serves a page that
// says so.
package gui
