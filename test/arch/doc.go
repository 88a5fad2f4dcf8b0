// Package arch checks who may import whom.
//
// The table in rules_test.go has one line for each package with the reason for
// it. A new package is a new line there, so that its place is a decision.
package arch
