// Package trap is how an event becomes an SNMP notification, and how that gets to a
// receiver. When it is sent, and what becomes of it where nobody answers, is decided by
// package outbox: at least once, in order, with a sequence that has no gaps. packet.go
// knows gosnmp.
package trap
