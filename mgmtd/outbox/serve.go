package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Serve sends to the targets while this node is the one that sends, until ctx ends. leads
// says whether it is, and has a channel that is closed when it may be otherwise. The
// targets are all that are configured: the cursors of others are removed.
func (b *Box) Serve(ctx context.Context, leads func() (now bool, next <-chan struct{}), targets []*Target) {
	known := map[string]bool{}
	for _, t := range targets {
		known[t.Name] = true
	}
	var senders sync.WaitGroup
	defer senders.Wait()
	stop := func() {}
	defer func() { stop() }()
	sending := false
	for {
		here, next := leads()
		switch {
		case here && !sending:
			inner, cancel := context.WithCancel(ctx)
			stop = cancel
			b.forget(inner, known)
			for _, t := range targets {
				if !t.Disabled {
					senders.Go(func() { b.run(inner, t) })
				}
			}
		case !here && sending:
			stop()
			senders.Wait()
		}
		sending = here
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// settingsAgain is the pause before settings that can't be read are asked for again.
const settingsAgain = time.Second

// Watch asks for settings, at first and at each poke, and calls serve with them. When
// they have changed, serve's context ends, and it is called anew once it has returned.
// Watch returns when ctx ends and serve has returned.
func Watch[T any](ctx context.Context, poke <-chan struct{}, settings func(context.Context) (T, error), serve func(context.Context, T)) {
	var work sync.WaitGroup
	defer work.Wait()
	stop := func() {}
	defer func() { stop() }()
	var last []byte
	for {
		var again <-chan time.Time
		if s, err := settings(ctx); err != nil {
			again = time.After(settingsAgain)
		} else if now, err := json.Marshal(s); err == nil && !bytes.Equal(now, last) {
			last = now
			stop()
			work.Wait()
			inner, cancel := context.WithCancel(ctx)
			stop = cancel
			work.Go(func() { serve(inner, s) })
		}
		select {
		case <-ctx.Done():
			return
		case <-poke:
		case <-again:
		}
	}
}
