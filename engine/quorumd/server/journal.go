package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
)

// journal keeps what must survive a restart: a file of lines, each the newest state
// of one cluster or ticket, with a checksum. It is written anew when it has grown.
type journal struct {
	path string
	f    *os.File
	lock *os.File
	size int64
	base int64 // its size when it was written anew
}

// Limits of the journal.
const (
	journalGrowth  = 4 << 20
	journalMaxSize = 256 << 20
)

// entry is one line.
type entry struct {
	CRC   uint32          `json:"crc"` // IEEE, of Saved
	Saved json.RawMessage `json:"saved"`
}

// openJournal reads the journal in a directory, where only one process may use it.
// A line that a crash cut short was never answered for, and is dropped. Anything
// else that can't be read is an error: who has which grant must be known.
func openJournal(dir string) (*journal, []quorumd.Saved, error) {
	j := &journal{path: filepath.Join(dir, "journal")}
	var err error
	if j.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := unix.Flock(int(j.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = j.lock.Close()
		return nil, nil, fmt.Errorf("lock the state directory %s: another belay-quorumd uses it: %w", dir, err)
	}
	saved, err := readJournal(j.path)
	if err == nil {
		err = j.rewrite(saved)
	}
	if err != nil {
		_ = j.lock.Close()
		return nil, nil, err
	}
	return j, saved, nil
}

func readJournal(path string) ([]quorumd.Saved, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if st.Size() > journalMaxSize {
		return nil, fmt.Errorf("read the journal %s: larger than %d bytes", path, journalMaxSize)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	newest := map[string]int{}
	var out []quorumd.Saved
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break
		}
		data = rest
		s, err := readEntry(line)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w; restore the file, or move it aside and make sure that no cluster is split", path, n, err)
		}
		key := "cluster " // + name
		if s.Ticket != nil {
			key = "ticket " + s.Ticket.Name
		} else {
			key += s.Cluster.Name
		}
		if i, ok := newest[key]; ok {
			out[i] = s
			continue
		}
		newest[key] = len(out)
		out = append(out, s)
	}
	return out, nil
}

func readEntry(line []byte) (quorumd.Saved, error) {
	var e entry
	var s quorumd.Saved
	if err := json.Unmarshal(line, &e); err != nil {
		return s, fmt.Errorf("not a record: %w", err)
	}
	if crc32.ChecksumIEEE(e.Saved) != e.CRC {
		return s, errors.New("the checksum is wrong")
	}
	if err := json.Unmarshal(e.Saved, &s); err != nil {
		return s, fmt.Errorf("not a record: %w", err)
	}
	if (s.Cluster == nil) == (s.Ticket == nil) {
		return s, errors.New("neither of a cluster nor of a ticket")
	}
	return s, nil
}

func encode(saved []quorumd.Saved) ([]byte, error) {
	var b bytes.Buffer
	for i := range saved {
		raw, err := json.Marshal(&saved[i])
		if err != nil {
			return nil, fmt.Errorf("encode the state: %w", err)
		}
		line, err := json.Marshal(entry{CRC: crc32.ChecksumIEEE(raw), Saved: raw})
		if err != nil {
			return nil, fmt.Errorf("encode the state: %w", err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// append makes new states durable.
func (j *journal) append(saved []quorumd.Saved) error {
	b, err := encode(saved)
	if err != nil {
		return err
	}
	n, err := j.f.Write(b)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.size += int64(n)
	return nil
}

// grown reports whether the journal should be written anew.
func (j *journal) grown() bool { return j.size > j.base+journalGrowth }

// rewrite replaces the journal by one that has each state once.
func (j *journal) rewrite(saved []quorumd.Saved) error {
	b, err := encode(saved)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(j.path, b, 0o600); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	if j.f != nil {
		_ = j.f.Close()
	}
	j.f, j.size, j.base = f, int64(len(b)), int64(len(b))
	return nil
}

func (j *journal) close() {
	_ = j.f.Close()
	_ = j.lock.Close()
}
