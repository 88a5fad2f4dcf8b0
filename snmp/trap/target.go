package trap

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/snmp/usm"
)

// Target is one receiver of notifications.
type Target struct {
	Name      string
	Address   string // host:port
	Version   Version
	Inform    bool      // wait for the receiver's answer, and send again without it
	Community string    // v2c
	User      *usm.User // v3
	Filter    outbox.Filter
	Timeout   time.Duration
	Retries   int
}

// Version is a version of SNMP that has notifications with an identity of their own.
type Version uint8

// The versions.
const (
	V2c Version = iota + 1
	V3
)

// Check says what is wrong with a target.
func (t *Target) Check() error {
	host, port, err := net.SplitHostPort(t.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return fmt.Errorf("target %s: %q is no host:port", t.Name, t.Address)
	}
	switch t.Version {
	case V2c:
		if t.Community == "" {
			return fmt.Errorf("target %s: no community", t.Name)
		}
	case V3:
		if err := t.User.Check(); err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
	default:
		return errors.New("target " + t.Name + ": no version")
	}
	return nil
}
