package membership

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// Choose returns the members of the next view, sorted by name, and why: the
// largest set of voters that all hear each other, and the other nodes heard by
// enough of them, which is by as many as make them valid. The chooser itself
// need not be among them; then it must not stay the DC. Whether they have quorum
// is not asked here.
//
// Equally large sets: with the tie-breaker "dc" the one with the DC, with
// "lowest-name" the one with the lowest name; then the one that keeps most
// members of the current view; then the one with most members.
func Choose(h Hearing, in ChooseInput) (members []cib.ViewMember, reason string) {
	c := newChoice(h, in)
	var best candidate
	tie := false
	for i, set := range c.cliques() {
		s := c.candidate(set)
		order := 1
		if i > 0 {
			order = c.compare(&s, &best)
			tie = tie && s.votes <= best.votes || s.votes == best.votes
		}
		if order > 0 {
			best = s
		}
	}
	return best.members, c.reason(&best, tie)
}

// choice is what the steps of Choose share.
type choice struct {
	in     ChooseInput
	h      Hearing
	ids    []cib.ViewMember // configured nodes in their newest incarnation, 0: heard by nobody; sorted
	kept   []bool           // by node: a member of the current view
	voters []voter          // those heard of, sorted; at most MaxVoters
	all    int              // votes of all voters, heard of or not
}

type voter struct {
	id     int // index in ids
	votes  int
	report *Report // nil: none
	edges  uint64  // bit n: connected with voters[n]
}

// candidate is a set of voters with the other nodes that come with it.
type candidate struct {
	set     uint64
	votes   int
	members []cib.ViewMember
	kept    int
}

func newChoice(h Hearing, in ChooseInput) *choice {
	c := &choice{in: in, h: h}
	nodes := bounded(in.Nodes, MaxNodes)
	c.ids = make([]cib.ViewMember, len(nodes))
	c.kept = make([]bool, len(nodes))
	for i, n := range nodes {
		c.ids[i].Node = n
		c.kept[i] = in.Current.Has(n)
	}
	c.identify()
	for i, name := range in.Voters {
		votes := 1
		if in.Weights != nil {
			votes = in.Weights[i]
		}
		c.all += votes
		id, ok := c.find(name)
		if ok && c.ids[id].Incarnation != 0 && votes > 0 && !slices.Contains(in.Exclude, name) && len(c.voters) < MaxVoters {
			c.voters = append(c.voters, voter{id: id, votes: votes, report: c.report(name)})
		}
	}
	slices.SortFunc(c.voters, func(a, b voter) int { return cmp.Compare(a.id, b.id) })
	for i := range c.voters {
		for j := range c.voters[:i] {
			if c.connected(&c.voters[i], &c.voters[j]) {
				c.voters[i].edges |= 1 << j
				c.voters[j].edges |= 1 << i
			}
		}
	}
	return c
}

// identify finds the newest incarnation of each node: its own word, or the
// highest that a voter hears.
func (c *choice) identify() {
	for i := range c.h.Reports {
		for j := range c.h.Reports[i].Hears {
			x := &c.h.Reports[i].Hears[j]
			if id, ok := c.find(x.Node); ok && !x.OneWay && x.Incarnation > c.ids[id].Incarnation {
				c.ids[id].Incarnation, c.ids[id].BootID = x.Incarnation, x.BootID
			}
		}
	}
	for i := range c.h.Reports {
		r := &c.h.Reports[i]
		if id, ok := c.find(r.Node); ok {
			c.ids[id].Incarnation, c.ids[id].BootID = r.Incarnation, r.BootID
		}
	}
}

func (c *choice) find(node string) (int, bool) {
	return slices.BinarySearchFunc(c.ids, node, func(m cib.ViewMember, node string) int { return strings.Compare(m.Node, node) })
}

func (c *choice) report(node string) *Report {
	i, ok := slices.BinarySearchFunc(c.h.Reports, node, func(r Report, node string) int { return strings.Compare(r.Node, node) })
	if !ok {
		return nil
	}
	return &c.h.Reports[i]
}

// verdict of a voter on a node.
type verdict uint8

const (
	unknown verdict = iota // it did not report, or about another incarnation, or it was starved and can't tell
	hears
	hearsNot
)

func (c *choice) verdict(v *voter, id int) verdict {
	switch {
	case v.id == id:
		return hears
	case v.report == nil:
		return unknown
	}
	i, found := search(v.report.Hears, c.ids[id].Node)
	switch {
	case found && !v.report.Hears[i].OneWay && v.report.Hears[i].Incarnation == c.ids[id].Incarnation:
		return hears
	case found && !v.report.Hears[i].OneWay, v.report.Stalled > 0:
		return unknown
	}
	return hearsNot
}

// connected reports whether two voters hear each other: one says so, and the
// other does not deny it.
func (c *choice) connected(a, b *voter) bool {
	ab, ba := c.verdict(a, b.id), c.verdict(b, a.id)
	return ab == hears && ba != hearsNot || ba == hears && ab != hearsNot
}

// cliques returns the sets of voters that all hear each other and cannot be
// made larger (Bron and Kerbosch 1973, with pivot). The number of steps is
// limited; only more than thirty voters with very odd cuts come near.
func (c *choice) cliques() []uint64 {
	var out []uint64
	steps := 1 << 17
	var expand func(set, may, done uint64)
	expand = func(set, may, done uint64) {
		if steps--; steps < 0 && len(out) > 0 {
			return
		}
		if may == 0 && done == 0 {
			if set != 0 {
				out = append(out, set)
			}
			return
		}
		pivot, most := uint64(0), -1
		for rest := may | done; rest != 0; rest &= rest - 1 {
			e := c.voters[bits.TrailingZeros64(rest)].edges
			if n := bits.OnesCount64(may & e); n > most {
				pivot, most = e, n
			}
		}
		for rest := may &^ pivot; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			bit := uint64(1) << i
			expand(set|bit, may&c.voters[i].edges, done&c.voters[i].edges)
			may &^= bit
			done |= bit
		}
	}
	expand(0, ^uint64(0)>>(64-len(c.voters)), 0)
	return out
}

// candidate adds to a set of voters the nodes that they can keep valid.
func (c *choice) candidate(set uint64) candidate {
	s := candidate{set: set}
	for rest := set; rest != 0; rest &= rest - 1 {
		s.votes += c.voters[bits.TrailingZeros64(rest)].votes
	}
	need := min(s.votes, c.all/2+1)
	vote := 0 // index of the next voter; both lists are sorted
	for id := range c.ids {
		in := false
		switch {
		case vote < len(c.voters) && c.voters[vote].id == id:
			in = set&(1<<vote) != 0
			vote++
		case c.ids[id].Incarnation != 0 && !slices.Contains(c.in.Voters, c.ids[id].Node):
			in = c.heardBy(set, id) >= need && !slices.Contains(c.in.Exclude, c.ids[id].Node)
		}
		if in {
			s.members = append(s.members, c.ids[id])
			if c.kept[id] {
				s.kept++
			}
		}
	}
	return s
}

// heardBy counts the votes in the set that hear a node. Voters that were starved
// count for the members that the view has already.
func (c *choice) heardBy(set uint64, id int) int {
	n := 0
	for rest := set; rest != 0; rest &= rest - 1 {
		v := &c.voters[bits.TrailingZeros64(rest)]
		if w := c.verdict(v, id); w == hears || w == unknown && c.kept[id] {
			n += v.votes
		}
	}
	return n
}

// compare is positive when a is to be preferred to b.
func (c *choice) compare(a, b *candidate) int {
	return cmp.Or(
		cmp.Compare(a.votes, b.votes),
		cmp.Compare(bits.OnesCount64(a.set), bits.OnesCount64(b.set)),
		cmp.Compare(c.favoured(a.set), c.favoured(b.set)),
		cmp.Compare(a.kept, b.kept),
		cmp.Compare(len(a.members), len(b.members)),
		cmp.Compare(bits.Reverse64(a.set), bits.Reverse64(b.set)), // the lowest names
	)
}

// favoured is 1 for the set that the configured tie-breaker wants.
func (c *choice) favoured(set uint64) int {
	for rest := set; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if c.in.TieBreaker == "lowest-name" && i == 0 || c.in.TieBreaker != "lowest-name" && c.ids[c.voters[i].id].Node == c.in.DC {
			return 1
		}
	}
	return 0
}

// reason says in one line what changes against the current view, and why.
func (c *choice) reason(s *candidate, tie bool) string {
	if len(s.members) == 0 {
		return "no voter says whom it hears"
	}
	var parts []string
	if c.in.Current != nil {
		for i := range c.in.Current.Members {
			m := &c.in.Current.Members[i]
			if j, ok := slices.BinarySearchFunc(s.members, m.Node, func(m cib.ViewMember, node string) int { return strings.Compare(m.Node, node) }); !ok {
				parts = append(parts, c.lost(s, m.Node))
			} else if s.members[j].Incarnation != m.Incarnation {
				parts = append(parts, m.Node+" restarted")
			}
		}
	}
	for i := range s.members {
		if n := s.members[i].Node; !c.in.Current.Has(n) {
			parts = append(parts, n+" joined")
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("the same %d nodes as before", len(s.members))
	}
	const most = 5
	if n := len(parts) - most; n > 0 {
		parts = append(parts[:most], fmt.Sprintf("%d more changes", n))
	}
	if tie {
		parts = append(parts, fmt.Sprintf("of equally large sets the one with %s stays", c.ids[c.voters[bits.TrailingZeros64(s.set)].id].Node))
	}
	return strings.Join(parts, "; ")
}

// lost says why a node of the current view is not a member any more.
func (c *choice) lost(s *candidate, node string) string {
	id, ok := c.find(node)
	switch {
	case !ok:
		return node + " was removed"
	case slices.Contains(c.in.Exclude, node):
		return node + " is left out"
	case slices.Contains(c.h.Restarting, node):
		return node + " restarts"
	case slices.Contains(c.h.Left, node):
		return node + " left"
	}
	var deaf, unheard []string // voters that it does not hear; that do not hear it
	for rest := s.set; rest != 0; rest &= rest - 1 {
		v := &c.voters[bits.TrailingZeros64(rest)]
		name := c.ids[v.id].Node
		if v.report != nil {
			if i, found := search(v.report.Hears, node); found && v.report.Hears[i].OneWay {
				deaf = append(deaf, name)
				continue
			}
		}
		if c.verdict(v, id) == hearsNot {
			unheard = append(unheard, name)
		} else if r := c.report(node); r != nil {
			if i, found := search(r.Hears, name); !found {
				deaf = append(deaf, name)
			} else if r.Hears[i].OneWay {
				unheard = append(unheard, name)
			}
		}
	}
	switch {
	case len(deaf) == 0 && len(unheard) == bits.OnesCount64(s.set):
		return node + " is silent"
	case len(deaf) == 0 && len(unheard) == 0:
		return node + " is not connected with all"
	case len(deaf) == 0:
		return node + " is not heard by " + list(unheard)
	case len(unheard) == 0:
		return node + " does not hear " + list(deaf)
	}
	return node + " does not hear " + list(deaf) + " and is not heard by " + list(unheard)
}

// list names the first three.
func list(names []string) string {
	const most = 3
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}
