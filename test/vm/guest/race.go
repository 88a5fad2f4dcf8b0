package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/tiebreak"
)

// race has two voters race for a disk that each of them sees as a device of its own, with
// the engine's own tie-breaker. The first must win, and the second must lose, again and
// again.
func race(devices []string) error {
	if len(devices) != 2 {
		return errors.New("race DEVICE-OF-N1 DEVICE-OF-N2")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	names := []string{"n1", "n2"}
	var half []*tiebreak.SCSI
	for i, name := range names {
		s := tiebreak.NewSCSI(tiebreak.SCSIConfig{Devices: devices[i : i+1], Timeout: 20 * time.Second, Good: time.Minute, Cluster: "vm", Node: name, Now: time.Now})
		if err := s.Check(ctx, true); err != nil {
			return fmt.Errorf("%s registers: %w", name, err)
		}
		half = append(half, s)
	}
	ask := func(i int) tiebreak.Answer {
		a := half[i].Ask(ctx, tiebreak.Claim{Cluster: "vm", Node: names[i], Episode: 1, Voters: names, Present: names[i : i+1]})
		fmt.Printf("race: %s asks: %v %s %v\n", names[i], a.Answer, a.Reason, a.Err)
		return a
	}
	for range 2 {
		if a := ask(0); a.Err != nil || a.Answer != cib.QuorumHave {
			return errors.New("n1 does not win")
		}
		if a := ask(1); a.Err == nil && a.Answer == cib.QuorumHave {
			return errors.New("n2 wins, too")
		}
	}
	return nil
}
