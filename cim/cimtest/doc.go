// Package cimtest looks at CIM-XML from outside, for tests. It shares no code with
// cim/cimxml: it has the DTD as a table of its own, and checks the types of what
// comes against the classes.
package cimtest
