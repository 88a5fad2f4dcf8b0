// Package outbox tells receivers outside of the cluster of its events: each one at least
// once, in order, under a number that has no gaps, whichever node sends. SNMP
// notifications, indications of CIM and every other kind of message use it.
//
// The queue is the cluster's ring of events. How far a target is stands in a [Cursor],
// which is a document in the store. The DC sends; the next DC goes on where the cursor
// stands. What is sent again has the [ID] that it had before, so that a receiver can tell
// a repeat from something new. A receiver that does not answer is asked again, ever more
// slowly, and nothing overtakes what it has not taken. What has left the ring by then is
// counted in the cursor as an overflow.
//
// A kind of message gives a [Target] for each receiver, and nothing else:
//
//	box := &outbox.Box{Engine: engine, Kind: "webhook", Log: log}
//	outbox.Watch(ctx, holder.ConfigChanges(), settings, func(ctx context.Context, s *Settings) {
//		var targets []*outbox.Target
//		for _, hook := range s.Hooks {
//			filter := outbox.Filter{MinSeverity: hook.MinSeverity, Codes: hook.Events}
//			targets = append(targets, &outbox.Target{
//				Name:     hook.Name,
//				Disabled: hook.Disabled,
//				Event: func(ev *cib.Event) (outbox.Delivery, error) {
//					if !filter.Takes(ev) {
//						return nil, nil // it is not for this receiver
//					}
//					return func(ctx context.Context, id outbox.ID) error {
//						return hook.post(ctx, ev, id.String()) // called again until it returns nil
//					}, nil
//				},
//			})
//		}
//		box.Serve(ctx, func() (bool, <-chan struct{}) { return holder.Leads(node()) }, targets)
//	})
//
// [Watch] ends and begins the whole when the settings change; [Box.Serve] sends while this
// node is the DC, and removes the cursors of targets that are gone. cursor.go decides,
// sender.go runs, store.go knows the engine, serve.go begins and ends, receivers.go tells
// how far everybody is.
package outbox
