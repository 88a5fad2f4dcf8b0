package cluster

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/belay-ha/belay/engine/event"
)

// FailOver is where the time went between the loss of a node and the answer of
// its service from another one.
type FailOver struct {
	Total     time.Duration // from the loss until the service answered
	Detection time.Duration // until the loss was recorded
	Fence     time.Duration // from the claim of the request to the confirmation
	Agents    time.Duration // that the agents needed to start the service
	Ours      time.Duration // the rest
}

// String shows the parts.
func (f FailOver) String() string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return fmt.Sprintf("total %s ms = detection %s + fencing %s + agents %s + ours %s", ms(f.Total), ms(f.Detection), ms(f.Fence), ms(f.Agents), ms(f.Ours))
}

// Explain breaks the time of a fail-over down: node was lost at one time, its
// service, of some primitives started one after the other, answered from another
// node at a later one.
func (c *Cluster) Explain(ctx context.Context, node string, lost, answered time.Time, primitives ...string) (FailOver, error) {
	f := FailOver{Total: answered.Sub(lost)}
	from := c.Others(c.Node(node))[0]
	events, err := from.Events(ctx, "")
	if err != nil {
		return f, err
	}
	for i := range events {
		ev := &events[i]
		if ev.Node != node || ev.Time.Before(lost) {
			continue
		}
		switch ev.Code {
		case event.Get(event.NodeLost).Code():
			if f.Detection == 0 {
				f.Detection = ev.Time.Sub(lost)
			}
		case event.Get(event.FencingDone).Code():
			if d, err := time.ParseDuration(ev.Args["duration"]); err == nil && f.Fence == 0 {
				f.Fence = d
			}
		}
	}
	s, err := from.Client().Status(ctx, false)
	if err != nil {
		return f, err
	}
	for _, id := range primitives {
		r := s.Resource(id)
		if r == nil {
			return f, fmt.Errorf("there is no resource %s", id)
		}
		for _, inst := range r.Instances {
			for _, op := range inst.Operations {
				if op.Op == "start" && inst.Node != node && op.Ended.After(lost) && !op.Failed {
					f.Agents += op.Exec
				}
			}
		}
	}
	f.Ours = f.Total - f.Detection - f.Fence - f.Agents
	return f, nil
}
