package policy

import (
	"cmp"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// rank is what decides first in which order resources are assigned. Among equals
// other things decide; who has the better rank always comes before.
type rank struct {
	priority cib.Score
	current  cib.Score // of where it is; 0 where that does not count
	position int       // in the configuration, where that counts
	id       string
}

// compare returns a negative number where a is assigned before b.
func (a rank) compare(b rank) int {
	return cmp.Or(
		cmp.Compare(b.priority, a.priority), cmp.Compare(b.current, a.current), cmp.Compare(a.position, b.position), strings.Compare(a.id, b.id))
}

// counts is how many resources each node was assigned so far. Among nodes of the
// same score it decides, and so it is the one way, besides capacity, in which
// resources that have nothing to do with each other come into each other's way.
// It therefore remembers who looked at it, and who added what when: an
// incremental decision (see Planner) is made on that ground.
type counts struct {
	by     []int
	turns  []turn  // the assignments so far; only where traced
	traced bool    // turns are remembered
	others []added // by resources that are not in this snapshot, in the order of their ranks
	next   int     // of others: the first that is not counted yet
}

// turn is the assignment of one resource without a parent, and of what it depends
// on before.
type turn struct {
	resource string
	rank     rank
	looked   bool // it looked at the counts
	added    []added
}

// added is one change of a count.
type added struct {
	rank  rank // of the turn
	node  int32
	delta int
}

func newCounts(nodes int) *counts { return &counts{by: make([]int, nodes)} }

// at returns the count of a node.
func (c *counts) at(n int32) int {
	if len(c.turns) > 0 {
		c.turns[len(c.turns)-1].looked = true
	}
	return c.by[n]
}

// add changes the count of a node.
func (c *counts) add(n int32, delta int) {
	c.by[n] += delta
	if len(c.turns) > 0 {
		t := &c.turns[len(c.turns)-1]
		t.added = append(t.added, added{t.rank, n, delta})
	}
}

// turn begins the assignment of one resource with what it depends on. What others
// of better rank added comes before.
func (c *counts) turn(resource string, r rank) {
	if !c.traced {
		return
	}
	for ; c.next < len(c.others) && c.others[c.next].rank.compare(r) < 0; c.next++ {
		c.by[c.others[c.next].node] += c.others[c.next].delta
	}
	c.turns = append(c.turns, turn{resource: resource, rank: r})
}

// end ends the last turn: nobody looks at the counts after it.
func (c *counts) end() []turn {
	t := c.turns
	c.turns = nil
	return t
}
