package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/test/cluster"
)

// Who may not join is told why, and nothing of it stays.
func TestJoinRefusals(t *testing.T) {
	c := start(t, cluster.Config{Nodes: 1, Spare: 1})
	member, stranger := c.Nodes[0], c.Nodes[1]
	ctx := deadline(t, 2*time.Minute)
	short, err := member.Client().Token(ctx, &api.TokenRequest{TTL: cib.Duration(time.Minute)})
	must(t, err)
	good, err := member.Client().Token(ctx, &api.TokenRequest{})
	must(t, err)
	forOther, err := member.Client().Token(ctx, &api.TokenRequest{Node: "other"})
	must(t, err)
	server := member.Host.Addr(0).String()
	join := func(change func(*api.Join)) error {
		j := &api.Join{Token: good.Token, Server: server, Node: stranger.Name, Addresses: stranger.Addresses()}
		change(j)
		_, err := stranger.Client().Join(ctx, j)
		return err
	}
	wrong := []byte(good.Token)
	wrong[len(wrong)-1] ^= 1
	for _, r := range []struct {
		what   string
		code   string
		change func(*api.Join)
	}{
		{"a token that is none", api.CodeJoinRefused, func(j *api.Join) { j.Token = "hello" }},
		{"a wrong token", api.CodeJoinRefused, func(j *api.Join) { j.Token = string(wrong) }},
		{"another node's token", api.CodeJoinRefused, func(j *api.Join) { j.Token = forOther.Token }},
		{"a server that is none", api.CodeJoinRefused, func(j *api.Join) { j.Server = stranger.Host.Addr(0).String() }},
		{"a name that is taken", api.CodeTaken, func(j *api.Join) { j.Node = member.Name }},
		{"an address that is taken", api.CodeTaken, func(j *api.Join) { j.Addresses = member.Addresses() }},
		{"too few addresses", api.CodeInvalid, func(j *api.Join) { j.Addresses = j.Addresses[:1] }},
		{"a name that is none", api.CodeInvalid, func(j *api.Join) { j.Node = "a b/../c" }},
	} {
		err := join(r.change)
		if !isProblem(err, r.code) {
			t.Errorf("%s: want %s, got %v", r.what, r.code, err)
		}
	}
	// The hosts of the lab share one clock, and one release: these are forged.
	token, err := pki.ParseToken(good.Token)
	must(t, err)
	forge := func(change func(*api.JoinRequest)) error {
		key, err := pki.NewKey()
		must(t, err)
		req := &api.JoinRequest{
			TokenID: token.ID, Secret: token.Secret, Node: stranger.Name, Addresses: stranger.Addresses(), Request: request(t, stranger.Name, key),
			RootRequest: request(t, pki.RootName, key), Version: "forged", FeatureLevel: cib.FeatureLevel, Wall: time.Now(),
		}
		change(req)
		return postJoin(t, c, server, req)
	}
	for _, r := range []struct {
		what   string
		code   string
		change func(*api.JoinRequest)
	}{
		{"a clock that is ahead", api.CodeClock, func(r *api.JoinRequest) { r.Wall = r.Wall.Add(time.Minute) }},
		{"a clock that is behind", api.CodeClock, func(r *api.JoinRequest) { r.Wall = r.Wall.Add(-time.Hour) }},
		{"an older release", api.CodeVersion, func(r *api.JoinRequest) { r.FeatureLevel = 0 }},
		{"a secret that is wrong", api.CodeJoinRefused, func(r *api.JoinRequest) { r.Secret = strings.Repeat("a", len(r.Secret)) }},
		{"no certificate request", api.CodeJoinRefused, func(r *api.JoinRequest) { r.Request = "" }},
	} {
		if err := forge(r.change); !isProblem(err, r.code) {
			t.Errorf("%s: want %s, got %v", r.what, r.code, err)
		}
	}
	cfg, err := member.Client().Config(ctx)
	must(t, err)
	if len(cfg.Config.Nodes) != 1 {
		t.Errorf("nodes: %v", cfg.Config.Nodes)
	}
	until(t, 90*time.Second, "the short token has run out", func() string {
		if d := time.Until(short.Expires); d > -time.Second {
			return d.String()
		}
		return ""
	})
	if err := join(func(j *api.Join) { j.Token = short.Token }); !isProblem(err, api.CodeJoinRefused) {
		t.Errorf("a token that has run out: %v", err)
	}
	// After all that the right one works.
	must(t, join(func(*api.Join) {}))
}

func request(t *testing.T, name string, key *ecdsa.PrivateKey) string {
	t.Helper()
	r, err := pki.NewRequest(name, key)
	must(t, err)
	return string(r)
}

// postJoin sends a join request as a machine on the network would.
func postJoin(t *testing.T, c *cluster.Cluster, server string, req *api.JoinRequest) error {
	t.Helper()
	b, err := json.Marshal(req)
	must(t, err)
	client := &http.Client{Transport: &http.Transport{
		DialContext: c.Lab.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}, Timeout: 20 * time.Second}
	resp, err := client.Post("https://"+server+":7403/v1/join", "application/json", bytes.NewReader(b))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	p := &api.Problem{}
	must(t, json.NewDecoder(resp.Body).Decode(p))
	return p
}
