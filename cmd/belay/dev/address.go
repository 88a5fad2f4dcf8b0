package dev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"

	"github.com/belay-ha/belay/engine/cib"
)

// Every cluster has a network of its own, 127.A.0.0/16, so that several can run at a
// time with the default ports: node I has the address 127.A.L.I on link L, and what
// serves the whole cluster is at 127.A.0.x.
const (
	links       = 2
	firstNet    = 64
	lastNet     = 250
	serviceHost = 100
	servicePort = 8080
	triesMax    = 20 // networks looked at
)

// network is the addresses of one cluster.
type network struct {
	a     int
	guard net.Listener // held as long as the cluster lives, so that nobody else takes the network
}

func (n network) node(i int) []string {
	out := make([]string, links)
	for l := range out {
		out[l] = fmt.Sprintf("127.%d.%d.%d", n.a, l+1, i)
	}
	return out
}

// restPort is the management daemon's.
const restPort = 7443

func (n network) rest(i int) string {
	return net.JoinHostPort(n.node(i)[0], strconv.Itoa(restPort))
}

// cimPort is where the management daemon answers CIM, and cimHTTPPort without TLS.
const (
	cimPort     = 5989
	cimHTTPPort = 5988
)

func (n network) cim(i, port int) string {
	return net.JoinHostPort(n.node(i)[0], strconv.Itoa(port))
}

func (n network) service() string {
	return fmt.Sprintf("127.%d.0.%d:%d", n.a, serviceHost, servicePort)
}

// chooseNetwork draws a network whose ports are free, and takes it.
func chooseNetwork(ctx context.Context, nodes int) (network, error) {
	var last error
	for _, k := range rand.Perm(lastNet - firstNet + 1)[:triesMax] { //nolint:gosec // nothing secret
		n := network{a: firstNet + k}
		var err error
		n.guard, err = (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.%d.0.1:%d", n.a, cib.PortHeartbeat))
		if err == nil {
			if err = n.free(ctx, nodes); err == nil {
				return n, nil
			}
			_ = n.guard.Close()
		}
		last = err
		if !errors.Is(err, syscall.EADDRINUSE) {
			break // the same would happen on every network
		}
	}
	return network{}, fmt.Errorf("no network on loopback has its ports free: %w; see what listens there: ss -tulnp", last)
}

// free checks that every port is free.
func (n network) free(ctx context.Context, nodes int) error {
	lc := net.ListenConfig{}
	ports := cib.Ports{}.WithDefaults()
	listen := func(addr string) error {
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("address %s: %w", addr, err)
		}
		return ln.Close()
	}
	for i := 1; i <= nodes; i++ {
		for _, a := range n.node(i) {
			for _, p := range []int{ports.Store, ports.StorePeer, ports.API, restPort, cimPort, cimHTTPPort} {
				if err := listen(net.JoinHostPort(a, strconv.Itoa(p))); err != nil {
					return err
				}
			}
			for _, p := range []int{ports.Heartbeat, snmpPort} {
				addr := net.JoinHostPort(a, strconv.Itoa(p))
				c, err := lc.ListenPacket(ctx, "udp", addr)
				if err != nil {
					return fmt.Errorf("address %s: %w", addr, err)
				}
				if err := c.Close(); err != nil {
					return fmt.Errorf("address %s: %w", addr, err)
				}
			}
		}
	}
	return listen(n.service())
}
