package node

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/graph"
	"github.com/belay-ha/belay/engine/lrm"
	"github.com/belay-ha/belay/engine/membership"
)

// Event is something that happened to the node. The types below are all.
type Event interface{ event() }

type (
	// Tick says that time passed. It comes when [Node.NextWake] asked for it, and at
	// least once a second. Wall is the wall clock, for stamps in documents; the
	// now of Step is a steady clock that goes on while the machine is suspended.
	Tick struct{ Wall time.Time }
	// Heard brings a message of another node that came over a link.
	Heard struct {
		Link    int
		Message *membership.Message
	}
	// Changed brings a newer snapshot from the store.
	Changed struct{ Snap *cib.Snapshot }
	// Committed ends a [Commit].
	Committed struct {
		ID      uint64
		Outcome Outcome
		Rev     int64 // of the store after a done transaction
	}
	// AgentDone ends a [Run].
	AgentDone struct {
		Run    uint64
		Result AgentResult
	}
	// FenceDone ends a [FenceCall].
	FenceDone struct {
		Run    uint64
		Result FenceResult
	}
	// StoreState says whether the store answers this node.
	StoreState struct {
		OK     bool
		Reason string
	}
	// Arbitrated says what a tie-breaker answers to the claim of an episode.
	Arbitrated struct {
		Device  string
		Episode uint64
		Answer  cib.QuorumAnswer // zero: none
		Reason  string
		Until   time.Time // steady clock; how long a have is good
		// Settled is from when on the other half is known to have stopped or reset
		// itself, on the steady clock; zero: not known.
		Settled time.Time
		Failed  string // why the device does not answer, also while nobody needs it; "": it does
		// Of is the generation of the data of which an arbitrator has said last whether it
		// knows newer ones, and Outdated that it does; zero: it has not.
		Of       cib.DataGeneration
		Outdated string
	}
	// Ticketed says what an arbitrator says of a ticket that the DC wants.
	Ticketed struct {
		Device, Ticket string
		Held           bool
		Term           uint64
		Sent           time.Time // steady clock; when the request was sent that it granted
		Expiry         time.Duration
		After          time.Duration // how long nobody else gets it after that
		Refused        string        // why it is not held; "" and not held: there is no answer yet
		Holder         string        // who has it instead, where that is known
		Revoked        bool          // a person has taken it away; it may still be down as this cluster's
		Freed          bool          // it was given back
	}
	// Recovered ends a [Recover].
	Recovered struct {
		Error string // why the store was not recovered; "": it was
	}
	// StoreWaits names the one voter that the store has besides this node, as this
	// node's own member knows it, while the store does not answer; "": there is none,
	// there are several, or it answers. Empty: that node's engine says that there are no
	// data of the store on its disk, so that the store waits in vain.
	StoreWaits struct {
		For   string
		Empty bool
	}
	// Advised ends an [Advise].
	Advised struct {
		Program string
		Answer  graph.Answer
		Error   string // why there is none
	}
	// Connected ends a [Connect].
	Connected struct {
		Remote  string
		Epoch   uint64
		BootID  string // of the remote node's machine
		Version string
		Cores   int
		Error   string // why there is no connection
		Refused bool   // it is not who it should be
	}
	// Armed says what time-out the watchdog has, where it is not the one that was
	// asked for before.
	Armed struct {
		Timeout time.Duration
		Error   string // why it is not armed
	}
	// Leave asks the node to leave: drained first, or only its engine for a
	// restart that leaves resources running.
	Leave struct{ Restart bool }
)

func (Tick) event()       {}
func (Heard) event()      {}
func (Changed) event()    {}
func (Committed) event()  {}
func (AgentDone) event()  {}
func (FenceDone) event()  {}
func (StoreState) event() {}
func (Arbitrated) event() {}
func (Ticketed) event()   {}
func (Recovered) event()  {}
func (StoreWaits) event() {}
func (Advised) event()    {}
func (Connected) event()  {}
func (Armed) event()      {}
func (Leave) event()      {}

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes of a transaction.
const (
	Done    Outcome = iota + 1 // all of it happened
	Refused                    // a compare failed, nothing happened
	Unknown                    // no answer: it happened, will happen, or did not
)

// AgentResult is what came of running a resource agent.
type AgentResult = lrm.Result

// FenceResult is what came of one call of a fence agent.
type FenceResult struct {
	OK    bool // the call did what it says; for status: the state could be read
	Off   bool // of a status call: the power is off
	Error string
}

// Effect is something the node wants done. Effects of one Step are performed in
// order, none waits for another.
type Effect interface{ effect() }

type (
	// Send sends a message to a node over every link, or over one.
	Send struct {
		To      string
		Message membership.Message
	}
	// Commit asks for a transaction. Exactly one [Committed] answers it.
	Commit struct {
		ID  uint64
		Txn cib.Txn
	}
	// Run runs a resource agent. Immediately before it is started the clock is read
	// again: from NotAfter on it is refused with status not-run. Exactly one
	// [AgentDone] answers it.
	Run struct {
		Run      uint64
		Action   cib.Action
		NotAfter time.Time // steady clock; zero: always (a stop on a node that lost validity)
		Remote   string    // the remote node on which it is to run, over the connection of Epoch; "": here
		Epoch    uint64
	}
	// Kill ends a running agent; its [AgentDone] says cancelled.
	Kill struct{ Run uint64 }
	// Connect connects to a remote node, and keeps the connection of that epoch until a
	// Disconnect. Exactly one [Connected] answers it.
	Connect struct {
		Remote   string
		Epoch    uint64
		Address  string
		Port     int
		Timeout  time.Duration
		NotAfter time.Time
	}
	// Disconnect ends a connection, if it is there.
	Disconnect struct {
		Remote string
		Epoch  uint64
	}
	// CheckLink asks whether a remote node answers. Exactly one [AgentDone] answers it.
	CheckLink struct {
		Run     uint64
		Remote  string
		Epoch   uint64
		Timeout time.Duration
	}
	// FenceCall calls a fence agent. The same holds for NotAfter; exactly one
	// [FenceDone] answers it.
	FenceCall struct {
		Run      uint64
		DeviceID string
		Device   cib.FenceDevice
		Op       FenceCallOp
		Target   string
		Plug     string // the target's name at the device
		Timeout  time.Duration
		NotAfter time.Time
	}
	// Feed keeps the watchdog quiet until the given time, and gives it a time-out.
	Feed struct {
		Until   time.Time
		Timeout time.Duration
	}
	// SelfFence resets this machine at once, by watchdog or reset.
	SelfFence struct{ Reason string }
	// Emit is an event for the ring, the log and every face.
	Emit struct{ Event cib.Event }
	// Journal writes a line to the node's fsynced journal: what it did without the
	// store.
	Journal struct{ Text string }
	// Silent says that a peer, or one link to it (0 and up; -1: all), went silent:
	// connections to it are not worth waiting for.
	Silent struct {
		Node string
		Link int
	}
	// Consult tells the tie-breakers what this node claims from now on. What they
	// said to an earlier one is worth nothing.
	Consult struct{ Claim Claim }
	// Tickets says what is to be done about tickets at their arbitrators from now on.
	// What is not named is renewed no more.
	Tickets struct{ Want []TicketWant }
	// EpochKnown says that a majority of the newest voters was heard to know their set's
	// epoch. An engine that starts later in this boot is told so ([Setup.EpochKnown]).
	EpochKnown struct{ Epoch uint64 }
	// Recover asks for the forced recovery of the store, under the grant of an
	// arbitrator that is settled: Lost is shut out with the data of Generation, of
	// which this node has seen everything up to Revision. Without a device the vote of
	// Lost was never recorded; that must also be so in the data. Empty: it was, and Lost
	// has no data any more; it must still say so, and no arbitrator may know of newer
	// data than these. Exactly one [Recovered] answers it.
	Recover struct {
		Device     string
		Lost       string
		Empty      bool
		Generation cib.DataGeneration
		Revision   int64
	}
	// Advise asks the external placement program. Exactly one [Advised] answers it.
	Advise struct {
		Program  string
		Timeout  time.Duration
		Question graph.Question
	}
	// Remove deletes a constraint from the configuration, as a change by the engine.
	Remove struct{ Constraint, Reason string }
	// Left says that the node has left, or may be restarted: the engine may end.
	Left struct{}
)

func (Send) effect()       {}
func (Commit) effect()     {}
func (Run) effect()        {}
func (Kill) effect()       {}
func (Connect) effect()    {}
func (Disconnect) effect() {}
func (CheckLink) effect()  {}
func (FenceCall) effect()  {}
func (Feed) effect()       {}
func (SelfFence) effect()  {}
func (Emit) effect()       {}
func (Journal) effect()    {}
func (Silent) effect()     {}
func (Consult) effect()    {}
func (Tickets) effect()    {}
func (EpochKnown) effect() {}
func (Recover) effect()    {}
func (Advise) effect()     {}
func (Remove) effect()     {}
func (Left) effect()       {}

// FenceCallOp is what one call of a fence agent does.
type FenceCallOp string

// The calls of a fence agent (FenceAgentAPI.md of fence-agents).
const (
	FenceOff     FenceCallOp = "off"
	FenceOn      FenceCallOp = "on"
	FenceStatus  FenceCallOp = "status"
	FenceMonitor FenceCallOp = "monitor"
)
