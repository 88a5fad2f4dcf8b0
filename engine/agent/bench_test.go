package agent

import (
	"context"
	"path/filepath"
	"testing"
)

func benchmark(b *testing.B, agent string, params map[string]string, names ...string) {
	r := testRunner(b)
	id := mustID(b, agent)
	b.ReportAllocs()
	for b.Loop() {
		for _, op := range names {
			if res := r.Run(context.Background(), Request{Agent: id, Instance: "d", Op: op, Params: params}); res.RC != 0 {
				b.Fatalf("%s: %+v", op, res)
			}
		}
	}
}

// The engine's own share: no program is run.
func BenchmarkBuiltinDummy(b *testing.B) {
	benchmark(b, "belay:dummy", nil, "start", "monitor", "stop")
}

// A whole program each, of a shell that does nothing.
func BenchmarkRunNothing(b *testing.B) {
	benchmark(b, "ocf:test:liar", nil, "start")
}

func BenchmarkDebianDummyMonitor(b *testing.B) {
	need(b, "/usr/lib/ocf/resource.d/heartbeat/Dummy")
	params := map[string]string{"state": filepath.Join(b.TempDir(), "state")}
	r := testRunner(b)
	r.Run(context.Background(), Request{Agent: mustID(b, "ocf:heartbeat:Dummy"), Instance: "d", Op: "start", Params: params})
	benchmark(b, "ocf:heartbeat:Dummy", params, "monitor")
}
