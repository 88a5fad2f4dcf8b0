package store

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/idle"
)

// Limits of a member.
const (
	QuotaDefault    = 2 << 30  // bytes of the data file; beyond it every write is refused
	RequestMaxBytes = 16 << 20 // of one transaction
	TxnMaxOps       = 65536
	LearnersMax     = 4 // members that do not vote yet; the same on all members
)

// ServerConfig says how a member runs. It is read from a file by [ServeChild].
// All members of a cluster must have the same Detection, Quota and Token.
type ServerConfig struct {
	Name string `json:"name"` // the node's name
	Dir  string `json:"dir"`  // data directory
	// Listen and advertise addresses, one a link: https://10.0.0.1:7402. The
	// engine on this node comes in through Socket and needs no link.
	ListenPeers      []string `json:"listenPeers"`
	AdvertisePeers   []string `json:"advertisePeers,omitempty"` // default: ListenPeers
	ListenClients    []string `json:"listenClients"`
	AdvertiseClients []string `json:"advertiseClients,omitempty"` // default: ListenClients
	Socket           string   `json:"socket"`                     // unix socket, at most 100 characters; TLS as elsewhere
	// Initial are the peer addresses of all members at the first start of this
	// one, by name; later starts take them from the data.
	Initial map[string][]string `json:"initial"`
	Token   string              `json:"token"` // of the cluster: members with another are refused
	// Existing: Initial is a cluster that runs, and this member was added to it.
	Existing bool `json:"existing,omitempty"`
	// ForceNew makes this member, one of two voters, the only one, with all that its
	// log holds; see force.go. It is for one start, whose member serves this node
	// only: with ListenClients empty.
	ForceNew bool `json:"forceNew,omitempty"`

	CA      string `json:"ca"`   // PEM file
	Cert    string `json:"cert"` // PEM file; read again for every connection
	Key     string `json:"key"`  // PEM file
	Revoked string `json:"revoked,omitempty"`

	Detection  cib.Duration `json:"detection,omitzero"` // see [Timing]; default 1s
	QuotaBytes int64        `json:"quotaBytes,omitempty"`
	LogLevel   string       `json:"logLevel,omitempty"` // default warn
}

// Timing derives the heartbeat interval and the election timeout of the members
// from the detection time of the cluster: the election timeout is half of it, from
// 100ms to 5s, and five heartbeats fit in, the least that
// etcd takes: most of what an idle member costs is waking up for them. etcd waits one to two election timeouts
// before it elects, so that the store has a leader again when membership has
// decided that the old leader's node is lost.
func Timing(detection time.Duration) (heartbeat, election time.Duration) {
	if detection <= 0 {
		detection = time.Second
	}
	election = min(max(detection/2, 100*time.Millisecond), 5*time.Second).Truncate(10 * time.Millisecond)
	return election / 5, election
}

// PeerURLs returns the peer addresses of a node, one a link.
func PeerURLs(n *cib.Node) []string { return urls(n.Addresses, n.Ports.WithDefaults().StorePeer) }

// ClientURLs returns the client addresses of a node, one a link.
func ClientURLs(n *cib.Node) []string { return urls(n.Addresses, n.Ports.WithDefaults().Store) }

func urls(addresses []string, port int) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = "https://" + net.JoinHostPort(a, strconv.Itoa(port))
	}
	return out
}

// write stores the configuration for [ServeChild].
func (c *ServerConfig) write(file string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write the configuration of the store's member: %w", err)
	}
	return writeFile(file, append(data, '\n'))
}

func readServerConfig(file string) (*ServerConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the store's member: %w", err)
	}
	c := &ServerConfig{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read the configuration of the store's member from %s: %w", file, err)
	}
	return c, nil
}

// embed translates the configuration into etcd's own.
func (c *ServerConfig) embed(ctx context.Context) (*embed.Config, error) {
	out := embed.NewConfig()
	out.Name, out.Dir = c.Name, c.Dir
	var err error
	parse := func(list []string) []url.URL {
		var us []url.URL
		for _, s := range list {
			u, e := url.Parse(s)
			if e != nil {
				err = errors.Join(err, e)
				continue
			}
			us = append(us, *u)
		}
		return us
	}
	out.ListenPeerUrls = parse(bindable(ctx, c.ListenPeers))
	out.AdvertisePeerUrls = parse(orElse(c.AdvertisePeers, c.ListenPeers))
	out.ListenClientUrls = parse(append(bindable(ctx, c.ListenClients), "unixs://"+c.Socket))
	out.AdvertiseClientUrls = parse(orElse(c.AdvertiseClients, c.ListenClients))
	// A listener of its own for HTTP, which nobody needs, makes the others speak
	// gRPC natively instead of through net/http, which costs time and memory.
	out.ListenClientHttpUrls = parse([]string{"unixs://" + c.Socket + ".http"})
	if err != nil {
		return nil, fmt.Errorf("addresses of the store's member: %w", err)
	}
	out.InitialCluster = initialCluster(c.Initial)
	out.InitialClusterToken = c.Token
	out.ClusterState = embed.ClusterStateFlagNew
	if c.Existing {
		out.ClusterState = embed.ClusterStateFlagExisting
	}
	out.ForceNewCluster = c.ForceNew

	tlsInfo := transport.TLSInfo{
		CertFile: c.Cert, KeyFile: c.Key, TrustedCAFile: c.CA, CRLFile: c.Revoked, ClientCertAuth: true,
		// A peer's packets may come from any of its addresses, also from a virtual
		// one that it carries now and that no certificate can name.
		SkipClientSANVerify: true,
	}
	out.ClientTLSInfo, out.PeerTLSInfo = tlsInfo, tlsInfo
	out.TlsMinVersion = "TLS1.3"

	heartbeat, election := Timing(c.Detection.D())
	out.TickMs, out.ElectionMs = uint(heartbeat.Milliseconds()), uint(election.Milliseconds())
	out.QuotaBackendBytes = c.QuotaBytes
	if c.QuotaBytes <= 0 {
		out.QuotaBackendBytes = QuotaDefault
	}
	out.MaxRequestBytes, out.MaxTxnOps, out.MaxLearners = RequestMaxBytes, TxnMaxOps, LearnersMax
	// History of the configuration is kept as documents; old revisions serve only
	// a watcher that was away, and one that was away longer reads everything again.
	out.AutoCompactionMode, out.AutoCompactionRetention = embed.CompactorModePeriodic, "10m"
	out.SnapshotCount, out.SnapshotCatchUpEntries = 5000, 2000
	out.MaxSnapFiles, out.MaxWalFiles = 3, 3
	out.BootstrapDefragThresholdMegabytes = 64
	out.GRPCKeepAliveMinTime = 200 * time.Millisecond
	out.GRPCKeepAliveInterval, out.GRPCKeepAliveTimeout = 5*time.Second, 3*time.Second
	out.EnableGRPCGateway = false
	out.StrictReconfigCheck = true
	out.CompactHashCheckTime = time.Minute
	gate, ok := out.ServerFeatureGate.(featuregate.MutableFeatureGate)
	if !ok {
		return nil, errors.New("etcd's features cannot be set")
	}
	// What a transaction of the backend holds is in the log already: fewer of them
	// cost a little more to replay after a crash, and the size of the store is seen
	// later, against its quota.
	out.BackendBatchInterval = 500 * time.Millisecond
	// The leader compares its peers' data after every compaction. etcd can also do
	// it before a member serves, but then all members of a cold start wait for
	// each other until their patience ends.
	if err := gate.Set("CompactHashCheck=true"); err != nil {
		return nil, fmt.Errorf("set etcd's features: %w", err)
	}
	return out, nil
}

func orElse(list, def []string) []string {
	if len(list) == 0 {
		return slices.Clone(def)
	}
	return list
}

func initialCluster(members map[string][]string) string {
	var parts []string
	for name, us := range members {
		for _, u := range us {
			parts = append(parts, name+"="+u)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// bindable returns the addresses, or one for all of the machine where one of them
// is not there now: a link that is missing at boot must not keep the member down.
func bindable(ctx context.Context, list []string) []string {
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			return list
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(u.Hostname(), "0"))
		if err == nil {
			_ = l.Close()
			continue
		}
		all := "::"
		if ip := net.ParseIP(u.Hostname()); ip != nil && ip.To4() != nil {
			all = "0.0.0.0"
		}
		return []string{u.Scheme + "://" + net.JoinHostPort(all, u.Port())}
	}
	return slices.Clone(list)
}

// ErrRemoved says that the cluster has removed this member: its data are void.
var ErrRemoved = errors.New("this member was removed from the store")

// textRemoved is what etcd logs when it learns that it was removed.
const textRemoved = "permanently removed from the cluster"

// textData begins the error of a member that cannot read the data it had.
const textData = "the data of the store's member cannot be read"

// ServeChild runs a member until the context ends, or in ends: it is the other
// side of [Supervisor]. It writes "ready" to out when the member takes part in
// the cluster, and logs to stderr, as JSON.
func ServeChild(ctx context.Context, file string, in io.Reader, out io.Writer) error {
	c, err := readServerConfig(file)
	if err != nil {
		return err
	}
	// The heap of an idle member is a few MB: let it not double before it is
	// collected. The file of the database is mapped and does not count.
	debug.SetGCPercent(50)
	proberInterval = probePause
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory of the store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Socket), 0o700); err != nil {
		return fmt.Errorf("make the directory of the store's socket: %w", err)
	}
	for _, s := range []string{c.Socket, c.Socket + ".http"} {
		if err := os.Remove(s); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the old socket of the store: %w", err)
		}
	}
	cfg, err := c.embed(ctx)
	if err != nil {
		return err
	}
	removed := make(chan struct{}, 1)
	logger, err := childLogger(c.LogLevel, removed)
	if err != nil {
		return err
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	// Orders are taken from the beginning, so that the end of in ends also a
	// member that waits for its peers.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		readOrders(in, listenPorts(c))
		stop()
	}()

	if c.ForceNew {
		if _, err := commitLog(c.Dir); err != nil {
			return fmt.Errorf("%s: %w", textData, err)
		}
	}
	if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
		return fmt.Errorf("load the certificate of the store's member: %w", err)
	}
	old := wal.Exist(filepath.Join(c.Dir, "member", "wal"))
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		var network *net.OpError
		if old && !errors.As(err, &network) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s: %w", textData, err)
		}
		return fmt.Errorf("start the store's member: %w", err)
	}
	// Raft does not mind ticks that are late by an eighth.
	heartbeat, _ := Timing(c.Detection.D())
	go idle.Run(ctx, heartbeat/8)
	go tendSockets(ctx, silenceMax(c.Detection.D()))
	look := time.NewTicker(announceLook)
	defer look.Stop()
	ready := etcd.Server.ReadyNotify()
	for looks := 0; ; {
		select {
		case <-look.C:
			if looks++; old || !c.Existing || !announced(etcd) {
				looks = 0
			}
			if looks < announceLooks {
				continue
			}
			return errors.Join(errAnew, closeEtcd(etcd))
		case <-ready:
			look.Stop()
			ready = nil
			if _, err := io.WriteString(out, "ready\n"); err != nil {
				return errors.Join(fmt.Errorf("report that the store's member is ready: %w", err), closeEtcd(etcd))
			}
		case <-etcd.Server.StopNotify():
			err := errors.New("the store's member stopped by itself")
			select {
			case <-removed:
				err = ErrRemoved
			default:
			}
			return err
		case err := <-etcd.Err():
			select {
			case <-removed: // its listeners noticed the end first
				return errors.Join(ErrRemoved, closeEtcd(etcd))
			default:
			}
			return errors.Join(fmt.Errorf("the store's member serves no longer: %w", err), closeEtcd(etcd))
		case <-ctx.Done():
			return closeEtcd(etcd)
		}
	}
}

// A member announces its name and addresses to the others before it serves. One that
// begins from a snapshot can miss the answer, since its announcement stands in the
// snapshot already; etcd would wait 6s and more for it.
const (
	announceLook  = 100 * time.Millisecond
	announceLooks = 4 // so often it is announced and not ready, and begins anew
)

// errAnew ends such a member. Its supervisor starts it again at once, and then it has
// the snapshot behind it.
var errAnew = errors.New("the store's member has taken in a snapshot and begins anew")

// announced reports whether the members, as this one knows them, have its name.
func announced(etcd *embed.Etcd) bool {
	m := etcd.Server.Cluster().Member(etcd.Server.MemberID())
	return m != nil && m.Name != ""
}

// stopMax bounds an orderly stop. etcd's data is safe without one.
const stopMax = 5 * time.Second

// closeEtcd stops the member: it hands its office over where it is the leader,
// and closes its data. embed.Etcd.Close would first wait for clients to go, who
// have no reason to; they are cut off when the process ends.
func closeEtcd(etcd *embed.Etcd) error {
	done := make(chan struct{})
	go func() {
		etcd.Server.Stop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(stopMax):
		return errors.New("the store's member did not stop in time")
	}
}

// childLogger logs to stderr and notes when etcd says that it was removed, which
// it tells nobody otherwise.
func childLogger(level string, removed chan<- struct{}) (*zap.Logger, error) {
	l := zap.WarnLevel
	if level != "" {
		if err := l.Set(level); err != nil {
			return nil, fmt.Errorf("log level of the store's member: %w", err)
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(os.Stderr), l)
	return zap.New(noticing{core, func(text string) {
		if strings.Contains(text, textRemoved) {
			select {
			case removed <- struct{}{}:
			default:
			}
		}
	}}), nil
}

// noticing is a log core that shows errors to a function.
type noticing struct {
	zapcore.Core
	see func(text string)
}

func (n noticing) With(f []zapcore.Field) zapcore.Core { return noticing{n.Core.With(f), n.see} }

// Enabled lets warnings through to Write, whatever is logged of them.
func (n noticing) Enabled(l zapcore.Level) bool { return l >= zap.WarnLevel || n.Core.Enabled(l) }

func (n noticing) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if n.Enabled(e.Level) {
		return ce.AddCore(e, n)
	}
	return ce
}

func (n noticing) Write(e zapcore.Entry, fields []zapcore.Field) error {
	n.see(e.Message)
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			n.see(err.Error())
		}
	}
	if !n.Core.Enabled(e.Level) {
		return nil
	}
	return n.Core.Write(e, fields)
}
