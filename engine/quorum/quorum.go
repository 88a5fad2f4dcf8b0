package quorum

import "github.com/belay-ha/belay/engine/cib"

// Input is everything the decision depends on.
type Input struct {
	Voters  []string // of the newest voter set
	Present []string // nodes of this partition; only voters among them count
	Weights []int    // votes of Voters, in their order; nil: one each. Only with an external store.

	// External says that the store is not run by the voters; then a partition
	// must also reach it.
	External       bool
	StoreReachable bool

	// WaitForAll is option wait-for-all. Complete says that all voters of this
	// cluster were members of one view at least once; it stands in the store.
	WaitForAll bool
	Complete   bool
	// SeenAll says that all voters were heard since this node's boot. Two voters
	// wait for it at every boot. Standalone says that the other one is recorded
	// as removed, cleanly left or proven dead, so that nobody need be waited for.
	SeenAll    bool
	Standalone bool

	Devices []Device // tie-breakers, in the configured order
}

// Device is the answer of one tie-breaker. It is used only at a tie.
type Device struct {
	ID     string
	Kind   cib.QuorumDeviceKind
	Answer cib.QuorumAnswer // zero: it did not answer, which is a tie
	Reason string
}

// Result says whether the partition may act, and why.
type Result struct {
	Quorate  bool
	Votes    int // present
	Needed   int // for a majority
	Expected int // of all voters
	Modules  []ModuleAnswer
	Reason   string // one line: "2 of 3 votes, 2 needed"
}

// ModuleAnswer is the answer of one module of the chain.
type ModuleAnswer struct {
	Kind   string // majority, wait-for-all, store, or the kind of a quorum device
	ID     string // of the quorum device
	Answer cib.QuorumAnswer
	Reason string
}

// Evaluate decides whether a partition may act.
func Evaluate(in Input) Result { return Result{} }
