package comm

import (
	"context"
	"crypto/ecdsa"
	"net/netip"
	"time"

	"github.com/belay-ha/belay/engine/membership"
)

// Config is what a transport starts with.
type Config struct {
	Node  string
	Key   *ecdsa.PrivateKey // of the node's certificate, P-256
	Links []netip.AddrPort  // own address and port on each link
	Peers []Peer
	// Now is the clock of Packet.Received; nil means [time.Now].
	Now func() time.Time
	// Log is told of what was dropped, each kind at most every ten seconds; nil
	// means nobody is. It must not block.
	Log func(Problem)
}

// Peer is another node.
type Peer struct {
	Node  string
	Key   *ecdsa.PublicKey // of its certificate, P-256; see [ParseKey]
	Addrs []netip.AddrPort // one for each link; an invalid one: not on that link
}

// Packet is what arrived, authentic and not seen before.
type Packet struct {
	From     string
	Link     int
	Payload  []byte
	Received time.Time
}

// Problem says what was dropped.
type Problem struct {
	Reason string         // constant text
	Node   string         // the peer, where it is known
	Link   int            // link
	Source netip.AddrPort // where it came from
	Count  uint64         // how many since the last report
	Err    error          // of the operating system
}

// Transport sends and receives.
type Transport struct{}

// New checks the configuration.
func New(cfg Config) (*Transport, error) { return &Transport{}, nil }

// Start opens the links. A link whose address is not there is tried again.
func (t *Transport) Start(ctx context.Context) error { return nil }

// Stop closes the links and waits for the end of their goroutines. It is safe twice.
func (t *Transport) Stop() {}

// Packets is where packets arrive; it is closed by Stop.
func (t *Transport) Packets() <-chan Packet { return nil }

// Send seals the payload for a peer and queues it on every link. It never waits.
func (t *Transport) Send(to string, payload []byte) error { return nil }

// SendLink is Send on one link.
func (t *Transport) SendLink(to string, link int, payload []byte) error { return nil }

// SetPeers replaces the peers. What arrives from a node that is none is dropped.
func (t *Transport) SetPeers(peers []Peer) error { return nil }

// SetLinks replaces the own addresses.
func (t *Transport) SetLinks(links []netip.AddrPort) error { return nil }

// LinkStats are the counters of one link to one peer.
type LinkStats struct {
	Peer                     string
	Link                     int
	Sent, Received, Rejected uint64
}

// Stats returns the counters, sorted by peer and link.
func (t *Transport) Stats() []LinkStats { return nil }

// Encode writes a message.
func Encode(m *membership.Message) ([]byte, error) { return nil, nil }

// Decode reads a message. What it returns is within the limits of the
// membership package.
func Decode(b []byte) (*membership.Message, error) { return nil, nil }

// ParseKey reads the base64 of a subject public key info: cib.Node.PublicKey.
func ParseKey(text string) (*ecdsa.PublicKey, error) { return nil, nil }
