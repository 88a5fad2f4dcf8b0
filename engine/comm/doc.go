// Package comm carries messages between nodes over redundant UDP links.
package comm
