package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/node"
)

// admin is the people who change the configuration, each change as the engine's
// change path makes it: one transaction on the generation that it was made from.
type admin struct {
	n       int
	changes int // made
	moves   int
}

// commit sends a transaction from any machine that reaches the store.
func (a *admin) commit(w *World, txn cib.Txn, what string, done func()) {
	var from *machine
	for _, m := range w.machines {
		if m.healthy() && w.store.reaches(m) && (from == nil || w.storeRand.IntN(3) == 0) {
			from = m
		}
	}
	if from == nil {
		w.tracef("admin", "reaches nobody who could take: %s", what)
		return
	}
	w.tracef("admin", "%s", what)
	w.store.send(&request{m: from, commit: node.Commit{Txn: txn}, then: func(o node.Outcome, _ int64) {
		if o == node.Done && done != nil {
			done()
		}
	}})
}

// change commits a change of the configuration. Once it is acknowledged it must
// stand.
func (a *admin) change(w *World, what string, puts []cib.Put, deletes []string) {
	if len(puts)+len(deletes) == 0 {
		return
	}
	gen := w.store.snap.ConfigGen
	txn := cib.Txn{
		If: []cib.Compare{{Key: cib.KeyConfigGen, ModRev: gen.Rev}},
		Put: append(puts, cib.Put{Key: cib.KeyConfigGen, Value: &cib.ConfigGeneration{
			Number: gen.Number + 1, Time: epoch.Add(time.Duration(w.now)),
		}}),
		Delete: deletes,
	}
	a.changes++
	expect := map[string][]byte{}
	for _, p := range puts {
		raw, err := json.Marshal(p.Value)
		if err != nil {
			w.fail(9, "%s can't be written: %v", p.Key, err)
		}
		expect[p.Key] = raw
	}
	for _, key := range deletes {
		expect[key] = nil
	}
	w.checks.offered[gen.Number+1] = append(w.checks.offered[gen.Number+1], expect)
	a.commit(w, txn, what, func() { w.checks.acknowledged(w, what, gen.Number+1) })
}

// remove is a node's wish to delete a constraint that has served its purpose.
func (a *admin) remove(w *World, m *machine, id string) {
	w.afterOn(between(w.storeRand, time.Millisecond, 20*time.Millisecond), m, ofEngine, m.engine, func() {
		if w.store.snap.Config.Constraints[id] != nil {
			a.change(w, "the engine removes the constraint "+id, nil, []string{cib.KeyConstraint + id})
		}
	})
}

// edit changes a copy of a resource.
func (a *admin) edit(w *World, id, what string, f func(r *cib.Resource)) {
	r := w.store.snap.Config.Resources[id]
	if r == nil {
		return
	}
	c := *r
	f(&c)
	a.change(w, what+" "+id, []cib.Put{{Key: cib.KeyResource + id, Value: &c}}, nil)
}

// do carries out one administrator's fault.
func (a *admin) do(w *World, f *Fault) {
	c := w.store.snap.Config
	yes, no := true, false
	switch f.Kind {
	case AdminStop:
		a.edit(w, f.Resource, "stops", func(r *cib.Resource) { r.Meta.TargetRole = cib.RoleStopped })
	case AdminStart:
		a.edit(w, f.Resource, "starts", func(r *cib.Resource) { r.Meta.TargetRole = 0 })
	case AdminUnmanage:
		a.edit(w, f.Resource, "does not manage", func(r *cib.Resource) { r.Meta.Managed = &no })
	case AdminManage:
		a.edit(w, f.Resource, "manages", func(r *cib.Resource) { r.Meta.Managed = nil })
	case AdminDelete:
		r := c.Resources[f.Resource]
		if r == nil || r.Agent == "" || referenced(c, f.Resource) {
			return
		}
		a.change(w, "deletes "+f.Resource, nil, []string{cib.KeyResource + f.Resource})
	case AdminAdd:
		a.n++
		id := fmt.Sprintf("extra%d", a.n)
		a.change(w, "creates "+id, []cib.Put{{Key: cib.KeyResource + id, Value: primitive(10 * time.Second)}}, nil)
	case AdminParameters:
		a.edit(w, f.Resource, "changes parameters of", func(r *cib.Resource) {
			if r.Agent != "" {
				a.n++
				name := "state"
				if a.n%2 == 0 {
					name = reloadable[0]
				}
				params := map[string]string{name: fmt.Sprint("v", a.n)}
				for k, v := range r.Parameters {
					if k != name {
						params[k] = v
					}
				}
				r.Parameters = params
			}
		})
	case AdminMove:
		a.moves++
		id := fmt.Sprintf("cli-move-%d", a.moves)
		if r := c.Resources[f.Resource]; r == nil || r.Clone != nil {
			return
		}
		a.change(w, "moves "+f.Resource+" to "+f.Node, []cib.Put{{Key: cib.KeyConstraint + id, Value: &cib.Constraint{
			Location: &cib.Location{Resource: f.Resource, Node: f.Node, Score: cib.Infinity, UntilReached: true},
		}}}, nil)
	case AdminStandby, AdminOnline, AdminNodeMaintenance, AdminNodeManaged:
		n := c.Nodes[f.Node]
		if n == nil {
			return
		}
		d := *n
		switch f.Kind {
		case AdminStandby:
			d.Standby = true
		case AdminOnline:
			d.Standby = false
		case AdminNodeMaintenance:
			d.Maintenance = true
		case AdminNodeManaged:
			d.Maintenance = false
		}
		a.change(w, f.Kind.String()+" "+f.Node, []cib.Put{{Key: cib.KeyNode + f.Node, Value: &d}}, nil)
	case AdminMaintenance, AdminNoMaintenance, AdminStopAll, AdminNoStopAll:
		cl := c.Cluster
		switch f.Kind {
		case AdminMaintenance:
			cl.Options.MaintenanceMode = yes
		case AdminNoMaintenance:
			cl.Options.MaintenanceMode = no
		case AdminStopAll:
			cl.Options.StopAllResources = yes
		case AdminNoStopAll:
			cl.Options.StopAllResources = no
		}
		a.change(w, f.Kind.String(), []cib.Put{{Key: cib.KeyCluster, Value: &cl}}, nil)
	case AdminCleanup:
		a.cleanup(w, f.Resource)
	case AdminConfirm:
		w.confirm(w.machines[w.index[f.Node]])
	}
}

// cleanup asks every node to forget what it knows of a resource that has failed
// there, as the engine does it; "" means every resource.
func (a *admin) cleanup(w *World, resource string) {
	st := &w.store.snap.Status
	a.n++
	for _, m := range w.machines {
		var txn cib.Txn
		for _, id := range sortedKeys(st.Histories[m.name]) {
			h, doc := st.Histories[m.name][id], st.Members[m.name]
			if resource != "" && h.Resource != resource || st.Pending[m.name][id] != nil || doc == nil || doc.BootID != h.BootID {
				continue
			}
			if h.FailCount == 0 && h.State(time.Time{}, 0).Failure == nil {
				continue
			}
			key := cib.PendingKey(m.name, id)
			txn.If = append(txn.If, cib.Compare{Key: key})
			txn.Put = append(txn.Put, cib.Put{Key: key, Value: &cib.Pending{
				Action: cib.Action{
					ID: fmt.Sprintf("admin%d.%d", a.n, len(txn.Put)), Op: cib.OpCleanup, Instance: id, Resource: h.Resource, Node: m.name, Agent: h.Agent,
				},
				State: cib.ActionAsked, ValidityEpoch: doc.ValidityEpoch,
			}})
		}
		if len(txn.Put) > 0 {
			a.commit(w, txn, "cleans up on "+m.name, nil)
		}
	}
}

// referenced reports whether anything names a resource.
func referenced(c *cib.Config, id string) bool {
	for _, r := range c.Resources {
		if r.Clone != nil && r.Clone.Resource == id {
			return true
		}
		if slices.Contains(r.Group, id) {
			return true
		}
	}
	for _, k := range c.Constraints {
		raw, err := json.Marshal(k)
		if err != nil || strings.Contains(string(raw), `"`+id+`"`) {
			return true
		}
	}
	return false
}
