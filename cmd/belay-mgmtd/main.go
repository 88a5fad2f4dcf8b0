// Command belay-mgmtd is the management daemon: REST and what stands on it. It has no
// rights of its own, and talks to the engine on this node over its socket only.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/belay-ha/belay/mgmtd"
)

// version is stamped by the build.
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("belay-mgmtd", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprint(stderr, `belay-mgmtd: the management daemon of the Belay cluster manager

It serves REST, the web GUI, SNMP and CIM from the engine of this node, and lets in
who logs in. Users, roles, SNMP and notifications are configured with belay.

Flags:
`)
		fs.PrintDefaults()
	}
	o := mgmtd.Options{Version: version}
	fs.StringVar(&o.Socket, "socket", "/run/belay/belayd.sock", "unix `socket` of the engine")
	fs.StringVar(&o.PAMSocket, "pam-socket", "/run/belay-mgmtd-pam/pam.sock", "unix `socket` of the PAM helper")
	fs.StringVar(&o.StateDir, "state-dir", "/var/lib/belay-mgmtd", "`directory` of what survives a reboot")
	fs.StringVar(&o.Cert, "cert", "", "`file` with a certificate and its chain, PEM; default: the cluster makes one")
	fs.StringVar(&o.Key, "key", "", "`file` with the certificate's private key, PEM")
	fs.StringVar(&o.Metrics, "metrics-listen", "", "`address` for /metrics alone, without TLS and log-in")
	fs.BoolVar(&o.TLS12, "tls12", false, "serve clients that know TLS 1.2 only, too")
	fs.BoolVar(&o.HACluster, "ha-cluster-metrics", false, "offer metrics under the names of ha_cluster_exporter, too")
	fs.DurationVar(&o.Idle, "session-idle", 15*time.Minute, "`time` after which an unused session ends")
	fs.DurationVar(&o.Life, "session-life", 8*time.Hour, "the longest `time` of a session")
	fs.DurationVar(&o.FailTime, "login-fail-time", 3*time.Second, "`time` that a refused log-in takes, or a multiple of it")
	fs.Float64Var(&o.Rate, "rate", 500, "requests a second of one user; 0: any `number`")
	fs.IntVar(&o.Connections, "connections", 4096, "`number` of connections at a time")
	fs.IntVar(&o.PerAddress, "connections-per-address", 512, "`number` of connections of one address")
	fs.IntVar(&o.Streams, "streams", 2000, "`number` of event streams at a time")
	fs.StringVar(&o.SNMPListen, "snmp-listen", "", "`address` of the private SNMP agent, udp:ADDRESS:PORT; default: as configured")
	fs.StringVar(&o.CIMHTTP, "cim-http", "", "loopback `address` that answers CIM-XML over HTTP, without TLS, for clients on this node that know no better")
	cim := fs.String("cim-listen", ":"+mgmtd.CIMPort, "`addresses` that answer CIM-XML over HTTPS, separated by commas; empty: none")
	listen := fs.String("listen", ":"+mgmtd.Port, "`addresses` to listen on, separated by commas")
	level := fs.String("log-level", "info", "debug, info, warn or error")
	show := fs.Bool("version", false, "print the version and end")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *show {
		_, _ = fmt.Fprintln(os.Stdout, "belay-mgmtd", version)
		return 0
	}
	if fs.NArg() > 0 || (o.Cert == "") != (o.Key == "") {
		_, _ = fmt.Fprintln(stderr, "belay-mgmtd: --cert and --key go together; belay-mgmtd --help lists the flags")
		return 2
	}
	var l slog.LevelVar
	if err := l.UnmarshalText([]byte(*level)); err != nil {
		_, _ = fmt.Fprintf(stderr, "belay-mgmtd: --log-level %q: a level is debug, info, warn or error\n", *level)
		return 2
	}
	o.Listen = strings.Split(*listen, ",")
	if *cim != "" {
		o.CIMListen = strings.Split(*cim, ",")
	}
	o.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: &l}))
	o.Ready = func([]string) { _, _ = sd.SdNotify(false, sd.SdNotifyReady) }
	syscall.Umask(0o077)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := mgmtd.Run(ctx, o); err != nil {
		o.Log.Error("belay-mgmtd ends", "err", err)
		return 1
	}
	return 0
}
