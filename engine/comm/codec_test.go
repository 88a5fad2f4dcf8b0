package comm

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/membership"
)

const bootID = "3b0c8f52-6f0e-4d5a-9c0e-0d7c6b1f4a11"

// heartbeat is what a voter of a three-node cluster sends.
func heartbeat() *membership.Message {
	return &membership.Message{
		From: "n1", Incarnation: 17, BootID: bootID, Seq: 123456, Nonce: 0x1122334455667788,
		Echo:  membership.Echo{Nonce: 0x99aabbccddeeff00, Held: 130 * time.Millisecond, Link: 1, Hears: 5},
		Links: 3, Voter: true, Echoes: true, Generation: cib.DataGeneration{Number: 1, Nonce: 0x123456789abcdef0},
		VoterEpoch: 3, View: 42, InView: true, DC: "n1", ConfigGen: 99, HearsFrom: 5, HearsRev: 5, HearsTop: 5,
		Wall: time.UnixMicro(1_790_000_000_123_456), FeatureLevel: 1, Version: "0.1.0",
	}
}

// TestSize: a heartbeat of a small cluster fits into one Ethernet frame, also
// when it carries the whole report.
func TestSize(t *testing.T) {
	m := heartbeat()
	b, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 200 {
		t.Errorf("a heartbeat has %d bytes", len(b))
	}
	for i := range 16 {
		m.Hears = append(m.Hears, membership.Heard{Node: fmt.Sprintf("node%02d", i), Incarnation: 17, BootID: bootID})
	}
	if b, err = Encode(m); err != nil || len(b)+overhead > 1200 {
		t.Errorf("with a report of 16 nodes it has %d bytes: %v", len(b)+overhead, err)
	}
	m.Hears = nil
	for i := range membership.MaxHears {
		m.Hears = append(m.Hears, membership.Heard{Node: fmt.Sprintf("node%04d.a.long.domain.name.example", i), Incarnation: 1 << 60, BootID: bootID})
	}
	if b, err = Encode(m); err != nil || len(b) > MaxPayload {
		t.Errorf("the largest report has %d bytes: %v", len(b), err)
	}
	if got, err := Decode(b); err != nil || len(got.Hears) != membership.MaxHears {
		t.Errorf("the largest report: %v", err)
	}
}

// TestEveryField fails when a field of the message is forgotten in the codec:
// each one must survive the way.
func TestEveryField(t *testing.T) {
	m := heartbeat()
	m.Answer, m.Leaving, m.Restarting, m.Stalled = true, true, true, 1500*time.Millisecond
	m.Grant = 2500 * time.Millisecond
	m.On, m.Before = 2, 1
	m.Hears = []membership.Heard{
		{Node: "n2", Incarnation: 4, BootID: bootID},
		{Node: "n3", BootID: "not-a-uuid", OneWay: true, Incarnation: 1},
		{Node: "n4", Gone: true},
	}
	v := reflect.ValueOf(*m)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	b, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, got) {
		t.Errorf("sent     %+v\nreceived %+v", m, got)
	}
}

func TestBootIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(
			rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
			rapid.StringMatching(`[0-9A-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-z]{12}`),
			rapid.StringN(0, 16, 64),
		).Draw(t, "id")
		b, text := packBoot(id)
		if got := unpackBoot(b, text); got != id || len(b) != 0 && text != "" {
			t.Fatalf("%q became %q", id, got)
		}
	})
}

// TestDecodeBad: what no engine sends is refused.
func TestDecodeBad(t *testing.T) {
	const from = "0161" + "6e" // key 1, text "n"
	for name, x := range map[string]string{
		"empty":             "",
		"no map":            "00",
		"no sender":         "a10501",
		"trailing bytes":    "a1" + from + "00",
		"key twice":         "a3" + from + "05010501",
		"wrong type":        "a2" + from + "056161",
		"indefinite length": "bf" + from + "ff",
		"tag":               "c1a1" + from,
		"invalid UTF-8":     "a2" + from + "1461ff",
		"link 8":            "a2" + from + "0a08",
		"short boot id":     "a2" + from + "034101",
		"node without name": "a2" + from + "1681a10160",
		"endless duration":  "a2" + from + "181d1bffffffffffffffff",
		"deep":              "a2" + from + "186381818181818100",
	} {
		b, err := hex.DecodeString(x)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Decode(b); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// A field of a newer engine is ignored.
	if m, err := Decode([]byte{0xa3, 0x01, 0x61, 0x6e, 0x05, 0x07, 0x18, 0x63, 0x01}); err != nil || m.Seq != 7 {
		t.Errorf("unknown field: %v", err)
	}
}

// FuzzDecode: no payload makes trouble, and what is accepted is within the
// limits, can be encoded again, and can be received.
func FuzzDecode(f *testing.F) {
	m := heartbeat()
	m.Hears = []membership.Heard{{Node: "n2", Incarnation: 4, BootID: bootID}, {Node: "n3", Gone: true}}
	b, err := Encode(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if len(m.Hears) > membership.MaxHears || m.Echo.Link >= membership.MaxLinks || m.Echo.Held < 0 || m.Stalled < 0 {
			t.Fatalf("beyond the limits: %+v", m)
		}
		b2, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		m2, err := Decode(b2)
		if err != nil || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v became %+v: %v", m, m2, err)
		}
		now := time.Unix(1000, 0)
		tr := membership.New("n1", 1, "b", rand.New(rand.NewPCG(1, 1)), now)
		tr.Configure(now, membership.Setup{
			Nodes: []string{"n1", "n2"}, Voters: []string{"n1", "n2"}, VoterEpoch: 1,
			Detection: time.Second, Interval: 200 * time.Millisecond, Validity: 2 * time.Second, Links: 2,
		})
		tr.Receive(now, 0, m)
		tr.Tick(now.Add(time.Second))
		tr.Beat(now.Add(time.Second))
		tr.Hearing(now.Add(time.Second))
	})
}

// FuzzOpen: no packet makes trouble, and none but the peer's is opened.
func FuzzOpen(f *testing.F) {
	a, b := sealers(f)
	f.Add(a.seal(1, []byte("payload")))
	f.Add(a.seal(1, nil)[:headerSize])
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, err := sender(packet); err != nil {
			return
		}
		good := a.seal(1, []byte("payload"))
		if p, err := b.open(1, packet); err == nil && string(p) != "payload" {
			t.Fatalf("opened %x as %q", packet, p) // the seed itself may be opened
		}
		if _, err := b.open(1, good); err != nil {
			t.Fatalf("after %x a good packet is refused: %v", packet, err)
		}
	})
}

func sealers(t testing.TB) (a, b *sealer) {
	t.Helper()
	ka, kb := newKey(t), newKey(t)
	ida, err := identify("n1", &ka.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	idb, err := identify("n2", &kb.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pa, err := ka.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	pb, err := kb.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = newSealer(ida, idb, pa, &kb.PublicKey); err != nil {
		t.Fatal(err)
	}
	if b, err = newSealer(idb, ida, pb, &ka.PublicKey); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func BenchmarkSeal(b *testing.B) {
	s, _ := sealers(b)
	payload := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		s.seal(0, payload)
	}
}

func BenchmarkOpen(b *testing.B) {
	s, r := sealers(b)
	packets := make([][]byte, b.N)
	for i := range packets {
		packets[i] = s.seal(0, make([]byte, 200))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range packets {
		if _, err := r.open(0, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForged is what a packet with a salt of its own costs its receiver.
func BenchmarkForged(b *testing.B) {
	s, r := sealers(b)
	p := s.seal(0, make([]byte, 200))
	p[12]++
	for b.Loop() {
		if _, err := r.open(0, p); err == nil {
			b.Fatal("opened")
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	m := heartbeat()
	b.ReportAllocs()
	for b.Loop() {
		x, err := Encode(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Decode(x); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThreeVoters is the share of one CPU that three voters take together,
// with heartbeats every 200 ms on two links: ns/op is for one interval of the
// cluster, six messages encoded, sealed, sent over real sockets, opened and
// decoded.
func BenchmarkThreeVoters(b *testing.B) {
	nodes := []*node{
		start(b, "n1", newKey(b), "127.0.0.1:0", "127.0.0.2:0"),
		start(b, "n2", newKey(b), "127.0.0.3:0", "127.0.0.4:0"),
		start(b, "n3", newKey(b), "127.0.0.5:0", "127.0.0.6:0"),
	}
	for _, n := range nodes {
		var peers []Peer
		for _, p := range nodes {
			if p != n {
				peers = append(peers, p.as(b))
			}
		}
		if err := n.SetPeers(peers); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range nodes {
			for _, p := range nodes {
				if p == n {
					continue
				}
				x, err := Encode(heartbeat())
				if err != nil {
					b.Fatal(err)
				}
				if err := n.Send(p.name, allLinks, x); err != nil {
					b.Fatal(err)
				}
			}
		}
		for _, n := range nodes {
			for range 4 {
				p := n.next(b)
				if _, err := Decode(p.Payload); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(200*time.Millisecond), "%CPU")
}

func TestDecoder(t *testing.T) {
	m := heartbeat()
	payload, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	first, err := d.Decode(&Packet{From: m.From, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Decode(&Packet{From: m.From, Link: 1, Payload: bytes.Clone(payload)}); err != nil || again != first {
		t.Errorf("the copy of another link is decoded again: %v", err)
	}
	if m, err := d.Decode(&Packet{From: "n9", Payload: payload}); err == nil {
		t.Errorf("n9 speaks for %s", m.From)
	}
	m.Seq++
	if payload, err = Encode(m); err != nil {
		t.Fatal(err)
	}
	if next, err := d.Decode(&Packet{From: m.From, Payload: payload}); err != nil || next.Seq != m.Seq {
		t.Errorf("the next message: %v, %v", next, err)
	}
}

func TestTraffic(t *testing.T) {
	var tr traffic
	now := time.Unix(0, 0)
	at := func(step time.Duration, n int, want bool) {
		t.Helper()
		now = now.Add(step)
		if got := tr.saw(now, n); got != want {
			t.Fatalf("busy %v, want %v", got, want)
		}
	}
	at(0, 5, false)
	at(time.Second, 60, false) // a burst alone
	at(trafficSpan, 60, true)
	at(trafficSpan/2, 1, true)
	at(trafficSpan/2, 60, true)
	at(3*trafficSpan, 1, false) // silence since
}
