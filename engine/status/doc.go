// Package status computes, once and from a snapshot alone, every state, reason
// and count that any face shows: command line, REST, GUI, SNMP, CIM.
//
// [Summarize] is the one function. What it returns is plain data with stable
// JSON names; each enumeration in it is one table (see enums.go) from which the
// MIB and the MOF take their numbers.
//
// Alarms are derived from what is, wherever the snapshot can say it, and from the
// event ring where it cannot; see alarms.go.
package status
