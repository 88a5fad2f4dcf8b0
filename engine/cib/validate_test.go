package cib

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// base is a sound configuration of three nodes with fencing.
const base = `{
 "cluster": {"name": "prod"},
 "nodes": {
  "n1": {"id": 1, "addresses": ["10.0.0.1", "10.1.0.1"], "voter": true},
  "n2": {"id": 2, "addresses": ["10.0.0.2", "10.1.0.2"], "voter": true},
  "n3": {"id": 3, "addresses": ["10.0.0.3", "10.1.0.3"], "voter": true}},
 "resources": {
  "vip": {"agent": "ocf:heartbeat:IPaddr2", "parameters": {"ip": "10.0.0.100"}, "operations": [{"name": "monitor", "interval": "10s"}]},
  "www": {"agent": "systemd:nginx", "operations": [{"name": "monitor", "interval": "10s"}]},
  "web": {"group": ["vip", "www"]},
  "db": {"agent": "ocf:heartbeat:pgsql", "operations": [{"name": "monitor", "interval": "10s", "role": "Promoted"}, {"name": "monitor", "interval": "11s"}]},
  "dbs": {"clone": {"resource": "db", "promotable": true}},
  "a": {"agent": "belay:dummy", "operations": [{"name": "monitor", "interval": "10s"}]},
  "b": {"agent": "belay:dummy", "operations": [{"name": "monitor", "interval": "10s"}]},
  "c": {"agent": "belay:dummy", "operations": [{"name": "monitor", "interval": "10s"}]}},
 "fence-devices": {"ipmi": {"agent": "fence_ipmilan", "parameters": {"password": "geheim"}}}
}`

// TestValidate merges each input into a sound configuration of three nodes and
// shows the faults, or with the command "strict" parses it alone.
func TestValidate(t *testing.T) {
	datadriven.Walk(t, "testdata/validate", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			doc := []byte(d.Input)
			if d.Cmd != "strict" {
				var err error
				if doc, err = mergePatch([]byte(base), doc); err != nil {
					t.Fatal(err)
				}
			}
			c, faults := ParseConfig(doc)
			if len(faults) > 0 {
				return show(faults)
			}
			switch d.Cmd {
			case "warnings":
				if faults := Validate(c); len(faults) > 0 {
					return "not valid:\n" + show(faults)
				}
				return show(Warnings(c))
			case "undriven":
				if faults := Validate(c); len(faults) > 0 {
					return "not valid:\n" + show(faults)
				}
				return show(Undriven(c, RemoteLevel-len(d.CmdArgs)))
			case "strict", "validate":
				return show(Validate(c))
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func show(faults []Fault) string {
	if len(faults) == 0 {
		return "ok\n"
	}
	var b strings.Builder
	for _, f := range faults {
		b.WriteString(strings.TrimPrefix(f.Path+": "+f.Text, ": ") + "\n")
	}
	return b.String()
}

func parseBase(t *testing.T) *Config {
	t.Helper()
	c, faults := ParseConfig([]byte(base))
	if faults = append(faults, Validate(c)...); len(faults) > 0 {
		t.Fatal(show(faults))
	}
	return c
}

// TestParseRefusesNothingOfOurs: whatever a configuration is written as, it is
// read back as it was, strictly.
func TestParseRefusesNothingOfOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig(t)
		doc := encode(c)
		got, faults := ParseConfig(doc)
		if len(faults) > 0 {
			t.Fatalf("%s\n%s", show(faults), doc)
		}
		if string(encode(got)) != string(doc) {
			t.Fatalf("read back\n%s\nwant\n%s", encode(got), doc)
		}
		Validate(got)
		Warnings(got)
	})
}

// TestValidateIsDeterministic: the same configuration gives the same faults in
// the same order, and every path begins with a part of the document.
func TestValidateIsDeterministic(t *testing.T) {
	tops := []string{"cluster", "nodes", "resources", "constraints", "fence-devices", "fence-topology", "quorum-devices", "tickets"}
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig(t)
		first := Validate(c)
		if second := Validate(c.Clone()); !slices.Equal(first, second) {
			t.Fatalf("%v\n%v", first, second)
		}
		for _, f := range first {
			top, _, _ := strings.Cut(f.Path, ".")
			top, _, _ = strings.Cut(top, "[")
			if !slices.Contains(tops, top) || f.Text == "" {
				t.Fatalf("fault %+v", f)
			}
		}
	})
}

// TestCycleExactlyWhenNoOrder: mandatory orders between primitives are refused
// exactly when no sequence satisfies all of them.
func TestCycleExactlyWhenNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "resources")
		c := (&Config{}).Clone()
		name := func(i int) string { return fmt.Sprintf("r%d", i) }
		for i := range n {
			c.Resources[name(i)] = &Resource{Agent: "belay:dummy"}
		}
		waits := make([]map[int]bool, n)
		for i := range waits {
			waits[i] = map[int]bool{}
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "orders") {
			a, b := rapid.IntRange(0, n-1).Draw(t, "first"), rapid.IntRange(0, n-1).Draw(t, "then")
			if a == b {
				continue
			}
			waits[b][a] = true
			c.Constraints[fmt.Sprintf("o%d", i)] = &Constraint{Order: &Order{First: name(a), Then: name(b)}}
		}
		placed := map[int]bool{}
		for range n {
			for i := range n {
				ready := true
				for w := range waits[i] {
					ready = ready && placed[w]
				}
				if ready {
					placed[i] = true
				}
			}
		}
		v := newValidator(c)
		v.orderCycles()
		if (len(v.faults) == 0) != (len(placed) == n) {
			t.Fatalf("faults %v, but %d of %d can start", v.faults, len(placed), n)
		}
	})
}

func genConfig(t *rapid.T) *Config {
	c := (&Config{}).Clone()
	id := rapid.SampledFrom([]string{"a", "b", "c", "n1", "n2", "web", "x.y", ""})
	ref := rapid.SampledFrom([]string{"a", "b", "c", "n1", "n2", "web", "nosuch"})
	text := rapid.SampledFrom([]string{"", "1", "x", "10.0.0.1", "ocf:heartbeat:IPaddr2", "a\nb", Redacted, SealedPrefix + "x"})
	dur := rapid.Custom(func(t *rapid.T) Duration { return Duration(rapid.Int64Range(0, 1e12).Draw(t, "d")) })
	params := rapid.MapOf(text, text)
	c.Cluster.Name = text.Draw(t, "name")
	c.Cluster.Options.Detection = dur.Draw(t, "detection")
	c.Cluster.Options.NoQuorumPolicy = NoQuorumPolicy(rapid.IntRange(0, 5).Draw(t, "policy"))
	for range rapid.IntRange(0, 3).Draw(t, "nodes") {
		c.Nodes[id.Draw(t, "node")] = &Node{ID: uint32(rapid.IntRange(0, 3).Draw(t, "id")), Addresses: rapid.SliceOfN(text, 1, 2).Draw(t, "addresses"), Voter: rapid.Bool().Draw(t, "voter")}
	}
	for range rapid.IntRange(0, 5).Draw(t, "resources") {
		r := &Resource{Meta: Meta{TargetRole: Role(rapid.IntRange(0, 5).Draw(t, "role"))}}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			r.Agent, r.Parameters = text.Draw(t, "agent"), params.Draw(t, "parameters")
			r.Operations = append(r.Operations, Operation{Name: text.Draw(t, "op"), Interval: dur.Draw(t, "interval"), OnFail: OnFail(rapid.IntRange(0, 9).Draw(t, "onfail"))})
		case 1:
			r.Group = rapid.SliceOfN(ref, 1, 3).Draw(t, "group")
		case 2:
			r.Clone = &Clone{Resource: ref.Draw(t, "clone"), Promotable: rapid.Bool().Draw(t, "promotable")}
		}
		c.Resources[id.Draw(t, "resource")] = r
	}
	score := rapid.Custom(func(t *rapid.T) Score { return Score(rapid.IntRange(-1e6, 1e6).Draw(t, "s")) })
	for range rapid.IntRange(0, 4).Draw(t, "constraints") {
		k := &Constraint{}
		switch rapid.IntRange(0, 3).Draw(t, "constraint") {
		case 0:
			k.Location = &Location{Resource: ref.Draw(t, "r"), Node: ref.Draw(t, "n"), Score: score.Draw(t, "score")}
		case 1:
			k.Colocation = &Colocation{Resource: ref.Draw(t, "r"), With: ref.Draw(t, "w"), Score: score.Draw(t, "score")}
		case 2:
			k.Order = &Order{First: ref.Draw(t, "f"), Then: ref.Draw(t, "t"), Kind: OrderKind(rapid.IntRange(0, 3).Draw(t, "kind"))}
		}
		c.Constraints[id.Draw(t, "id")] = k
	}
	if rapid.Bool().Draw(t, "fencing") {
		c.FenceDevices["f"] = &FenceDevice{Agent: text.Draw(t, "agent"), Parameters: params.Draw(t, "parameters"), Targets: rapid.MapOf(ref, text).Draw(t, "targets")}
		c.FenceTopology[ref.Draw(t, "target")] = &FenceTopology{Levels: [][]string{{"f", ref.Draw(t, "device")}}}
	}
	return c
}

// FuzzParseConfig: no input crashes the parser or the validator.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(base))
	f.Add([]byte(`{"cluster":{"name":1},"nodes":{"n":null},"resources":[],"x":{}}`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, faults := ParseConfig(doc)
		if (c == nil) != (len(faults) > 0) {
			t.Fatalf("configuration %v with faults %v", c, faults)
		}
		if c != nil {
			Validate(c)
			Warnings(c)
			Redact(c, nil)
			if !json.Valid(encode(c)) {
				t.Fatal("not JSON")
			}
		}
	})
}

func BenchmarkValidate10000(b *testing.B) {
	c := (&Config{}).Clone()
	c.Cluster.Name = "big"
	for i := range 10000 {
		c.Resources[fmt.Sprintf("r%05d", i)] = &Resource{Agent: "belay:dummy"}
		if i > 0 {
			c.Constraints[fmt.Sprintf("o%05d", i)] = &Constraint{Order: &Order{First: fmt.Sprintf("r%05d", i-1), Then: fmt.Sprintf("r%05d", i)}}
		}
	}
	for b.Loop() {
		if f := Validate(c); len(f) > 0 {
			b.Fatal(f)
		}
	}
}
