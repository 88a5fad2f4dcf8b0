package membership

import (
	"cmp"
	"slices"
	"strings"
)

// A voter's report is a table with an entry per node. Messages carry only what
// changed since the revision that the receiver says it holds: with a thousand
// nodes the whole table would be 40 kB, five times a second to every voter.

// setVerdict notes whether we hear a peer, for our own report.
func (t *Tracker) setVerdict(p *peer) {
	v := Heard{Node: p.name, Incarnation: p.incarnation, BootID: p.bootID, OneWay: p.state == oneWay, Gone: p.state == silent}
	if v.Gone {
		v = Heard{Node: p.name, Gone: true}
		if p.verdictRev == 0 {
			return // nobody believes that we hear it
		}
	}
	if v == p.verdict && p.verdictRev != 0 {
		return
	}
	t.hearsRev++
	p.verdict, p.verdictRev = v, t.hearsRev
	t.ownHears = nil
}

// renumber makes everybody forget our report and take it anew, without the nodes
// that were removed. The entries that stay get new revisions, so that no
// receiver holds a part of it that is older than the base.
func (t *Tracker) renumber() {
	t.hearsRev++
	t.hearsBase, t.ownHears = t.hearsRev, nil
	for _, p := range t.peers {
		switch {
		case p.verdictRev == 0:
		case p.verdict.Gone:
			p.verdictRev = 0
		default:
			t.hearsRev++
			p.verdictRev = t.hearsRev
		}
	}
}

// own returns our own report, sorted by node. It is not changed later.
func (t *Tracker) own() []Heard {
	if t.ownHears == nil {
		t.ownHears = make([]Heard, 0, len(t.peers))
		for _, p := range t.peers {
			if p.verdictRev != 0 && !p.verdict.Gone {
				t.ownHears = append(t.ownHears, p.verdict)
			}
		}
	}
	return t.ownHears
}

// changes returns what changed in our report after the revision from, in order
// of revision, and the revision up to which it is complete.
func (t *Tracker) changes(from uint64) ([]Heard, uint64) {
	var list []*peer
	for _, p := range t.peers {
		if p.verdictRev > from && (from > 0 || !p.verdict.Gone) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int { return cmp.Compare(a.verdictRev, b.verdictRev) })
	rev := t.hearsRev
	if len(list) > MaxHears {
		list = list[:MaxHears]
		rev = list[MaxHears-1].verdictRev
	}
	out := make([]Heard, len(list))
	for i, p := range list {
		out[i] = p.verdict
	}
	return out, rev
}

// merge returns the table after the changes. The old one is not changed: it may
// be in use.
func merge(table, changes []Heard) []Heard {
	out := make([]Heard, 0, len(table)+len(changes))
	out = append(out, table...)
	for _, h := range changes {
		i, found := search(out, h.Node)
		switch {
		case found && h.Gone:
			out = slices.Delete(out, i, i+1)
		case found:
			out[i] = h
		case !h.Gone && len(out) < MaxNodes:
			out = slices.Insert(out, i, h)
		}
	}
	return out
}

func search(table []Heard, node string) (int, bool) {
	return slices.BinarySearchFunc(table, node, func(h Heard, node string) int { return strings.Compare(h.Node, node) })
}
