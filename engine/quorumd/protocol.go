package quorumd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Version is the version of the protocol.
const Version = 1

// Limits of the protocol. What is beyond them ends the connection.
const (
	LineMax     = 8 << 10 // bytes of one message, with its newline
	NameMax     = 64      // bytes of a name
	VotersMax   = 64      // voters of a cluster
	TicketsMax  = 64      // tickets that one request names
	LeaseMin    = 500 * time.Millisecond
	LeaseMax    = 5 * time.Minute
	HandoverMax = time.Hour
)

// RequestType is what a client asks.
type RequestType string

// The requests.
const (
	Hello   RequestType = "hello"   // the first one: who it is
	Beat    RequestType = "beat"    // what it sees; the answer is the server's heartbeat
	Same    RequestType = "same"    // a beat that says what the one before it said
	Open    RequestType = "open"    // begins the next data generation
	Acquire RequestType = "acquire" // asks for a ticket
	Release RequestType = "release" // gives a ticket back: what depends on it has stopped
)

// Request is one message of a client.
type Request struct {
	Type RequestType `json:"type"`
	Seq  uint64      `json:"seq"` // rises by one with each request of a connection, from 1

	// Of a hello.
	Version     int    `json:"version,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
	Node        string `json:"node,omitempty"`
	Incarnation uint64 `json:"incarnation,omitempty"` // rises with each start of the client

	// Of a beat.
	Generation Generation `json:"generation,omitzero"` // of the cluster's data
	Epoch      uint64     `json:"epoch,omitempty"`     // of the voter set
	Voters     []string   `json:"voters,omitempty"`    // sorted
	Present    []string   `json:"present,omitempty"`   // the voters that the node hears, itself among them; sorted
	Episode    uint64     `json:"episode,omitempty"`   // another one whenever Present has changed, or changed and changed back; an open names it too
	Want       bool       `json:"want,omitempty"`      // Present is half of Voters, and asks for the grant
	LeaseMs    int64      `json:"leaseMs,omitempty"`
	HandoverMs int64      `json:"handoverMs,omitempty"` // what the other half needs to stop, at worst
	Quorate    bool       `json:"quorate,omitempty"`    // speaks for its cluster: renews Tickets
	Tickets    []Held     `json:"tickets,omitempty"`

	Next   Generation `json:"next,omitzero"`    // of an open
	Ticket string     `json:"ticket,omitempty"` // of an acquire and a release
	Own    bool       `json:"own,omitempty"`    // of an acquire: for this node, not for its whole cluster
}

// Generation orders the data of a cluster; see cib.DataGeneration.
type Generation struct {
	Number uint64 `json:"number"`
	Nonce  uint64 `json:"nonce"`
}

// Held names a ticket that a cluster renews.
type Held struct {
	Ticket string `json:"ticket"`
	Term   uint64 `json:"term"`
}

// ReplyType is what the server says.
type ReplyType string

// The replies.
const (
	Welcome ReplyType = "welcome" // to a hello
	State   ReplyType = "state"   // to a beat
	Opened  ReplyType = "opened"  // to an open: the generation is begun
	Refused ReplyType = "refused" // to an open, acquire or release
	Granted ReplyType = "granted" // to an acquire
	Freed   ReplyType = "freed"   // to a release
	Poke    ReplyType = "poke"    // not asked for: the next beat has another answer
	Failure ReplyType = "error"   // the connection ends
)

// Answer is the answer to a beat that asks for the grant.
type Answer string

// The answers; none to a beat that does not ask.
const (
	Have Answer = "have" // this half has the grant
	No   Answer = "no"
)

// Reply is one message of the server.
type Reply struct {
	Type ReplyType `json:"type"`
	Seq  uint64    `json:"seq,omitempty"` // of the request; 0: of none

	Server string `json:"server,omitempty"` // of a welcome

	Answer  Answer `json:"answer,omitempty"`
	Episode uint64 `json:"episode,omitempty"` // of the beat
	LeaseMs int64  `json:"leaseMs,omitempty"` // of have: it ends so long after the request was sent
	// SettledInMs is the time until the hand-over delay has passed; -1: somebody of
	// this half has yet to ask. 0: the next generation may be opened.
	SettledInMs int64       `json:"settledInMs,omitempty"`
	Generation  Generation  `json:"generation,omitzero"` // the newest that the server knows
	Tickets     []HeldReply `json:"tickets,omitempty"`   // that the beat renewed, or that were given since

	Holder string `json:"holder,omitempty"` // of refused, code held: who has the ticket
	Code   string `json:"code,omitempty"`   // of no, refused and error: for programs
	Text   string `json:"text,omitempty"`   // the same for people
}

// HeldReply is the state of a ticket for the cluster that asks.
type HeldReply struct {
	Ticket  string `json:"ticket"`
	Held    bool   `json:"held"`
	Term    uint64 `json:"term,omitempty"`
	LeaseMs int64  `json:"leaseMs,omitempty"` // of a held one: it ends so long after the request was sent
	AfterMs int64  `json:"afterMs,omitempty"` // after that nobody else gets it for so long
	Code    string `json:"code,omitempty"`    // of one that is not held
	Text    string `json:"text,omitempty"`    // why it is not held
}

// Codes of refusals.
const (
	CodeStale     = "stale"        // its data is older than what is known
	CodeHistories = "histories"    // the same generation number with another nonce
	CodeUnknown   = "unknown-data" // no majority has reported this cluster's data yet
	CodeHeld      = "held"         // the other half, or another cluster, has it
	CodeNotHalf   = "not-half"     // only exactly half of the voters can be given quorum
	CodeUnsettled = "not-settled"  // the hand-over delay has not passed
	CodeNotHolder = "not-holder"
	CodeNoTicket  = "no-ticket" // not configured for this cluster
	CodeRevoked   = "revoked"
	CodeWait      = "wait" // soon: others are heard first
	CodeProtocol  = "protocol"
	CodeForbidden = "forbidden"
	CodeReplaced  = "replaced" // a newer connection of the same node is there
	CodeLimit     = "limit"
)

// ErrMessage is wrapped by what is wrong with a message.
var ErrMessage = errors.New("not a message of this protocol")

// ParseRequest reads one line from a client. Everything beyond the limits is an
// error; what is no message never reaches the arbiter.
func ParseRequest(line []byte) (*Request, error) {
	if len(line) > LineMax {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMessage, LineMax)
	}
	if seq, ok := parseSame(line); ok {
		return &Request{Type: Same, Seq: seq}, nil
	}
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return &r, r.check()
}

// The one message that comes all the time is read without the general decoder.
var samePrefix, sameSuffix = []byte(`{"type":"same","seq":`), []byte(`}`)

func parseSame(line []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), samePrefix)
	if !ok {
		return 0, false
	}
	if rest, ok = bytes.CutSuffix(rest, sameSuffix); !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(rest), 10, 64)
	return seq, err == nil
}

func (r *Request) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrMessage, fmt.Sprintf(format, args...))
	}
	for _, name := range []string{r.Cluster, r.Node, r.Ticket} {
		if !ValidName(name) && name != "" {
			return bad("%q is no name", name)
		}
	}
	switch r.Type {
	case Hello:
		if r.Cluster == "" || r.Node == "" {
			return bad("a hello names cluster and node")
		}
	case Beat:
		return r.checkBeat(bad)
	case Open:
		if r.Next.Number == 0 {
			return bad("an open names the next generation")
		}
	case Acquire, Release:
		if r.Ticket == "" {
			return bad("%s names a ticket", r.Type)
		}
	case Same:
	default:
		return bad("there is no request of that type")
	}
	return nil
}

func (r *Request) checkBeat(bad func(string, ...any) error) error {
	switch {
	case len(r.Voters) > VotersMax || len(r.Tickets) > TicketsMax:
		return bad("at most %d voters and %d tickets", VotersMax, TicketsMax)
	case r.LeaseMs < 0 || r.LeaseMs > LeaseMax.Milliseconds() || r.LeaseMs > 0 && r.LeaseMs < LeaseMin.Milliseconds():
		return bad("a lease is %s to %s", LeaseMin, LeaseMax)
	case r.HandoverMs < 0 || r.HandoverMs > HandoverMax.Milliseconds():
		return bad("a hand-over delay is at most %s", HandoverMax)
	case r.Want && (r.LeaseMs == 0 || r.Generation.Number == 0):
		return bad("who asks for the grant names lease and generation")
	}
	for i, list := range [][]string{r.Voters, r.Present} {
		for j, name := range list {
			switch {
			case !ValidName(name):
				return bad("%q is no name", name)
			case j > 0 && list[j-1] >= name:
				return bad("voters are sorted, each once")
			case i == 1 && !slices.Contains(r.Voters, name):
				return bad("%s is no voter", name)
			}
		}
	}
	return nil
}

// ValidName reports whether text can be the name of a cluster, node or ticket:
// letters, digits, dot, dash and underscore, not beginning with a dot.
func ValidName(text string) bool {
	if text == "" || len(text) > NameMax || text[0] == '.' {
		return false
	}
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// AppendReply appends a reply as one line.
func AppendReply(b []byte, r *Reply) []byte {
	if r.Type == State && r.Answer == "" && len(r.Tickets) == 0 && r.Code == "" {
		b = append(b, `{"type":"state","seq":`...) // all the time
		b = strconv.AppendUint(b, r.Seq, 10)
		return append(b, "}\n"...)
	}
	return appendLine(b, r)
}

// AppendRequest appends a request as one line.
func AppendRequest(b []byte, r *Request) []byte {
	if r.Type == Same {
		b = append(b, samePrefix...)
		b = strconv.AppendUint(b, r.Seq, 10)
		return append(b, "}\n"...)
	}
	return appendLine(b, r)
}

func appendLine(b []byte, v any) []byte {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own messages always marshal
	}
	return append(append(b, line...), '\n')
}

// ParseReply reads one line from the server.
func ParseReply(line []byte) (*Reply, error) {
	if len(line) > LineMax {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMessage, LineMax)
	}
	var r Reply
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return &r, nil
}
