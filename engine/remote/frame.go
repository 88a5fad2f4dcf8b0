package remote

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent"
)

// frameMaxBytes bounds one frame. A request's parameters have at most 1 MiB.
const frameMaxBytes = 4 << 20

// Times of the protocol.
const (
	pingEvery = time.Second
	// silentMax is how long either side may say nothing until the connection is given up.
	silentMax = 5 * time.Second
	writeMax  = 5 * time.Second
)

// protocol is the version of the frames.
const protocol = 1

// freshMax is how old what was heard of the proxy may be at most when something begins
// that concerns another node.
const freshMax = 2 * pingEvery

// frame is what goes over the connection; one of the pointers is set.
type frame struct {
	Hello   *hello   `json:"hello,omitempty"`
	Welcome *welcome `json:"welcome,omitempty"`
	Run     *run     `json:"run,omitempty"`
	Kill    *kill    `json:"kill,omitempty"`
	Done    *done    `json:"done,omitempty"`
	Ping    *ping    `json:"ping,omitempty"`
	Pong    *pong    `json:"pong,omitempty"`
}

// hello is the first frame, of the proxy.
type hello struct {
	Protocol int    `json:"protocol"`
	Remote   string `json:"remote"` // whom it wants
	Proxy    string `json:"proxy"`
	Epoch    uint64 `json:"epoch"`
}

// welcome answers it, once nothing of an older connection runs any more.
type welcome struct {
	BootID  string `json:"bootId"`
	Version string `json:"version"`
	Cores   int    `json:"cores"`
	Error   string `json:"error,omitempty"` // why the connection is not taken
}

type run struct {
	ID      uint64        `json:"id"`
	Request agent.Request `json:"request"` // without NotAfter, which is another machine's clock
}

type kill struct {
	ID uint64 `json:"id"`
}

type done struct {
	ID         uint64       `json:"id"`
	Result     agent.Result `json:"result"`
	Reloadable []string     `json:"reloadable,omitempty"`
}

type ping struct {
	Nonce uint64 `json:"nonce"`
}

type pong struct {
	Nonce uint64        `json:"nonce"`
	Valid time.Duration `json:"validNs"` // how long the proxy may act
}

// wire writes and reads frames: a length of 4 bytes, and JSON.
type wire struct {
	c  net.Conn
	r  *bufio.Reader
	mu sync.Mutex
}

func newWire(c net.Conn) *wire { return &wire{c: c, r: bufio.NewReader(c)} }

func (w *wire) write(f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	if len(b) > frameMaxBytes {
		return fmt.Errorf("a frame has %d bytes, %d are allowed", len(b), frameMaxBytes)
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.c.SetWriteDeadline(time.Now().Add(writeMax)); err != nil {
		return err
	}
	_, err = w.c.Write(append(out, b...))
	return err
}

func (w *wire) read() (frame, error) {
	var f frame
	if err := w.c.SetReadDeadline(time.Now().Add(silentMax)); err != nil {
		return f, err
	}
	var size [4]byte
	if _, err := io.ReadFull(w.r, size[:]); err != nil {
		return f, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > frameMaxBytes {
		return f, fmt.Errorf("a frame of %d bytes was announced, %d are allowed", n, frameMaxBytes)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("read a frame: %w", err)
	}
	return f, nil
}
