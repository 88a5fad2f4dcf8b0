package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// parseTrouble reads what goes wrong in a cluster; false if the word is none of
// these.
func (w *world) parseTrouble(word string, f []string) (bool, error) {
	switch word {
	case "banned": // RESOURCE NODE: short for a location
		w.Config.Constraints["ban-"+f[0]+"-"+f[1]] = &cib.Constraint{Location: &cib.Location{Resource: f[0], Node: f[1], Score: -cib.Infinity}}
		return true, nil
	case "round": // RESOURCE CLONE OP,INSTANCE,NODE...: a round of notifications has begun
		r := &cib.Round{ID: "r1-" + f[0], Clone: f[1], Lists: map[string]string{}}
		for _, x := range f[2:] {
			c := strings.Split(x, ",")
			r.Changes = append(r.Changes, cib.RoundChange{Op: c[0], Instance: c[1], Label: c[1] + ":0", Node: c[2]})
		}
		w.Status.Rounds = map[string]*cib.Round{f[0]: r}
		return true, nil
	case "recorded": // INSTANCE NODE: all that is known of it there was asked for here
		h := w.history(f[1], f[0])
		for i := range h.Ops {
			h.Ops[i].ActionID = "7.1"
		}
		return true, nil
	case "told": // INSTANCE NODE PHASE: of that round
		op := w.result(f[1], f[0], cib.OpNotify, 0, cib.OK, cib.OK, cib.OpDone)
		op.Round, op.Phase = w.Status.Rounds[baseOf(f[0])].ID, f[2]
		return true, nil
	case "well": // INSTANCE NODE OP@INTERVAL: it succeeded
		op, interval, _ := strings.Cut(f[2], "@")
		d, err := time.ParseDuration(interval)
		w.result(f[1], f[0], op, d, cib.OK, cib.OK, cib.OpDone)
		return true, err
	case "locked": // INSTANCE NODE: it was stopped when its node was shut down
		w.result(f[1], f[0], cib.OpStop, 0, cib.OK, cib.OK, cib.OpDone).Why = cib.Why{Cause: "its node was shut down", Rule: "shutdown-lock"}
		return true, nil
	case "reloadable": // INSTANCE NODE PARAMETER
		h := w.history(f[1], f[0])
		op := &h.Ops[len(h.Ops)-1]
		rest := maps.Clone(w.Config.Resources[baseOf(f[0])].Parameters)
		delete(rest, f[2])
		op.Reloadable, op.RestartDigest = f[2:3], cib.Digest(rest)
		return true, nil
	case "quorum": // held, lost or never
		q, ok := map[string]cib.PartitionQuorum{"held": cib.QuorumHeld, "lost": cib.QuorumLost, "never": cib.QuorumNever}[f[0]]
		if !ok {
			return true, fmt.Errorf("what quorum is %q", f[0])
		}
		w.Status.Quorum = q
		return true, nil
	case cib.OpMigrateTo, cib.OpMigrateFrom: // INSTANCE NODE PEER ok|failed|unknown|pending
		if len(f) < 4 {
			return true, errors.New("too few words")
		}
		w.migration(word, f[0], f[1], f[2], f[3])
		return true, nil
	}
	return false, nil
}

// migration records half of a migration.
func (w *world) migration(op, instance, node, peer, outcome string) {
	status, rc := cib.OpDone, cib.OK
	switch outcome {
	case "pending":
		p := &cib.Pending{Action: cib.Action{ID: "7.1", Op: op, Instance: instance, Resource: baseOf(instance), Node: node, Peer: peer}, State: cib.ActionRunning}
		if w.Status.Pending[node] == nil {
			w.Status.Pending[node] = map[string]*cib.Pending{}
		}
		w.Status.Pending[node][instance] = p
		return
	case "asked": // as belayd asks for it: with a record at the other end
		for _, p := range []*cib.Pending{
			{Action: cib.Action{ID: "7.1", Op: op, Instance: instance, Resource: baseOf(instance), Node: node, Peer: peer}, State: cib.ActionRunning},
			{Action: cib.Action{ID: "7.1.from", Op: cib.OpMigrateFrom, Instance: instance, Resource: baseOf(instance), Node: peer, Peer: node}, State: cib.ActionExpected, Migration: "7.1"},
		} {
			if w.Status.Pending[p.Node] == nil {
				w.Status.Pending[p.Node] = map[string]*cib.Pending{}
			}
			w.Status.Pending[p.Node][instance] = p
		}
		return
	case "unknown":
		status = cib.OpUnknown
	case "failed":
		rc = cib.GenericError
	}
	r := w.result(node, instance, op, 0, rc, cib.OK, status)
	r.Peer = peer
	if p := w.Status.Pending[node][instance]; p != nil && p.Op == op {
		r.ActionID = p.ID
		delete(w.Status.Pending[node], instance)
	}
	if c := w.Config.Resources[baseOf(instance)]; c != nil && op == cib.OpMigrateFrom {
		r.Digest = cib.Digest(c.Parameters)
	}
}

// parseTroubleOption reads the options about what goes wrong.
func parseTroubleOption(o *cib.Options, k, v string) error {
	var err error
	switch k {
	case "shutdown-lock":
		o.ShutdownLock = true
	case "shutdown-lock-limit":
		o.ShutdownLockLimit, err = cib.ParseDuration(v)
	case "fencing-action":
		o.FencingAction, err = cib.FenceOps.Parse(v)
	case "node-health-yellow", "node-health-green":
		var s cib.Score
		if s, err = cib.ParseScore(v); k == "node-health-green" {
			o.HealthGreen = &s
		} else {
			o.HealthYellow = &s
		}
	case "no-quorum-policy":
		o.NoQuorumPolicy, err = cib.NoQuorumPolicies.Parse(v)
	default:
		err = fmt.Errorf("what is option %q", k)
	}
	return err
}

// parseTroubleMeta reads the meta attributes about it.
func parseTroubleMeta(m *cib.Meta, k, v string) error {
	switch k {
	case "allow-migrate":
		m.AllowMigrate = new(v == "true")
	default:
		return parseRemoteMeta(m, k, v)
	}
	return nil
}
