package policy_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/policy"
)

// TestOddInput: whatever stands in the documents, a decision is made without a
// panic, and the plan is one that Check lets through.
func TestOddInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawNonsense(t)
		p, g, _ := policy.Decide(s, noon)
		if err := policy.Check(s, noon, p, g); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b", "c", "d", "nothing"} {
			_, _ = policy.Explain(s, id, noon) // an error is fine
		}
	})
}

// drawNonsense draws documents that no validation has seen.
func drawNonsense(t *rapid.T) *cib.Snapshot {
	s := cib.Empty()
	s.Status.View = &cib.View{Number: 1}
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e:1", ""})
	nodes := []string{"n1", "n2", "n3"}
	number := rapid.SampledFrom([]int{-1, 0, 1, 2, 1 << 30})
	score := rapid.Map(rapid.SampledFrom([]int32{0, 1, -1, 1e6, -1e6, 1 << 30, -1 << 31}), func(i int32) cib.Score { return cib.Score(i) })
	role := rapid.Map(rapid.IntRange(0, 7), func(i int) cib.Role { return cib.Role(i) })
	coin := rapid.Bool()
	for _, n := range nodes {
		switch rapid.IntRange(0, 3).Draw(t, "node") {
		case 0:
			s.Config.Nodes[n] = nil
			continue
		case 1:
			continue
		}
		s.Config.Nodes[n] = &cib.Node{Arbiter: rapid.IntRange(0, 9).Draw(t, "arbiter") == 0, Utilization: map[string]int{"cpu": number.Draw(t, "cpu")}}
		if coin.Draw(t, "status") {
			s.Status.Nodes[n] = &cib.NodeStatus{State: cib.NodeState(rapid.IntRange(0, 11).Draw(t, "state")), BootID: "b"}
		}
		if coin.Draw(t, "member") {
			s.Status.Members[n] = &cib.Member{Node: n, BootID: "b", Incarnation: 1}
		}
		if coin.Draw(t, "view") {
			s.Status.View.Members = append(s.Status.View.Members, cib.ViewMember{Node: n, BootID: "b", Incarnation: 1})
		}
		s.Status.Histories[n] = map[string]*cib.History{"nil": nil}
		s.Status.Pending[n] = map[string]*cib.Pending{"nil": nil}
		for range rapid.IntRange(0, 4).Draw(t, "histories") {
			h := &cib.History{BootID: "b", Incarnation: uint64(rapid.IntRange(0, 2).Draw(t, "incarnation")), FailCount: score.Draw(t, "failcount")}
			for range rapid.IntRange(0, 3).Draw(t, "ops") {
				h.Ops = append(h.Ops, cib.OpResult{
					Seq:    uint64(rapid.IntRange(0, 3).Draw(t, "seq")),
					Op:     rapid.SampledFrom([]string{"start", "stop", "monitor", "promote", "demote", "migrate_to", "nonsense", ""}).Draw(t, "op"),
					RC:     rapid.IntRange(-1, 10).Draw(t, "rc"),
					Status: cib.OpStatus(rapid.IntRange(0, 9).Draw(t, "opstatus")), Interval: cib.Duration(rapid.IntRange(-1, 1).Draw(t, "interval")),
				})
			}
			s.Status.Histories[n][names.Draw(t, "history")] = h
		}
		for range rapid.IntRange(0, 2).Draw(t, "pending") {
			key := names.Draw(t, "pendingKey")
			s.Status.Pending[n][key] = &cib.Pending{
				Action: cib.Action{ID: "1.1", Instance: key, Node: n, Op: rapid.SampledFrom([]string{"start", "stop", "monitor", "cleanup", ""}).Draw(t, "pendingOp")},
				State:  cib.ActionState(rapid.IntRange(0, 4).Draw(t, "actionState")),
			}
		}
	}
	for _, id := range []string{"a", "b", "c", "d", "e:1"} {
		r := &cib.Resource{}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			s.Config.Resources[id] = nil
			continue
		case 1:
			r.Agent = "ocf:heartbeat:Dummy"
			r.Operations = []cib.Operation{{Name: "monitor", Interval: cib.Duration(time.Second), OnFail: cib.OnFail(rapid.IntRange(0, 12).Draw(t, "onFail")), Role: role.Draw(t, "role")}}
		case 2:
			r.Group = rapid.SliceOfN(names, 0, 4).Draw(t, "members")
		default:
			r.Clone = &cib.Clone{
				Resource: names.Draw(t, "inner"), NodeMax: number.Draw(t, "nodeMax"), Min: number.Draw(t, "min"),
				GloballyUnique: coin.Draw(t, "unique"), Interleave: coin.Draw(t, "interleave"), Ordered: coin.Draw(t, "ordered"), Promotable: coin.Draw(t, "promotable"),
			}
			if coin.Draw(t, "max?") {
				r.Clone.Max = new(rapid.SampledFrom([]int{-1, 0, 1, 3, 50}).Draw(t, "max"))
			}
		}
		r.Meta.TargetRole, r.Meta.MultipleActive = role.Draw(t, "target"), cib.MultipleActive(rapid.IntRange(0, 6).Draw(t, "multiple"))
		r.Meta.MigrationThreshold, r.Meta.Priority = new(number.Draw(t, "threshold")), new(score.Draw(t, "priority"))
		r.Utilization = map[string]int{"cpu": number.Draw(t, "use")}
		s.Config.Resources[id] = r
	}
	s.Config.Cluster.Options.PlacementStrategy = rapid.SampledFrom([]string{"", "default", "utilization", "balanced", "minimal", "x"}).Draw(t, "strategy")
	for i := range rapid.IntRange(0, 6).Draw(t, "constraints") {
		c := &cib.Constraint{}
		first, then := names.Draw(t, "first"), names.Draw(t, "then")
		switch rapid.IntRange(0, 5).Draw(t, "constraint") {
		case 0:
			c.Location = &cib.Location{Resource: first, Node: "n1", Score: score.Draw(t, "score"), Role: role.Draw(t, "role")}
		case 1:
			c.Colocation = &cib.Colocation{Resource: first, With: then, Score: score.Draw(t, "score"), Role: role.Draw(t, "role"), WithRole: role.Draw(t, "withRole")}
		case 2:
			c.Order = &cib.Order{First: first, Then: then, Kind: cib.OrderKind(rapid.IntRange(0, 5).Draw(t, "kind"))}
		case 3:
			ops := rapid.SampledFrom([]string{"start", "stop", "promote", "demote", "x"})
			c.Order = &cib.Order{First: first, Then: then, FirstAction: ops.Draw(t, "firstAction"), ThenAction: ops.Draw(t, "thenAction")}
		case 4:
			c.Location = &cib.Location{Resource: first, Rule: &cib.Rule{Expressions: []cib.Expression{{Attribute: "#uname", Operation: "x"}}}}
		}
		s.Config.Constraints[fmt.Sprint(i)] = c
	}
	return s
}
