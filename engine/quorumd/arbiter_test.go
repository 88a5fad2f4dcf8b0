package quorumd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a cluster of clients that keep the protocol, whatever the network does
// to them, around a real arbiter that may be restarted at any time.
type model struct {
	t       *rapid.T
	now     time.Time
	arbiter *Arbiter
	disk    []Saved
	conf    Config
	voters  []string
	nodes   map[string]*modelNode
	conns   uint64
	opened  bool // generation 2
	// lastEnd is the latest end of a lease of a half, by its nodes, on the clock.
	lastEnd map[string]time.Time
	flight  []modelReply
}

type modelNode struct {
	name    string
	gen     Generation
	present []string
	episode uint64
	since   time.Time // of the episode
	inc     uint64
	conn    uint64
	seq     uint64
	until   time.Time // of its grant
	settled bool
}

// modelReply is on its way to a node.
type modelReply struct {
	node    *modelNode
	inc     uint64
	episode uint64
	sent    time.Time // when the request was
	reply   Reply
}

const (
	modelLease    = 5 * time.Second
	modelHandover = 20 * time.Second
)

func newModel(t *rapid.T) *model {
	m := &model{t: t, now: time.Unix(1000, 0), nodes: map[string]*modelNode{}, lastEnd: map[string]time.Time{}, conf: Config{Clusters: map[string]ClusterConfig{}}}
	pins := map[string][]string{}
	for i := range rapid.SampledFrom([]int{2, 2, 4}).Draw(t, "voters") {
		name := fmt.Sprint("n", i+1)
		m.voters = append(m.voters, name)
		pins[name] = []string{"pin-" + name}
	}
	for _, name := range m.voters {
		m.nodes[name] = &modelNode{name: name, gen: Generation{1, 1}, present: m.voters, episode: 1, inc: 1, since: m.now}
	}
	m.conf.Clusters["c"] = ClusterConfig{Nodes: pins}
	m.boot()
	return m
}

// boot starts the arbiter with what is on its disk.
func (m *model) boot() {
	m.arbiter = New("q", m.disk, m.now)
	m.arbiter.Configure(m.now, m.conf)
	for _, n := range m.nodes {
		n.conn = 0
	}
}

// perform does what the arbiter wants; answers to a request sent at sent go out
// after what is to be saved.
func (m *model) perform(n *modelNode, sent time.Time, effects []Effect) {
	for _, e := range effects {
		switch x := e.(type) {
		case Save:
			m.disk = append(m.disk, x.Saved)
		case Send:
			if n != nil && x.Conn == n.conn {
				m.flight = append(m.flight, modelReply{node: n, inc: n.inc, episode: n.episode, sent: sent, reply: x.Reply})
			}
		case Close:
			for _, o := range m.nodes {
				if o.conn == x.Conn {
					o.conn = 0
				}
			}
		}
	}
}

func (m *model) request(n *modelNode, r *Request, delay time.Duration) {
	sent := m.now
	m.now = m.now.Add(delay)
	if n.conn == 0 {
		m.conns++
		n.conn, n.seq = m.conns, 0
		m.arbiter.Connect(n.conn, "pin-"+n.name)
		n.seq++
		m.perform(n, sent, m.arbiter.Receive(m.now, n.conn, &Request{Type: Hello, Seq: n.seq, Version: Version, Cluster: "c", Node: n.name, Incarnation: n.inc}))
	}
	if n.conn == 0 {
		return
	}
	n.seq++
	r.Seq = n.seq
	m.perform(n, sent, m.arbiter.Receive(m.now, n.conn, r))
}

func (n *modelNode) beat(voters []string) *Request {
	return &Request{
		Type: Beat, Generation: n.gen, Epoch: 1, Voters: voters, Present: n.present, Episode: n.episode, Want: 2*len(n.present) == len(voters),
		LeaseMs: modelLease.Milliseconds(), HandoverMs: modelHandover.Milliseconds(),
	}
}

// arrive delivers a reply, if its node still is who asked.
func (m *model) arrive(r modelReply) {
	n := r.node
	if r.inc != n.inc || r.episode != n.episode {
		return
	}
	switch {
	case r.reply.Type == State && r.reply.Answer == Have:
		if until := r.sent.Add(time.Duration(r.reply.LeaseMs) * time.Millisecond); until.After(n.until) {
			n.until = until
			key := join(n.present)
			if until.After(m.lastEnd[key]) {
				m.lastEnd[key] = until
			}
		}
		n.settled = r.reply.SettledInMs == 0
		if n.settled && m.now.Sub(n.since) < modelHandover && !m.opened {
			m.t.Fatalf("%s: settled %s after its episode began", n.name, m.now.Sub(n.since))
		}
	case r.reply.Type == State:
		n.until, n.settled = time.Time{}, false
	}
}

// step changes what a node hears.
func (m *model) hears(n *modelNode, present []string) {
	if slices.Equal(n.present, present) {
		return
	}
	n.present = present
	n.episode++
	n.since, n.until, n.settled = m.now, time.Time{}, false
}

func (m *model) check() {
	var holder *modelNode
	for _, name := range m.voters {
		n := m.nodes[name]
		if !m.now.Before(n.until) {
			continue
		}
		if holder != nil && !slices.Equal(holder.present, n.present) {
			m.t.Fatalf("%v and %v have the grant at the same time", holder.present, n.present)
		}
		holder = n
		if m.opened && n.gen.Number < 2 && !slices.Contains(m.arbiter.clusters["c"].Half, n.name) {
			m.t.Fatalf("%s has the grant with data that is stale", n.name)
		}
	}
}

// TestNeverTwo: whatever halves form, ask, crash, and whenever the arbiter is
// restarted, two halves never have the grant at the same time, a grant that moves
// does so after lease and delay, and nobody gets it with stale data.
func TestNeverTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		halves := [][]string{m.voters[:len(m.voters)/2], m.voters[len(m.voters)/2:]}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			n := m.nodes[rapid.SampledFrom(m.voters).Draw(t, "node")]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				m.request(n, n.beat(m.voters), time.Duration(rapid.IntRange(0, 2000).Draw(t, "delay"))*time.Millisecond)
			case 4:
				half := halves[0]
				if !slices.Contains(half, n.name) {
					half = halves[1]
				}
				m.hears(n, half)
			case 5:
				m.hears(n, m.voters)
			case 6:
				n.inc++ // it was restarted
				n.conn, n.until, n.settled = 0, time.Time{}, false
				n.episode++
				n.since = m.now
			case 7:
				m.boot()
				m.flight = nil
			case 8:
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "wait")) * time.Second)
				m.perform(nil, m.now, m.arbiter.Tick(m.now))
			case 9:
				before := m.arbiter.clusters["c"].Generation
				m.request(n, &Request{Type: Open, Episode: n.episode, Next: Generation{2, uint64(len(n.name))}}, 0)
				if g := m.arbiter.clusters["c"].Generation; g != before && g.Number == 2 {
					if !n.settled && m.now.Sub(n.since) < modelHandover {
						t.Fatalf("%s opened before its grant was settled", n.name)
					}
					m.opened = true
				}
			}
			for len(m.flight) > 0 {
				m.arrive(m.flight[0])
				m.flight = m.flight[1:]
				m.check()
			}
			m.check()
		}
	})
}

// TestHandoverWaits: a grant goes to the other half only when the last lease of the
// first one has ended, and the delay after it.
func TestHandoverWaits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		halves := [][]string{m.voters[:len(m.voters)/2], m.voters[len(m.voters)/2:]}
		for _, n := range m.voters {
			m.request(m.nodes[n], m.nodes[n].beat(m.voters), 0)
		}
		for i, h := range halves {
			for _, n := range h {
				m.hears(m.nodes[n], halves[i])
			}
		}
		m.flight = nil
		first := m.nodes[halves[0][0]]
		for range rapid.IntRange(1, 5).Draw(t, "renewals") {
			m.request(first, first.beat(m.voters), time.Duration(rapid.IntRange(0, 900).Draw(t, "delay"))*time.Millisecond)
		}
		for len(m.flight) > 0 {
			m.arrive(m.flight[0])
			m.flight = m.flight[1:]
		}
		if first.until.IsZero() {
			t.Fatal("the first half did not get the grant")
		}
		if rapid.Bool().Draw(t, "restart") {
			m.boot()
		}
		second := m.nodes[halves[1][0]]
		for m.nodes[second.name].until.IsZero() {
			m.now = m.now.Add(100 * time.Millisecond)
			m.request(second, second.beat(m.voters), 0)
			for len(m.flight) > 0 {
				m.arrive(m.flight[0])
				m.flight = m.flight[1:]
			}
			if m.now.Sub(first.until) > time.Hour {
				t.Fatal("the grant never moves")
			}
		}
		if early := first.until.Add(modelHandover).Sub(m.now); early > 0 {
			t.Fatalf("the second half got the grant %s early", early)
		}
	})
}

// FuzzParseRequest: no line makes the reader or the arbiter panic, or changes what
// is known of a cluster, unless its sender is who it says.
func FuzzParseRequest(f *testing.F) {
	for _, line := range []string{
		`{"type":"hello","seq":1,"version":1,"cluster":"c","node":"n1","incarnation":1}`,
		`{"type":"beat","seq":2,"generation":{"number":1,"nonce":1},"voters":["n1","n2"],"present":["n1"],"want":true,"leaseMs":5000,"handoverMs":1}`,
		`{"type":"same","seq":3}`, `{"type":"open","seq":4,"next":{"number":2,"nonce":2}}`, `{"type":"acquire","seq":5,"ticket":"t"}`, `[]`, `{"seq":-1}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		now := time.Unix(0, 0)
		a := New("q", nil, now)
		a.Configure(now, Config{Clusters: map[string]ClusterConfig{"c": {Nodes: map[string][]string{"n1": {"p"}}}}, Tickets: map[string]TicketConfig{"t": {Clusters: map[string]int{"c": 1}, Expiry: time.Second}}})
		a.Connect(1, "p")
		a.Receive(now, 1, &Request{Type: Hello, Seq: 1, Version: Version, Cluster: "c", Node: "n1", Incarnation: 1})
		r, err := ParseRequest(line)
		if err != nil {
			a.Malformed(1, err)
			return
		}
		r.Seq = 2
		a.Receive(now, 1, r)
		a.Tick(now.Add(time.Hour))
		if cl := a.clusters["c"]; cl.Holder != nil {
			t.Fatalf("a first message has got the grant: %+v", cl)
		}
		again, err := ParseRequest(AppendRequest(nil, r))
		if err != nil || again.Type != r.Type || again.Seq != r.Seq || !slices.Equal(again.Present, r.Present) {
			t.Fatalf("%+v is read back as %+v, %v", r, again, err)
		}
	})
}
