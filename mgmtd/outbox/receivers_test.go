package outbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/outbox/outboxtest"
)

// The cursor says when a target took something, and why it did not; a target that is
// away for long is not noted with every try.
func TestDeliveryIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := outboxtest.New(), &receiver{}
		serve(t, e, &leadership{here: true}, r.target())
		e.Add(testEvent(1, event.NodeLost))
		r.want(t, "BLY3002 #1")
		first := time.Now().UTC()
		if c := cursor(e, "test-cursor/nms"); !c.SentAt.Equal(first) || c.Error != "" || !c.ErrorAt.IsZero() {
			t.Errorf("after a delivery: %+v", c)
		}
		time.Sleep(time.Hour)
		r.set(true)
		began := time.Now().UTC()
		e.Add(testEvent(2, event.NodeLost))
		synctest.Wait()
		c := cursor(e, "test-cursor/nms")
		if c.Error != "no answer" || !c.ErrorAt.Equal(began) || !c.SentAt.Equal(first) || c.Sequence != 1 || c.After != 1 {
			t.Errorf("while it is away: %+v", c)
		}
		writes := e.Changes()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := e.Changes() - writes; n < 5 || n > 10 {
			t.Errorf("%d writes in ten minutes in which nothing arrived", n)
		}
		r.set(false)
		time.Sleep(time.Minute)
		r.want(t, "BLY3002 #1", "BLY3002 #2")
		if c = cursor(e, "test-cursor/nms"); c.Error != "no answer" || !c.SentAt.After(c.ErrorAt) || c.Sequence != 2 {
			t.Errorf("after it came back: %+v", c)
		}
		r.refuse = "BLY3004"
		e.Add(testEvent(3, event.NodeFenced))
		synctest.Wait()
		if c = cursor(e, "test-cursor/nms"); !strings.Contains(c.Error, "BLY3004") || !c.ErrorAt.After(c.SentAt) || c.Refused != 1 || c.After != 3 {
			t.Errorf("after a refusal: %+v", c)
		}
	})
}

// What a receiver answers is kept in one short line.
func TestErrorsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := outboxtest.New()
		target := (&receiver{}).target()
		target.Begin = func(context.Context) error { return errors.New("a\r\n\x1b[31mb" + strings.Repeat("ü", 1000)) }
		serve(t, e, &leadership{here: true}, target)
		c := cursor(e, "test-cursor/nms")
		if !strings.HasPrefix(c.Error, "a   [31mbü") || len(c.Error) > 310 || !strings.HasSuffix(c.Error, "ü...") {
			t.Errorf("kept: %q", c.Error)
		}
	})
}

// Everybody who is told of events is listed, with what waits for them: what is for them,
// and came after what they took last.
func TestReceivers(t *testing.T) {
	config := cib.Empty().Config
	config.SNMPTargets = map[string]*cib.SNMPTarget{"nms": {Address: "192.0.2.1:162", MinSeverity: cib.SeverityMajor}, "new": {Address: "192.0.2.2:162"}, "none": {Address: "192.0.2.3:162", Disabled: true}}
	config.Webhooks = map[string]*cib.Webhook{"chat": {URL: "https://chat.example/{token}"}}
	config.MailTargets = map[string]*cib.MailTarget{"ops": {To: []string{"a@example.org", "b@example.org"}}}
	config.CIMDestinations = map[string]*cib.CIMDestination{"l": {URL: "https://192.0.2.9/"}}
	config.CIMSubscriptions = map[string]*cib.CIMSubscription{"s": {Destination: "l"}}
	config.AuditRules = map[string]*cib.AuditRule{"siem": {Forward: &cib.AuditForward{Address: "192.0.2.8:6514"}}, "keep": {Keep: &cib.AuditKeep{Days: 30}}}
	// Which of these are notifications of SNMP, and how severe they are, says the catalogue.
	events := []*cib.Event{testEvent(5, event.NodeLost), testEvent(6, event.ViewChanged), testEvent(7, event.ResourceStarted), testEvent(8, event.NodeFenced)}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	three := 3
	audit := &api.AuditState{Node: "n2", Forwards: []api.AuditForward{{Name: "siem", Delivery: api.Delivery{Waiting: &three, LastSentAt: at}}}}
	e := outboxtest.New()
	e.Put("snmp-cursor/nms", &outbox.Cursor{After: 5, SentAt: at, Error: "no answer", ErrorAt: at.Add(time.Second), Overflows: 2})
	e.Put("snmp-cursor/new", &outbox.Cursor{After: 5, Pending: true})
	e.Put("webhook-cursor/chat", &outbox.Cursor{After: 5})
	e.Put("mail-cursor/ops", &outbox.Cursor{After: 5, Refused: 1})
	e.Put("cim-cursor/s", &outbox.Cursor{After: 5})
	e.Put("session/x", "of somebody")
	docs, err := e.Documents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var cursors outbox.Cursors
	if list := cursors.Receivers(config, events, nil); len(list) != 7 || list[0].Delivery != nil {
		t.Errorf("without cursors: %+v", list)
	}
	cursors.Update(docs)
	list := cursors.Receivers(config, events, audit)
	waiting := map[string]int{}
	for _, r := range list {
		n := -1
		switch {
		case r.Delivery == nil:
			n = -2
		case r.Delivery.Waiting != nil:
			n = *r.Delivery.Waiting
		}
		waiting[r.Kind+"/"+r.ID] = n
	}
	for name, want := range map[string]int{
		"snmp-target/nms": 1, "snmp-target/new": 3, "snmp-target/none": -2, "webhook/chat": 3, "mail-target/ops": 1, "cim-subscription/s": -1, "audit-rule/siem": 3,
	} {
		if got, ok := waiting[name]; !ok || got != want {
			t.Errorf("%s: %d wait, want %d", name, got, want)
		}
	}
	for _, r := range list {
		switch r.ID {
		case "nms":
			if d := r.Delivery; r.Address != "192.0.2.1:162" || !d.LastSentAt.Equal(at) || d.LastError != "no answer" || !d.LastErrorAt.After(d.LastSentAt) || d.Lost != 2 {
				t.Errorf("%+v", r)
			}
		case "ops":
			if r.Address != "a@example.org b@example.org" || r.Delivery.Refused != 1 {
				t.Errorf("%+v", r)
			}
		case "siem":
			if r.Node != "n2" || !r.Delivery.LastSentAt.Equal(at) {
				t.Errorf("%+v", r)
			}
		case "s":
			if r.Address != "https://192.0.2.9/" {
				t.Errorf("%+v", r)
			}
		}
	}
}
