package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
)

func TestMetadataIsCached(t *testing.T) {
	dir := t.TempDir()
	raw, err := os.ReadFile("testdata/ocf/resource.d/test/slowmeta")
	if err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(dir, "resource.d", "test", "slowmeta")
	if err := os.MkdirAll(filepath.Dir(agent), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(agent, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	r := testRunner(t, func(c *Config) { c.OCFRoots = []string{dir} })
	id := mustID(t, "ocf:test:slowmeta")
	asked := func() int {
		raw, _ := os.ReadFile(filepath.Join(r.cfg.RscTmp, "asked"))
		return strings.Count(string(raw), "asked")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if m, err := r.Metadata(context.Background(), id); err != nil || m.Name != "slowmeta" {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	wg.Wait()
	if n := asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if err := os.Chtimes(agent, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Metadata(context.Background(), id); err != nil || asked() != 2 {
		t.Errorf("after a change: asked %d times, %v", asked(), err)
	}
}

func TestMetadataFaults(t *testing.T) {
	r := testRunner(t)
	for _, name := range []string{"ocf:test:nothing", "lsb:nothing", "belay:nothing"} {
		if _, err := r.Metadata(context.Background(), mustID(t, name)); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.FenceMetadata(context.Background(), "fence_nothing"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("fence_nothing: %v", err)
	}
	if _, err := r.Metadata(context.Background(), mustID(t, "ocf:test:garbage")); err == nil || errors.Is(err, ErrNotInstalled) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := r.Metadata(context.Background(), mustID(t, "ocf:test:liar")); !errors.Is(err, meta.ErrNoAgent) {
		t.Errorf("nothing printed: %v", err)
	}
}

// What the built-in agents say of themselves survives being written and read.
func TestBuiltinMetadataRoundTrip(t *testing.T) {
	r := testRunner(t)
	for _, name := range []string{"belay:dummy", "belay:stateful", "belay:process"} {
		m, err := r.Metadata(context.Background(), mustID(t, name))
		if err != nil {
			t.Fatal(err)
		}
		res := r.Run(context.Background(), Request{Agent: mustID(t, name), Op: "meta-data"})
		again, err := meta.Parse(meta.Resource, []byte(res.Stdout))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, m, again)
		}
	}
	again, err := meta.Parse(meta.Fence, devMetadata().Marshal())
	if err != nil || !reflect.DeepEqual(devMetadata(), again) {
		t.Errorf("%s: %v\n%+v\n%+v", DevAgent, err, devMetadata(), again)
	}
}

func TestList(t *testing.T) {
	r := testRunner(t)
	list := r.List(context.Background())
	for _, want := range []string{"belay:dummy", "belay:process", "belay:stateful", "lsb:lamp", "ocf:test:dump"} {
		if !slices.ContainsFunc(list, func(id ID) bool { return id.String() == want }) {
			t.Errorf("%s is not in %v", want, list)
		}
	}
	if slices.ContainsFunc(list, func(id ID) bool { return id.Type == "noexec" }) {
		t.Error("an agent that cannot be run is listed")
	}
	fence := r.ListFence()
	if !slices.Contains(fence, "fence_probe") || !slices.Contains(fence, DevAgent) {
		t.Errorf("%v", fence)
	}
}
