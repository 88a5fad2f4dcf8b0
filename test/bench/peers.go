package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/belay-ha/belay/test/cluster"
	"github.com/belay-ha/belay/test/lab"
)

// peerRounds is how often the fail-over of another product is measured.
const peerRounds = 3

// install installs Debian packages where a program is missing. A peer that can't
// be installed is not measured, and that is said.
func install(ctx context.Context, program string, packages ...string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install %s: %w: %s", strings.Join(packages, " "), err, out)
	}
	return nil
}

// peers measures the same loss of power with other products, in the same lab. None
// of them has a goal: they show what is usual.
func peers(ctx context.Context, r *Report) error {
	for _, p := range []struct {
		name    string
		program string
		debs    []string
		measure func(ctx context.Context) ([]float64, error)
		note    string
	}{
		{"keepalived, adverts every 1s", "keepalived", []string{"keepalived"}, keepalived("1"), "no quorum, no fencing"},
		{"keepalived, adverts every 0.1s", "keepalived", []string{"keepalived"}, keepalived("0.1"), "no quorum, no fencing"},
		{"Pacemaker, default settings", "pacemakerd", []string{"pacemaker", "corosync", "pacemaker-cli-utils"}, pacemaker(""), "with fencing"},
		{"Pacemaker, token 1000", "pacemakerd", []string{"pacemaker", "corosync", "pacemaker-cli-utils"}, pacemaker("1000"), "with fencing"},
	} {
		if err := install(ctx, p.program, p.debs...); err != nil {
			r.Skip(p.name, err)
			continue
		}
		values, err := p.measure(ctx)
		if err != nil {
			r.Skip(p.name, err)
			continue
		}
		r.Add(Figure{Name: "peer: fail-over of a node, " + p.name, Value: Median(values), Unit: "s", Note: fmt.Sprintf("%s; %.2f", p.note, values)})
	}
	return nil
}

// inLab runs a measurement in a lab of three hosts whose boot starts the peer, with
// a power switch.
func inLab(boot func(ctx context.Context, h *lab.Host) error, prepare func(h *lab.Host) error, measure func(l *lab.Lab) error) (err error) {
	l, err := lab.New(lab.Config{Boot: boot})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, h := range l.Hosts() {
		if err := prepare(h); err != nil {
			return err
		}
	}
	if _, err := l.NewPDU(lab.PDUConfig{StayOff: true}); err != nil {
		return err
	}
	return measure(l)
}

// holder finds the host that has the address.
func holder(ctx context.Context, l *lab.Lab) *lab.Host {
	for _, h := range l.Hosts() {
		if out, err := h.Exec(ctx, "ip", "-4", "-o", "addr", "show", "to", vip.String()); err == nil && strings.TrimSpace(out) != "" {
			return h
		}
	}
	return nil
}

// cutPower measures rounds of: cut the power of the holder, wait for the address
// elsewhere, power it on again, and wait until the peer is ready for more.
func cutPower(ctx context.Context, l *lab.Lab, ready func(ctx context.Context) string) ([]float64, error) {
	var out []float64
	for range peerRounds {
		rctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		var h *lab.Host
		if err := cluster.Until(rctx, "the address is there", func() string {
			if h = holder(rctx, l); h == nil {
				return "nowhere"
			}
			return ready(rctx)
		}); err != nil {
			return nil, err
		}
		gap, err := cutOne(rctx, l, h, vip)
		if err != nil {
			return nil, err
		}
		out = append(out, gap.Seconds())
		if err := h.PowerOn(rctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func cutOne(ctx context.Context, l *lab.Lab, h *lab.Host, addr netip.Addr) (time.Duration, error) {
	w, err := l.WatchPing(addr)
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	if _, err := w.WaitAnswer(ctx, time.Now()); err != nil {
		return 0, err
	}
	if err := h.PowerOff(); err != nil {
		return 0, err
	}
	gap, err := w.WaitRecovery(ctx, h.OffAt(), 50*time.Millisecond)
	if err != nil {
		return 0, err
	}
	return gap.To.Sub(h.OffAt()), nil
}

// keepalived measures VRRP with an interval of adverts in seconds.
func keepalived(advert string) func(ctx context.Context) ([]float64, error) {
	return func(ctx context.Context) (out []float64, err error) {
		boot := func(_ context.Context, h *lab.Host) error {
			_, err := h.Start("keepalived", "-f", "/etc/keepalived-bench.conf", "-n", "-l")
			return err
		}
		prepare := func(h *lab.Host) error {
			conf := fmt.Sprintf("global_defs {\n router_id %s\n vrrp_version 3\n vrrp_garp_master_repeat 2\n vrrp_garp_master_delay 1\n}\n"+
				"vrrp_instance V {\n state BACKUP\n interface eth0\n virtual_router_id 77\n priority %d\n advert_int %s\n virtual_ipaddress {\n %s/24\n }\n}\n",
				h.Name(), 200-10*h.Index(), advert, vip)
			return h.WriteFile("/etc/keepalived-bench.conf", []byte(conf), 0o600)
		}
		err = inLab(boot, prepare, func(l *lab.Lab) error {
			if err := l.PowerOnAll(ctx); err != nil {
				return err
			}
			// The host with the highest priority takes the address back: only then is
			// it settled.
			out, err = cutPower(ctx, l, func(ctx context.Context) string {
				if h := holder(ctx, l); h != l.Host(1) {
					return "not yet where it belongs"
				}
				return ""
			})
			return err
		})
		return out, err
	}
}

// pacemaker measures Pacemaker and corosync with a token time in milliseconds; ""
// is the default.
func pacemaker(token string) func(ctx context.Context) ([]float64, error) {
	return func(ctx context.Context) (out []float64, err error) {
		boot := func(ctx context.Context, h *lab.Host) error {
			if out, err := h.Exec(ctx, "sh", "-c", "mkdir -p /run/crm /run/corosync /var/log/cluster /var/log/pacemaker; corosync"); err != nil {
				return fmt.Errorf("corosync: %w: %s", err, out)
			}
			if err := cluster.Until(ctx, "corosync answers", func() string {
				if _, err := h.Exec(ctx, "corosync-cfgtool", "-s"); err != nil {
					return err.Error()
				}
				return ""
			}); err != nil {
				return err
			}
			_, err := h.Start("pacemakerd", "-f")
			return err
		}
		prepare := func(h *lab.Host) error {
			var b strings.Builder
			b.WriteString("totem {\n version: 2\n cluster_name: bench\n transport: knet\n crypto_cipher: none\n crypto_hash: none\n")
			if token != "" {
				fmt.Fprintf(&b, " token: %s\n", token)
			}
			b.WriteString("}\nlogging {\n to_syslog: no\n to_logfile: yes\n logfile: /var/log/corosync.log\n}\nquorum {\n provider: corosync_votequorum\n}\nnodelist {\n")
			for _, o := range h.Lab().Hosts() {
				fmt.Fprintf(&b, " node {\n  ring0_addr: %s\n  name: %s\n  nodeid: %d\n }\n", o.Addr(0), o.Name(), o.Index())
			}
			b.WriteString("}\n")
			return errors.Join(h.WriteFile("/etc/corosync/corosync.conf", []byte(b.String()), 0o644), h.WriteFile("/root/cib.xml", []byte(pacemakerCIB), 0o600))
		}
		err = inLab(boot, prepare, func(l *lab.Lab) error {
			if err := l.InstallFenceAgent(ctx); err != nil {
				return err
			}
			if err := l.PowerOnAll(ctx); err != nil {
				return err
			}
			online := func(ctx context.Context) string {
				for _, h := range l.Hosts() {
					if out, err := h.Exec(ctx, "crm_mon", "-1"); err != nil || !strings.Contains(out, "Online: [ n1 n2 n3 ]") {
						return "not all are online"
					}
				}
				return ""
			}
			if err := cluster.Until(ctx, "Pacemaker is up", func() string {
				if why := online(ctx); why != "" {
					return why
				}
				out, err := l.Host(1).Exec(ctx, "cibadmin", "--replace", "--xml-file", "/root/cib.xml")
				if err != nil {
					return out
				}
				return ""
			}); err != nil {
				return err
			}
			out, err = cutPower(ctx, l, func(ctx context.Context) string {
				if why := online(ctx); why != "" {
					return why
				}
				// Its transitions take their time after a node has come.
				if out, err := l.Host(1).Exec(ctx, "crm_resource", "--wait"); err != nil {
					return out
				}
				return ""
			})
			return err
		})
		return out, err
	}
}

// pacemakerCIB is the same service with the same fence device as ours.
var pacemakerCIB = `<cib validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="1">
 <configuration>
  <crm_config><cluster_property_set id="o">
   <nvpair id="o1" name="stonith-enabled" value="true"/><nvpair id="o2" name="stonith-action" value="off"/>
   <nvpair id="o3" name="no-quorum-policy" value="stop"/>
  </cluster_property_set></crm_config>
  <nodes/>
  <resources>
   <primitive id="pdu" class="stonith" type="fence_lab"><instance_attributes id="pdu-ia">
    <nvpair id="pdu-ip" name="ip" value="10.77.0.254"/><nvpair id="pdu-l" name="pcmk_host_list" value="n1 n2 n3"/>
    <nvpair id="pdu-c" name="pcmk_host_check" value="static-list"/>
   </instance_attributes></primitive>
   <group id="small">
    <primitive id="service" class="ocf" provider="heartbeat" type="Dummy"><operations><op id="service-m" name="monitor" interval="10s" timeout="20s"/></operations></primitive>
    <primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="vip-ia">
     <nvpair id="vip-ip" name="ip" value="` + vip.String() + `"/><nvpair id="vip-mask" name="cidr_netmask" value="24"/>
    </instance_attributes><operations><op id="vip-m" name="monitor" interval="10s" timeout="20s"/></operations></primitive>
   </group>
  </resources><constraints/>
  <rsc_defaults><meta_attributes id="rd"><nvpair id="rd-s" name="resource-stickiness" value="100"/></meta_attributes></rsc_defaults>
 </configuration><status/>
</cib>
`
