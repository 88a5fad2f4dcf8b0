// Package wbem is what one caller of CIM sees and changes: the newest state by
// cim/model, and every change through mgmtd/change, with the caller's roles, a record in
// the audit log, and the same jobs as over REST. It knows no protocol.
package wbem
