package snmpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/snmp/usm"
)

var ops = usm.User{Name: "ops", Auth: "SHA-256", AuthPass: "authpass123", Priv: "AES", PrivPass: "privpass123"}

func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// The agent answers its user, and nobody else; it comes back when it is killed, and is
// gone when it should end.
func TestRun(t *testing.T) {
	for name, x := range map[string]struct {
		auth, priv string
	}{"SHA-256": {"SHA-256", "AES"}, "AES-256": {"SHA-512", "AES-256"}, "extended": {"SHA", "AES-256"}, "SHA": {"SHA", "AES"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := ops
			user.Auth, user.Priv = x.auth, x.priv
			dir, port := t.TempDir(), freePort(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Config{
					Dir: dir, Listen: fmt.Sprintf("udp:127.0.0.1:%d", port), Users: []usm.User{user}, Community: "seen", EngineID: []byte{0x80, 0, 0x7e, 0xd9, 5, 1, 2, 3},
					Log: slog.New(slog.DiscardHandler),
				})
			}()
			v3 := []string{"-v3", "-l", "authPriv", "-u", "ops", "-a", x.auth, "-A", user.AuthPass, "-x", x.priv, "-X", user.PrivPass}
			get := func(args ...string) bool {
				cmd := exec.CommandContext(t.Context(), "snmpget", append(args, "-t", "1", "-r", "0", fmt.Sprintf("127.0.0.1:%d", port), "1.3.6.1.2.1.1.3.0")...)
				cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+dir+"/c")
				out, err := cmd.Output()
				return err == nil && strings.Contains(string(out), "Timeticks")
			}
			await := func(what string, ok func() bool) {
				t.Helper()
				for end := time.Now().Add(30 * time.Second); !ok(); <-time.After(20 * time.Millisecond) {
					if time.Now().After(end) {
						log, _ := os.ReadFile(filepath.Join(dir, "log"))
						t.Fatalf("in vain: %s\n%s", what, log)
					}
				}
			}
			await("the answer to ops", func() bool { return get(v3...) })
			if !get("-v2c", "-c", "seen") {
				t.Error("the community gets no answer")
			}
			for what, args := range map[string][]string{
				"another community":  {"-v2c", "-c", "public"},
				"another phrase":     {"-v3", "-l", "authPriv", "-u", "ops", "-a", x.auth, "-A", "authpass124", "-x", x.priv, "-X", user.PrivPass},
				"without encryption": {"-v3", "-l", "authNoPriv", "-u", "ops", "-a", x.auth, "-A", user.AuthPass},
				"nobody":             {"-v3", "-l", "noAuthNoPriv", "-u", "ops"},
			} {
				if get(args...) {
					t.Errorf("%s gets an answer", what)
				}
			}
			pid := func() int {
				b, _ := os.ReadFile(filepath.Join(dir, "pid"))
				n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
				return n
			}
			first := pid()
			if first == 0 {
				t.Fatal("no pid")
			}
			if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			await("another process", func() bool { return pid() != first && get(v3...) })
			st, err := os.Stat(filepath.Join(dir, "snmpd.conf"))
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", st, err)
			}
			second := pid()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if syscall.Kill(second, 0) == nil {
				t.Error("it still runs")
			}
		})
	}
}

func TestBadConfig(t *testing.T) {
	good := Config{Dir: t.TempDir(), Listen: "udp:127.0.0.1:1161", Users: []usm.User{ops}, EngineID: []byte{0x80, 0, 0x7e, 0xd9, 5, 1}}
	if text, err := good.text(); err != nil || strings.Contains(text, ops.AuthPass) || strings.Contains(text, ops.PrivPass) {
		t.Errorf("%v\n%s", err, text)
	}
	for what, change := range map[string]func(*Config){
		"no listen address":     func(c *Config) { c.Listen = "" },
		"a second line":         func(c *Config) { c.Listen = "udp:127.0.0.1:1161\nrwcommunity x" },
		"tcp":                   func(c *Config) { c.Listen = "tcp:127.0.0.1:1161" },
		"no engine":             func(c *Config) { c.EngineID = nil },
		"no port":               func(c *Config) { c.Listen = "udp:127.0.0.1" },
		"nobody":                func(c *Config) { c.Users = nil },
		"a user with a line":    func(c *Config) { c.Users = []usm.User{{Name: "a\nb"}} },
		"a community with more": func(c *Config) { c.Community = "a\nrwcommunity b" },
	} {
		bad := good
		change(&bad)
		if text, err := bad.text(); err == nil {
			t.Errorf("%s: %s", what, text)
		}
	}
	if err := Run(t.Context(), Config{Program: "/nonexistent"}); err == nil {
		t.Error("a configuration of nothing runs")
	}
}
