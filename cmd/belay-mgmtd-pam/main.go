//go:build cgo

// Command belay-mgmtd-pam checks passwords with PAM for the management daemon. It is
// the only program with cgo and the right to read the passwords' hashes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/auth/pamhelper"
)

// version is stamped by the build.
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("belay-mgmtd-pam", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprint(stderr, `belay-mgmtd-pam: asks PAM for belay-mgmtd whether a password is right

Flags:
`)
		fs.PrintDefaults()
	}
	socket := fs.String("socket", auth.HelperSocket, "unix `socket` to listen on")
	peer := fs.String("peer-user", "belay-mgmtd", "`user` that is answered, besides root and this process's own")
	service := fs.String("service", "belay", "PAM `service`")
	confdir := fs.String("pam-dir", "", "`directory` of the PAM service file instead of /etc/pam.d")
	groups := fs.String("group-file", "", "`file` like /etc/group with the groups of users, instead of the system's")
	show := fs.Bool("version", false, "print the version and end")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *show {
		_, _ = fmt.Fprintln(os.Stdout, "belay-mgmtd-pam", version)
		return 0
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	pam := &pamhelper.PAM{Service: *service, ConfDir: *confdir}
	s := &pamhelper.Server{Check: pam.Check, Groups: pamhelper.SystemGroups, Log: log}
	if *groups != "" {
		s.Groups = pamhelper.FileGroups(*groups)
	}
	if u, err := user.Lookup(*peer); err == nil {
		if n, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			s.UID = uint32(n)
		}
	}
	ln, err := listen(ctx, *socket)
	if err == nil {
		err = s.Serve(ctx, ln)
	}
	if err != nil {
		log.Error("belay-mgmtd-pam ends", "err", err)
		return 1
	}
	return 0
}

// listen opens the socket. Anybody may connect: who it is decides.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // peer credentials decide, not the mode
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return ln, nil
}
