// Package agentx is a subagent of net-snmp's snmpd (RFC 2741): it registers BELAY-MIB
// and answers Get, GetNext and GetBulk from an immutable list of variables. It changes
// nothing: a Set is refused with notWritable.
//
// The master is not trusted with this process: whatever it sends, the session is
// answered or closed with a reason. session.go decides, agent.go holds the connection.
package agentx
