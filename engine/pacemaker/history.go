package pacemaker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// importHistories reads what the nodes did.
func (im *importer) importHistories() {
	for _, h := range im.hosts {
		for _, e := range h.state.child("lrm").child("lrm_resources").all("lrm_resource") {
			im.importHistory(h, e)
		}
	}
	im.judgeAbsent()
	for _, s := range im.root.child("status").all("node_state") {
		name := cmp.Or(s.attr("uname"), s.attr("id"))
		if im.hostBy[name] == nil && im.hostByID[s.attr("id")] == nil {
			im.note(s, name, "its node is not known here; what ran there is left out")
		}
	}
}

// judgeAbsent finds nodes that are gone and did not stop their resources: these
// did not leave cleanly, whatever their state says.
func (im *importer) judgeAbsent() {
	c := im.Snapshot.Config
	if !c.Cluster.Options.Fencing() || c.Cluster.Options.MaintenanceMode {
		return
	}
	parents := c.Parents()
	st := &im.Snapshot.Status
	for _, h := range im.hosts {
		s := st.Nodes[h.name]
		if s.State != cib.NodeOffline || im.Snapshot.Config.Nodes[h.name].Maintenance {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(st.Histories[h.name])) {
			x := st.Histories[h.name][key]
			if meta := c.MetaOf(x.Resource, parents, im.Now); x.Role().Active() && meta.IsManaged() && !meta.InMaintenance() {
				s.State, s.Reason = cib.NodeUnclean, x.Instance+" is thought to be active there"
				break
			}
		}
	}
}

// splitInstance cuts the number off the id of an instance: "web:1" is "web", 1.
func splitInstance(id string) (string, int) {
	if i := strings.LastIndexByte(id, ':'); i > 0 {
		if n, err := strconv.Atoi(id[i+1:]); err == nil && n >= 0 {
			return id[:i], n
		}
	}
	return id, -1
}

// operationRecord is one lrm_rsc_op with what its order is made of.
type operationRecord struct {
	e    *element
	call int
	op   cib.OpResult
	wait bool // it is still running
}

func (im *importer) importHistory(host *host, e *element) {
	id := e.attr("id")
	base, number := splitInstance(id)
	p := im.prims[id]
	if p == nil {
		p = im.prims[base]
	} else {
		base = id
	}
	key := base
	if number >= 0 && (p == nil || p.unique) {
		key = id
	} else if p != nil && p.unique {
		key = base + ":0"
	}
	h := &cib.History{Instance: key, Resource: base, BootID: bootOf(host.name), Incarnation: 1, Agent: agentOf(e)}
	var records []operationRecord
	for _, x := range e.all("lrm_rsc_op") {
		if r, ok := im.record(x); ok {
			records = append(records, r)
		}
	}
	slices.SortStableFunc(records, func(a, b operationRecord) int {
		if a.wait != b.wait { // what still runs came last
			if a.wait {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.call, b.call), a.op.Ended.Compare(b.op.Ended)) // a monitor keeps its number
	})
	ended := endedBefore(records)
	for i := range records {
		r := &records[i]
		r.op.Seq = uint64(i + 1)
		if i < ended && r.op.Op == cib.OpMonitor && r.op.Interval > 0 && r.op.Succeeded() {
			continue
		}
		if r.wait {
			if r.op.Op == cib.OpMonitor || im.await(host.name, key, base, p, r) {
				continue
			}
		}
		switch want := im.containers[id]; {
		case p != nil:
			r.op.Digest = im.digestOf(p, r)
		case want != "" && r.op.Op == cib.OpStart && r.e.attr("op-digest") != "" && r.e.attr("op-digest") != want:
			r.op.Digest = changed
		}
		h.Ops = append(h.Ops, r.op)
	}
	if p != nil {
		im.promotionScore(host, p, id, base)
	}
	if len(h.Ops) == 0 {
		return // nothing is known
	}
	if since, ok := parseEpoch(e.attr("shutdown-lock")); ok { // the stop is the lock here
		h.Ops = append(h.Ops, cib.OpResult{Seq: uint64(len(h.Ops) + 1), Op: cib.OpStop, Status: cib.OpDone, Ended: since, Why: cib.Why{Cause: "its node was shut down", Rule: "shutdown-lock"}})
	}
	im.countFailures(host, base, number, h)
	all := im.Snapshot.Status.Histories[host.name]
	if all == nil {
		all = map[string]*cib.History{}
		im.Snapshot.Status.Histories[host.name] = all
	}
	if old := all[key]; old == nil || moreActive(h, old) {
		all[key] = h
	}
}

// endedBefore is the record before which no recurring monitor can still run although
// nothing says that it ended. A document has only the last of the operations that do
// not recur: where that is a promote or demote, the monitors of the role before are over.
func endedBefore(records []operationRecord) int {
	ended := 0
	for i := range records {
		switch records[i].op.Op {
		case cib.OpStart, cib.OpMigrateFrom:
			return 0
		case cib.OpPromote, cib.OpDemote:
			ended = i
		}
	}
	return ended
}

// moreActive says which of two instances of an anonymous clone on one node is
// the one to believe.
func moreActive(a, b *cib.History) bool { return looksActive(a) && !looksActive(b) }

func looksActive(h *cib.History) bool {
	active := false
	for i := range h.Ops {
		switch op := &h.Ops[i]; op.Op {
		case cib.OpStop:
			active = op.RC != cib.OK
		case cib.OpMonitor:
			active = op.RC != cib.NotRunning && op.RC != cib.NotInstalled
		default:
			active = true
		}
	}
	return active
}

func agentOf(e *element) string {
	class, provider, kind := e.attr("class"), e.attr("provider"), e.attr("type")
	if provider != "" {
		return class + ":" + provider + ":" + kind
	}
	return class + ":" + kind
}

// await records an operation that still runs; false where its node is not there
// any more, so that its outcome will never be known.
func (im *importer) await(node, key, base string, p *primitive, r *operationRecord) bool {
	if im.Snapshot.Status.View == nil || !im.Snapshot.Status.View.Has(node) {
		return false
	}
	a := cib.Action{ID: "imported." + strconv.Itoa(int(r.op.Seq)), Op: r.op.Op, Instance: key, Resource: base, Node: node, Interval: r.op.Interval, Expected: r.op.Expected, Peer: r.op.Peer}
	if p != nil {
		a.Agent, a.Parameters = p.cfg.Agent, p.cfg.Parameters
		if r.op.Op == cib.OpStart && im.digestOf(p, r) == changed { // all that is known of the others
			a.Parameters = map[string]string{"op-digest": r.e.attr("op-digest")}
		}
	}
	all := im.Snapshot.Status.Pending[node]
	if all == nil {
		all = map[string]*cib.Pending{}
		im.Snapshot.Status.Pending[node] = all
	}
	all[key] = &cib.Pending{Action: a, State: cib.ActionRunning, Asked: im.Now, Claimed: im.Now, Incarnation: 1}
	return true
}

// record reads one lrm_rsc_op.
func (im *importer) record(e *element) (operationRecord, bool) {
	r := operationRecord{e: e}
	r.op.Op = e.attr("operation")
	if r.op.Op == "" {
		im.note(e, e.attr("id"), "it names no operation")
		return r, false
	}
	if ms, err := strconv.ParseInt(e.attr("interval"), 10, 64); err == nil && ms > 0 {
		r.op.Interval = bounded(float64(ms) * float64(time.Millisecond))
	}
	r.call, _ = strconv.Atoi(e.attr("call-id"))
	r.op.RC, _ = strconv.Atoi(e.attr("rc-code"))
	r.op.Expected = expectedOf(e, &r.op)
	r.op.Probe = r.op.Op == cib.OpMonitor && r.op.Interval == 0
	r.op.Ended, _ = parseEpoch(e.first("last-rc-change", "last-run"))
	r.op.Started = r.op.Ended
	r.op.Reason = shorten(e.attr("exit-reason"))
	switch r.op.Op {
	case cib.OpMigrateTo:
		r.op.Peer = im.hostNamed(e.attr("migrate_target"))
	case cib.OpMigrateFrom:
		r.op.Peer = im.hostNamed(e.attr("migrate_source"))
	}
	r.op.Status = cib.OpDone
	switch e.attr("op-status") {
	case "-1":
		r.op.Status, r.wait = cib.OpUnknown, true
	case "1":
		r.op.Status = cib.OpCancelled
	case "2":
		r.op.Status = cib.OpTimeout
	case "4", "5", "6":
		if r.op.Expected == cib.OK && r.op.RC == cib.OK {
			r.op.Status = cib.OpError
		}
	case "3":
		r.op.RC = cib.Unimplemented
	case "7":
		r.op.Status = cib.OpNotInstalled
	case "8", "9", "10":
		r.op.Status = cib.OpError
	}
	if r.op.Op == cib.OpMonitor && r.op.Interval > 0 && r.op.Expected == cib.RunningPromoted {
		r.op.Role = cib.RolePromoted
	}
	return r, true
}

// expectedOf is the return code that means success: the third part of the
// transition key.
func expectedOf(e *element, op *cib.OpResult) int {
	parts := strings.Split(e.attr("transition-key"), ":")
	if len(parts) >= 4 {
		n, err := strconv.Atoi(parts[2])
		if err == nil && (n == cib.OK || n == cib.NotRunning || n == cib.RunningPromoted) { // nobody expects an error
			return n
		}
	}
	if op.Op == cib.OpMonitor && op.Interval == 0 {
		return cib.NotRunning
	}
	return cib.OK
}

// promotionScore gives the promotion score of an instance of an anonymous clone
// the name without its number, which older versions had in it.
func (im *importer) promotionScore(h *host, p *primitive, id, base string) {
	if p.clone == "" || p.unique || h.transient == nil {
		return
	}
	plain := cib.PromotionAttribute(base)
	if v, ok := h.transient[cib.PromotionAttribute(id)]; ok {
		h.transient[plain] = v
		return
	}
	if _, there := h.transient[plain]; there {
		return
	}
	for n := range 16 {
		if v, ok := h.transient[plain+":"+strconv.Itoa(n)]; ok {
			h.transient[plain] = v
			return
		}
	}
}

func (im *importer) isUnique(id string) bool { return im.prims[id] != nil && im.prims[id].unique }

// countFailures reads the fail counts of an instance: one for each operation, or
// of older versions one for all.
func (im *importer) countFailures(h *host, base string, number int, out *cib.History) {
	for name, value := range h.transient {
		what, count := strings.CutPrefix(name, "fail-count-")
		if !count {
			var last bool
			if what, last = strings.CutPrefix(name, "last-failure-"); !last {
				continue
			}
		}
		what, _, _ = strings.Cut(what, "#")
		id, n := splitInstance(what)
		if id != base || n >= 0 && number >= 0 && n != number && im.isUnique(base) {
			continue
		}
		if count {
			s, _ := parseScore(value)
			out.FailCount = out.FailCount.Add(max(0, s))
			continue
		}
		if t, ok := parseEpoch(value); ok && t.After(out.LastFailure) {
			out.LastFailure = t
		}
	}
}
