package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Phase says which half of a change a record is.
type Phase string

// The phases of a record.
const (
	Intent  Phase = "intent"  // durable before anything is changed
	Outcome Phase = "outcome" // what became of it
	Note    Phase = "note"    // something that happened, without a change: an engine's action, a refused try, a log-in
)

// Results of an outcome or a note.
const (
	ResultSuccess = "success"
	ResultRefused = "refused" // nothing was changed
	ResultFailed  = "failed"
	ResultUnknown = "unknown" // nothing tells any more
)

// Actor is who did it.
type Actor struct {
	User     string   `json:"user"`
	UID      uint32   `json:"uid"`
	LoginUID string   `json:"loginUid,omitempty"` // the person behind sudo, from /proc/PID/loginuid
	Via      string   `json:"via"`                // socket, rest, gui, cim, engine, join
	Authn    string   `json:"authn,omitempty"`    // how it is known who it is: pam, certificate, token, session
	Roles    []string `json:"roles,omitempty"`    // held at the time
	Address  string   `json:"address,omitempty"`
	Session  string   `json:"session,omitempty"`
}

// Clock says how far the time of a record can be relied on.
type Clock struct {
	Synced     bool  `json:"synced"`               // the kernel says that something keeps the clock right
	ErrorMaxMs int64 `json:"errorMaxMs,omitempty"` // by as much it may be wrong, in milliseconds
}

// Record is one line of the log. Its format is kept: old logs stay readable.
type Record struct {
	V         int             `json:"v"` // format: 1 has neither clock nor hash
	Cluster   string          `json:"cluster"`
	Node      string          `json:"node"`
	Seq       uint64          `json:"seq"`  // rises by one
	Time      time.Time       `json:"time"` // UTC, when it was written
	Phase     Phase           `json:"phase"`
	Actor     Actor           `json:"actor"`
	Action    string          `json:"action"`
	Object    string          `json:"object,omitempty"`
	RequestID string          `json:"requestId"`
	ChangeRef string          `json:"changeRef,omitempty"` // number of a ticket
	Result    string          `json:"result,omitempty"`    // of an outcome or a note
	Reason    string          `json:"reason,omitempty"`
	Rule      string          `json:"rule,omitempty"` // the authorisation rule that decided, or "break-glass"
	Code      string          `json:"code,omitempty"` // of an event, BLYnnnn
	Before    uint64          `json:"generationBefore,omitempty"`
	After     uint64          `json:"generationAfter,omitempty"`
	Changes   json.RawMessage `json:"changes,omitempty"` // each document before and after; secrets replaced by the caller
	Clock     *Clock          `json:"clock,omitempty"`
	Prev      string          `json:"prev"`           // hash of the record before, in hex; zeros at the start
	Hash      string          `json:"hash,omitempty"` // SHA-256 of the line up to the comma before this field, in hex
}

// Version is the format of new records.
const Version = 2

// lineMaxBytes bounds one record.
const lineMaxBytes = 32 << 20

// hashHex is the length of a hash in hex.
const hashHex = 2 * sha256.Size

var zeroHash = string(bytes.Repeat([]byte("0"), hashHex))

// The end of a line of format 2: its two hashes.
const (
	prevField = `,"prev":"`
	hashField = `,"hash":"`
	lineTail  = `"}`
	tailBytes = len(prevField) + hashHex + len(`"`) + len(hashField) + hashHex + len(lineTail)
)

// seal writes a record as a line, without its end, and sets its hash.
func seal(r *Record) ([]byte, error) {
	r.Hash = ""
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode audit record: %w", err)
	}
	if len(line) > lineMaxBytes {
		return nil, fmt.Errorf("audit record of %d bytes is larger than %d", len(line), lineMaxBytes)
	}
	line = line[:len(line)-1] // the brace
	r.Hash = sum(line)
	line = append(line, hashField...)
	line = append(line, r.Hash...)
	return append(line, lineTail...), nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// head is what the chain needs of a line.
type head struct {
	v          int
	seq        uint64
	time       time.Time
	prev, hash string // hash is what the next record must name
}

// headReader reads the heads of the lines of one log. All begin alike, so that most
// need not be decoded.
type headReader struct {
	prefix []byte // of the last line, up to its sequence number
}

// read reads the head of a line and checks the line's own hash.
func (h *headReader) read(line []byte) (head, error) {
	if x, ok := h.quick(line); ok {
		return x, nil
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return head{}, fmt.Errorf("not a record: %w", err)
	}
	x := head{v: r.V, seq: r.Seq, time: r.Time, prev: r.Prev}
	switch r.V {
	case 1:
		x.hash = sum(line)
		return x, nil
	case Version:
	default:
		return head{}, fmt.Errorf("format %d is not known", r.V)
	}
	tail := len(line) - len(hashField) - hashHex - len(lineTail)
	if tail < 0 || string(line[tail:]) != hashField+r.Hash+lineTail {
		return head{}, fmt.Errorf("record %d does not end with its hash", r.Seq)
	}
	if x.hash = sum(line[:tail]); x.hash != r.Hash {
		return x, fmt.Errorf("record %d was altered: it does not have its own hash", r.Seq)
	}
	if i := bytes.Index(line, []byte(`,"seq":`)); i > 0 {
		h.prefix = append(h.prefix[:0], line[:i+len(`,"seq":`)]...)
	}
	return x, nil
}

// quick reads a line of format 2 that begins as the one before it; false where it is
// not quite as this package writes it.
func (h *headReader) quick(line []byte) (head, bool) {
	rest, ok := bytes.CutPrefix(line, h.prefix)
	if !ok || len(h.prefix) == 0 || len(rest) < tailBytes || !json.Valid(line) {
		return head{}, false
	}
	x := head{v: Version}
	digits := bytes.IndexByte(rest, ',')
	if digits < 0 {
		return head{}, false
	}
	var err error
	if x.seq, err = strconv.ParseUint(string(rest[:digits]), 10, 64); err != nil {
		return head{}, false
	}
	if rest, ok = bytes.CutPrefix(rest[digits:], []byte(`,"time":"`)); !ok {
		return head{}, false
	}
	quote := bytes.IndexByte(rest, '"')
	if quote < 0 {
		return head{}, false
	}
	if x.time, err = time.Parse(time.RFC3339Nano, string(rest[:quote])); err != nil {
		return head{}, false
	}
	tail := line[len(line)-tailBytes:]
	body := line[:len(line)-len(hashField)-hashHex-len(lineTail)]
	x.prev = string(tail[len(prevField) : len(prevField)+hashHex])
	x.hash = sum(body)
	ok = string(tail[:len(prevField)]) == prevField && string(line[len(body):]) == hashField+x.hash+lineTail
	return x, ok
}
