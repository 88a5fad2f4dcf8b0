// Command belayd is the engine: one on every node. Called as "belayd etcd FILE" it
// is a member of the store, as a child of the engine; "belayd restore FILE" brings
// a backup back while no engine runs; "belayd --remote" is a remote node, which runs
// agents for a member, and "belayd remote-join" gets it its certificate.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/daemon"
	"github.com/belay-ha/belay/engine/idle"
	"github.com/belay-ha/belay/engine/store"
)

// version is stamped by the build.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "etcd" {
		os.Exit(member(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "restore" {
		os.Exit(restore(os.Args[2:], os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "remote-join" {
		os.Exit(remoteJoin(os.Args[2:], os.Stdin, os.Stderr))
	}
	os.Exit(engine(os.Args[1:], os.Stderr))
}

// remoteJoin gets this machine the certificate of a remote node. The token comes from
// standard input: a command line can be read by everybody.
func remoteJoin(args []string, stdin io.Reader, stderr io.Writer) int {
	fs := flag.NewFlagSet("belayd remote-join", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o := daemon.Options{Version: version, Log: slog.New(slog.NewTextHandler(stderr, nil))}
	fs.StringVar(&o.StateDir, "state-dir", "/var/lib/belay", "`directory` of belayd")
	fs.StringVar(&o.RunDir, "run-dir", "/run/belay", "`directory` of what does not survive a reboot")
	server := fs.String("server", "", "`address` of a member of the cluster, where the token does not name one")
	node := fs.String("node", "", "`name` of this remote node (default: the host's)")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "usage: belayd remote-join [--server ADDRESS] [--node NAME] < TOKEN")
		return 2
	}
	o.Socket = filepath.Join(o.RunDir, "belayd.sock")
	token, err := io.ReadAll(io.LimitReader(stdin, 4096))
	syscall.Umask(0o022)
	var d *daemon.Daemon
	if err == nil {
		d, err = daemon.New(o)
	}
	if err == nil {
		err = d.JoinRemote(context.Background(), *server, string(token), *node)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "belayd remote-join:", err)
		return 1
	}
	return 0
}

// restore makes this node the only one of the cluster in a backup.
func restore(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("belayd restore", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("state-dir", "/var/lib/belay", "`directory` of the engine")
	node := fs.String("node", "", "`name` of this node (default: that of the node that wrote the backup)")
	addresses := fs.String("address", "", "`addresses` of this node, one for each link, with commas (default: those in the backup)")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() != 1 {
		_, _ = fmt.Fprintln(stderr, "usage: belayd restore [--state-dir DIR] [--node NAME] [--address ADDRESS[,ADDRESS]] FILE")
		return 2
	}
	as := daemon.RestoreAs{Node: *node}
	if *addresses != "" {
		as.Addresses = strings.Split(*addresses, ",")
	}
	syscall.Umask(0o022)
	if err := daemon.Restore(fs.Arg(0), *dir, as, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		_, _ = fmt.Fprintln(stderr, "belayd restore:", err)
		return 1
	}
	return 0
}

// member serves as a member of the store until its parent lets go.
func member(args []string) int {
	if len(args) != 1 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: belayd etcd FILE")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := store.ServeChild(ctx, args[0], os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "belayd etcd:", err)
		return 1
	}
	return 0
}

func engine(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("belayd", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprint(stderr, `belayd: the engine of the Belay cluster manager, one on every node

It waits for "belay cluster init" or "belay cluster join" on a node that is in no
cluster yet. SIGTERM ends it and leaves resources running.

Flags:
`)
		fs.PrintDefaults()
	}
	o := daemon.Options{Version: version, Level: &slog.LevelVar{}, Query: model.CheckQuery}
	fs.StringVar(&o.StateDir, "state-dir", "/var/lib/belay", "`directory` of what survives a reboot")
	fs.StringVar(&o.RunDir, "run-dir", "/run/belay", "`directory` of what does not survive a reboot")
	fs.StringVar(&o.Socket, "socket", "/run/belay/belayd.sock", "unix `socket` to listen on")
	fs.StringVar(&o.Group, "group", "belay", "`group` whose members may read at the socket")
	fs.StringVar(&o.ShimDir, "shim-dir", "/usr/lib/belay/shim", "`directory` of the tools that agents call")
	fs.StringVar(&o.Watchdog, "watchdog", "/dev/watchdog", "watchdog `device`, used if it is there; empty for none")
	fs.StringVar(&o.BootID, "boot-id", "", "`id` of the boot instead of the machine's own; for belay dev only")
	fs.StringVar(&o.LogLevelStore, "store-log-level", "error", "`level` of the store member's own log")
	mgmt := fs.String("mgmt-user", "belay-mgmtd", "`user` of the management daemon, which may name other actors")
	ocf := fs.String("ocf-root", "/usr/lib/ocf", "`directories` of OCF agents, separated by colons")
	fence := fs.String("fence-dir", "/usr/sbin", "`directories` of fence agents, separated by colons")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	fs.BoolVar(&o.Arbiter, "arbiter", false, "join as an arbiter: a voter that hosts nothing")
	remote := fs.Bool("remote", false, "run as a remote node: agents only, for the member that connects")
	listen := fs.String("listen", fmt.Sprintf(":%d", cib.DefaultRemotePort), "`addresses` on which a remote node waits for members, with commas")
	show := fs.Bool("version", false, "print the version and end")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *show {
		_, _ = fmt.Fprintln(os.Stdout, "belayd", version)
		return 0
	}
	if fs.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "belayd: %q is not a flag; belayd --help lists them\n", fs.Arg(0))
		return 2
	}
	if *remote && os.Getpid() == 1 {
		return daemon.FirstProcess(stderr)
	}
	if err := o.Level.UnmarshalText([]byte(*level)); err != nil {
		_, _ = fmt.Fprintf(stderr, "belayd: --log-level %q: a level is debug, info, warn or error\n", *level)
		return 2
	}
	o.MgmtUID = uidOf(*mgmt)
	o.OCFRoots, o.FenceDir = strings.Split(*ocf, ":"), strings.Split(*fence, ":")
	syscall.Umask(0o022)
	o.Log = slog.New(newHandler(stderr, o.Level))
	o.Ready = func() { _, _ = sd.SdNotify(false, sd.SdNotifyReady) }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go idle.Run(ctx, 0)
	d, err := daemon.New(o)
	switch {
	case err != nil:
	case *remote:
		err = d.RunRemote(ctx, strings.Split(*listen, ","))
	default:
		err = d.Run(ctx)
	}
	if err != nil {
		o.Log.Error("belayd ends", "err", err)
		return 1
	}
	return 0
}

// uidOf returns the number of a user; 0 where there is none of that name, which
// gives nobody a right.
func uidOf(name string) uint32 {
	u, err := user.Lookup(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
