package daemon

import (
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/store"
)

// A node does not go on alone with data that are older than what it has seen, or that
// are not a voter's.
func TestRecoveryAccepts(t *testing.T) {
	from, next := cib.DataGeneration{Number: 3, Nonce: 1}, cib.DataGeneration{Number: 4, Nonce: 2}
	r := &recovery{From: from, Next: next, Revision: 100}
	alone := []store.Member{{Name: "n1"}}
	for name, c := range map[string]struct {
		members []store.Member
		gen     cib.DataGeneration
		rev     int64
		refused string
	}{
		"all that was seen":       {alone, from, 100, ""},
		"more than was seen":      {alone, from, 117, ""},
		"begun before":            {alone, next, 90, ""},
		"a disk with old data":    {alone, from, 99, "end at revision 99, and revision 100 was seen"},
		"an older generation":     {alone, cib.DataGeneration{Number: 2, Nonce: 9}, 500, "of generation 2, and generation 3 was seen"},
		"another history":         {alone, cib.DataGeneration{Number: 3, Nonce: 9}, 500, "of generation 3"},
		"a learner":               {[]store.Member{{Name: "n1", Learner: true}}, from, 100, "not the only voter"},
		"another one is there":    {[]store.Member{{Name: "n1"}, {Name: "n2"}}, from, 100, "not the only voter"},
		"another node's data":     {[]store.Member{{Name: "n2"}}, from, 100, "not the only voter"},
		"a member without a name": {[]store.Member{{}}, from, 100, "not the only voter"},
	} {
		err := r.accept("n1", c.members, c.gen, c.rev)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
