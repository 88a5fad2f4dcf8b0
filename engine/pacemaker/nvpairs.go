package pacemaker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// values are names and values in the order in which they stand.
type values struct {
	names []string
	of    map[string]string
}

func (v *values) set(name, value string) {
	if v.of == nil {
		v.of = map[string]string{}
	}
	if _, there := v.of[name]; !there {
		v.names = append(v.names, name)
		v.of[name] = value
	}
}

// followMax bounds chains of references from one element to another.
const followMax = 16

// follow returns the element that an id-ref means; the element itself where it
// has none, and nil where what it means does not exist.
func (im *importer) follow(e *element) *element {
	for range followMax {
		ref := e.attr("id-ref")
		if ref == "" {
			return e
		}
		next := im.byID[e.name+"\x00"+ref]
		if next == nil || next == e {
			im.note(e, ref, "the element that it refers to does not exist")
			return nil
		}
		e = next
	}
	im.note(e, e.attr("id-ref"), "references go round in a circle")
	return nil
}

// block is a set of names and values with its rank.
type block struct {
	e     *element
	score cib.Score
	order int
}

// blocks returns the sets of one kind in an element, those that count most
// first: by score, then as they stand. Some callers want one set before others
// of equal score whatever its place.
func (im *importer) blocks(e *element, kind, before string) []block {
	var list []block
	for i, s := range e.all(kind) {
		s = im.follow(s)
		if s == nil {
			continue
		}
		score, _ := parseScore(s.attr("score"))
		list = append(list, block{s, score, i})
	}
	slices.SortStableFunc(list, func(a, b block) int {
		if before != "" {
			af, bf := a.e.attr("id") == before, b.e.attr("id") == before
			if af != bf {
				if af {
					return -1
				}
				return 1
			}
		}
		return cmp.Compare(b.score, a.score)
	})
	return list
}

// pairs adds the names and values of the sets of one kind; the first of a name
// counts. Old documents put the pairs into an element of their own.
func (im *importer) pairs(out *values, e *element, kind, before string, about *subject) {
	for _, b := range im.blocks(e, kind, before) {
		if r := b.e.child("rule"); r != nil {
			holds := im.holds(r, about)
			im.evaluated(b.e, r, holds)
			if !holds {
				continue
			}
		}
		im.pairsOf(out, b.e)
	}
}

// evaluated lists a set that counts, or does not, by a rule that is not carried over.
// What differs from node to node is listed once.
func (im *importer) evaluated(set, rule *element, holds bool) {
	if rule.told {
		return
	}
	text := "the set is left out, since its rule does not hold"
	if holds {
		text = "the set is carried over for good, since its rule holds"
	}
	im.noteName(set, set.id(), "rule", "%s at %s: only defaults and locations have rules here", text, im.Now.UTC().Format("2006-01-02 15:04:05"))
	rule.told = true
	for _, p := range set.children {
		p.told = p.told || !holds
	}
}

// pairsOf adds the names and values of one set, whatever its rule says.
func (im *importer) pairsOf(out *values, set *element) {
	for _, c := range set.children {
		switch c.name {
		case "nvpair":
			im.pair(out, c)
		case "attributes":
			for _, p := range c.all("nvpair") {
				im.pair(out, p)
			}
		}
	}
}

func (im *importer) pair(out *values, p *element) {
	name := p.attr("name")
	if p = im.follow(p); p == nil {
		return
	}
	if name = cmp.Or(name, p.attr("name")); name == "" {
		return
	}
	if v, ok := p.lookup("value"); ok && !strings.EqualFold(v, "#default") { // an old way to say nothing
		out.set(name, v)
	}
}

// normalize gives meta attributes and options their present names.
func normalize(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if now, ok := renamed[name]; ok {
		return now
	}
	return name
}

// renamed are names of earlier versions.
var renamed = map[string]string{
	"stonith-enabled": "fencing-enabled", "stonith-action": "fencing-action", "stonith-timeout": "fencing-timeout",
	"stonith-watchdog-timeout": "fencing-watchdog-timeout", "stonith-max-attempts": "fencing-max-attempts",
	"master-max": "promoted-max", "master-node-max": "promoted-node-max", "isolation": "",
	"default-resource-failure-stickiness": "resource-failure-stickiness", "stop-orphan-actions": "cancel-removed-actions",
	"stop-orphan-resources": "stop-removed-resources", "crmd-finalization-timeout": "join-finalization-timeout",
}
