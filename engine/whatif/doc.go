// Package whatif answers what a cluster would do: a snapshot is changed as somebody
// supposes, and the policy, the same that the DC asks, decides on it.
package whatif
