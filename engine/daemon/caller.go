package daemon

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/api"
)

// ruleBreakGlass is what allows what root does at the socket: it needs no role, and
// all of it is recorded.
const ruleBreakGlass = "break-glass"

// actorKey is the context key of the caller.
type actorKey struct{}

// peer finds out who is at the other end of the socket: the kernel tells, not the
// caller.
func (d *Daemon) peer(c net.Conn) (*caller, error) {
	cred, err := credentials(c)
	if err != nil {
		return nil, err
	}
	p := &caller{Actor: api.Actor{User: strconv.Itoa(int(cred.Uid)), UID: cred.Uid, Via: "socket"}}
	u, err := user.LookupId(p.User)
	member := false
	if err == nil {
		p.User = u.Username
		if ids, err := u.GroupIds(); err == nil && d.gid != "" {
			member = slices.Contains(ids, d.gid)
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", cred.Pid)); err == nil {
		if id := strings.TrimSpace(string(b)); id != "4294967295" {
			p.LoginUID = id
			if lu, err := user.LookupId(id); err == nil {
				p.LoginUID = lu.Username
			}
		}
	}
	p.allow(uint32(os.Getuid()), d.opts.MgmtUID, member)
	if p.UID == 0 {
		p.Rule = ruleBreakGlass
	}
	return p, nil
}

// credentials asks the kernel who is at the other end of a connection.
func credentials(c net.Conn) (*unix.Ucred, error) {
	if l, wrapped := c.(*limited); wrapped {
		return credentials(l.Conn)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return nil, fmt.Errorf("peer credentials: %w", errors.Join(err, cerr))
	}
	return cred, nil
}

// allow says what the caller may do, from who it is: own is the engine's user,
// management the management daemon's or 0, member whether it is in the group belay.
func (c *caller) allow(own, management uint32, member bool) {
	c.names = c.UID == 0 || c.UID == own || management != 0 && c.UID == management
	c.writes = c.names
	c.reads = c.writes || member
}

// caller is who asks and what they may do at the socket: root and the engine's own
// user everything, the group belay to read; only root and the management daemon
// may name another actor.
type caller struct {
	api.Actor
	reads, writes, names bool
	behalf               bool // it speaks for somebody else, whom it has named
}

// named returns who is meant where the caller names another actor.
func (c *caller) named(header string) (*caller, error) {
	if header == "" {
		return c, nil
	}
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "only the management daemon may name another actor")
	}
	out := *c
	b, err := base64.StdEncoding.DecodeString(header)
	if err == nil {
		out.Actor = api.Actor{}
		err = json.Unmarshal(b, &out.Actor)
	}
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, api.ActorHeader+": "+err.Error())
	}
	out.behalf = true
	return &out, nil
}

func allowed(r *http.Request, write bool) (*caller, error) {
	c, _ := r.Context().Value(actorKey{}).(*caller)
	switch {
	case c == nil:
		return nil, api.NewProblem(api.CodeForbidden, "it is not known who asks")
	case write && !c.writes:
		return nil, api.NewProblem(api.CodeForbidden, fmt.Sprintf("user %s may not change the cluster at this socket", c.User))
	case !c.reads:
		return nil, api.NewProblem(api.CodeForbidden, fmt.Sprintf("user %s is not in the group belay", c.User))
	}
	return c, nil
}
