package mgmtd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
	"github.com/belay-ha/belay/cim/server"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/mgmtd/auth"
	"github.com/belay-ha/belay/mgmtd/change"
	"github.com/belay-ha/belay/mgmtd/job"
	"github.com/belay-ha/belay/mgmtd/view"
	"github.com/belay-ha/belay/mgmtd/wbem"
)

// CIMPort is where the management daemon answers CIM-XML over HTTPS (wbem-https).
const CIMPort = "5989"

// cimAgain is how often a listener is tried again whose port another WBEM server has.
const cimAgain = 10 * time.Second

// cim is the WBEM server of the daemon, and its sender of indications.
type cim struct {
	opts   *Options
	log    *slog.Logger
	who    *auth.Authenticator
	server *server.Server
	certs  *certificates
	send   *indicationService
	allow  func(s *auth.Subject, address string) error // says where somebody asks too often; nil: a stranger

	mu   sync.Mutex
	urls []string
}

// newCIM makes the server and the sender of indications.
func newCIM(o *Options, who *auth.Authenticator, certs *certificates, holder *view.Holder, door *change.Door, engine *client.Client, node func() string, jobs *job.Book, allow func(*auth.Subject, string) error) (*cim, error) {
	if o.CIMHTTP != "" {
		host, _, err := net.SplitHostPort(o.CIMHTTP)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("CIM over HTTP has no encryption: %q is no address of the loopback interface", o.CIMHTTP)
		}
	}
	schemas, err := schema.Load()
	if err != nil {
		return nil, fmt.Errorf("compile the CIM schema: %w", err)
	}
	byName := map[string]*object.Schema{}
	for _, s := range schemas {
		byName[s.Namespace] = s
	}
	c := &cim{opts: o, log: o.Log, who: who, certs: certs, allow: allow}
	service := wbem.New(wbem.Options{
		Version: o.Version, Node: node, URLs: c.URLs, Schemas: byName, View: holder, Door: door, Engine: engine, Jobs: jobs, As: client.WithActor,
	})
	c.send = newIndications(holder, engine, node, byName[model.Root], service.State, o.Log)
	c.server = server.New(server.Options{
		Schemas: schemas, Aliases: map[string]string{"root/interop": "interop"}, Log: o.Log,
		Login: func(r *http.Request) (server.Session, error) {
			s, err := c.login(r)
			if err != nil {
				return nil, err
			}
			return service.Session(s), nil
		},
	})
	return c, nil
}

// login finds out who asks: by a password, or by a client certificate.
func (c *cim) login(r *http.Request) (*auth.Subject, error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	user, password, ok := r.BasicAuth()
	var s *auth.Subject
	switch {
	case ok:
		s, err = c.who.Remembered(r.Context(), auth.Login{User: user, Password: password, Address: address, Client: r.UserAgent(), Via: "cim"})
	case r.Header.Get("Authorization") == "" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		s, err = c.who.ClientCertificate(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo, time.Now())
	default:
		err = api.NewProblem(api.CodeLogin, "a user name and a password are needed, or a client certificate")
	}
	if err != nil {
		if often := c.allow(nil, address); often != nil {
			err = often
		}
		return nil, refusal(err)
	}
	if err := c.allow(s, address); err != nil {
		return nil, refusal(err)
	}
	s.Address, s.Via = address, "cim"
	return s, nil
}

// refusal is the answer to a log-in that was not good.
func refusal(err error) error {
	out := &server.Refusal{Status: http.StatusUnauthorized, Text: err.Error()}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		switch p.Code {
		case api.CodeTooMany:
			out.Status, out.RetryAfter = http.StatusTooManyRequests, p.RetryAfter
		case api.CodeNotRunning, api.CodeTimeout:
			out.Status = http.StatusServiceUnavailable
		}
	}
	return out
}

// URLs are where the server answers.
func (c *cim) URLs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.urls...)
}

// run listens until ctx ends. That another WBEM server has the port keeps the rest of
// the daemon from nothing: it is logged, and tried again.
func (c *cim) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for _, address := range c.opts.CIMListen {
		work.Go(func() {
			version := uint16(tls.VersionTLS13)
			if c.opts.TLS12 {
				version = tls.VersionTLS12
			}
			srv := newServer(ctx, c.opts, c.server)
			srv.TLSConfig = c.certs.config(version)
			srv.TLSConfig.NextProtos = []string{"http/1.1"} // the clients look at the case of headers
			c.listen(ctx, "https", address, srv, func(ln net.Listener) error { return srv.ServeTLS(ln, "", "") })
		})
	}
	if c.opts.CIMHTTP != "" {
		work.Go(func() {
			srv := newServer(ctx, c.opts, c.server)
			c.listen(ctx, "http", c.opts.CIMHTTP, srv, srv.Serve)
		})
	}
	work.Go(func() { c.send.run(ctx) })
	tick := time.NewTicker(cimAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.server.Expire()
		}
	}
}

// listen serves on one address until ctx ends.
func (c *cim) listen(ctx context.Context, scheme, address string, srv *http.Server, serve func(net.Listener) error) {
	down := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(down)
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownMax)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close()
		}
	})
	defer func() {
		if !stop() {
			<-down // requests may go on for a while
		}
	}()
	for told := false; ctx.Err() == nil; told = true {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			c.log.Info("CIM is answered", "address", ln.Addr().String(), "scheme", scheme)
			c.mu.Lock()
			c.urls = append(c.urls, scheme+"://"+ln.Addr().String())
			c.mu.Unlock()
			if err = serve(limit(ln, c.opts.Connections, c.opts.PerAddress)); errors.Is(err, http.ErrServerClosed) {
				return
			}
		}
		if ctx.Err() == nil && !told {
			c.log.Error("CIM can't be answered; another WBEM server may have the port", "address", address, "err", err, "again", strconv.Itoa(int(cimAgain.Seconds()))+"s")
		}
		select {
		case <-ctx.Done():
		case <-time.After(cimAgain):
		}
	}
}
