package store

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
)

// BenchmarkCommit measures a transaction as the engine makes them: two compares,
// two documents.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 3} {
		for _, auth := range []bool{false, true} {
			name := fmt.Sprintf("%d", n)
			if auth {
				name += "-accounts"
			}
			b.Run(name, func(b *testing.B) { benchmarkCommit(b, n, auth) })
		}
	}
}

func benchmarkCommit(b *testing.B, n int, auth bool) {
	c := startCluster(b, n)
	if auth {
		must(b, c.admin("n1").EnableAuth(b.Context(), []string{"n1"}))
	}
	s := c.open("n1")
	dc := commit(b, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyDC, Value: cib.DC{Node: "n1"}, Lease: true}}})
	pending := cib.Pending{Action: cib.Action{ID: "1.1", Op: cib.OpStart, Instance: "web", Node: "n1", Agent: "ocf:heartbeat:nginx"}}
	rev := int64(0)
	for b.Loop() {
		rev = commit(b, s, cib.Txn{
			If: []cib.Compare{{Key: cib.KeyDC, ModRev: dc}, {Key: cib.PendingKey("n1", "web"), ModRev: rev}},
			Put: []cib.Put{
				{Key: cib.PendingKey("n1", "web"), Value: pending},
				{Key: cib.HistoryKey("n1", "web"), Value: cib.History{Instance: "web"}},
			},
		})
	}
	b.ReportMetric(float64(c.rss(b, "n1", "VmRSS")), "MB-child")
	b.ReportMetric(float64(c.rss(b, "n1", "RssAnon")), "MB-child-anon")
}

// BenchmarkCommitParallel is the same from many places at once, as when the DC
// asks for a batch of actions.
func BenchmarkCommitParallel(b *testing.B) {
	c := startCluster(b, 3)
	s := c.open("n1")
	var mu sync.Mutex
	next := 0
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		mu.Lock()
		next++
		key := cib.PendingKey("n1", fmt.Sprint(next))
		mu.Unlock()
		rev := int64(0)
		for p.Next() {
			rev = commit(b, s, cib.Txn{If: []cib.Compare{{Key: key, ModRev: rev}}, Put: []cib.Put{{Key: key, Value: cib.Pending{}}}})
		}
	})
}

// BenchmarkIdle reports what a member costs that has nothing to do.
func BenchmarkIdle(b *testing.B) {
	c := startCluster(b, 3)
	s := c.open("n1")
	commit(b, s, cib.Txn{Put: []cib.Put{{Key: cib.KeyView, Value: cib.View{}}}})
	for b.Loop() {
	}
	b.ReportMetric(float64(c.rss(b, "n1", "VmRSS")), "MB-child")
	b.ReportMetric(float64(c.rss(b, "n1", "RssAnon")), "MB-child-anon")
}

// rss reads a figure of a member's process, in MB.
func (c *cluster) rss(t testing.TB, node, what string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.nodes[node].sup.State().PID))
	must(t, err)
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, what+":"); ok {
			var kb int
			_, err := fmt.Sscan(text, &kb)
			must(t, err)
			return kb / 1024
		}
	}
	return 0
}
