package agent

import (
	"fmt"
	"regexp"
	"strings"
)

// The classes of resource agents.
const (
	ClassOCF     = "ocf"
	ClassSystemd = "systemd"
	ClassLSB     = "lsb"
	ClassService = "service" // systemd or lsb, whichever knows the name
	ClassBelay   = "belay"   // built in
)

// ID names a resource agent.
type ID struct {
	Class    string
	Provider string // of class ocf only
	Type     string
}

// String gives "ocf:heartbeat:IPaddr2", "systemd:nginx".
func (id ID) String() string {
	if id.Provider == "" {
		return id.Class + ":" + id.Type
	}
	return id.Class + ":" + id.Provider + ":" + id.Type
}

// namePattern keeps names inside their directory: no slash, no leading dot.
var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$`)
	unitPattern = regexp.MustCompile(`^[A-Za-z0-9_:@\\-][A-Za-z0-9_.:@\\-]{0,255}$`)
)

// ParseID reads what String writes. It accepts "ocf::provider:type", as some
// configurations have it, too.
func ParseID(s string) (ID, error) {
	class, rest, ok := strings.Cut(s, ":")
	if !ok {
		return ID{}, fmt.Errorf("agent %q: want class:type or ocf:provider:type", s)
	}
	id := ID{Class: class, Type: rest}
	if class == ClassOCF {
		id.Provider, id.Type, ok = strings.Cut(strings.TrimPrefix(rest, ":"), ":")
		if !ok {
			return ID{}, fmt.Errorf("agent %q: want ocf:provider:type", s)
		}
	}
	return id, id.check()
}

func (id ID) check() error {
	switch id.Class {
	case ClassOCF:
		if !namePattern.MatchString(id.Provider) {
			return fmt.Errorf("agent %q: %q is no name of a provider", id, id.Provider)
		}
	case ClassSystemd, ClassService:
		if !unitPattern.MatchString(id.Type) {
			return fmt.Errorf("agent %q: %q is no name of a unit", id, id.Type)
		}
		return nil
	case ClassLSB, ClassBelay:
	default:
		return fmt.Errorf("agent %q: unknown class %q; there are ocf, systemd, lsb, service and belay", id, id.Class)
	}
	if !namePattern.MatchString(id.Type) {
		return fmt.Errorf("agent %q: %q is no name of an agent", id, id.Type)
	}
	return nil
}
