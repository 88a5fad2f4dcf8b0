package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// newHandler returns the handler of the engine's log: lines of text for a file or a
// terminal, and for the journal lines without a time, which the journal stamps by
// itself, but with a priority.
func newHandler(w io.Writer, level slog.Leveler) slog.Handler {
	if !toJournal(w) {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	}
	return newJournalHandler(w, level)
}

// toJournal reports whether what is written goes to the journal: systemd says so
// with the device and inode of the stream (systemd.exec(5), $JOURNAL_STREAM), since
// the variable alone is inherited by programs whose output goes elsewhere.
func toJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// journalHandler writes each record with the priority of its level (sd-daemon(3)).
type journalHandler struct{ debug, info, warn, fault slog.Handler }

func newJournalHandler(w io.Writer, level slog.Leveler) *journalHandler {
	text := func(priority string) slog.Handler {
		return slog.NewTextHandler(prefixed{w, priority}, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}})
	}
	return &journalHandler{debug: text("<7>"), info: text("<6>"), warn: text("<4>"), fault: text("<3>")}
}

func (h *journalHandler) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return h.fault
	case level >= slog.LevelWarn:
		return h.warn
	case level >= slog.LevelInfo:
		return h.info
	}
	return h.debug
}

func (h *journalHandler) each(f func(slog.Handler) slog.Handler) slog.Handler {
	return &journalHandler{f(h.debug), f(h.info), f(h.warn), f(h.fault)}
}

// Enabled reports whether records of a level are written.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.of(l).Enabled(ctx, l)
}

// Handle writes a record.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs adds attributes to all records.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(t slog.Handler) slog.Handler { return t.WithAttrs(attrs) })
}

// WithGroup opens a group for all records.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(t slog.Handler) slog.Handler { return t.WithGroup(name) })
}

// prefixed begins every record, which is one call, with a text.
type prefixed struct {
	w      io.Writer
	prefix string
}

// Write writes the prefix and the record at once: other threads write, too.
func (p prefixed) Write(b []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), b...))
	return max(0, n-len(p.prefix)), err
}
