package compat

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pacemaker"
)

// throughFile writes the configuration of an imported CIB as belay import does, and
// reads it as belay apply does. What became a fence device is a resource no more:
// its histories go with it.
func throughFile(im *pacemaker.Imported) (*cib.Snapshot, error) {
	cfg, _ := pacemaker.Configuration(im)
	file, err := yaml.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	doc, err := yaml.YAMLToJSONStrict(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	back, faults := cib.ParseConfig(doc)
	if len(faults) > 0 {
		return nil, fmt.Errorf("read the configuration: %v", faults)
	}
	return replaced(im, back), nil
}

// replaced is the snapshot of a CIB with another configuration, and without what is
// known of fence devices.
func replaced(im *pacemaker.Imported, c *cib.Config) *cib.Snapshot {
	s := *im.Snapshot
	s.Config = c
	s.Status.Histories = map[string]map[string]*cib.History{}
	for node, all := range im.Snapshot.Status.Histories {
		s.Status.Histories[node] = maps.Clone(all)
		maps.DeleteFunc(s.Status.Histories[node], func(_ string, h *cib.History) bool { return fences(im, h.Resource) })
	}
	return &s
}

// undone is the snapshot of a CIB in which nothing but the fence devices is left
// out, as resources.
func undone(im *pacemaker.Imported) *cib.Snapshot {
	c := *im.Snapshot.Config
	c.Resources = maps.Clone(c.Resources)
	maps.DeleteFunc(c.Resources, func(id string, _ *cib.Resource) bool { return fences(im, id) })
	return replaced(im, &c)
}

// fences reports whether a resource of a CIB is a fence device.
func fences(im *pacemaker.Imported, id string) bool {
	r := im.Snapshot.Config.Resources[id]
	return r != nil && strings.HasPrefix(r.Agent, "stonith:")
}

// withoutDevices leaves out what is done with fence devices.
func withoutDevices(im *pacemaker.Imported, d *Decision) *Decision {
	out := *d
	out.Placement = slices.DeleteFunc(slices.Clone(d.Placement), func(p Place) bool { return fences(im, p.Resource) })
	out.Actions = slices.DeleteFunc(slices.Clone(d.Actions), func(a Action) bool { return fences(im, a.Resource) })
	return &out
}

// TestImport: every case is decided after belay import as it is directly.
func TestImport(t *testing.T) {
	dir := directory(t)
	if dir == "" {
		return // TestCases has said so
	}
	same, byDevices := 0, 0
	cases := readCases(t, dir)
	for _, c := range cases {
		doc, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		im, err := imported(doc, c.args)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		direct, err := decideOn(im.Snapshot, im.Now)
		if err != nil {
			t.Fatal(err)
		}
		s, err := throughFile(im)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		after, err := decideOn(s, im.Now)
		if err != nil {
			t.Fatal(err)
		}
		if Compare(withoutDevices(im, direct), after).Same() {
			same++
			continue
		}
		// Fence devices are no resources here: they do not count where the number of
		// resources on a node decides among equals. That is all that may be different.
		less, err := decideOn(undone(im), im.Now)
		if err != nil {
			t.Fatal(err)
		}
		if r := Compare(less, after); !r.Same() {
			t.Errorf("%s is decided differently after belay import: %+v", c.name, r)
			continue
		}
		byDevices++
	}
	t.Logf("%d of %d cases are decided after belay import as they are directly, %d more but for fence devices counting as resources", same, len(cases), byDevices)
}
