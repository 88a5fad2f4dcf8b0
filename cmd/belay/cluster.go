package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

func clusterCmd(a *app) *cobra.Command {
	c := group("cluster", "The cluster as a whole: make it, join it, save it", `  belay cluster init --name prod --node n1 --address 10.0.0.1,10.1.0.1
  belay cluster token
  belay cluster join --node n2 --address 10.0.0.2,10.1.0.2 TOKEN
  belay cluster status`,
		a.clusterStatus(), a.clusterInit(), a.clusterToken(), a.clusterJoin(), a.clusterBackup(), a.clusterRestore(),
		a.maintenance("cluster", "Leave everything alone: nothing is started, stopped or monitored", "  belay cluster maintenance on\n  belay cluster maintenance off"))
	return c
}

func (a *app) clusterStatus() *cobra.Command {
	return command("status", "Show the cluster, its members and its store", "  belay cluster status", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.Status(c.Context(), true)
		if err != nil {
			return err
		}
		return a.print(s, func() string { return render.Cluster(s, a.style) })
	})
}

// place is the flags with which a node enters a cluster.
type place struct {
	node      string
	addresses []string
	ports     []int
	code      string
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.node, "node", "", "`name` of this node (default: the host's name)")
	c.Flags().StringSliceVar(&p.addresses, "address", nil, "`addresses` of this node, one for each link, in the order of the links")
	c.Flags().StringVar(&p.code, "code", "", "set-up `code` from the log of the node's belayd, for who asks from elsewhere")
	c.Flags().IntSliceVar(&p.ports, "ports", nil, "`numbers` of the ports for heartbeats, store, store peers and node API (default 7400,7401,7402,7403)")
}

func (p *place) check() (cib.Ports, error) {
	if len(p.addresses) == 0 {
		return cib.Ports{}, usage("name this node's addresses: --address 10.0.0.1,10.1.0.1")
	}
	switch len(p.ports) {
	case 0:
		return cib.Ports{}, nil
	case 4:
		return cib.Ports{Heartbeat: p.ports[0], Store: p.ports[1], StorePeer: p.ports[2], API: p.ports[3]}, nil
	}
	return cib.Ports{}, usage("--ports: four numbers, for heartbeats, store, store peers and node API")
}

// externalFlags names an etcd that somebody else runs, and the files that open it.
type externalFlags struct {
	endpoints     []string
	ca, cert, key string
}

func (x *externalFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&x.ca, "store-ca", "", "`file` with the authority of the external etcd's certificates, PEM")
	c.Flags().StringVar(&x.cert, "store-cert", "", "`file` with this node's client certificate for the external etcd, PEM")
	c.Flags().StringVar(&x.key, "store-key", "", "`file` with its key, PEM")
}

// read returns what the flags name; nil where they name nothing.
func (x *externalFlags) read() (*api.ExternalStore, error) {
	if len(x.endpoints) == 0 && x.ca == "" && x.cert == "" && x.key == "" {
		return nil, nil
	}
	if x.cert == "" || x.key == "" {
		return nil, usage("an external etcd is reached with mutual TLS only: --store-cert FILE --store-key FILE, and --store-ca FILE")
	}
	out := &api.ExternalStore{Endpoints: x.endpoints}
	for _, f := range []struct {
		name string
		text *string
	}{{x.ca, &out.CA}, {x.cert, &out.Cert}, {x.key, &out.Key}} {
		if f.name == "" {
			continue
		}
		b, err := os.ReadFile(f.name)
		if err != nil {
			return nil, err
		}
		*f.text = string(b)
	}
	return out, nil
}

func (a *app) clusterInit() *cobra.Command {
	var name string
	p, x := &place{}, &externalFlags{}
	c := command("init", "Make a new cluster with this node as its first member", `  belay cluster init --name prod --node n1 --address 10.0.0.1,10.1.0.1
  belay cluster init --name prod --node n1 --address 10.0.0.1 --store https://10.9.0.1:2379,https://10.9.0.2:2379 \
    --store-ca ca.pem --store-cert n1.pem --store-key n1.key`, 0, func(c *cobra.Command, _ []string) error {
		ports, err := p.check()
		if err != nil {
			return err
		}
		if name == "" {
			return usage("name the cluster: --name prod")
		}
		ext, err := x.read()
		if err != nil {
			return err
		}
		if ext != nil && (len(ext.Endpoints) == 0 || ext.CA == "") {
			return usage("an external etcd needs --store ENDPOINTS and --store-ca FILE")
		}
		j, err := a.engine.Init(c.Context(), &api.Init{Code: p.code, Cluster: name, Node: p.node, Addresses: p.addresses, Ports: ports, Store: ext})
		if err != nil {
			return err
		}
		return a.print(j, func() string {
			return fmt.Sprintf("cluster %s is made; node %s is its first member.\nbelay cluster token makes a token for the next node.\nNo fence device is configured yet: belay fence device add --help\n", j.Cluster, j.Node)
		})
	})
	c.Long = `init makes a cluster of this node. Its voters run the store themselves, unless
--store names the members of an etcd that somebody else runs, version 3.6 or newer,
started with --max-txn-ops=65536 --max-request-bytes=16777216. That is decided once.`
	c.Flags().StringVar(&name, "name", "", "`name` of the cluster; it never changes")
	c.Flags().StringSliceVar(&x.endpoints, "store", nil, "`endpoints` of an external etcd, https://host:port (default: the voters run the store)")
	p.flags(c)
	x.flags(c)
	return c
}

func (a *app) clusterToken() *cobra.Command {
	var ttl time.Duration
	var node string
	var noVote bool
	c := command("token", "Make a token with which one machine can join", `  belay cluster token
  belay cluster token --node n3 --ttl 1h`, 0, func(c *cobra.Command, _ []string) error {
		r := &api.TokenRequest{TTL: cib.Duration(ttl), Node: node}
		if noVote {
			no := false
			r.Voter = &no
		}
		t, err := a.engine.Token(c.Context(), r)
		if err != nil {
			return err
		}
		t.Token += a.server(c.Context())
		return a.print(t, func() string {
			name := node
			if name == "" {
				name = "NAME"
			}
			return fmt.Sprintf("%s\n\nOn the new node, before %s:\n\n  belay cluster join --node %s --address ADDRESS[,ADDRESS] %s\n",
				t.Token, t.Expires.Local().Format("2006-01-02 15:04:05"), name, t.Token)
		})
	})
	c.Flags().DurationVar(&ttl, "ttl", 0, "how long it is good for (default 15m, at most 24h)")
	c.Flags().StringVar(&node, "node", "", "only the node with this `name` may use it")
	c.Flags().BoolVar(&noVote, "no-vote", false, "the node gets no vote")
	return c
}

// server is what is appended to a token so that the new node knows whom to ask:
// "@" and this node's first address.
func (a *app) server(ctx context.Context) string {
	local, err := a.engine.Local(ctx)
	if err != nil {
		return ""
	}
	cfg, err := a.engine.Config(ctx)
	if err != nil {
		return ""
	}
	n := cfg.Config.Nodes[local.Node]
	if n == nil || len(n.Addresses) == 0 {
		return ""
	}
	if port := n.Ports.WithDefaults().API; port != cib.PortAPI {
		return "@" + net.JoinHostPort(n.Addresses[0], fmt.Sprint(port))
	}
	return "@" + n.Addresses[0]
}

func (a *app) clusterJoin() *cobra.Command {
	var server string
	var arbiter bool
	p, x := &place{}, &externalFlags{}
	c := command("join TOKEN", "Let this node join a cluster", `  belay cluster join --node n2 --address 10.0.0.2,10.1.0.2 TOKEN
  belay cluster join --node q1 --address 10.0.0.3,10.1.0.3 --arbiter TOKEN`, 1, func(c *cobra.Command, args []string) error {
		ports, err := p.check()
		if err != nil {
			return err
		}
		token, at, _ := strings.Cut(args[0], "@")
		if server == "" {
			server = at
		}
		if server == "" {
			return usage("the token names no member: add --server ADDRESS of one")
		}
		ext, err := x.read()
		if err != nil {
			return err
		}
		j, err := a.engine.Join(c.Context(), &api.Join{Code: p.code, Token: token, Server: server, Node: p.node, Addresses: p.addresses, Ports: ports, Store: ext, Arbiter: arbiter})
		if err != nil {
			return err
		}
		return a.print(j, func() string {
			vote := "without a vote"
			if j.Voter {
				vote = "with a vote"
			}
			return fmt.Sprintf("node %s has joined cluster %s, %s\n", j.Node, j.Cluster, vote)
		})
	})
	c.Long = `join makes this node a member of a cluster. The token comes from belay cluster
token on a member; it pins the cluster's certificate authority. No ssh is needed.
In a cluster with an external etcd the node shows it the certificate of the member
that it joins through, unless --store-cert and --store-key name one of its own.
An arbiter keeps the store and has a vote, as the third of two nodes does; nothing
is ever started there.`
	c.Flags().BoolVar(&arbiter, "arbiter", false, "the node has a vote, and hosts nothing")
	c.Flags().StringVar(&server, "server", "", "`address` of a member, where the token does not name one")
	p.flags(c)
	x.flags(c)
	return c
}

func (a *app) clusterBackup() *cobra.Command {
	var file string
	c := command("backup", "Save the store, the certificate authority and the key of secrets on this node", `  belay cluster backup
  belay cluster backup --file /root/prod.backup`, 0, func(c *cobra.Command, _ []string) error {
		b, err := a.engine.Backup(c.Context(), &api.BackupRequest{File: file})
		if err != nil {
			return err
		}
		return a.print(b, func() string {
			return fmt.Sprintf("saved to %s: revision %d, %d bytes. Keep it like a password.\n", b.File, b.Revision, b.SizeBytes)
		})
	})
	c.Flags().StringVar(&file, "file", "", "`file` to write (default: in /var/lib/belay/backup)")
	return c
}

func (a *app) clusterRestore() *cobra.Command {
	var file, dir, node string
	var addresses []string
	var sure bool
	c := command("restore", "Bring back a backup; the engine must be stopped on all nodes", `  belay cluster restore --file /root/prod.backup
  belay cluster restore --file /root/prod.backup --node n9 --address 10.0.0.9,10.1.0.9`, 0, func(c *cobra.Command, _ []string) error {
		if file == "" {
			return usage("name the backup: --file FILE")
		}
		if !sure {
			if err := a.confirmed("restore", "The cluster's data is replaced by that of "+file+". All other nodes must join anew."); err != nil {
				return err
			}
		}
		return a.restore(c.Context(), file, dir, node, addresses)
	})
	c.Long = `restore makes this node the only member of the cluster in a backup, with the
backup's configuration, secrets and certificate authority. The engine must be
stopped on all nodes, and nothing of the cluster may run anywhere any more: power
off the nodes that you cannot look at. Start belayd here afterwards; on every other
node, remove /var/lib/belay and join anew. What this node had is set aside, in
/var/lib/belay/before-restore-TIME.`
	c.Flags().StringVar(&file, "file", "", "the backup `file`")
	c.Flags().StringVar(&dir, "state-dir", "/var/lib/belay", "`directory` of the engine's state")
	c.Flags().StringVar(&node, "node", "", "`name` of this node (default: that of the node that wrote the backup)")
	c.Flags().StringSliceVar(&addresses, "address", nil, "`addresses` of this node, one for each link (default: those in the backup)")
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

func logCmd(a *app) *cobra.Command {
	return group("log", "The engine's log", "  belay log level debug", logLevelCmd(a, "level"))
}

func logLevelCmd(a *app, name string) *cobra.Command {
	c := command(name+" LEVEL", "Set the level of this node's log while it runs", "  belay log level debug\n  belay log level info", 1, func(c *cobra.Command, args []string) error {
		return a.engine.SetLogLevel(c.Context(), args[0])
	})
	c.ValidArgs = []string{"debug", "info", "warn", "error"}
	c.ValidArgsFunction = nil
	return c
}
