//go:build cgo

package pamhelper

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/mgmtd/auth"
)

// service makes a PAM service that asks a script, through pam_exec(8).
func service(t *testing.T) *PAM {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "check")
	text := "#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_RHOST $PAM_TTY\" >>" + dir + "/log\n[ $PAM_TYPE = account ] && exec test \"$PAM_USER\" != locked\n[ \"$(cat)\" = right ]\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := "auth required pam_exec.so quiet expose_authtok " + script + "\naccount required pam_exec.so quiet " + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "belay-test"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return &PAM{Service: "belay-test", ConfDir: dir}
}

// The real PAM: a right password, a wrong one, an account that may not be used, and
// where the caller comes from.
func TestPAM(t *testing.T) {
	p := service(t)
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"anna", "right", true}, {"anna", "wrong", false}, {"anna", "", false}, {"locked", "right", false}} {
		a := p.Check(auth.HelperRequest{User: c.user, Password: c.password, Address: "192.0.2.7"}, nil)
		if a.OK != c.ok || c.ok && a.User != c.user {
			t.Errorf("%+v: %+v", c, a)
		}
	}
	log, err := os.ReadFile(filepath.Join(p.ConfDir, "log"))
	if err != nil || !strings.Contains(string(log), "auth anna 192.0.2.7 mgmtd\n") {
		t.Errorf("what PAM was told: %q, %v", log, err)
	}
	if a := (&PAM{Service: "none", ConfDir: t.TempDir()}).Check(auth.HelperRequest{User: "anna", Password: "right"}, nil); a.OK {
		t.Errorf("without a service file: %+v", a)
	}
}

// twoSteps makes a PAM service that wants a code after the password: pam_stress(8) asks,
// and a second script looks at what was said.
func twoSteps(t *testing.T) *PAM {
	t.Helper()
	p := service(t)
	script := filepath.Join(p.ConfDir, "code")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n[ \"$(cat)\" = 123456 ]\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	check := filepath.Join(p.ConfDir, "check")
	lines := "auth required pam_exec.so quiet expose_authtok " + check + "\nauth required pam_stress.so no_warn\nauth required pam_exec.so quiet expose_authtok " + script +
		"\naccount required pam_exec.so quiet " + check + "\n"
	if err := os.WriteFile(filepath.Join(p.ConfDir, p.Service), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// serve starts a helper and returns its client.
func serve(t *testing.T, p *PAM) *auth.Helper {
	t.Helper()
	s := &Server{Check: p.Check, Groups: func(string) ([]string, error) { return []string{"g"}, nil }, Log: slog.New(slog.DiscardHandler)}
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &auth.Helper{Socket: socket}
}

// PAM asks for a second thing after the password: who can be asked is, and the question
// comes whether the password was right or wrong.
func TestSecondStep(t *testing.T) {
	h := serve(t, twoSteps(t))
	for _, c := range []struct {
		password, code string
		ok             bool
	}{{"right", "123456", true}, {"right", "000000", false}, {"wrong", "123456", false}} {
		a, err := h.Ask(t.Context(), auth.HelperRequest{Op: auth.HelperCheck, User: "anna", Password: c.password, Interactive: true})
		if err != nil || a.OK || len(a.Questions) != 1 || a.More == nil || !a.Questions[0].Hidden || !strings.Contains(a.Questions[0].Text, "STRESS") {
			t.Fatalf("%+v: %+v, %v", c, a, err)
		}
		if a, err = a.More.Reply(t.Context(), []string{c.code}); err != nil || a.OK != c.ok || c.ok && (a.User != "anna" || !slices.Equal(a.Groups, []string{"g"})) {
			t.Errorf("%+v: %+v, %v", c, a, err)
		}
	}
	// Who can't be asked is refused, and so is an answer too many.
	a, err := h.Ask(t.Context(), auth.HelperRequest{Op: auth.HelperCheck, User: "anna", Password: "right"})
	if err != nil || a.OK || len(a.Questions) != 0 {
		t.Errorf("not interactive: %+v, %v", a, err)
	}
	if a, err = h.Ask(t.Context(), auth.HelperRequest{Op: auth.HelperCheck, User: "anna", Password: "right", Interactive: true}); err != nil || a.More == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = a.More.Reply(t.Context(), []string{"123456", "more"}); err != nil || a.OK {
		t.Errorf("two answers: %+v, %v", a, err)
	}
	// Without a password the first question asks for it. Who hangs up leaves nothing behind.
	if a, err = h.Ask(t.Context(), auth.HelperRequest{Op: auth.HelperCheck, User: "anna", Interactive: true}); err != nil || len(a.Questions) != 1 || a.Questions[0].Text != "Password: " {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := a.More.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.More.Reply(t.Context(), []string{"right"}); err == nil {
		t.Error("a try that was given up goes on")
	}
}

// The protocol, through the socket, with the client that the daemon uses.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	group := filepath.Join(dir, "group")
	if err := os.WriteFile(group, []byte("belay-admin:x:1:anna,bert\nbroken\nbelay-viewer:x:2:bert\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Check: service(t).Check, Groups: FileGroups(group), Log: slog.New(slog.DiscardHandler)}
	socket := filepath.Join(dir, "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	h := &auth.Helper{Socket: socket}
	a, err := h.Ask(t.Context(), auth.HelperRequest{Op: auth.HelperCheck, User: "bert", Password: "right"})
	if err != nil || !a.OK || !slices.Equal(a.Groups, []string{"belay-admin", "belay-viewer"}) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, r := range []auth.HelperRequest{{Op: auth.HelperCheck, User: "bert", Password: "wrong"}, {Op: "root", User: "bert"}, {Op: auth.HelperGroups, User: "a b"}} {
		if a, err := h.Ask(t.Context(), r); err != nil || a.OK {
			t.Errorf("%+v: %+v, %v", r, a, err)
		}
	}
	for _, line := range []string{"nonsense\n", strings.Repeat("x", auth.HelperLineMaxBytes+10) + "\n"} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte(line))
		b := make([]byte, 200)
		n, _ := c.Read(b)
		if strings.Contains(string(b[:n]), `"ok":true`) {
			t.Errorf("%.20q: %s", line, b[:n])
		}
		_ = c.Close()
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"op":"check","user":"anna","password":"x"}`))
	f.Add([]byte(`{"op":"groups","user":"a\u0000b"}`))
	s := &Server{
		Check:  func(r auth.HelperRequest, _ Ask) auth.HelperAnswer { return auth.HelperAnswer{OK: true, User: r.User} },
		Groups: func(string) ([]string, error) { return nil, nil },
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if a := s.answer(line, nil); a.OK && !auth.ValidUser(a.User) {
			t.Errorf("%q was let in", a.User)
		}
	})
}
