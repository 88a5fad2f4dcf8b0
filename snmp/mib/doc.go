// Package mib is BELAY-MIB: what SNMP shows of a cluster.
//
// One set of Go tables defines every object and notification. From it come the text
// of the MIB module ([Text]), the values of a walk ([Build], a pure function of a
// summary) and the variables of a notification ([Notification]), so the three cannot
// disagree. Enumerations are the tables of engine/cib and engine/status; the
// notifications are the events of engine/event that are marked for it.
package mib
