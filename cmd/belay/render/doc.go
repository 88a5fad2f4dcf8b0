// Package render turns what the engine says into text for people. Its functions
// are pure: they take values and the time, and return a string.
//
// Tables are aligned by the width of the text, not of its colours. Nothing is
// said by colour or symbol alone: both can be off.
package render
