package lrm

import (
	"github.com/belay-ha/belay/engine/cib"
)

// Command is something the manager wants done. The types below are all.
type Command interface{ command() }

type (
	// Commit asks for a transaction; [Manager.Committed] answers with the same Tag.
	Commit struct {
		Tag    Tag
		Txn    cib.Txn
		Events []cib.Event // to be written in the same transaction
	}
	// Run runs an agent; [Manager.Done] answers. Direct marks a stop without the
	// store on a node that lost validity: it has no end to its permission.
	// Claim is the revision at which its record was claimed; 0 for what has none.
	Run struct {
		Run    uint64
		Action cib.Action
		Direct bool
		Claim  int64
	}
	// Kill ends a running agent; its Done says cancelled.
	Kill struct{ Run uint64 }
)

func (Commit) command() {}
func (Run) command()    {}
func (Kill) command()   {}

// Tag names a transaction of the manager.
type Tag struct {
	Kind     TagKind
	Instance string
	ActionID string
	job      *job // that it is for; another one for the same action is not meant
}

// TagKind is what a transaction of the manager is for.
type TagKind uint8

// The transactions of the manager.
const (
	Claim  TagKind = iota + 1 // asked → running
	Finish                    // result written, record ended
	Report                    // history written, without a record
	Refuse                    // a record that can't be claimed is ended
)

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes of a transaction.
const (
	Done    Outcome = iota + 1 // all of it happened
	Refused                    // a compare failed, nothing happened
	Unknown                    // no answer
)
