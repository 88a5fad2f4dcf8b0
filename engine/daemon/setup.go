package daemon

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"
	"sync"

	"github.com/belay-ha/belay/engine/api"
)

// codeTriesMax is how often a set-up code may be guessed wrong. Then it is void until
// the next start of the engine.
const codeTriesMax = 5

// setupCode lets somebody who reads this engine's log make or join a cluster by the
// management daemon. Root needs none.
type setupCode struct {
	mu    sync.Mutex
	code  string
	tries int
}

// draw makes a code: 16 letters and digits, 80 bits.
func (s *setupCode) draw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := strings.ToLower(rand.Text())
	s.code = t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
	return s.code
}

// take reports whether a code is right.
func (s *setupCode) take(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	code = strings.ToLower(strings.TrimSpace(code))
	if s.code == "" || s.tries >= codeTriesMax {
		return false
	}
	if subtle.ConstantTimeCompare([]byte(s.code), []byte(code)) == 1 {
		return true
	}
	s.tries++
	return false
}

// checkCode asks who comes by the management daemon for the set-up code.
func (d *Daemon) checkCode(c *caller, code string) error {
	if !c.behalf || d.code.take(code) {
		return nil
	}
	return api.NewProblem(api.CodeSetup, "the set-up code of this node is needed, and it was not that one")
}
