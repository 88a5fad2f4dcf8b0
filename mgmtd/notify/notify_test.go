package notify

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

func cluster() string { return "prod" }

// lost is the loss of a node; its text has what must not end a header.
func lost() *cib.Event {
	ev := event.New(event.NodeLost, "node", "n1", "reason", "no heartbeat\r\nBcc: x@y since 3 s")
	ev.Time, ev.Source, ev.Cause = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "n2", "c1"
	return &ev
}

func delivery(t *testing.T, target *outbox.Target, err error, ev *cib.Event) outbox.Delivery {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	d, err := target.Event(ev)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var id = outbox.ID{Context: "C", Sequence: 7}

// receiver is a webhook's other side.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	headers http.Header
	path    string
	body    []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers, r.path = q.Header, q.URL.Path
		r.body, _ = io.ReadAll(q.Body)
		w.Header().Set("Location", "https://elsewhere.invalid/")
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
}

// A webhook gets the event, signed, with the ID that marks a repeat and the token.
func TestWebhook(t *testing.T) {
	r := newReceiver(t)
	key := []byte("0123456789abcdef")
	w := &cib.Webhook{URL: r.URL + "/events", Secret: "whsec_" + base64.StdEncoding.EncodeToString(key), Token: "t0ken", CA: r.ca(), MinSeverity: cib.SeverityMajor}
	target, err := Webhook("cmdb", w, cluster)
	if err := delivery(t, target, err, lost())(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var n Notice
	if err := json.Unmarshal(r.body, &n); err != nil || n.ID != "C#7" || n.Sequence != 7 || n.Cluster != "prod" || n.Code != "BLY3002" || n.Name != "node-lost" || n.Node != "n1" || n.Remedy == "" {
		t.Errorf("%s: %v", r.body, err)
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte("C#7." + r.headers.Get("Webhook-Timestamp") + "." + string(r.body)))
	if got, want := r.headers.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)); got != want {
		t.Errorf("signature %q, not %q", got, want)
	}
	if r.headers.Get("Webhook-Id") != "C#7" || r.headers.Get("Authorization") != "Bearer t0ken" || r.headers.Get("Content-Type") != "application/json" {
		t.Errorf("%v", r.headers)
	}
	started := event.New(event.ResourceStarted, "resource", "web", "node", "n1")
	if d := delivery(t, target, nil, &started); d != nil {
		t.Error("the filter lets everything through")
	}
	// The end of the alarm is as severe as the alarm.
	online := event.New(event.NodeOnline, "node", "n1")
	if err := delivery(t, target, nil, &online)(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.body, &n); err != nil || n.Clears != "BLY3002" {
		t.Errorf("%s: %v", r.body, err)
	}
}

// Chats get a text, and have the token in their address. It is in no error.
func TestWebhookText(t *testing.T) {
	r := newReceiver(t)
	w := &cib.Webhook{URL: r.URL + "/services/{token}", Token: "t0ken", CA: r.ca(), Format: cib.WebhookText}
	target, err := Webhook("chat", w, cluster)
	post := delivery(t, target, err, lost())
	if err := post(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var text struct{ Text string }
	if err := json.Unmarshal(r.body, &text); err != nil || !strings.HasPrefix(text.Text, "[prod] ") || !strings.Contains(text.Text, "n1") || r.path != "/services/t0ken" ||
		r.headers.Get("Authorization") != "" || r.headers.Get("Webhook-Signature") != "" {
		t.Errorf("%s at %s: %v, %v", r.body, r.path, r.headers, err)
	}
	for status, refused := range map[int]bool{400: true, 413: true, 422: true, 302: false, 401: false, 404: false, 429: false, 500: false} {
		r.status = status
		if err := post(t.Context(), id); err == nil || errors.Is(err, outbox.ErrRefused) != refused || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%d: %v", status, err)
		}
	}
	r.Close()
	if err := post(t.Context(), id); err == nil || strings.Contains(err.Error(), "t0ken") || errors.Is(err, outbox.ErrRefused) {
		t.Errorf("away: %v", err)
	}
	w.CA = ""
	other := newReceiver(t)
	w.URL = other.URL
	target, err = Webhook("chat", w, cluster)
	if err := delivery(t, target, err, lost())(t.Context(), id); err == nil || other.body != nil {
		t.Errorf("a receiver that nobody vouches for: %v", err)
	}
}

// mailServer is a server that takes mail, as far as the tests need one.
type mailServer struct {
	address  string
	tls      *tls.Config
	mode     string            // as in MailTarget.Security
	auth     string            // the ways that it offers
	answer   map[string]string // to commands that begin so, instead of 250
	commands chan string
	mail     chan string
}

func newMailServer(t *testing.T, mode, auth string) (*mailServer, string) {
	t.Helper()
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw}))
	conf := &tls.Config{Certificates: https.TLS.Certificates, MinVersion: tls.VersionTLS12}
	https.Close()
	s := &mailServer{tls: conf, mode: mode, auth: auth, answer: map[string]string{}, commands: make(chan string, 100), mail: make(chan string, 10)}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); work.Wait() })
	return s, ca
}

func (s *mailServer) serve(c net.Conn) {
	defer c.Close()
	secure := s.mode == cib.MailTLS
	if secure {
		c = tls.Server(c, s.tls)
	}
	in := bufio.NewReader(c)
	say := func(text string) { _, _ = fmt.Fprintf(c, "%s\r\n", text) }
	line := func() string {
		text, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		return strings.TrimRight(text, "\r\n")
	}
	say("220 test")
	for {
		text := line()
		if text == "" {
			return
		}
		s.commands <- text
		verb, rest, _ := strings.Cut(text, " ")
		done := false
		for begin, a := range s.answer {
			if strings.HasPrefix(text, begin) {
				say(a)
				done = true
			}
		}
		switch {
		case done:
		case verb == "EHLO":
			say("250-test")
			if s.mode == cib.MailStartTLS && !secure {
				say("250-STARTTLS")
			} else if s.auth != "" {
				say("250-AUTH " + s.auth)
			}
			say("250 HELP")
		case verb == "STARTTLS":
			say("220 go on")
			c = tls.Server(c, s.tls)
			in, secure = bufio.NewReader(c), true
		case verb == "AUTH" && rest == "LOGIN":
			say("334 " + base64.StdEncoding.EncodeToString([]byte("Username:")))
			s.commands <- line()
			say("334 " + base64.StdEncoding.EncodeToString([]byte("Password:")))
			s.commands <- line()
			say("235 welcome")
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			say("354 go on")
			var b strings.Builder
			for text := line(); text != "."; text = line() {
				b.WriteString(strings.TrimPrefix(text, ".") + "\r\n")
			}
			if a := s.answer["."]; a != "" {
				say(a)
				continue
			}
			s.mail <- b.String()
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// said are the commands so far.
func (s *mailServer) said() []string {
	var out []string
	for {
		select {
		case c := <-s.commands:
			out = append(out, c)
		default:
			return out
		}
	}
}

// A mail goes out over TLS only, says what happened and what to do, has no header but its
// own, and the same identity when it is repeated.
func TestMail(t *testing.T) {
	for _, mode := range []string{cib.MailStartTLS, cib.MailTLS, cib.MailPlain} {
		t.Run(mode, func(t *testing.T) {
			s, ca := newMailServer(t, mode, "")
			m := &cib.MailTarget{Server: s.address, Security: mode, CA: ca, From: "belay@example.org", To: []string{"a@example.org", "b@example.org"}}
			target, err := Mail("ops", m, cluster)
			send := delivery(t, target, err, lost())
			var ids []string
			for range 2 {
				if err := send(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				msg, err := mail.ReadMessage(strings.NewReader(<-s.mail))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, msg.Header.Get("Message-Id"))
				subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
				if err != nil || !strings.HasPrefix(subject, "[prod] ") || msg.Header.Get("Bcc") != "" || msg.Header.Get("Auto-Submitted") != "auto-generated" ||
					msg.Header.Get("To") != "a@example.org, b@example.org" {
					t.Errorf("%v, %v", msg.Header, err)
				}
				body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
				for _, want := range []string{"What to do: ", "Node:     n1\r\n", "Event:    BLY3002 ", "Time:     2026-01-02T03:04:05Z\r\n"} {
					if err != nil || !strings.Contains(string(body), want) {
						t.Errorf("no %q in %q, %v", want, body, err)
					}
				}
			}
			if ids[0] == "" || ids[0] != ids[1] {
				t.Errorf("message ids %q", ids)
			}
			if c := s.said(); !slices.Contains(c, "MAIL FROM:<belay@example.org>") || !slices.Contains(c, "RCPT TO:<b@example.org>") || slices.Contains(c, "STARTTLS") != (mode == cib.MailStartTLS) {
				t.Errorf("%q", c)
			}
		})
	}
}

// The password goes to a server that is known, over TLS, in the way that it offers.
func TestMailLogin(t *testing.T) {
	for ways, want := range map[string]string{"PLAIN LOGIN": "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00u\x00p4ss")), "LOGIN": base64.StdEncoding.EncodeToString([]byte("p4ss"))} {
		s, ca := newMailServer(t, cib.MailStartTLS, ways)
		m := &cib.MailTarget{Server: s.address, CA: ca, User: "u", Password: "p4ss", From: "b@x", To: []string{"c@x"}}
		target, err := Mail("ops", m, cluster)
		if err := delivery(t, target, err, lost())(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		<-s.mail
		if c := s.said(); !slices.Contains(c, want) {
			t.Errorf("%s: %q", ways, c)
		}
	}
	s, ca := newMailServer(t, cib.MailPlain, "PLAIN")
	for _, m := range []*cib.MailTarget{
		{Server: s.address, CA: ca, User: "u", Password: "p4ss", From: "b@x", To: []string{"c@x"}},                          // offers no STARTTLS
		{Server: s.address, CA: ca, Security: cib.MailPlain, User: "u", Password: "p4ss", From: "b@x", To: []string{"c@x"}}, // not encrypted: allowed for the machine itself only
	} {
		if m.Security == cib.MailPlain {
			m.Server = strings.Replace(s.address, "127.0.0.1", "localhost.", 1)
		}
		target, err := Mail("ops", m, cluster)
		if err := delivery(t, target, err, lost())(t.Context(), id); err == nil || errors.Is(err, outbox.ErrRefused) {
			t.Errorf("%v", err)
		}
	}
	s2, _ := newMailServer(t, cib.MailStartTLS, "PLAIN")
	target, err := Mail("ops", &cib.MailTarget{Server: s2.address, User: "u", Password: "p4ss", From: "b@x", To: []string{"c@x"}}, cluster)
	if err := delivery(t, target, err, lost())(t.Context(), id); err == nil {
		t.Error("a server that nobody vouches for gets mail")
	}
	for _, c := range append(s.said(), s2.said()...) {
		if strings.HasPrefix(c, "AUTH") {
			t.Errorf("the password was sent: %q", c)
		}
	}
}

// One address that is gone keeps nobody else from hearing; what the server will never
// take is given up, and nothing else.
func TestMailRefused(t *testing.T) {
	s, _ := newMailServer(t, cib.MailPlain, "")
	m := &cib.MailTarget{Server: s.address, Security: cib.MailPlain, From: "b@x", To: []string{"gone@x", "here@x"}}
	target, err := Mail("ops", m, cluster)
	send := delivery(t, target, err, lost())
	s.answer["RCPT TO:<gone@x>"] = "550 no such user"
	if err := send(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	<-s.mail
	for _, c := range []struct {
		command, answer string
		refused         bool
	}{{".", "554 no", true}, {".", "451 later", false}, {"RCPT TO:<here@x>", "550 no such user", false}, {"MAIL", "451 later", false}} {
		s, _ := newMailServer(t, cib.MailPlain, "")
		s.answer["RCPT TO:<gone@x>"], s.answer[c.command] = "550 no such user", c.answer
		m.Server = s.address
		target, err := Mail("ops", m, cluster)
		if err := delivery(t, target, err, lost())(t.Context(), id); err == nil || errors.Is(err, outbox.ErrRefused) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(ctx, id); err == nil {
		t.Error("a sender that ends goes on")
	}
}
