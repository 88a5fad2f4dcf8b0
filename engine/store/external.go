package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belay-ha/belay/engine/cib"
)

// What an etcd that somebody else runs must be able to do. Its defaults, 128
// operations and 1.5 MiB, are too little for the change of a large configuration,
// which is one transaction.
const (
	externalVersion  = "3.6" // the least
	externalOps      = 4096
	externalBytes    = 4 << 20
	externalPatience = 5 * time.Second // for the answers of one endpoint
)

// ErrUnfit says that an etcd answers, and can't be the store of a cluster.
var ErrUnfit = errors.New("this etcd can't be the store")

// Found is what lies behind an endpoint of an external store.
type Found struct {
	ClusterID uint64 // of etcd: the endpoints of one store have the same
	Version   string // of etcd
	Documents int64  // of the cluster
	// Generation is that of the cluster's data; zero where there are none.
	Generation cib.DataGeneration
}

// Inspect looks at one endpoint of an external store: whether it answers, knows the
// certificate in cfg.TLS and lets it write the cluster's documents, and is new and
// large enough. It changes nothing.
func Inspect(ctx context.Context, cfg Config, endpoint string) (Found, error) {
	var out Found
	ctx, cancel := context.WithTimeout(ctx, externalPatience)
	defer cancel()
	c, err := dial(Endpoint{URL: endpoint}, cfg.TLS, patienceFor(cfg.Detection))
	if err != nil {
		return out, err
	}
	defer c.leave()
	for _, look := range []func(context.Context, *conn, string) error{out.version, out.documents, out.limits} {
		err := look(withLeader(ctx), c, Prefix(cfg.Cluster))
		if err = externalError(err); errors.Is(err, ErrUnreachable) {
			err = cmp.Or(refusal(ctx, cfg.TLS, endpoint), err)
		}
		if err != nil {
			return out, fmt.Errorf("%s: %w", endpoint, err)
		}
	}
	return out, nil
}

// externalError sorts an error of a question that changes nothing.
func externalError(err error) error {
	if err == nil || errors.Is(err, ErrUnfit) {
		return err
	}
	if v, sorted := judge(err, true); v == final {
		return sorted
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// refusal asks once more in TLS alone: a server says that it does not take a client's
// certificate when the client believes to be connected, and then closes, which often
// looks like any broken connection. nil: it was not that.
func refusal(ctx context.Context, cfg *tls.Config, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.ServerName, cfg.NextProtos = u.Hostname(), []string{"h2"}
	c, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetReadDeadline(end)
	}
	_, err = c.Read(make([]byte, 1))
	if err != nil && strings.Contains(err.Error(), "remote error: tls:") {
		return fmt.Errorf("%w: it does not take this node's certificate: %w", ErrUnreachable, err)
	}
	return nil
}

func (out *Found) version(ctx context.Context, c *conn, _ string) error {
	st, err := c.maint.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	out.ClusterID, out.Version = st.Header.ClusterId, st.Version
	if tooOld(st.Version) {
		return fmt.Errorf("%w: it is version %s, %s or newer is needed", ErrUnfit, st.Version, externalVersion)
	}
	return nil
}

// tooOld compares major and minor number. What is no version is old.
func tooOld(have string) bool {
	number := func(v string) int {
		major, rest, _ := strings.Cut(v, ".")
		minor, _, _ := strings.Cut(rest, ".")
		a, err := strconv.Atoi(major)
		b, err2 := strconv.Atoi(minor)
		if err != nil || err2 != nil {
			return -1
		}
		return a*1000 + b
	}
	return number(have) < number(externalVersion)
}

func (out *Found) documents(ctx context.Context, c *conn, prefix string) error {
	all, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(prefix), RangeEnd: rangeEnd(prefix), CountOnly: true})
	if err != nil {
		return err
	}
	out.Documents = all.Count
	gen, err := c.kv.Range(ctx, &pb.RangeRequest{Key: []byte(prefix + cib.KeyDataGen)})
	if err != nil || len(gen.Kvs) == 0 {
		return err
	}
	if err := json.Unmarshal(gen.Kvs[0].Value, &out.Generation); err != nil {
		return fmt.Errorf("%w: what lies below %s is not a cluster's: %w", ErrUnfit, prefix, err)
	}
	return nil
}

// limits offers a transaction as large as a cluster makes them, under a condition
// that never holds. The limits and what the account may write are checked before the
// condition is.
func (*Found) limits(ctx context.Context, c *conn, prefix string) error {
	key := []byte(prefix + cib.KeyDataGen)
	req := &pb.TxnRequest{Compare: []*pb.Compare{{
		Key: key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_ModRevision{ModRevision: math.MaxInt64},
	}}}
	for i := range externalOps - 1 {
		req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: fmt.Appendf(nil, "%s%d", prefix+cib.KeyConfigHistory, i)},
		}})
	}
	req.Success = append(req.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: key, Value: make([]byte, externalBytes)},
	}})
	_, err := c.kv.Txn(ctx, req)
	if e := rpctypes.Error(err); errors.Is(e, rpctypes.ErrTooManyOps) || errors.Is(e, rpctypes.ErrRequestTooLarge) || status.Code(err) == codes.ResourceExhausted {
		return fmt.Errorf("%w: it takes no transaction of %d operations and %d bytes; start every member of it with --max-txn-ops=%d --max-request-bytes=%d",
			ErrUnfit, externalOps, externalBytes, TxnMaxOps, RequestMaxBytes)
	}
	return err
}

// Claim takes an empty keyspace for a new cluster. Of two that try it at the same
// time, one has it.
func Claim(ctx context.Context, cfg Config) (bool, error) {
	a, err := NewAdmin(cfg)
	if err != nil {
		return false, err
	}
	defer a.Close()
	ok, _, err := a.Commit(ctx, cib.Txn{If: []cib.Compare{{Key: cib.KeyDataGen}}, Put: []cib.Put{{Key: cib.KeyDataGen, Value: &cib.DataGeneration{Number: 1}}}})
	return ok, err
}
