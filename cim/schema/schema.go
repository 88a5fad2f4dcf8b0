// Package schema is the classes that Belay shows over CIM, as MOF: those of the CIM
// schema that it uses, declared anew with the standard's names, types, keys and values, and
// its own, which begin with Belay_.
//
// The MOF files are the source. [Load] compiles them, which takes a few milliseconds; a
// test does so at every build, so that a program whose MOF is wrong is never made.
package schema

import (
	"embed"
	"sync"

	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
)

//go:embed *.mof
var files embed.FS

// Load returns the schemas of the namespaces.
var Load = sync.OnceValues(func() ([]*object.Schema, error) { return mof.Compile(files, "all.mof") })
