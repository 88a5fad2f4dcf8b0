// Package client calls the engine's socket API (package api).
//
// What it promises: every error is an [*api.Problem] with a stable code, also
// where no engine answers; a request that only reads ends after its time-out; a
// change is sent once, unless it has a RequestID, which makes it safe to repeat.
package client
