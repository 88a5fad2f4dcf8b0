package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func fill(t *testing.T, dir string, n int) string {
	t.Helper()
	l, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := l.Append(&Record{Phase: Intent, Action: "create", Object: "resource/web"}, &Record{Phase: Outcome, Result: "success"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, segmentName(1))
}

// TestVerify finds each kind of tampering at the first bad record.
func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func([]byte) []byte
		bad    uint64
	}{
		"untouched": {func(b []byte) []byte { return b }, 0},
		"flipped":   {func(b []byte) []byte { return bytes.Replace(b, []byte(`"seq":3,`), []byte(`"seq":3, `), 1) }, 4},
		"altered":   {func(b []byte) []byte { return bytes.Replace(b, []byte("resource/web"), []byte("resource/wob"), 1) }, 2},
		"deleted":   {func(b []byte) []byte { i := bytes.IndexByte(b, '\n'); return b[i+1:] }, 1},
		"reordered": {func(b []byte) []byte {
			l := bytes.SplitAfter(b, []byte("\n"))
			l[1], l[2] = l[2], l[1]
			return bytes.Join(l, nil)
		}, 2},
		"not records": {func(b []byte) []byte { return append([]byte("hello\n"), b...) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := fill(t, dir, 4)
			data, _ := os.ReadFile(file)
			if err := os.WriteFile(file, c.tamper(data), 0o600); err != nil {
				t.Fatal(err)
			}
			n, err := Verify(dir, nil)
			var bad *Bad
			switch {
			case c.bad == 0 && (err != nil || n != 8):
				t.Fatalf("%d records, %v", n, err)
			case c.bad != 0 && (!errors.As(err, &bad) || bad.Seq != c.bad):
				t.Fatalf("bad record %d wanted, got %v", c.bad, err)
			}
		})
	}
}

// TestResume continues the chain over a restart, and moves a line that a crash cut
// short aside.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	file := fill(t, dir, 2)
	f, _ := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"v":1,"seq":5,"ac`)
	_ = f.Close()
	l, torn, err := Open(dir)
	if err != nil || torn == "" {
		t.Fatalf("open: %q, %v", torn, err)
	}
	if err := l.Append(&Record{Action: "after"}); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if n, err := Verify(dir, nil); n != 5 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
	if err := l.Append(&Record{}); err == nil {
		t.Fatal("a closed log must refuse")
	}
}
