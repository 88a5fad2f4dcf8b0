package server_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestWbemcli runs every command of a client that was written by others. Each answer is
// checked on its way by cimtest.Handler.
func TestWbemcli(t *testing.T) {
	l := newLab(t)
	datadriven.RunTest(t, "testdata/wbemcli", func(t *testing.T, d *datadriven.TestData) string {
		host := strings.TrimPrefix(l.url, "http://")
		fill := strings.NewReplacer("$U", "http://anna:pw@"+host, "$H", host)
		args, _, _ := strings.Cut(d.Input, "\n")
		return run(t, host, strings.Fields(fill.Replace(args)))
	})
}

func run(t *testing.T, host string, args []string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "wbemcli", args...).CombinedOutput()
	code := 0
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as it comes
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatalf("wbemcli, of the package sblim-wbemcli: %v", err)
	}
	text := strings.ReplaceAll(strings.TrimSpace(string(out)), host, "HOST")
	if code != 0 {
		text += fmt.Sprintf("\nends with %d", code)
	}
	return strings.TrimSpace(text) + "\n"
}
