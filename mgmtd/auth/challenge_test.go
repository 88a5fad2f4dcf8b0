package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/api"
)

// twoSteps wants the code 42 after the password, whether that was right or wrong.
type twoSteps struct {
	open int // tries that wait
}

type oneTry struct {
	p     *twoSteps
	r     HelperRequest
	ended bool
}

func (p *twoSteps) Ask(_ context.Context, r HelperRequest) (*HelperAnswer, error) {
	if !r.Interactive {
		return &HelperAnswer{Result: ResultDenied}, nil
	}
	p.open++
	return &HelperAnswer{Questions: []Question{{Text: "Code: "}}, Messages: []string{"look at your telephone"}, More: &oneTry{p: p, r: r}}, nil
}

func (o *oneTry) Reply(_ context.Context, answers []string) (*HelperAnswer, error) {
	if o.ended {
		return nil, errors.New("it has ended")
	}
	if o.r.Password == "" { // the first answer was the password
		o.r.Password = answers[0]
		return &HelperAnswer{Questions: []Question{{Text: "Code: "}}, More: o}, nil
	}
	_ = o.Close()
	if o.r.Password != "right" || answers[0] != "42" {
		return &HelperAnswer{Result: ResultDenied}, nil
	}
	return &HelperAnswer{OK: true, User: o.r.User, Groups: []string{"g"}}, nil
}

func (o *oneTry) Close() error {
	if !o.ended {
		o.ended = true
		o.p.open--
	}
	return nil
}

// A log-in with a code: only both right begin a session, a challenge is answered once,
// and only in its time.
func TestChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, k, _ := newTest()
		p := &twoSteps{}
		a.passwords = p
		ask := func(l Login) *Challenge {
			t.Helper()
			l.User, l.Address = "anna", "192.0.2.1"
			b, err := a.Login(t.Context(), l)
			if err != nil || b.Secret != "" || b.Challenge == nil || len(b.Challenge.Questions) != 1 {
				t.Fatalf("%+v, %v", b, err)
			}
			return b.Challenge
		}
		if c := ask(Login{Password: "right"}); len(k.all().Documents) != 0 || c.Messages[0] == "" {
			t.Error("a session began before the code")
		} else if b, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{"42"}, Client: "test"}); err != nil || b.Session.User != "anna" || b.Session.Client != "test" {
			t.Errorf("%+v, %v", b, err)
		} else if _, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{"42"}}); code(err) != api.CodeLogin {
			t.Errorf("answered twice: %v", err)
		}
		for password, said := range map[string]string{"right": "41", "wrong": "42"} {
			c, began := ask(Login{Password: password}), time.Now()
			if _, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{said}}); code(err) != api.CodeLoginRefused || time.Since(began) != FailTime {
				t.Errorf("%s, %s: %v after %s", password, said, err, time.Since(began))
			}
		}
		c := ask(Login{Password: "right"})
		if _, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{"42", "43"}}); code(err) != api.CodeBadRequest {
			t.Errorf("two answers: %v", err)
		}
		// Without a password there are two steps.
		c = ask(Login{Ask: true})
		b, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{"right"}})
		if err != nil || b.Challenge == nil || b.Challenge.ID == c.ID {
			t.Fatalf("%+v, %v", b, err)
		}
		if b, err = a.Answer(t.Context(), ChallengeAnswer{ID: b.Challenge.ID, Answers: []string{"42"}}); err != nil || b.Secret == "" {
			t.Errorf("%+v, %v", b, err)
		}
		c = ask(Login{Password: "right"})
		time.Sleep(ChallengeLife)
		if _, err := a.Answer(t.Context(), ChallengeAnswer{ID: c.ID, Answers: []string{"42"}}); code(err) != api.CodeLogin {
			t.Errorf("too late: %v", err)
		}
		if p.open != 0 {
			t.Errorf("%d tries are left behind", p.open)
		}
		if n := len(a.limits.fails["p anna 192.0.2.1"]); n != 1 {
			t.Errorf("%d failures since the last log-in, not the one that was too late", n)
		}
	})
}

// Who begins many log-ins keeps neither memory nor others.
func TestChallengesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _ := newTest()
		p := &twoSteps{}
		a.passwords = p
		first, err := a.Login(t.Context(), Login{User: "anna", Password: "right", Address: "b"})
		if err != nil {
			t.Fatal(err)
		}
		for range challengesAddressMax + 3 {
			if _, err := a.Login(t.Context(), Login{User: "anna", Password: "x", Address: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if p.open != challengesAddressMax+1 {
			t.Errorf("%d wait", p.open)
		}
		if _, err := a.Answer(t.Context(), ChallengeAnswer{ID: first.Challenge.ID, Answers: []string{"42"}}); err != nil {
			t.Errorf("another address was put out: %v", err)
		}
		for i := range 2 * challengesMax {
			if _, err := a.Login(t.Context(), Login{User: fmt.Sprint("u", i), Password: "x", Address: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if p.open != challengesMax || len(a.challenges.waiting) != challengesMax {
			t.Errorf("%d wait", p.open)
		}
	})
}
