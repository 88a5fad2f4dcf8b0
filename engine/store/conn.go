package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// Endpoint is one way to one member.
type Endpoint struct {
	Node  string // whose member it is; empty for an external store
	URL   string // https://10.0.0.1:7401, or unixs:///run/belay/etcd.sock
	Local bool   // this node's own: preferred, and returned to
}

// conn is a connection to one endpoint. It speaks etcd's protocol directly, since
// etcd's client tries writes again by rules of its own and hides what was sent.
type conn struct {
	ep     Endpoint
	cc     *grpc.ClientConn
	kv     pb.KVClient
	watch  pb.WatchClient
	lease  pb.LeaseClient
	member pb.ClusterClient
	maint  pb.MaintenanceClient
	auth   pb.AuthClient

	term atomic.Uint64 // raft term of the newest answer
	left chan struct{} // closed when the store turned to another endpoint

	mu      sync.Mutex
	users   int // calls under way
	closing bool
}

// timing of connections, from the election timeout of the members.
type patience struct {
	election time.Duration
	connect  time.Duration // for a connection, with TLS
	probe    time.Duration // for the answer to a read
}

func patienceFor(detection time.Duration) patience {
	_, election := Timing(detection)
	wait := min(max(2*election, 500*time.Millisecond), 5*time.Second)
	return patience{election: election, connect: wait, probe: wait}
}

func dial(ep Endpoint, tlsConfig *tls.Config, p patience) (*conn, error) {
	u, err := url.Parse(ep.URL)
	if err != nil {
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	network, address, secure := "tcp", u.Host, true
	switch u.Scheme {
	case "https":
	case "http":
		secure = false
	case "unixs":
		network, address = "unix", u.Path
	default:
		return nil, fmt.Errorf("connect to the store at %s: the address begins with neither https:// nor unixs://", ep.URL)
	}
	creds := insecure.NewCredentials()
	if secure {
		if tlsConfig == nil {
			return nil, fmt.Errorf("connect to the store at %s: no certificate", ep.URL)
		}
		cfg := tlsConfig.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = u.Hostname()
		}
		creds = credentials.NewTLS(cfg)
	}
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if network != "tcp" {
			return nil
		}
		// Unanswered bytes end the connection: a silent link shows soon.
		return errors.Join(c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(p.probe.Milliseconds()))
		}))
	}}
	cc, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithStatsHandler(sentHandler{}),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: p.election / 2},
			MinConnectTimeout: p.connect,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: p.probe}),
		grpc.WithReadBufferSize(16<<10), grpc.WithWriteBufferSize(16<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(RequestMaxBytes)))
	if err != nil {
		return nil, fmt.Errorf("connect to the store at %s: %w", ep.URL, err)
	}
	return &conn{
		ep: ep, cc: cc, left: make(chan struct{}),
		kv: pb.NewKVClient(cc), watch: pb.NewWatchClient(cc), lease: pb.NewLeaseClient(cc),
		member: pb.NewClusterClient(cc), maint: pb.NewMaintenanceClient(cc), auth: pb.NewAuthClient(cc),
	}, nil
}

// use keeps the connection open until done is called; false when it is closed.
func (c *conn) use() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.users++
	return true
}

func (c *conn) done() {
	c.mu.Lock()
	c.users--
	last := c.closing && c.users == 0
	c.mu.Unlock()
	if last {
		_ = c.cc.Close()
	}
}

// leave closes the connection once its calls have ended. Calls are bounded, and
// breaking off a write that is about to be answered would make its outcome
// unknown.
func (c *conn) leave() {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing = true
	idle := c.users == 0
	c.mu.Unlock()
	close(c.left)
	if idle {
		_ = c.cc.Close()
	}
}

// withLeader asks the member to refuse the call at once when it has no leader.
func withLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
}

// sentHandler notes whether a call's request was given to a connection. When it
// was not, the call certainly had no effect.
type sentHandler struct{}

type sentKey struct{}

func withSent(ctx context.Context) (context.Context, *atomic.Bool) {
	sent := &atomic.Bool{}
	return context.WithValue(ctx, sentKey{}, sent), sent
}

func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (sentHandler) HandleConn(context.Context, stats.ConnStats)                       {}

func (sentHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutHeader); ok {
		if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
			sent.Store(true)
		}
	}
}
