// Package notify tells webhooks and mail servers of the cluster's events. What a message
// says is decided by functions of the event; package outbox sees to it that each arrives
// at least once, in order, from one node at a time, and the same ID marks a repeat.
package notify
