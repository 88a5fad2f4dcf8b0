// Package model shows a cluster as instances of the classes in cim/schema, and says
// what a change that comes in as CIM means for the engine.
//
// Everything is a function of one moment: a summary of the state and the configuration.
// Nothing is asked, and nothing is made before somebody wants it: an enumeration makes
// one instance at a time, and GetInstance makes one only. The instance that GetInstance
// returns is made by the same function as the enumerated one.
//
// Each class is one line of the table in [classes]; each function behind it shows one
// noun. How states of Belay become states of CIM stands in states.go.
package model
