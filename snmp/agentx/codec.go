package agentx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/belay-ha/belay/snmp/mib"
)

// The types of PDUs, RFC 2741, section 6.1.
const (
	pduOpen       = 1
	pduClose      = 2
	pduRegister   = 3
	pduGet        = 5
	pduGetNext    = 6
	pduGetBulk    = 7
	pduTestSet    = 8
	pduCommitSet  = 9
	pduUndoSet    = 10
	pduCleanupSet = 11
	pduPing       = 13
	pduResponse   = 18
)

// Flags of the header.
const (
	flagContext = 0x08 // NON_DEFAULT_CONTEXT
	flagNetwork = 0x10 // NETWORK_BYTE_ORDER
)

// Values of a variable that are none, RFC 2741, section 5.4.
const (
	typeNoSuchObject   mib.Type = 128
	typeNoSuchInstance mib.Type = 129
	typeEndOfView      mib.Type = 130
)

// Errors of a response, RFC 2741, section 6.2.16.
const (
	errNone               = 0
	errNotWritable        = 17
	errCommitFailed       = 14
	errUndoFailed         = 15
	errGeneral            = 5
	errNotOpen            = 257
	errUnsupportedContext = 262
	errParse              = 266
)

const (
	headerBytes = 20
	// payloadMaxBytes bounds a PDU. A master's request has no more than fits into a
	// datagram, 64 kB.
	payloadMaxBytes = 1 << 20
	// variablesMax bounds the variables of one response: more do not fit into a
	// datagram.
	variablesMax = 8192
	oidMax       = 128 // sub-identifiers, RFC 2741, section 5.1
	prefixArcs   = 5   // that a prefix stands for, the same section
)

// header stands before every PDU.
type header struct {
	kind        uint8
	flags       uint8
	session     uint32
	transaction uint32
	packet      uint32
	length      uint32
}

var errShort = errors.New("the PDU ends too soon")

func parseHeader(b []byte) (header, error) {
	if len(b) < headerBytes {
		return header{}, errShort
	}
	h := header{kind: b[1], flags: b[2]}
	o := h.order()
	h.session, h.transaction, h.packet, h.length = o.uint32(b[4:]), o.uint32(b[8:]), o.uint32(b[12:]), o.uint32(b[16:])
	switch {
	case b[0] != 1:
		return h, fmt.Errorf("version %d of AgentX is not known", b[0])
	case h.length > payloadMaxBytes:
		return h, fmt.Errorf("a PDU of %d bytes; %d are allowed", h.length, payloadMaxBytes)
	case h.length%4 != 0:
		return h, fmt.Errorf("a PDU of %d bytes, which is no multiple of 4", h.length)
	}
	return h, nil
}

// order is the order of bytes that the flags name. It is no interface, so that
// the compiler can inline it: a walk decodes some hundred numbers for each row.
func (h *header) order() order { return h.flags&flagNetwork != 0 }

// order is true for the network's.
type order bool

func (o order) uint16(b []byte) uint16 {
	if o {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (o order) uint32(b []byte) uint32 {
	if o {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (o order) append16(b []byte, v uint16) []byte {
	if o {
		return binary.BigEndian.AppendUint16(b, v)
	}
	return binary.LittleEndian.AppendUint16(b, v)
}

func (o order) append32(b []byte, v uint32) []byte {
	if o {
		return binary.BigEndian.AppendUint32(b, v)
	}
	return binary.LittleEndian.AppendUint32(b, v)
}

func (o order) append64(b []byte, v uint64) []byte {
	if o {
		return binary.BigEndian.AppendUint64(b, v)
	}
	return binary.LittleEndian.AppendUint64(b, v)
}

// decoder reads a payload; after a fault everything it gives is empty.
type decoder struct {
	b     []byte
	order order
	err   error
	arcs  mib.OID // room for object identifiers
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		if d.err == nil {
			d.err = errShort
		}
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return d.order.uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return d.order.uint32(b)
	}
	return 0
}

func (d *decoder) octets() string {
	n := d.uint32()
	if n > payloadMaxBytes {
		d.take(-1)
		return ""
	}
	s := string(d.take(int(n)))
	d.take(int(-n & 3))
	return s
}

// oid reads an object identifier and its include field.
func (d *decoder) oid() (mib.OID, bool) {
	b := d.take(4)
	if b == nil {
		return nil, false
	}
	if b[0] > oidMax {
		d.err = fmt.Errorf("an object identifier of %d sub-identifiers; %d are allowed", b[0], oidMax)
		return nil, false
	}
	n := int(b[0])
	arcs := d.take(4 * n)
	if d.err != nil {
		return nil, false
	}
	if cap(d.arcs)-len(d.arcs) < n+prefixArcs {
		d.arcs = make(mib.OID, 0, max(n+prefixArcs, len(d.b)/2))
	}
	at := len(d.arcs)
	if b[1] != 0 {
		d.arcs = append(d.arcs, 1, 3, 6, 1, uint32(b[1]))
	}
	for ; len(arcs) > 0; arcs = arcs[4:] {
		d.arcs = append(d.arcs, d.order.uint32(arcs))
	}
	return d.arcs[at:len(d.arcs):len(d.arcs)], b[2] != 0
}

// searchRange is what one request looks for.
type searchRange struct {
	start   mib.OID
	include bool
	end     mib.OID // not in it; empty: without end
}

// ranges appends the ranges that are left to out.
func (d *decoder) ranges(out []searchRange) []searchRange {
	for len(d.b) > 0 && d.err == nil {
		var r searchRange
		r.start, r.include = d.oid()
		r.end, _ = d.oid()
		out = append(out, r)
	}
	return out
}

// encoder writes a PDU.
type encoder struct {
	b     []byte
	order order
}

func (e *encoder) uint16(v uint16) { e.b = e.order.append16(e.b, v) }
func (e *encoder) uint32(v uint32) { e.b = e.order.append32(e.b, v) }

func (e *encoder) octets(s string) {
	e.uint32(uint32(len(s)))
	e.b = append(e.b, s...)
	e.b = append(e.b, "\x00\x00\x00"[:-len(s)&3]...)
}

func (e *encoder) oid(o mib.OID, include bool) {
	prefix := byte(0)
	if len(o) >= 5 && o[0] == 1 && o[1] == 3 && o[2] == 6 && o[3] == 1 && o[4] > 0 && o[4] < 256 {
		prefix, o = byte(o[4]), o[5:]
	}
	inc := byte(0)
	if include {
		inc = 1
	}
	e.b = append(e.b, byte(len(o)), prefix, inc, 0)
	for _, n := range o {
		e.uint32(n)
	}
}

func (e *encoder) variable(name mib.OID, v mib.Value) {
	e.uint16(uint16(v.Type))
	e.uint16(0)
	e.oid(name, false)
	switch v.Type {
	case mib.Integer, mib.Counter32, mib.Gauge32, mib.TimeTicks:
		e.uint32(uint32(v.Num))
	case mib.Counter64:
		e.b = e.order.append64(e.b, v.Num)
	case mib.OctetString:
		e.octets(v.Bytes)
	case mib.ObjectID:
		e.oid(v.OID, false)
	}
}

// begin starts a PDU; end writes its length.
func begin(h header) *encoder { return beginIn(nil, h) }

// beginIn is begin with memory to write to.
func beginIn(b []byte, h header) *encoder {
	e := &encoder{b: b, order: h.order()}
	e.b = append(e.b, 1, h.kind, h.flags&flagNetwork, 0)
	e.uint32(h.session)
	e.uint32(h.transaction)
	e.uint32(h.packet)
	e.uint32(0)
	return e
}

func (e *encoder) end() []byte {
	e.order.append32(e.b[:16], uint32(len(e.b)-headerBytes))
	return e.b
}
