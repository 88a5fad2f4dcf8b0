package mgmtd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/gui"
	"github.com/belay-ha/belay/mgmtd/api"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/transitions"
	"github.com/belay-ha/belay/mgmtd/view"
)

// Port is where the management daemon listens.
const Port = "7443"

// Options say how the daemon is run; the flags of belay-mgmtd have the same names.
type Options struct {
	Socket      string   // of the engine
	PAMSocket   string   // of the PAM helper
	Listen      []string // addresses
	Metrics     string   // address for /metrics alone, without TLS and log-in; "" for none
	StateDir    string
	Cert, Key   string // files; "" where the cluster makes the certificate
	TLS12       bool   // older clients are served, too
	Idle, Life  time.Duration
	FailTime    time.Duration // of a refused log-in
	HeaderTime  time.Duration // in which a request's header must arrive; default 5s
	Rate        float64       // requests a second of one caller; 0: any number
	Connections int           // at a time
	PerAddress  int           // of one address
	Streams     int
	HACluster   bool     // metrics under the names of ha_cluster_exporter, too
	CIMListen   []string // addresses where CIM is answered over HTTPS
	CIMHTTP     string   // address on the loopback interface where it is answered over HTTP, too
	SNMPListen  string   // of the private SNMP agent, instead of the configured address
	Version     string
	Log         *slog.Logger
	// Ready is called once the daemon listens.
	Ready func(addresses []string)
}

// maintainEvery is how often what is over is cleaned up.
const maintainEvery = time.Minute

// shutdownMax bounds how long requests may go on when the daemon ends.
const shutdownMax = 5 * time.Second

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	engine := client.New(o.Socket)
	defer engine.Close()
	certs := &certificates{certFile: o.Cert, keyFile: o.Key, dir: o.StateDir, engine: engine, log: o.Log}
	if err := certs.open(); err != nil {
		return err
	}
	pages, err := gui.New(gui.Files())
	if err != nil {
		return fmt.Errorf("read the GUI: %w", err)
	}
	node := &nodeName{}
	holder := view.New(engine, o.Log)
	door := change.New(engine, o.Log)
	who := auth.New(auth.Options{Node: node.get, Idle: o.Idle, Life: o.Life, Fail: o.FailTime, Log: o.Log, Roles: door.Roles}, engine, &auth.Helper{Socket: o.PAMSocket})
	roles := make(chan struct{}, 1)
	holder.OnDocuments(who.Update)
	holder.OnDocuments(door.Update)
	cursors := &outbox.Cursors{}
	holder.OnDocuments(cursors.Update)
	holder.OnConfig(func(c *cib.Config) {
		node.ask(ctx, engine)
		door.SetConfig(c)
		select {
		case roles <- struct{}{}:
		default:
		}
	})
	snmp := newSNMP(&o, holder, engine, node.get)
	jobs := job.New(holder, engine)
	notifiable := holder.ConfigChanges()
	past, err := transitions.Open(filepath.Join(o.StateDir, "transitions.json"))
	if err != nil {
		o.Log.Warn("the transitions of the past are lost", "err", err)
	}
	server := api.New(api.Options{
		Transitions: past, Cursors: cursors,
		Version: o.Version, Node: node.get, Log: o.Log, View: holder, Auth: who, Door: door, Engine: engine, As: client.WithActor, GUI: pages, Jobs: jobs,
		Rate: o.Rate, Streams: o.Streams, HACluster: o.HACluster,
	})
	wbem, err := newCIM(&o, who, certs, holder, door, engine, node.get, jobs, server.Allow)
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work.Go(func() { holder.Run(ctx) })
	work.Go(func() { past.Run(ctx, holder, engine, o.Log) })
	work.Go(func() { certs.run(ctx) })
	work.Go(func() { snmp.run(ctx) })
	work.Go(func() { wbem.run(ctx) })
	work.Go(func() { notifiers(ctx, holder, notifiable, engine, node.get, o.Log) })
	work.Go(func() { maintain(ctx, o.Log, who, door, roles) })
	return serve(ctx, &o, server, certs)
}

// maintain cleans up, and ends sessions whose users have other roles by now.
func maintain(ctx context.Context, log *slog.Logger, who *auth.Authenticator, door *change.Door, roles <-chan struct{}) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-roles:
			err = who.RolesChanged(ctx)
		case <-tick.C:
			err = errors.Join(who.Maintain(ctx), door.Maintain(ctx))
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("housekeeping of sessions and approvals waits", "err", err)
		}
	}
}

// newServer is an HTTP server whose requests may end after ctx has.
func newServer(ctx context.Context, o *Options, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: cmp.Or(o.HeaderTime, 5*time.Second), ReadTimeout: 20 * time.Second, WriteTimeout: 3 * time.Minute, IdleTimeout: 90 * time.Second,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// serve listens until ctx ends.
func serve(ctx context.Context, o *Options, server *api.Server, certs *certificates) error {
	version := uint16(tls.VersionTLS13)
	if o.TLS12 {
		version = tls.VersionTLS12
	}
	main := newServer(ctx, o, server)
	main.TLSConfig = certs.config(version)
	servers := []*http.Server{main}
	var serving sync.WaitGroup
	defer serving.Wait()
	ended := make(chan error, len(o.Listen)+1)
	var addresses []string
	listen := func(address string, start func(net.Listener) error) error {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		addresses = append(addresses, ln.Addr().String())
		ln = limit(ln, o.Connections, o.PerAddress)
		serving.Go(func() { ended <- start(ln) })
		return nil
	}
	var err error
	for _, a := range o.Listen {
		err = errors.Join(err, listen(a, func(ln net.Listener) error { return main.ServeTLS(ln, "", "") }))
	}
	if o.Metrics != "" {
		m := newServer(ctx, o, server.Metrics())
		servers = append(servers, m)
		err = errors.Join(err, listen(o.Metrics, m.Serve))
	}
	if err == nil {
		o.Log.Info("the management daemon answers", "addresses", addresses)
		if o.Ready != nil {
			o.Ready(addresses)
		}
		select {
		case <-ctx.Done():
		case err = <-ended:
		}
	}
	server.Stop()
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownMax)
	defer cancel()
	for _, srv := range servers {
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close()
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// nodeName is the name of this node, once its engine has told it.
type nodeName struct{ name atomic.Pointer[string] }

func (n *nodeName) get() string {
	if p := n.name.Load(); p != nil {
		return *p
	}
	return ""
}

// ask asks the engine, until it knows.
func (n *nodeName) ask(ctx context.Context, engine *client.Client) {
	if n.get() != "" {
		return
	}
	if l, err := engine.Local(ctx); err == nil && l.Node != "" {
		n.name.Store(&l.Node)
	}
}
