package agentx

import (
	"fmt"
	"slices"
	"time"

	"github.com/belay-ha/belay/snmp/mib"
)

// session answers what a master sends. It is pure: bytes and variables in, bytes out.
type session struct {
	id        uint32
	root      mib.OID
	variables func() []mib.Variable // sorted; asked once for each PDU
	packet    uint32                // of our own last request
	out       []byte                // of the answer before; its memory serves the next
	ranges    []searchRange         // of the request before, likewise
	arcs      mib.OID               // of those ranges
	found     []int                 // where in variables the ranges of the request before ended
}

// open is the PDU that opens a session. The master closes a session that takes longer
// than timeout to answer.
func (s *session) open(description string, timeout time.Duration) []byte {
	s.packet++
	e := begin(header{kind: pduOpen, flags: flagNetwork, packet: s.packet})
	e.b = append(e.b, byte(min(timeout/time.Second, 255)), 0, 0, 0)
	e.oid(s.root, false)
	e.octets(description)
	return e.end()
}

// register is the PDU that registers everything below root.
func (s *session) register() []byte {
	const priorityDefault = 127
	s.packet++
	e := begin(header{kind: pduRegister, flags: flagNetwork, session: s.id, packet: s.packet})
	e.b = append(e.b, 0, priorityDefault, 0, 0)
	e.oid(s.root, false)
	return e.end()
}

func (s *session) ping() []byte {
	s.packet++
	return begin(header{kind: pduPing, flags: flagNetwork, session: s.id, packet: s.packet}).end()
}

// Why a session is closed, RFC 2741, section 6.2.2.
const (
	closeParseError = 2
	closeShutdown   = 5
)

func (s *session) close(reason byte) []byte {
	s.packet++
	e := begin(header{kind: pduClose, flags: flagNetwork, session: s.id, packet: s.packet})
	e.b = append(e.b, reason, 0, 0, 0)
	return e.end()
}

// answered reads the answer to our own request.
func (s *session) answered(h header, payload []byte) error {
	d := &decoder{b: payload, order: h.order()}
	d.uint32() // sysUpTime of the master
	code := d.uint16()
	switch {
	case d.err != nil:
		return d.err
	case code != errNone:
		return fmt.Errorf("the master answers with error %d", code)
	}
	return nil
}

// handle answers a request of the master. An error ends the session; the answer is
// sent first. It is good until the next request.
func (s *session) handle(h header, payload []byte) (answer []byte, err error) {
	e := beginIn(s.out[:0], header{kind: pduResponse, flags: h.flags, session: h.session, transaction: h.transaction, packet: h.packet})
	defer func() { s.out = e.b }()
	e.uint32(0) // sysUpTime: only a master's counts
	if code, index := s.respond(e, h, payload); code != errNone {
		e.b = e.b[:headerBytes+4]
		e.uint16(code)
		e.uint16(index)
		if code == errParse || code == errNotOpen {
			err = fmt.Errorf("PDU of type %d: not one that RFC 2741 knows, or not of this session", h.kind)
		}
	}
	switch h.kind {
	case pduCleanupSet:
		return nil, err // has no answer
	case pduClose:
		return nil, fmt.Errorf("the master closed the session, reason %d", first(payload))
	}
	return e.end(), err
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// respond writes the rest of a response, or tells the error that stands there instead.
func (s *session) respond(e *encoder, h header, payload []byte) (code, index uint16) {
	if h.session != s.id {
		return errNotOpen, 0
	}
	d := &decoder{b: payload, order: h.order()}
	if h.flags&flagContext != 0 {
		d.octets() // only the default context is registered
		return errUnsupportedContext, 0
	}
	switch h.kind {
	case pduGet, pduGetNext, pduGetBulk:
		return s.read(e, h.kind, d)
	case pduTestSet:
		return errNotWritable, 1
	case pduCommitSet:
		return errCommitFailed, 1
	case pduUndoSet:
		return errUndoFailed, 1
	case pduCleanupSet, pduClose:
		return errNone, 0
	}
	return errParse, 0
}

func (s *session) read(e *encoder, kind uint8, d *decoder) (code, index uint16) {
	single, repeat := 0, 1
	if kind == pduGetBulk {
		single, repeat = int(d.uint16()), int(d.uint16())
	}
	d.arcs = s.arcs[:0]
	s.ranges = d.ranges(s.ranges[:0])
	s.arcs = d.arcs
	ranges := s.ranges
	if d.err != nil {
		return errParse, 0
	}
	if len(ranges) > variablesMax {
		return errGeneral, 0
	}
	e.uint16(errNone)
	e.uint16(0)
	vars := s.variables()
	if kind == pduGet {
		for _, r := range ranges {
			s.get(e, vars, r.start)
		}
		return errNone, 0
	}
	if kind == pduGetNext {
		single = len(ranges)
	}
	if len(s.found) != len(ranges) {
		s.found = make([]int, len(ranges))
	}
	single = min(single, len(ranges))
	for i := range ranges[:single] {
		next(e, vars, &ranges[i], &s.found[i])
	}
	repeating, found := ranges[single:], s.found[single:]
	left := variablesMax - single
	for range repeat {
		if left -= len(repeating); left < 0 || len(repeating) == 0 {
			break
		}
		more := false
		for i := range repeating {
			more = next(e, vars, &repeating[i], &found[i]) || more
		}
		if !more {
			break // what would follow is only ends again, RFC 2741, section 7.2.3.3
		}
	}
	return errNone, 0
}

func (s *session) get(e *encoder, vars []mib.Variable, name mib.OID) {
	v, ok := mib.Find(vars, name)
	switch {
	case ok:
		e.variable(name, v.Value)
	case mib.Known(name, s.root):
		e.variable(name, mib.Value{Type: typeNoSuchInstance})
	default:
		e.variable(name, mib.Value{Type: typeNoSuchObject})
	}
}

// next writes the first variable of a range and moves the range behind it. In a walk
// the range begins where the one before it ended: found is where that was, and where
// this one ends.
func next(e *encoder, vars []mib.Variable, r *searchRange, found *int) bool {
	i := *found
	if i < len(vars) && slices.Equal(vars[i].OID, r.start) {
		if !r.include {
			i++
		}
	} else {
		i = mib.Seek(vars, r.start, r.include)
	}
	if i >= len(vars) || len(r.end) > 0 && vars[i].OID.Compare(r.end) >= 0 {
		e.variable(r.start, mib.Value{Type: typeEndOfView})
		return false
	}
	*found = i
	e.variable(vars[i].OID, vars[i].Value)
	r.start, r.include = vars[i].OID, false
	return true
}
