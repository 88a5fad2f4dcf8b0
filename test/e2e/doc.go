// Package e2e tests the product from outside, between hosts of the lab: real
// engines, the store, Debian's agents, a power switch; and everything that goes
// wrong with them.
package e2e
