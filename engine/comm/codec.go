package comm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
)

// wire is a message as it travels: CBOR (RFC 8949) with small numbers as keys.
// Numbers are never reused; a field that an older engine does not know is
// ignored by it.
type wire struct {
	From         string      `cbor:"1,keyasint"`
	Incarnation  uint64      `cbor:"2,keyasint"`
	BootUUID     []byte      `cbor:"3,keyasint,omitempty"`
	BootText     string      `cbor:"4,keyasint,omitempty"` // instead, where it is no UUID
	Seq          uint64      `cbor:"5,keyasint"`
	Nonce        uint64      `cbor:"6,keyasint"`
	Answer       bool        `cbor:"7,keyasint,omitempty"`
	EchoNonce    uint64      `cbor:"8,keyasint,omitempty"`
	EchoHeld     uint64      `cbor:"9,keyasint,omitempty"` // microseconds
	EchoLink     uint8       `cbor:"10,keyasint,omitempty"`
	EchoHears    uint64      `cbor:"11,keyasint,omitempty"`
	Links        uint32      `cbor:"12,keyasint,omitempty"`
	Voter        bool        `cbor:"13,keyasint,omitempty"`
	Echoes       bool        `cbor:"14,keyasint,omitempty"`
	GenNumber    uint64      `cbor:"15,keyasint,omitempty"`
	GenNonce     uint64      `cbor:"16,keyasint,omitempty"`
	VoterEpoch   uint64      `cbor:"17,keyasint,omitempty"`
	View         uint64      `cbor:"18,keyasint,omitempty"`
	InView       bool        `cbor:"19,keyasint,omitempty"`
	DC           string      `cbor:"20,keyasint,omitempty"`
	ConfigGen    uint64      `cbor:"21,keyasint,omitempty"`
	Hears        []wireHeard `cbor:"22,keyasint,omitempty"`
	HearsFrom    uint64      `cbor:"23,keyasint,omitempty"`
	HearsRev     uint64      `cbor:"24,keyasint,omitempty"`
	HearsTop     uint64      `cbor:"25,keyasint,omitempty"`
	Wall         int64       `cbor:"26,keyasint,omitempty"` // microseconds since 1970; 0: none
	Leaving      bool        `cbor:"27,keyasint,omitempty"`
	Restarting   bool        `cbor:"28,keyasint,omitempty"`
	Stalled      uint64      `cbor:"29,keyasint,omitempty"` // microseconds
	FeatureLevel uint32      `cbor:"30,keyasint,omitempty"`
	Version      string      `cbor:"31,keyasint,omitempty"`
	Grant        uint64      `cbor:"32,keyasint,omitempty"` // microseconds
	On           uint32      `cbor:"33,keyasint,omitempty"`
	Before       uint32      `cbor:"34,keyasint,omitempty"`
}

type wireHeard struct {
	Node        string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint,omitempty"`
	BootUUID    []byte `cbor:"3,keyasint,omitempty"`
	BootText    string `cbor:"4,keyasint,omitempty"`
	OneWay      bool   `cbor:"5,keyasint,omitempty"`
	Gone        bool   `cbor:"6,keyasint,omitempty"`
}

const (
	textMax     = 64              // bytes of a boot id or a version
	durationMax = 365 * 24 * 3600 // seconds
)

var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{}.EncMode()
	if err != nil {
		panic(err) // the options are constant
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		UTF8: cbor.UTF8RejectInvalid, MaxNestedLevels: 4, MaxArrayElements: membership.MaxHears, MaxMapPairs: 64,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return enc, dec
}

// Encode writes a message.
func Encode(m *membership.Message) ([]byte, error) {
	w := wire{
		From: m.From, Incarnation: m.Incarnation, Seq: m.Seq, Nonce: m.Nonce, Answer: m.Answer,
		EchoNonce: m.Echo.Nonce, EchoHeld: micros(m.Echo.Held), EchoLink: uint8(m.Echo.Link), EchoHears: m.Echo.Hears,
		Links: m.Links, On: m.On, Before: m.Before, Voter: m.Voter, Echoes: m.Echoes, GenNumber: m.Generation.Number, GenNonce: m.Generation.Nonce,
		VoterEpoch: m.VoterEpoch, View: m.View, InView: m.InView, DC: m.DC, ConfigGen: m.ConfigGen,
		HearsFrom: m.HearsFrom, HearsRev: m.HearsRev, HearsTop: m.HearsTop,
		Leaving: m.Leaving, Restarting: m.Restarting, Stalled: micros(m.Stalled), Grant: micros(m.Grant),
		FeatureLevel: uint32(max(0, m.FeatureLevel)), Version: m.Version,
	}
	w.BootUUID, w.BootText = packBoot(m.BootID)
	if !m.Wall.IsZero() {
		w.Wall = m.Wall.UnixMicro()
	}
	if len(m.Hears) > 0 {
		w.Hears = make([]wireHeard, len(m.Hears))
		for i := range m.Hears {
			h := &m.Hears[i]
			w.Hears[i] = wireHeard{Node: h.Node, Incarnation: h.Incarnation, OneWay: h.OneWay, Gone: h.Gone}
			w.Hears[i].BootUUID, w.Hears[i].BootText = packBoot(h.BootID)
		}
	}
	b, err := encMode.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b, nil
}

// Decode reads a message. What it returns is within the limits of the membership
// package. Whom it is from is compared by [Decoder].
func Decode(b []byte) (*membership.Message, error) {
	var w wire
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("decode message: %d bytes are too many", len(b))
	}
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	m := &membership.Message{
		From: w.From, Incarnation: w.Incarnation, BootID: unpackBoot(w.BootUUID, w.BootText), Seq: w.Seq, Nonce: w.Nonce, Answer: w.Answer,
		Echo:  membership.Echo{Nonce: w.EchoNonce, Held: duration(w.EchoHeld), Link: int(w.EchoLink), Hears: w.EchoHears},
		Links: w.Links, On: w.On, Before: w.Before, Voter: w.Voter, Echoes: w.Echoes, Generation: cib.DataGeneration{Number: w.GenNumber, Nonce: w.GenNonce},
		VoterEpoch: w.VoterEpoch, View: w.View, InView: w.InView, DC: w.DC, ConfigGen: w.ConfigGen,
		HearsFrom: w.HearsFrom, HearsRev: w.HearsRev, HearsTop: w.HearsTop,
		Leaving: w.Leaving, Restarting: w.Restarting, Stalled: duration(w.Stalled), Grant: duration(w.Grant),
		FeatureLevel: int(w.FeatureLevel), Version: w.Version,
	}
	if w.Wall != 0 {
		m.Wall = time.UnixMicro(w.Wall)
	}
	for i := range w.Hears {
		h := &w.Hears[i]
		m.Hears = append(m.Hears, membership.Heard{
			Node: h.Node, Incarnation: h.Incarnation, BootID: unpackBoot(h.BootUUID, h.BootText), OneWay: h.OneWay, Gone: h.Gone,
		})
	}
	return m, nil
}

func (w *wire) check() error {
	switch {
	case !nameOK(w.From):
		return errors.New("no sender")
	case len(w.DC) > membership.MaxName, len(w.Version) > textMax:
		return errors.New("text too long")
	case !bootOK(w.BootUUID, w.BootText):
		return errors.New("bad boot id")
	case int(w.EchoLink) >= membership.MaxLinks:
		return errors.New("bad link")
	case w.EchoHeld > durationMax*1e6, w.Stalled > durationMax*1e6, w.Grant > durationMax*1e6:
		return errors.New("bad duration")
	case len(w.Hears) > membership.MaxHears:
		return errors.New("too many nodes")
	case w.FeatureLevel > 1<<20:
		return errors.New("bad feature level")
	}
	for i := range w.Hears {
		if h := &w.Hears[i]; !nameOK(h.Node) || !bootOK(h.BootUUID, h.BootText) {
			return errors.New("bad node")
		}
	}
	return nil
}

func nameOK(s string) bool { return s != "" && len(s) <= membership.MaxName }

func bootOK(uuid []byte, text string) bool {
	return (len(uuid) == 0 || len(uuid) == 16 && text == "") && len(text) <= textMax
}

func micros(d time.Duration) uint64 { return uint64(max(0, d.Microseconds())) }

func duration(us uint64) time.Duration { return time.Duration(us) * time.Microsecond }

// packBoot makes 16 bytes of a boot id as Linux writes it:
// 8-4-4-4-12 hexadecimal digits in lower case.
func packBoot(id string) ([]byte, string) {
	if len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		if b, err := hex.DecodeString(id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]); err == nil && unpackBoot(b, "") == id {
			return b, ""
		}
	}
	return nil, id
}

func unpackBoot(uuid []byte, text string) string {
	if len(uuid) != 16 {
		return text
	}
	x := hex.EncodeToString(uuid)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// Decoder decodes messages. A message comes over every link of its sender; what is
// the same as the one before is not decoded again.
type Decoder struct{ last map[string]decoded }

type decoded struct {
	payload []byte
	message *membership.Message
}

// decoderMax bounds how many senders are remembered; then it begins anew.
const decoderMax = 2 * membership.MaxNodes

// Decode reads the message in a packet, which may be the one that it returned before:
// messages are not changed. A message must name the node that sent the packet, or a
// node could speak for another one.
func (d *Decoder) Decode(p *Packet) (*membership.Message, error) {
	if last, ok := d.last[p.From]; ok && bytes.Equal(last.payload, p.Payload) {
		return last.message, nil
	}
	m, err := Decode(p.Payload)
	if err != nil {
		return nil, err
	}
	if m.From != p.From {
		return nil, fmt.Errorf("a packet of %s holds a message of %s", p.From, m.From)
	}
	if d.last == nil || len(d.last) >= decoderMax {
		d.last = map[string]decoded{}
	}
	d.last[p.From] = decoded{p.Payload, m}
	return m, nil
}
