package sim

import (
	"math/rand/v2"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// What is drawn here has its own source of chance, so that seeds draw the same of
// everything else.
func (sc *Scenario) migrationRand(what uint64) *rand.Rand {
	return rand.New(rand.NewPCG(sc.Seed, 0x6d6967+what))
}

// letMigrate lets some resources be migrated.
func letMigrate(sc *Scenario, c *cib.Config) {
	r := sc.migrationRand(0)
	for _, id := range sortedKeys(c.Resources) {
		if x := c.Resources[id]; x.Agent != "" && r.IntN(3) == 0 {
			yes := true
			x.Meta.AllowMigrate = &yes
		}
	}
}

// disturbMigrations moves what may be migrated about, and breaks something while it
// is on its way: a node, an engine, an agent, or one of the two nodes at its ends.
func (sc *Scenario) disturbMigrations() {
	r := sc.migrationRand(1)
	var movable []string
	for _, id := range sortedKeys(sc.Config.Resources) {
		if x := sc.Config.Resources[id]; x.Agent != "" && x.Meta.AllowMigrate != nil && id[0] == 'p' {
			movable = append(movable, id)
		}
	}
	if len(movable) == 0 {
		return
	}
	node := func() string { return nodeName(sc, r.IntN(sc.Nodes)) }
	for range 2 + r.IntN(5) {
		move := Fault{At: between(r, 8*time.Second, sc.Heal-3*time.Second), For: 10 * time.Second, Kind: AdminMove, Resource: pick(r, movable...), Node: node()}
		during := Fault{At: move.At + between(r, 0, 900*time.Millisecond), Node: node(), For: between(r, time.Second, 12*time.Second)}
		switch r.IntN(10) {
		case 0:
			during.Kind = PowerLoss
		case 1:
			during.Kind, during.N = EngineCrash, r.IntN(2)
		case 2:
			during.Kind = Isolate
		case 3:
			during.Kind, during.Resource, during.Node, during.N = AgentSpell, move.Resource, "", 1
			during.Op = pick(r, "migrate_to", "migrate_from", "stop")
			during.Mode = pick(r, agentFails, agentHalf, agentHangs)
			during.At = move.At
		case 4, 5, 6:
			during.Kind, during.Node, during.N = pick(r, CrashAgentNode, CrashPeer), "", r.IntN(5)
			during.Text = pick(r, "migrate_to", "migrate_to", "migrate_from")
			during.At = move.At
		default:
			sc.Faults = append(sc.Faults, move)
			continue
		}
		sc.Faults = append(sc.Faults, move, during)
	}
}
