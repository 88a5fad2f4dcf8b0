package membership

import (
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Limits of what a message may hold and a tracker keeps.
const (
	MaxNodes  = 2000 // configured nodes; more are ignored, in the order of their names
	MaxVoters = 64   // voters; more are ignored, in the order of their names
	MaxLinks  = 8    // links between two nodes
	MaxName   = 253  // bytes of a node's name, RFC 1035 section 2.3.4 without the root
	MaxHears  = 512  // entries of Message.Hears; more go with the next messages
)

// Message is what nodes tell each other over the links, many times a second. A
// message is for one receiver. It is not changed after it was made.
type Message struct {
	From        string
	Incarnation uint64 // of the sender's engine
	BootID      string // of the sender's machine
	Seq         uint64 // rises by one with every message to this receiver, from 1 in each incarnation
	Nonce       uint64 // drawn by the sender, never 0; the receiver echoes it
	Answer      bool   // answers a message, and is not answered itself
	Echo        Echo   // the newest nonce heard from the receiver
	Links       uint32 // bit n: the receiver was heard on link n lately
	On          uint32 // bit n: this message is sent on link n; 0: on all, by an older release
	Before      uint32 // On of the message with the number before

	Voter      bool          // the sender is a voter, as it sees the voter set
	Echoes     bool          // this message counts for the receiver's validity
	Grant      time.Duration // a tie-breaker lets the sender's half act for so long; 0: none does
	Generation cib.DataGeneration
	VoterEpoch uint64
	View       uint64 // number of the newest view the sender knows
	InView     bool   // the receiver's incarnation is a member of View
	DC         string // as the sender sees it; "" when there is none
	ConfigGen  uint64

	// Hears is whom the sender hears: the changes after HearsFrom up to HearsRev,
	// of HearsTop in all. The receiver names the newest one it holds in
	// Echo.Hears. All are 0 where the receiver has no use for it.
	Hears     []Heard
	HearsFrom uint64 // 0: what was known before is forgotten
	HearsRev  uint64
	HearsTop  uint64

	Wall         time.Time     // the sender's wall clock
	Leaving      bool          // leaves the cluster
	Restarting   bool          // its engine will be back soon
	Stalled      time.Duration // it did not run for so long, a moment ago; 0: it ran
	FeatureLevel int
	Version      string
}

// Echo says what the sender of a message heard last from its receiver.
type Echo struct {
	Nonce uint64        // 0: nothing
	Held  time.Duration // since Nonce arrived
	Link  int           // the link it arrived on
	Hears uint64        // HearsRev held from the receiver
}

// Heard is a verdict about one peer.
type Heard struct {
	Node        string
	Incarnation uint64
	BootID      string
	OneWay      bool // its messages arrive, but it does not hear ours: it is not heard mutually
	Gone        bool // it is not heard any more
}

// Outgoing is a message to be sent over the links of Msg.On.
type Outgoing struct {
	To  string
	Msg Message
}

// NewsKind says what happened.
type NewsKind uint8

// The kinds of news.
const (
	PeerUp             NewsKind = iota + 1 // heard mutually from now on
	PeerDown                               // not heard any more
	PeerOneWay                             // its messages arrive, but it does not hear ours
	PeerRestarting                         // went silent after it had said that its engine restarts
	PeerLeft                               // went silent after it had said that it leaves
	PeerRestarted                          // has a new incarnation in the same boot
	PeerRebooted                           // has a new boot id
	LinkUp                                 // a link to a peer works again
	LinkDown                               // a link to a peer is down while another one works
	GenerationHigher                       // the peer has a higher data generation: this node is invalid
	GenerationConflict                     // the peer has the same generation number with another nonce
	ReportChanged                          // a voter's report in Hearing changed
	PeerChanged                            // the peer's view, epoch, DC, configuration, Leaving or Restarting changed
	Stalled                                // this node itself did not run for News.For
)

// News is what a call brought to light. It is empty most of the time.
type News []Item

// Item is one piece of news.
type Item struct {
	Kind NewsKind
	Node string
	Link int           // of LinkUp and LinkDown
	For  time.Duration // of Stalled
}

// Has reports whether news of a kind is among them.
func (n News) Has(k NewsKind) bool {
	for i := range n {
		if n[i].Kind == k {
			return true
		}
	}
	return false
}

// Setup is what a tracker needs of the configuration and the voter set.
type Setup struct {
	Nodes      []string       // all configured nodes, in any order, this one included
	Voters     []string       // of the newest voter set, in any order
	Votes      map[string]int // of voters that have more than one
	VoterEpoch uint64
	Detection  time.Duration // silence after which a peer is lost
	Interval   time.Duration // between heartbeats
	Validity   time.Duration // T
	Links      int
}

// Knowledge is what the node tells its peers. A view, or a data generation,
// lower than what was known before is ignored.
type Knowledge struct {
	Generation          cib.DataGeneration
	View                *cib.View
	DC                  string
	ConfigGen           uint64
	Wall                time.Time // the wall clock at the time of the call
	Leaving, Restarting bool
	FeatureLevel        int
	Version             string
}

// Peer is what a peer said last.
type Peer struct {
	Node         string
	Incarnation  uint64 // 0: never heard
	BootID       string
	Up           bool      // heard mutually
	OneWay       bool      // heard, but it does not hear us
	Heard        time.Time // when its newest message arrived
	Generation   cib.DataGeneration
	VoterEpoch   uint64
	View         uint64
	DC           string
	ConfigGen    uint64
	Leaving      bool
	Restarting   bool
	Stalled      time.Duration
	FeatureLevel int
	Version      string
}

// Hearing is who hears whom, as the voters report it.
type Hearing struct {
	Reports    []Report // sorted by node; only of voters whose report is complete and fresh
	Restarting []string // sorted; silent nodes that said that their engine restarts
	Left       []string // sorted; silent nodes that said that they leave
}

// Report is whom one voter hears. It always hears itself.
type Report struct {
	Node        string
	Incarnation uint64
	BootID      string
	Stalled     time.Duration // it did not run for so long: whom it does not hear may be there
	Hears       []Heard       // sorted by node; none is Gone
}

// ChooseInput is what a choice depends on besides the hearing.
type ChooseInput struct {
	Nodes      []string  // configured nodes; others never become members
	Voters     []string  // of the newest voter set
	Weights    []int     // votes of Voters, in their order; nil: one each
	Current    *cib.View // nil: none yet
	DC         string    // who holds the DC's key; "" when nobody does
	TieBreaker string    // option view-tie-breaker: dc (also "") or lowest-name
	Exclude    []string  // nodes that must not become members, for example fenced ones not heard in a new boot
}
