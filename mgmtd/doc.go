// Package mgmtd puts the management daemon together: one view of the cluster, one
// door for changes, authentication, and the faces that use them.
package mgmtd
