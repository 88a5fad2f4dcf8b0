package auth

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// A right password is asked for once a minute, and again after everything that may have
// changed what it stands for.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, p := newTest()
		p.slow["anna"] = 30 * time.Millisecond
		good := Login{User: "anna", Password: "right", Address: "192.0.2.1", Via: "cim"}
		asked := func(l Login) bool {
			began := time.Now()
			s, err := a.Remembered(t.Context(), l)
			if err != nil || s.User != "anna" || !slices.Equal(s.Roles, p.groups) || s.Via != "cim" {
				t.Fatalf("%+v, %v", s, err)
			}
			return time.Since(began) > 0
		}
		wrong := func(user string) {
			if _, err := a.Remembered(t.Context(), Login{User: user, Password: "wrong", Address: "192.0.2.9", Via: "cim"}); code(err) != api.CodeLoginRefused {
				t.Fatalf("%v", err)
			}
		}
		for _, step := range []struct {
			name string
			do   func()
			want bool
		}{
			{"first", func() {}, true},
			{"second", func() {}, false},
			{"just before it is over", func() { time.Sleep(rememberLife - time.Millisecond) }, false},
			{"when it is over", func() { time.Sleep(time.Millisecond) }, true},
			{"other roles", func() {
				a.opts.Roles = func(string, []string) []string { return []string{"h"} }
				p.groups = []string{"h"}
			}, true},
			{"then again", func() {}, false},
			{"somebody else's wrong password", func() { wrong("bert") }, false},
			{"a wrong password from elsewhere", func() { wrong("anna") }, true},
			{"the sessions were ended", func() {
				if err := a.EndUser(t.Context(), &Subject{User: "root"}, "anna", "locked"); err != nil {
					t.Fatal(err)
				}
			}, true},
		} {
			step.do()
			if got := asked(good); got != step.want {
				t.Errorf("%s: PAM asked: %v, want %v", step.name, got, step.want)
			}
		}
		other := good
		other.Address = "192.0.2.2"
		if !asked(other) {
			t.Error("another address uses the log-in")
		}
		if _, err := a.Remembered(t.Context(), Login{User: "anna", Password: "wrong", Address: good.Address, Via: "cim"}); err == nil {
			t.Error("a wrong password is good")
		}
	})
}

// Many requests at a time with the same log-in are one question to PAM.
func TestRememberedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, p := newTest()
		p.slow["anna"] = time.Second
		began := time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := a.Remembered(t.Context(), Login{User: "anna", Password: "right", Address: "192.0.2.1"}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
