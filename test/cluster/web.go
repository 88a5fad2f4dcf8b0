package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/test/lab"
)

// Web is a real service: a file system on shared storage, a virtual address and a
// web server that serves from the file system, in a group. Debian's own agents run
// it.
type Web struct {
	Group         string   // id of the group, "web"
	Members       []string // ids of its members, in start order
	Address       netip.Addr
	URL           string
	Dir           string // where the file system is mounted
	MonitorEvery  time.Duration
	configuration *cib.Config
}

// The web server reads this file on each host. Debian's agent wants one directive
// a line, and an error log of its own: by default the server would keep the
// agent's output open.
const (
	webConfFile = "/etc/belay-web.conf"
	webConf     = "error_log /run/belay-web.log;\npid /run/belay-web.pid;\nuser root;\nevents {}\nhttp {\naccess_log off;\n" +
		"server {\nlisten 80;\nroot /srv/web;\n}\n}\n"
)

// NewWeb prepares shared storage and hosts for the service.
func (c *Cluster) NewWeb(ctx context.Context) (*Web, error) {
	address := c.Lab.Addr(0).As4()
	address[3] = 100
	w := &Web{
		Group: "web", Members: []string{"data", "vip", "www"}, Address: netip.AddrFrom4(address), Dir: "/srv/web", MonitorEvery: time.Second,
	}
	w.URL = fmt.Sprintf("http://%s/index.html", w.Address)
	image := filepath.Join(c.Lab.Shared(), "data.img")
	for _, a := range [][]string{{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", "-E", "root_owner=0:0", image}} {
		if out, err := exec.CommandContext(ctx, a[0], a[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make the shared file system: %w: %s", err, out)
		}
	}
	for _, h := range c.Lab.Hosts() {
		if err := h.WriteFile(webConfFile, []byte(webConf), 0o644); err != nil {
			return nil, err
		}
	}
	timeout := cib.Duration(20 * time.Second)
	ops := []cib.Operation{
		{Name: cib.OpStart, Timeout: timeout},
		{Name: cib.OpStop, Timeout: timeout},
		{Name: cib.OpMonitor, Interval: cib.Duration(w.MonitorEvery), Timeout: timeout},
	}
	w.configuration = &cib.Config{Resources: map[string]*cib.Resource{
		"data": {Agent: "ocf:heartbeat:Filesystem", Operations: ops, Parameters: map[string]string{
			"device": "/shared/data.img", "directory": w.Dir, "fstype": "ext4", "options": "loop",
		}},
		"vip": {Agent: "ocf:heartbeat:IPaddr2", Operations: ops, Parameters: map[string]string{"ip": w.Address.String(), "cidr_netmask": "24", "nic": "eth0"}},
		"www": {Agent: "ocf:heartbeat:nginx", Operations: ops, Parameters: map[string]string{"configfile": webConfFile, "port": "80"}},
		"web": {Group: w.Members},
	}}
	return w, nil
}

// Config is the part of the configuration that makes the service.
func (w *Web) Config() *cib.Config { return w.configuration }

// Active says what of the service is active on a host, by looking at the host and
// not at what the cluster believes.
func (w *Web) Active(ctx context.Context, h *lab.Host) ([]string, error) {
	if h.Power() != lab.On {
		return nil, nil // nothing runs on a host that is off; one that hangs is not asked
	}
	out, err := h.Exec(ctx, "sh", "-c", fmt.Sprintf("ip -4 -o addr show to %s; grep ' %s ' /proc/mounts; pgrep -lx nginx; true", w.Address, w.Dir))
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), nil
}
