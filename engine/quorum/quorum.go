package quorum

import (
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

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
	// Outdated says why this node's data may be older than what was acknowledged, at a
	// cold start; "": nobody says so.
	Outdated string

	Devices []Device // tie-breakers, in the configured order
}

// Device is the answer of one tie-breaker. It is used only at a tie.
type Device struct {
	ID     string
	Kind   cib.QuorumDeviceKind
	Answer cib.QuorumAnswer // zero: it did not answer, which is no
	Reason string
}

// Result says whether the partition may act, and why.
type Result struct {
	Quorate  bool
	Tied     bool // exactly half, and allowed to act: the tie-breakers decide
	Votes    int  // present
	Needed   int  // for a majority
	Expected int  // of all voters
	Modules  []ModuleAnswer
	Reason   string // one line: "2 of 3 votes, 2 needed"
}

// ModuleAnswer is the answer of one module of the chain.
type ModuleAnswer struct {
	Kind   string // majority, store, wait-for-all, data, or the kind of a quorum device
	ID     string // of the quorum device
	Answer cib.QuorumAnswer
	Reason string
}

// Kinds of modules that are no quorum devices.
const (
	KindMajority   = "majority"
	KindStore      = "store"
	KindWaitForAll = "wait-for-all"
	KindData       = "data"
)

// Evaluate decides whether a partition may act.
func Evaluate(in Input) Result {
	var r Result
	answer := r.majority(&in)
	if answer != cib.QuorumNo && in.External && !in.StoreReachable {
		answer = r.add(KindStore, "", cib.QuorumNo, "the store cannot be reached")
	}
	if answer != cib.QuorumNo {
		if missing := waitsFor(&in); missing != "" {
			answer = r.add(KindWaitForAll, "", cib.QuorumNo, missing)
		}
	}
	if answer != cib.QuorumNo && in.Outdated != "" {
		answer = r.add(KindData, "", cib.QuorumNo, in.Outdated)
	}
	r.Tied = answer == cib.QuorumTie
	for i := 0; answer == cib.QuorumTie && i < len(in.Devices); i++ {
		answer = r.device(&in.Devices[i])
	}
	r.Quorate = answer == cib.QuorumHave
	return r
}

// majority counts the votes.
func (r *Result) majority(in *Input) cib.QuorumAnswer {
	for i, v := range in.Voters {
		votes := in.votes(i)
		r.Expected += votes
		if slices.Contains(in.Present, v) {
			r.Votes += votes
		}
	}
	r.Needed = r.Expected/2 + 1
	if r.Expected == 0 {
		return r.add(KindMajority, "", cib.QuorumNo, "there are no votes")
	}
	answer := cib.QuorumNo
	switch {
	case r.Votes >= r.Needed:
		answer = cib.QuorumHave
	case 2*r.Votes == r.Expected:
		answer = cib.QuorumTie
	}
	return r.add(KindMajority, "", answer, fmt.Sprintf("%d of %d votes, %d needed", r.Votes, r.Expected, r.Needed))
}

func (in *Input) votes(voter int) int {
	if in.Weights == nil {
		return 1
	}
	return max(0, in.Weights[voter])
}

// waitsFor says for whom the partition must wait before it may act the first
// time; "" is for nobody. Two voters wait at every boot: the one that starts
// alone can't know whether the other one is running.
func waitsFor(in *Input) string {
	var missing []string
	for _, v := range in.Voters {
		if !slices.Contains(in.Present, v) {
			missing = append(missing, v)
		}
	}
	switch {
	case len(missing) == 0:
		return ""
	case len(in.Voters) == 2 && !in.SeenAll && !in.Standalone:
		return "waits until the other voter was seen since this boot: " + missing[0]
	case in.WaitForAll && !in.Complete:
		return "waits until all voters were seen once: " + strings.Join(missing, ", ")
	}
	return ""
}

// device takes the answer of a tie-breaker. One that does not answer us may have
// said yes to the other half: going on to the next would let that one say yes to
// us. A ping can only veto: that an address answers says nothing about the other
// half.
func (r *Result) device(d *Device) cib.QuorumAnswer {
	answer, reason := d.Answer, d.Reason
	switch {
	case answer == 0:
		answer = cib.QuorumNo
		if reason == "" {
			reason = "no answer"
		}
	case answer == cib.QuorumHave && d.Kind == cib.QuorumDevicePing:
		answer = cib.QuorumTie
	}
	return r.add(d.Kind.String(), d.ID, answer, reason)
}

// add notes the answer of a module, and puts it into words.
func (r *Result) add(kind, id string, answer cib.QuorumAnswer, reason string) cib.QuorumAnswer {
	r.Modules = append(r.Modules, ModuleAnswer{Kind: kind, ID: id, Answer: answer, Reason: reason})
	if r.Reason != "" {
		r.Reason += "; "
	}
	if id != "" {
		r.Reason += kind + " " + id + ": " + answer.String()
		if reason == "" {
			return answer
		}
		reason = " (" + reason + ")"
	}
	r.Reason += reason
	return answer
}
