package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/comm"
	"github.com/belay-ha/belay/engine/idle"
	"github.com/belay-ha/belay/engine/membership"
	"github.com/belay-ha/belay/engine/node"
)

const (
	heartbeatNodes = 1000 // of them three voters
	heartbeatLinks = 2
	heartbeatSpan  = 15 * time.Second
	heartbeatHost  = "127.88" // loopback addresses of the simulated network
)

// heartbeatVoters are the names of the voters; the first one is measured.
var heartbeatVoters = []string{"v1", "v2", "v3"}

// VoterVariable is set in the environment of the process that is measured as a
// voter of a large cluster: it runs [Voter] on its standard input and output.
const VoterVariable = "BELAY_BENCH_VOTER"

// heartbeats measures what the heartbeats of a large cluster cost a voter: a process
// of its own with the links and the node of an engine, and 999 peers, which send to
// it over real sockets. The peers are simulated in this process.
func heartbeats(ctx context.Context, r *Report) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var swarm sync.WaitGroup
	defer swarm.Wait()
	defer cancel()

	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	setup := voterSetup{}
	if setup.Key, err = x509.MarshalECPrivateKey(own); err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	peers := make([]*swarmPeer, 0, heartbeatNodes-1)
	for i := 1; i < heartbeatNodes; i++ {
		name := fmt.Sprintf("n%03d", i)
		if i < len(heartbeatVoters) {
			name = heartbeatVoters[i]
		}
		p, err := newSwarmPeer(ctx, name, i)
		if err != nil {
			return err
		}
		defer p.transport.Stop()
		peers = append(peers, p)
		setup.Peers = append(setup.Peers, p.address)
	}

	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), VoterVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start a voter: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start a voter: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a voter: %w", err)
	}
	defer func() { cancel(); _ = cmd.Wait() }() // it ends with its input
	if err := json.NewEncoder(in).Encode(&setup); err != nil {
		return fmt.Errorf("tell the voter its peers: %w", err)
	}
	answers := json.NewDecoder(out)
	var addrs []netip.AddrPort
	if err := answers.Decode(&addrs); err != nil {
		return fmt.Errorf("read the addresses of the voter: %w", err)
	}
	for _, p := range peers {
		if err := p.transport.SetPeers([]comm.Peer{{Node: heartbeatVoters[0], Key: &own.PublicKey, Addrs: addrs}}); err != nil {
			return err
		}
		swarm.Go(func() { p.run(ctx) })
	}
	// Warm is when all are heard, and some seconds more.
	var before, after voterFigures
	for began := time.Now(); before.Alive < heartbeatNodes; {
		if time.Since(began) > 30*time.Second {
			return fmt.Errorf("only %d of %d nodes are heard", before.Alive, heartbeatNodes)
		}
		if err := answers.Decode(&before); err != nil {
			return fmt.Errorf("read the figures of the voter: %w", err)
		}
	}
	for settled := before.At.Add(10 * time.Second); before.At.Before(settled); {
		if err := answers.Decode(&before); err != nil {
			return fmt.Errorf("read the figures of the voter: %w", err)
		}
	}
	for after = before; after.At.Before(before.At.Add(heartbeatSpan)); {
		if err := answers.Decode(&after); err != nil {
			return fmt.Errorf("read the figures of the voter: %w", err)
		}
		if after.Alive < heartbeatNodes {
			return fmt.Errorf("%d of %d nodes are heard: the machine is too busy to measure", after.Alive, heartbeatNodes)
		}
	}
	took := after.At.Sub(before.At).Seconds()
	r.Add(Figure{
		Name: fmt.Sprintf("CPU of a voter for the heartbeats of %d nodes", heartbeatNodes), Value: 100 * (after.CPU - before.CPU).Seconds() / took,
		Unit: "% of a core", Goal: AtMost(5),
		Note: fmt.Sprintf("%d links, default detection: %.0f packets/s in, %.0f out", heartbeatLinks,
			float64(after.Received-before.Received)/took, float64(after.Sent-before.Sent)/took),
	})
	return nil
}

// voterSetup is what the measured process is told.
type voterSetup struct {
	Key   []byte
	Peers []peerAddress
}

type peerAddress struct {
	Name  string
	Key   string // see comm.ParseKey
	Addrs []netip.AddrPort
}

// voterFigures is what the measured process reports each second.
type voterFigures struct {
	At             time.Time
	CPU            time.Duration // used so far
	Alive          int
	Sent, Received uint64
}

// swarmPeer is one simulated peer.
type swarmPeer struct {
	name      string
	address   peerAddress
	transport *comm.Transport
	tracker   *membership.Tracker
}

func swarmLinks(i int) []netip.AddrPort {
	links := make([]netip.AddrPort, heartbeatLinks)
	for l := range links {
		links[l] = netip.MustParseAddrPort(fmt.Sprintf("%s.%d.%d:0", heartbeatHost, l<<4+i>>8, i&255))
	}
	return links
}

func boundLinks(t *comm.Transport) ([]netip.AddrPort, error) {
	links := make([]netip.AddrPort, heartbeatLinks)
	for l := range links {
		a, ok := t.Addr(l)
		if !ok {
			return nil, errors.New("a link is not bound")
		}
		links[l] = a
	}
	return links, nil
}

func newSwarmPeer(ctx context.Context, name string, i int) (*swarmPeer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	p := &swarmPeer{name: name}
	if p.transport, err = comm.New(comm.Config{Node: name, Key: key, Links: swarmLinks(i)}); err != nil {
		return nil, err
	}
	if err := p.transport.Start(ctx); err != nil {
		return nil, err
	}
	p.address = peerAddress{Name: name, Key: base64.StdEncoding.EncodeToString(der)}
	if p.address.Addrs, err = boundLinks(p.transport); err != nil {
		p.transport.Stop()
		return nil, err
	}
	now := time.Now()
	p.tracker = membership.New(name, uint64(now.UnixNano()), "boot-"+name, mrand.New(mrand.NewPCG(uint64(i), 1)), now)
	o := &cib.Options{}
	p.tracker.Configure(now, membership.Setup{
		Nodes: []string{heartbeatVoters[0], name}, Voters: heartbeatVoters, VoterEpoch: 1,
		// It knows of two nodes only, and has the interval of one that knows of all.
		Detection: o.DetectionTime(), Interval: o.HeartbeatInterval() * 5 / 3, Validity: o.ValidityTime(), Links: heartbeatLinks,
	})
	p.tracker.Know(now, membership.Knowledge{Generation: cib.DataGeneration{Number: 1, Nonce: 1}, DC: heartbeatVoters[1], Wall: now, Version: "bench"})
	return p, nil
}

func (p *swarmPeer) run(ctx context.Context) {
	timer := time.NewTimer(time.Duration(mrand.Int64N(int64(time.Second))))
	defer timer.Stop()
	for {
		var out []membership.Outgoing
		select {
		case <-ctx.Done():
			return
		case in, ok := <-p.transport.Packets():
			if !ok {
				return
			}
			if m, err := comm.Decode(in.Payload); err == nil {
				out, _ = p.tracker.Receive(time.Now(), in.Link, m)
			}
		case <-timer.C:
			p.tracker.Tick(time.Now())
			out = p.tracker.Beat(time.Now())
			timer.Reset(max(time.Millisecond, time.Until(p.tracker.NextWake(time.Now()))))
		}
		for i := range out {
			if out[i].To != heartbeatVoters[0] {
				continue // the other voters are there only as peers
			}
			if b, err := comm.Encode(&out[i].Msg); err == nil {
				_ = p.transport.Send(out[i].To, out[i].Msg.On, b)
			}
		}
	}
}

// Voter is the process that is measured: the links and the node of an engine, with
// the loop of its owner goroutine, until its input ends.
func Voter(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	from := json.NewDecoder(in)
	var setup voterSetup
	if err := from.Decode(&setup); err != nil {
		return fmt.Errorf("read the setup: %w", err)
	}
	key, err := x509.ParseECPrivateKey(setup.Key)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	cfg := comm.Config{Node: heartbeatVoters[0], Key: key, Links: swarmLinks(0)}
	snap := &cib.Snapshot{Revision: 1, ConfigGen: cib.ConfigGeneration{Number: 1}, Config: &cib.Config{Nodes: map[string]*cib.Node{}}}
	snap.Config.Nodes[cfg.Node] = &cib.Node{Addresses: make([]string, heartbeatLinks)}
	for _, p := range setup.Peers {
		pub, err := comm.ParseKey(p.Key)
		if err != nil {
			return err
		}
		cfg.Peers = append(cfg.Peers, comm.Peer{Node: p.Name, Key: pub, Addrs: p.Addrs})
		snap.Config.Nodes[p.Name] = &cib.Node{Addresses: make([]string, heartbeatLinks)}
	}
	snap.Status.Generation = cib.DataGeneration{Number: 1, Nonce: 1}
	snap.Status.Voters = &cib.VoterSet{Epoch: 1, Voters: heartbeatVoters}
	t, err := comm.New(cfg)
	if err != nil {
		return err
	}
	if err := t.Start(ctx); err != nil {
		return err
	}
	defer t.Stop()
	defer cancel()
	addrs, err := boundLinks(t)
	if err != nil {
		return err
	}
	to := json.NewEncoder(out)
	if err := to.Encode(addrs); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in)
	}()
	go idle.Run(ctx, 0)

	now := time.Now()
	n := node.New(node.Setup{
		Name: cfg.Node, Incarnation: uint64(now.UnixNano()), BootID: "boot-v1", Version: "bench", Cores: 1,
		Rand: mrand.New(mrand.NewPCG(1, 1)),
	}, now)
	step := func(ev node.Event) {
		for _, eff := range n.Step(time.Now(), ev) {
			if s, ok := eff.(node.Send); ok {
				if b, err := comm.Encode(&s.Message); err == nil {
					_ = t.Send(s.To, s.Message.On, b)
				}
			}
		}
	}
	step(node.Changed{Snap: snap})
	report := time.NewTicker(time.Second)
	defer report.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var decoder comm.Decoder
	for {
		select {
		case <-ended:
			return nil
		case p := <-t.Packets():
			m, err := decoder.Decode(&p)
			if err != nil {
				return fmt.Errorf("a message of %s: %w", p.From, err)
			}
			step(node.Heard{Link: p.Link, Message: m})
			if len(t.Packets()) > 0 {
				continue
			}
		case <-timer.C:
			step(node.Tick{Wall: time.Now()})
		case <-report.C:
			f := voterFigures{At: time.Now(), CPU: idle.CPUTime(), Alive: len(n.Alive(time.Now()))}
			for _, s := range t.Stats() {
				f.Sent, f.Received = f.Sent+s.Sent, f.Received+s.Received
			}
			if err := to.Encode(&f); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
		now := time.Now()
		timer.Reset(max(time.Millisecond, min(time.Second, n.NextWake(now).Sub(now))))
	}
}
