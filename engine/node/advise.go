package node

import (
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// adviceLasts is how many intervals an answer of the placement program counts: a
// program that fails once or twice changes nothing.
const adviceLasts = 3

// advise keeps the answer of the external placement program up to date, where the
// configuration names one. The program is run by the shell; nobody waits for it.
// What it says is written down, so that every node, and whoever asks why, decides
// on the same ground. It reports whether it wrote.
func (n *Node) advise() bool {
	o := &n.snap.Config.Cluster.Options
	if o.PlacementStrategy != "external" || o.PlacementProgram == "" {
		n.advice = nil
		return false
	}
	if a := n.advice; a != nil {
		n.advice = nil
		n.asDC(cib.Txn{Put: []cib.Put{{Key: cib.KeyAdvice, Value: a}}}, nil)
		return true
	}
	last, now := n.snap.Status.Advice, n.wallNow()
	if n.advising || last != nil && last.Program == o.PlacementProgram && !last.Asked.After(now) && now.Before(last.Asked.Add(o.AdviceEvery())) {
		return false
	}
	n.advising = true
	n.out = append(n.out, Advise{Program: o.PlacementProgram, Timeout: o.AdviceTimeout(), Question: policy.Ask(n.snap, now)})
	return false
}

// advised takes an answer. Where there is none, the one before counts for its time.
func (n *Node) advised(ev Advised) {
	n.advising = false
	if n.snap == nil {
		return
	}
	now := n.wallNow()
	o := &n.snap.Config.Cluster.Options
	a := &cib.Advice{Program: ev.Program, Error: ev.Error, Asked: now}
	if ev.Error == "" {
		a.Scores, a.Until = ev.Answer.Scores, now.Add(adviceLasts*o.AdviceEvery())
	} else if last := n.snap.Status.Advice; last != nil && last.Program == ev.Program {
		a.Scores, a.Until = last.Scores, last.Until
	}
	n.advice = a
}
