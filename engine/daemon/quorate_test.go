package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/quorum"
)

// A change waits for quorum that was lost a moment ago, for as long as the loss is
// not shown to anybody, and not at all once it is.
func TestAwaitQuorum(t *testing.T) {
	never := time.Hour
	for _, c := range []struct {
		name            string
		lostFor         time.Duration // when the change comes
		back            time.Duration // after the change has come
		endless         bool          // the loop never says that the loss is no longer passing
		refused, waited bool
		after           time.Duration // at most; and not much earlier
	}{
		{name: "quorum is there"},
		{name: "back in time", back: 400 * time.Millisecond, waited: true, after: 450 * time.Millisecond},
		{name: "back in time, of a loss that began before", lostFor: 800 * time.Millisecond, back: 150 * time.Millisecond, waited: true, after: 200 * time.Millisecond},
		{name: "not back in time", lostFor: 800 * time.Millisecond, back: 300 * time.Millisecond, refused: true, waited: true, after: 250 * time.Millisecond},
		{name: "lost long ago", lostFor: time.Minute, back: never, refused: true},
		{name: "a loop that does not judge", back: never, endless: true, refused: true, waited: true, after: 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &cib.Options{Detection: cib.Duration(time.Second)}
				began := time.Now()
				waited, err := awaitQuorum(t.Context(), o, func() (quorum.Result, bool, error) {
					past := time.Since(began)
					return quorum.Result{Quorate: past >= c.back}, c.endless || c.lostFor+past < o.DetectionTime(), nil
				})
				var p *api.Problem
				if refused := errors.As(err, &p) && p.Code == api.CodeNoQuorum; refused != c.refused || !refused && err != nil {
					t.Errorf("refused %t (%v), want %t", refused, err, c.refused)
				}
				if waited != c.waited {
					t.Errorf("waited %t, want %t", waited, c.waited)
				}
				if took := time.Since(began); took > c.after || took < c.after-100*time.Millisecond {
					t.Errorf("it took %s, want at most %s", took, c.after)
				}
			})
		})
	}
}

// A caller that goes away ends the wait.
func TestAwaitQuorumCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := awaitQuorum(ctx, &cib.Options{}, func() (quorum.Result, bool, error) { return quorum.Result{}, true, nil })
		if took := time.Since(began); err == nil || took != 300*time.Millisecond {
			t.Errorf("%v after %s, want a refusal after 300ms", err, took)
		}
	})
}
