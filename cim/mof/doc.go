// Package mof compiles the Managed Object Format of DSP0004, annex A, to the classes of
// cim/object: qualifier declarations, classes, associations and indications, with
// #pragma include and namespace.
//
//	schemas, err := mof.Compile(files, "belay.mof")
//
// Names may be used before they are declared; what is declared twice in a namespace is
// an error, and a file is included once for each namespace. Instances and aliases of
// instances are not part of a schema and are refused. Errors say file and line, and there may
// be several, joined.
package mof
