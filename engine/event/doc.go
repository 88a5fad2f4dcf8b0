// Package event is the catalogue of events an operator can be told about. Each is
// defined once: code, severity, title, text and what to do about it. GUI, log,
// SNMP, CIM, mail and audit render that definition.
package event
