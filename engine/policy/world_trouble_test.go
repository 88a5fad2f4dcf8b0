package policy_test

import (
	"fmt"

	"github.com/belay-ha/belay/engine/cib"
)

// parseTrouble reads what goes wrong in a cluster; false if the word is none of
// these.
func (w *world) parseTrouble(word string, f []string) (bool, error) {
	switch word {
	case "banned": // RESOURCE NODE: short for a location
		w.Config.Constraints["ban-"+f[0]+"-"+f[1]] = &cib.Constraint{Location: &cib.Location{Resource: f[0], Node: f[1], Score: -cib.Infinity}}
		return true, nil
	case "quorum": // held, lost or never
		q, ok := map[string]cib.PartitionQuorum{"held": cib.QuorumHeld, "lost": cib.QuorumLost, "never": cib.QuorumNever}[f[0]]
		if !ok {
			return true, fmt.Errorf("what quorum is %q", f[0])
		}
		w.Status.Quorum = q
		return true, nil
	}
	return false, nil
}

// parseTroubleOption reads the options about what goes wrong.
func parseTroubleOption(o *cib.Options, k, v string) error {
	var err error
	switch k {
	case "no-quorum-policy":
		o.NoQuorumPolicy, err = cib.NoQuorumPolicies.Parse(v)
	default:
		err = fmt.Errorf("what is option %q", k)
	}
	return err
}

// parseTroubleMeta reads the meta attributes about it.
func parseTroubleMeta(m *cib.Meta, k, v string) error {
	switch k {
	case "allow-migrate":
		m.AllowMigrate = new(v == "true")
	default:
		return fmt.Errorf("what is %q", k)
	}
	return nil
}
