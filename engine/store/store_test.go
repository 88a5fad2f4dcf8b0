package store

import (
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

func TestSingleMember(t *testing.T) {
	c := startCluster(t, 1)
	s := c.open("n1")

	t.Run("compare", func(t *testing.T) {
		rev := commit(t, s, cib.Txn{
			If:  []cib.Compare{{Key: cib.KeyDC}},
			Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n1"}}},
		})
		ok, _, err := s.Commit(t.Context(), cib.Txn{
			If:  []cib.Compare{{Key: cib.KeyDC}},
			Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n2"}}},
		})
		if ok || err != nil {
			t.Fatalf("a key that exists passed for one that does not: %v %v", ok, err)
		}
		snap, err := s.Await(t.Context(), rev)
		must(t, err)
		if snap.Status.DC == nil || snap.Status.DC.Node != "n1" || snap.Status.DC.Rev != rev {
			t.Fatalf("DC is %+v, revision %d", snap.Status.DC, rev)
		}
		rev2 := commit(t, s, cib.Txn{If: []cib.Compare{{Key: cib.KeyDC, ModRev: rev}}, Delete: []string{cib.KeyDC, "status/none"}})
		if snap, err = s.Await(t.Context(), rev2); err != nil || snap.Status.DC != nil {
			t.Fatalf("deleted, but %+v %v", snap.Status.DC, err)
		}
		if kv, err := s.Get(t.Context(), cib.KeyDC); err != nil || kv.Value != nil || kv.ModRev != 0 {
			t.Fatalf("%+v %v", kv, err)
		}
	})
	t.Logf("latency %v, contact %v ago", s.Latency(), time.Since(s.LastContact()))
}
