package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dirForward holds the cursors of forwarders.
const dirForward = "forward"

// Limits of a forwarder.
const (
	forwardPoll     = 250 * time.Millisecond // between looks for new records
	forwardSettle   = 2 * time.Second        // a record counts as delivered when the connection still stands so long after the other host took it
	forwardTimeout  = 20 * time.Second
	forwardPauseMax = time.Minute // between tries to connect
	forwardBatch    = 256         // records written at once
)

// Target is where records are forwarded to: syslog over TLS (RFC 5425), messages as
// in RFC 5424.
type Target struct {
	Name    string // of its cursor
	Address string // host:port
	TLS     *tls.Config
	Format  Format // of the text: json or cef
	Product string // version that CEF names
}

// Forwarder sends the records of a log to one target, each at least once and in
// order. Where it has got to is kept on the disk, so that an outage of the target or
// of this node loses nothing. A record may come twice: its number tells.
type Forwarder struct {
	dir    string
	target Target

	mu     sync.Mutex
	status ForwardStatus
}

// ForwardStatus says how far a forwarder is.
type ForwardStatus struct {
	Name      string    `json:"name"`
	Delivered uint64    `json:"delivered"` // up to this record
	Connected bool      `json:"connected"`
	Problem   string    `json:"problem,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the problem
	// DeliveredAt is when the other host had taken the last of them; zero: none yet.
	DeliveredAt time.Time `json:"deliveredAt,omitzero"`
	// Error is the last problem, also when it is over, and ErrorAt its time.
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"errorAt,omitzero"`
}

// NewForwarder makes a forwarder of the log in dir.
func NewForwarder(dir string, t Target) (*Forwarder, error) {
	f := &Forwarder{dir: dir, target: t, status: ForwardStatus{Name: t.Name}}
	if err := os.MkdirAll(filepath.Join(dir, dirForward), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the audit forwarders: %w", err)
	}
	b, err := readFile(f.cursor())
	if err == nil && b != nil {
		err = json.Unmarshal(b, &f.status.Delivered)
		if info, statErr := os.Stat(f.cursor()); statErr == nil {
			f.status.DeliveredAt = info.ModTime().UTC() // it is written then only
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the audit log was forwarded to %s: %w", t.Name, err)
	}
	return f, nil
}

func (f *Forwarder) cursor() string { return filepath.Join(f.dir, dirForward, f.target.Name) }

// Status says how far it is.
func (f *Forwarder) Status() ForwardStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Run forwards until ctx ends.
func (f *Forwarder) Run(ctx context.Context) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, forwardPauseMax) {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		f.status.Connected = false
		f.status.Problem = err.Error()
		f.status.Error, f.status.ErrorAt = f.status.Problem, time.Now().UTC()
		if f.status.Since.IsZero() {
			f.status.Since = time.Now()
		}
		f.mu.Unlock()
		if time.Since(began) > forwardPauseMax {
			pause = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// session is one connection.
func (f *Forwarder) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: forwardTimeout}, Config: f.target.TLS}
	c, err := dialer.DialContext(ctx, "tcp", f.target.Address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", f.target.Address, err)
	}
	conn, ok := c.(*tls.Conn)
	if !ok {
		return errors.Join(errors.New("not a TLS connection"), c.Close())
	}
	defer func() { _ = conn.Close() }()
	f.mu.Lock()
	f.status.Connected, f.status.Problem, f.status.Since = true, "", time.Time{}
	sent := f.status.Delivered
	f.mu.Unlock()

	// A receiver says nothing; that it reads on is seen here.
	gone := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		gone <- fmt.Errorf("%s closed the connection: %w", f.target.Address, errors.Join(err, io.EOF))
	}()
	tail := &tail{dir: f.dir, seq: sent}
	defer tail.close()
	marks := &settled{}
	tick := time.NewTicker(forwardPoll)
	defer tick.Stop()
	for {
		records, err := tail.next(forwardBatch)
		if err != nil {
			return err
		}
		if len(records) > 0 {
			if err := f.send(conn, records); err != nil {
				return err
			}
			sent = tail.seq
		}
		if err := f.deliver(conn, marks, sent); err != nil {
			return err
		}
		if len(records) == forwardBatch {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-gone:
			return err
		case <-tick.C:
		}
	}
}

// send writes messages with octet counting (RFC 5425, section 4.3).
func (f *Forwarder) send(conn net.Conn, lines [][]byte) error {
	var out bytes.Buffer
	for _, line := range lines {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("forward: not a record: %w", err)
		}
		m, err := syslogMessage(&r, line, f.target.Format, f.target.Product)
		if err != nil {
			return fmt.Errorf("forward record %d: %w", r.Seq, err)
		}
		out.WriteString(strconv.Itoa(len(m)) + " ")
		out.Write(m)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(forwardTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return fmt.Errorf("send to %s: %w", f.target.Address, err)
	}
	return nil
}

// settled are the marks of what the other host has taken, and when.
type settled struct {
	list []struct {
		seq uint64
		at  time.Time
	}
}

// deliver moves the cursor on to what the other host took some time ago. Syslog has
// no acknowledgement: that the connection still stands is what there is.
func (f *Forwarder) deliver(conn *tls.Conn, m *settled, sent uint64) error {
	now := time.Now()
	if n := len(m.list); (n == 0 || m.list[n-1].seq < sent) && taken(conn) {
		m.list = append(m.list, struct {
			seq uint64
			at  time.Time
		}{sent, now})
	}
	done := uint64(0)
	for len(m.list) > 0 && now.Sub(m.list[0].at) >= forwardSettle {
		done = m.list[0].seq
		if m.list = m.list[1:]; len(m.list) == 0 {
			m.list = nil
		}
	}
	f.mu.Lock()
	moved := done > f.status.Delivered
	f.mu.Unlock()
	if !moved {
		return nil
	}
	if err := writeFile(f.cursor(), []byte(strconv.FormatUint(done, 10)+"\n")); err != nil {
		return fmt.Errorf("keep how far the audit log was forwarded: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Delivered, f.status.DeliveredAt = done, now.UTC()
	return nil
}

// taken says whether the other host has acknowledged all that was written.
func taken(conn *tls.Conn) bool {
	c, ok := conn.NetConn().(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	queued := -1
	err = raw.Control(func(fd uintptr) { queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return err == nil && queued == 0
}

// tail reads a log from a record on, as it grows.
type tail struct {
	dir  string
	seq  uint64 // of the last record read
	f    *os.File
	r    *bufio.Reader
	name string
	line []byte // of which the end is not there yet
}

// next returns the next records as lines, at most n; none while there are none.
func (t *tail) next(n int) ([][]byte, error) {
	var out [][]byte
	for len(out) < n {
		if t.f == nil {
			if ok, err := t.open(); !ok || err != nil {
				return out, err
			}
		}
		part, err := t.r.ReadBytes('\n')
		t.line = append(t.line, part...)
		switch {
		case errors.Is(err, io.EOF):
			if len(t.line) > 0 || len(out) > 0 || !t.ended() {
				return out, nil
			}
			t.close()
			continue
		case err != nil:
			return out, fmt.Errorf("read %s: %w", t.name, err)
		}
		line := bytes.TrimSuffix(t.line, []byte("\n"))
		t.line = nil
		x, err := (&headReader{}).read(line)
		if err != nil {
			return out, fmt.Errorf("%s after record %d: %w", t.name, t.seq, err)
		}
		if x.seq > t.seq {
			out, t.seq = append(out, line), x.seq
		}
	}
	return out, nil
}

// open opens the segment that holds the next record; false where there is none yet.
func (t *tail) open() (bool, error) {
	segs, err := segments(t.dir)
	if err != nil || len(segs) == 0 {
		return false, err
	}
	for len(segs) > 1 && firstOf(segs[1]) <= t.seq+1 {
		segs = segs[1:]
	}
	if segs[0] == t.name {
		return false, nil
	}
	if t.f, err = os.Open(segs[0]); err != nil {
		return false, fmt.Errorf("read audit log: %w", err)
	}
	t.name, t.r, t.line = segs[0], bufio.NewReaderSize(t.f, 1<<16), nil
	return true, nil
}

// ended says whether there is a later segment than the one that was read to its end.
func (t *tail) ended() bool {
	segs, err := segments(t.dir)
	return err == nil && len(segs) > 0 && segs[len(segs)-1] > t.name
}

func (t *tail) close() {
	if t.f != nil {
		_ = t.f.Close()
		t.f = nil
	}
}
