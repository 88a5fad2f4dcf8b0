package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The journal gets a priority and no time; anything else the time and no priority.
func TestLog(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	t.Setenv("JOURNAL_STREAM", "1:2") // inherited from whoever started this
	slog.New(newHandler(f, slog.LevelInfo)).Info("to a file")
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no inode")
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	level := &slog.LevelVar{}
	log := slog.New(newHandler(f, level)).With("node", "n1")
	log.Debug("not now")
	level.Set(slog.LevelDebug)
	log.Debug("d")
	log.Info("i")
	log.Warn("w")
	log.WithGroup("g").Error("e", "k", "v")
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(first, "time=") || !strings.HasSuffix(first, `msg="to a file"`) {
		t.Errorf("to a file: %s", first)
	}
	const want = "<7>level=DEBUG msg=d node=n1\n<6>level=INFO msg=i node=n1\n<4>level=WARN msg=w node=n1\n<3>level=ERROR msg=e node=n1 g.k=v\n"
	if rest != want {
		t.Errorf("to the journal:\n%s\nwant:\n%s", rest, want)
	}
	if toJournal(&bytes.Buffer{}) {
		t.Error("a buffer is no journal")
	}
}
