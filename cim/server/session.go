// Package server is a WBEM server: the operations of DSP0200, in CIM-XML over HTTP.
//
// It knows the protocol and the classes, and nothing of the cluster: what is there comes
// from an [object.Source], and whoever asks is a [Session] that mgmtd has made.
package server

import (
	"context"

	"github.com/belay-ha/belay/cim/object"
)

// Session is one caller: what they may see, and what they may change. Errors carry a
// code by [object.Errorf]; one without is CIM_ERR_FAILED.
type Session interface {
	// User is the caller's name. Enumerations that were opened by one user are pulled
	// and closed by the same.
	User() string
	// Source is what is there now. AccessDenied says that the caller may see nothing.
	Source(ctx context.Context) (object.Source, error)
	// Create makes an instance. Those properties are set that the client gave; unknown
	// ones, wrong types and abstract classes have been refused before.
	Create(ctx context.Context, i *object.Instance) (*object.Path, error)
	// Modify changes the properties that are set in i, apart from its keys, which name
	// the instance. All of them are writable by the class, and the instance was there.
	Modify(ctx context.Context, i *object.Instance) error
	// Delete removes an instance that was there.
	Delete(ctx context.Context, path *object.Path) error
	// Invoke calls a method of an instance that was there, or of a class. Required
	// parameters are there, and all have their types.
	Invoke(ctx context.Context, c *object.Call) (*object.Result, error)
}
