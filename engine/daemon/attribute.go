package daemon

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// The transient attributes of a node are one document, which its own engine
// writes. What many agents change at once is collected into one write.

// Limits of attributes.
const (
	attributeNameMax  = 255
	attributeValueMax = 64 << 10
	attributesMax     = 1000                  // of one node
	attributesBytes   = 512 << 10             // of one node, names and values
	attributeGap      = 50 * time.Millisecond // between two writes
	attributeRetry    = time.Second           // after a write that failed, of what nobody waits for
	attributeTries    = 5
	attributeSeen     = 2 * time.Second // how long a change on another node is waited for to be seen here
	dampenMax         = time.Hour
)

// attributeChange is one attribute as it is to be.
type attributeChange struct {
	name, value     string
	private, remove bool
	due             time.Time    // not to be written before
	waiting         []chan error // answered once it is written
}

// attributes are the changes that are on their way into the store. The zero value
// has none, once kick is made.
type attributes struct {
	mu      sync.Mutex
	pending map[string]*attributeChange // by name
	flight  map[string]*attributeChange // in the transaction that is under way
	kick    chan struct{}
}

func newAttributes() *attributes {
	return &attributes{pending: map[string]*attributeChange{}, flight: map[string]*attributeChange{}, kick: make(chan struct{}, 1)}
}

// add takes a change up. One that waits for the same attribute is replaced by it:
// who waited for that is answered with it, and it is written no later than that
// would have been.
func (t *attributes) add(c *attributeChange) {
	if old := t.pending[c.name]; old != nil {
		c.waiting = append(old.waiting, c.waiting...)
		if old.due.Before(c.due) {
			c.due = old.due
		}
	}
	t.pending[c.name] = c
	replace(t.kick, struct{}{})
}

// next says when something is to be written.
func (t *attributes) next() (at time.Time, some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.pending {
		if !some || c.due.Before(at) {
			at, some = c.due, true
		}
	}
	return at, some
}

// take moves what is due into flight.
func (t *attributes) take(now time.Time) []*attributeChange {
	t.mu.Lock()
	defer t.mu.Unlock()
	var batch []*attributeChange
	for _, name := range sortedKeys(t.pending) {
		if c := t.pending[name]; !c.due.After(now) {
			batch = append(batch, c)
			t.flight[name] = c
			delete(t.pending, name)
		}
	}
	return batch
}

// landed ends a transaction. Who waits hears of a failure and tries again or not;
// what nobody waits for is tried again here.
func (t *attributes) landed(batch []*attributeChange, err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.flight)
	for _, c := range batch {
		c.answer(err)
		if err != nil && len(c.waiting) == 0 && t.pending[c.name] == nil {
			c.due = now.Add(attributeRetry)
			t.pending[c.name] = c
		}
	}
}

// applyAttributes returns the document after changes, and whether it differs.
// What was left by an earlier boot is gone.
func applyAttributes(old *cib.Attributes, boot string, changes ...map[string]*attributeChange) (doc *cib.Attributes, differs bool) {
	doc = &cib.Attributes{BootID: boot, Values: map[string]string{}}
	if old != nil && old.BootID == boot {
		doc = &cib.Attributes{BootID: boot, Values: maps.Clone(old.Values), Private: maps.Clone(old.Private)}
	}
	if doc.Values == nil {
		doc.Values = map[string]string{}
	}
	for _, m := range changes {
		for _, c := range m { // each is about an attribute of its own
			if c.apply(doc) {
				differs = true
			}
		}
	}
	return doc, differs
}

func (c *attributeChange) apply(doc *cib.Attributes) (differs bool) {
	value, private, has := lookUp(doc, c.name)
	if has != c.remove && (c.remove || value == c.value && private == c.private) {
		return false
	}
	delete(doc.Values, c.name)
	delete(doc.Private, c.name)
	switch {
	case c.remove:
	case c.private:
		if doc.Private == nil {
			doc.Private = map[string]string{}
		}
		doc.Private[c.name] = c.value
	default:
		doc.Values[c.name] = c.value
	}
	return true
}

// lookUp finds an attribute in a document, which may be nil.
func lookUp(doc *cib.Attributes, name string) (value string, private, has bool) {
	if doc == nil {
		return "", false, false
	}
	if value, has = doc.Values[name]; has {
		return value, false, true
	}
	value, has = doc.Private[name]
	return value, has, has
}

func attributesSize(doc *cib.Attributes) (count, size int) {
	for _, m := range []map[string]string{doc.Values, doc.Private} {
		for k, v := range m {
			count++
			size += len(k) + len(v)
		}
	}
	return count, size
}

// checkAttribute says what is wrong with a request, or nil.
func checkAttribute(a *api.Attribute) error {
	bad := func(text string) error { return api.NewProblem(api.CodeBadRequest, text) }
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	switch {
	case a.Name == "" || len(a.Name) > attributeNameMax || !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, control):
		return bad(fmt.Sprintf("the name of an attribute has 1 to %d characters, and no control characters", attributeNameMax))
	case len(a.Value) > attributeValueMax:
		return bad(fmt.Sprintf("the value of attribute %s has %d bytes; at most %d are possible", a.Name, len(a.Value), attributeValueMax))
	case !utf8.ValidString(a.Value) || strings.ContainsRune(a.Value, 0):
		return bad("the value of attribute " + a.Name + " is no text")
	case a.DampenMs < 0 || a.DampenMs > dampenMax.Milliseconds():
		return bad(fmt.Sprintf("a dampening time is at most %s", dampenMax))
	case a.Permanent && (a.Private || a.DampenMs != 0):
		return bad("a permanent attribute is in the configuration: it is written at once, and everybody sees it")
	}
	return nil
}

// ownAttributes are this node's as they will be once everything is written that
// was asked for: what a tool has set, it reads back.
func (e *engine) ownAttributes() *cib.Attributes {
	var old *cib.Attributes
	if s := e.snap.Load(); s != nil {
		old = s.Status.Attributes[e.local.Node]
	}
	e.attributes.mu.Lock()
	defer e.attributes.mu.Unlock()
	doc, _ := applyAttributes(old, e.d.bootID, e.attributes.flight, e.attributes.pending)
	return doc
}

// setOwn changes a transient attribute of this node, and says whether it was there.
// It returns when the change is written and seen here; one with a dampening time is
// only taken up.
func (e *engine) setOwn(ctx context.Context, a *api.Attribute) (existed bool, err error) {
	if err := checkAttribute(a); err != nil {
		return false, err
	}
	s, err := e.current()
	if err != nil {
		return false, err
	}
	dampen := time.Duration(a.DampenMs) * time.Millisecond
	c := &attributeChange{name: a.Name, value: a.Value, private: a.Private, remove: a.Delete, due: time.Now().Add(dampen)}
	existed, done, err := e.attributes.request(c, s.Status.Attributes[e.local.Node], e.d.bootID, dampen == 0)
	if err != nil || done == nil {
		return existed, err
	}
	select {
	case err := <-done:
		return existed, err
	case <-ctx.Done():
		return existed, api.NewProblem(api.CodeTimeout, "attribute "+a.Name+" is not written yet")
	}
}

// request takes a change up unless it would change nothing. done is nil where there
// is nothing to wait for.
func (t *attributes) request(c *attributeChange, stored *cib.Attributes, boot string, wait bool) (existed bool, done chan error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	doc, _ := applyAttributes(stored, boot, t.flight, t.pending)
	_, _, existed = lookUp(doc, c.name)
	differs := c.apply(doc)
	if !differs && t.pending[c.name] == nil && t.flight[c.name] == nil {
		return existed, nil, nil
	}
	if count, size := attributesSize(doc); differs && !c.remove && (count > attributesMax || size > attributesBytes) {
		return existed, nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the node has %d attributes with %d bytes; at most %d and %d are possible", count, size, attributesMax, attributesBytes))
	}
	if wait {
		done = make(chan error, 1)
		c.waiting = []chan error{done}
	}
	t.add(c)
	return existed, done, nil
}

// writeAttributes writes what was asked for, until ctx ends; then the rest at once.
func (e *engine) writeAttributes(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			e.flushAttributes(ctx)
			return
		case <-e.attributes.kick:
		case <-timer.C:
		}
		// The first of several changes is written at once, the others together.
		if now := time.Now(); now.Sub(last) >= attributeGap {
			if batch := e.attributes.take(now); len(batch) > 0 {
				err := e.writeBatch(ctx, batch)
				last = time.Now()
				e.attributes.landed(batch, err, last)
			}
		}
		wait := time.Hour
		if at, some := e.attributes.next(); some {
			wait = max(time.Until(at), time.Until(last.Add(attributeGap)), time.Millisecond)
		}
		timer.Reset(wait)
	}
}

// writeBatch writes changes in one transaction. The compare makes one that lost
// against another writer, such as the node's own cleaning up, start again.
func (e *engine) writeBatch(ctx context.Context, batch []*attributeChange) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for range attributeTries {
		next := e.changed.wait()
		txn, ok := e.attributeTxn(batch)
		if !ok {
			return nil
		}
		ok, rev, err := e.store.Commit(ctx, txn)
		switch {
		case err != nil:
			return api.NewProblem(api.CodeStore, "attributes were not written: "+err.Error())
		case ok:
			e.log.Debug("attributes written", "count", len(batch), "rev", rev)
			return e.await(ctx, rev)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return api.NewProblem(api.CodeStore, "attributes were not written: "+ctx.Err().Error())
		}
	}
	return api.NewProblem(api.CodeConflict, "this node's attributes are being written by somebody else too")
}

// attributeTxn is the transaction that makes the changes; ok is false where nothing
// would change.
func (e *engine) attributeTxn(batch []*attributeChange) (txn cib.Txn, ok bool) {
	var old *cib.Attributes
	var rev int64
	if s := e.snap.Load(); s != nil {
		if old = s.Status.Attributes[e.local.Node]; old != nil {
			rev = old.Rev
		}
	}
	changes := map[string]*attributeChange{}
	for _, c := range batch {
		changes[c.name] = c
	}
	doc, differs := applyAttributes(old, e.d.bootID, changes)
	key := cib.KeyAttributes + e.local.Node
	return cib.Txn{If: []cib.Compare{{Key: key, ModRev: rev}}, Put: []cib.Put{{Key: key, Value: doc}}}, differs
}

// flushAttributes writes what still waits when the engine ends: a dampened change
// whose agent has done its part would be lost with it.
func (e *engine) flushAttributes(ctx context.Context) {
	now := time.Now()
	batch := e.attributes.take(now.Add(dampenMax))
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	var err error
	if txn, ok := e.attributeTxn(batch); ok {
		if ok, _, err = e.store.Commit(ctx, txn); err == nil && !ok {
			err = api.NewProblem(api.CodeConflict, "this node's attributes changed")
		}
	}
	if err != nil {
		e.log.Warn("attributes are lost: the store does not take them", "count", len(batch), "err", err)
	}
	for _, c := range batch {
		c.answer(err)
	}
}

func (c *attributeChange) answer(err error) {
	for _, w := range c.waiting {
		w <- err
	}
}

// promotion writes the score that a built-in promotable agent asks for, and removes
// it where the instance is no more. Other agents do so themselves, with
// crm_attribute.
func (e *engine) promotion(ctx context.Context, a *cib.Action, id agent.ID, res *agent.Result) {
	if id.Class != agent.ClassBelay {
		return
	}
	req := &api.Attribute{Name: cib.PromotionAttribute(a.Instance), Delete: true}
	switch {
	case res.PromotionScore != nil:
		req.Value, req.Delete = strconv.Itoa(*res.PromotionScore), false
	case a.Op == cib.OpStop && res.RC == cib.OK || res.RC == cib.NotRunning:
		if m, err := e.agents.Metadata(ctx, id); err != nil || !m.HasAction(cib.OpPromote) {
			return
		}
	default:
		return
	}
	if _, err := e.setOwn(ctx, req); err != nil {
		e.log.Warn("a promotion score can't be written", "resource", a.Instance, "err", err)
	}
}

// setAttribute changes a transient attribute of any node, and says whether it was
// there.
func (e *engine) setAttribute(ctx context.Context, a *api.Attribute) (existed bool, err error) {
	if err := checkAttribute(a); err != nil {
		return false, err
	}
	a.Node = cmpOr(a.Node, e.local.Node)
	if a.Node == e.local.Node {
		return e.setOwn(ctx, a)
	}
	s, err := e.current()
	if err != nil {
		return false, err
	}
	if s.Config.Nodes[a.Node] == nil {
		return false, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no node %q", a.Node))
	}
	_, _, existed = lookUp(e.attributesOf(s, a.Node), a.Name)
	if err := e.askPeer(ctx, a.Node, pathPeerAttribute, a, nil); err != nil {
		return existed, err
	}
	if a.DampenMs == 0 {
		e.awaitAttribute(ctx, a)
	}
	return existed, nil
}

// awaitAttribute waits a little until this node sees what another one has written,
// so that the tool that asked for it reads it.
func (e *engine) awaitAttribute(ctx context.Context, a *api.Attribute) {
	ctx, cancel := context.WithTimeout(ctx, attributeSeen)
	defer cancel()
	for {
		next := e.changed.wait()
		s := e.snap.Load()
		if value, _, has := lookUp(e.attributesOf(s, a.Node), a.Name); has != a.Delete && (a.Delete || value == a.Value) {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// attributesOf are the transient attributes of a node that count: those of its
// present boot, while it is a member or only its engine is away. nil: none.
func (e *engine) attributesOf(s *cib.Snapshot, name string) *cib.Attributes {
	if name == e.local.Node {
		return e.ownAttributes()
	}
	doc, member, st := s.Status.Attributes[name], s.Status.Members[name], s.Status.Nodes[name]
	if doc == nil || member == nil || doc.BootID != member.BootID {
		return nil
	}
	if !s.Status.View.Has(name) && (st == nil || st.State != cib.NodeRestarting) {
		return nil
	}
	return doc
}

func getAttribute(_ context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	name, attr := r.PathValue("node"), r.PathValue("name")
	if name == "local" {
		name = e.local.Node
	}
	// Transient ones win, as for rules.
	if value, private, ok := lookUp(e.attributesOf(s, name), attr); ok {
		return api.Attribute{Node: name, Name: attr, Value: value, Private: private}, nil
	}
	if n := s.Config.Nodes[name]; n != nil {
		if v, ok := n.Attributes[attr]; ok {
			return api.Attribute{Node: name, Name: attr, Value: v, Permanent: true}, nil
		}
	}
	return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("node %s has no attribute %s", name, attr))
}

func postAttribute(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var a api.Attribute
	if err := body(r, &a); err != nil {
		return nil, err
	}
	if err := checkAttribute(&a); err != nil {
		return nil, err
	}
	a.Node = cmpOr(a.Node, e.local.Node)
	if !a.Permanent {
		// Agents set theirs all the time, by another way: this is somebody's own doing.
		shown := a
		if a.Private {
			shown.Value = cib.Redacted
		}
		err := e.audited(c.Actor, "attribute", "node/"+a.Node, &shown, func() error {
			_, err := e.setAttribute(ctx, &a)
			return err
		})
		return a, err
	}
	_, err := e.setPermanent(ctx, c.Actor, &a)
	return a, err
}

// setPermanent changes a node's attribute in the configuration, and says whether it
// was there.
func (e *engine) setPermanent(ctx context.Context, actor api.Actor, a *api.Attribute) (existed bool, err error) {
	s, err := e.current()
	if err != nil {
		return false, err
	}
	if n := s.Config.Nodes[a.Node]; n != nil {
		_, existed = n.Attributes[a.Name]
	}
	if a.Delete && !existed {
		return false, nil
	}
	return existed, e.patch(ctx, actor, "node/"+a.Node, []string{"attributes", a.Name}, a.Value, a.Delete)
}

// attributeNames lists the names of attributes in order.
func attributeNames(doc *cib.Attributes) []string {
	if doc == nil {
		return nil
	}
	return slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]string{doc.Values, doc.Private} {
			for k := range m {
				if !yield(k) {
					return
				}
			}
		}
	})
}

// nodeID is this node's number as agents get it; empty while it is not known.
func (e *engine) nodeID() string {
	if s := e.snap.Load(); s != nil && s.Config.Nodes[e.local.Node] != nil {
		return strconv.FormatUint(uint64(s.Config.Nodes[e.local.Node].ID), 10)
	}
	return ""
}
