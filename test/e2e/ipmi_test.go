package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/test/cluster"
)

const (
	bmcUser, bmcPassword = "admin", "secret"
	bmcPort              = 6230 // of the first host; the next ones follow
)

// A node that nobody hears any more, and that still runs, is switched off over IPMI by
// Debian's own fence agent: each host has a simulated board management controller
// (OpenIPMI's ipmi_sim) at its power.
func TestFenceIPMI(t *testing.T) {
	c := start(t, cluster.Config{NoFence: true})
	for i, n := range c.Nodes {
		startBMC(t, c, n, bmcPort+i)
		_, err := c.Nodes[0].Create(t.Context(), "fence-device/bmc-"+n.Name, &cib.FenceDevice{
			Agent: "fence_ipmilan", Targets: map[string]string{n.Name: ""},
			Parameters: map[string]string{
				"ip": c.Lab.Addr(0).String(), "ipport": strconv.Itoa(bmcPort + i), "username": bmcUser, "password": bmcPassword,
				"lanplus": "1", "cipher": "3", // what the simulator knows
			},
		})
		must(t, err)
	}
	w := startWeb(t, c)
	wait(t, c, 60*time.Second, "the fence devices answer", calm)
	owner := ownerOf(t, c, w.Group)
	began := time.Now()
	must(t, owner.Host.Isolate())
	others := c.Others(owner)
	must(t, cluster.WaitOn(deadline(t, 60*time.Second), others, "the service is recovered", func(s *status.Summary) string {
		return cluster.Running(s, w.Group, names(others)...)
	}))
	t.Logf("recovered %s after the cut", time.Since(began).Round(time.Millisecond))
	snap, err := others[0].Client().Snapshot(t.Context())
	must(t, err)
	proofs := 0
	for _, p := range snap.Status.Proofs {
		if p.Target == owner.Name && p.Device == "bmc-"+owner.Name && p.Kind == cib.ProofPower && p.Void == "" {
			proofs++
		}
	}
	if proofs != 1 {
		t.Errorf("%d proofs of the board of %s: %+v", proofs, owner.Name, snap.Status.Proofs)
	}
	switched := 0
	for _, r := range c.PDU.Requests() {
		if r.Outlet == owner.Name && r.Action == "off" && r.At.After(began) {
			switched++
		}
	}
	if switched == 0 {
		t.Error("the power was not switched off")
	}
	must(t, c.Lab.Heal())
	rejoin(t, c, owner)
}

// startBMC gives a host a board management controller, which switches the host's
// outlet.
func startBMC(t *testing.T, c *cluster.Cluster, n *cluster.Node, port int) {
	t.Helper()
	dir := t.TempDir()
	outlet := fmt.Sprintf("http://%s/outlets/%s", c.PDU.Addr(), n.Name)
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	// Called as: chassis get|set|check power|reset [value] ... (ipmi_lan(5), chassis_control).
	chassis := write("chassis", `#!/bin/sh
op=$2; shift 2
case $op in
get) for what; do case $what in
	power) case $(curl -sf `+outlet+`) in *on*) echo power:1 ;; *) echo power:0 ;; esac ;;
	boot) echo boot:default ;;
	*) exit 1 ;; esac; done ;;
set) while [ $# -gt 1 ]; do case $1=$2 in
	power=1) curl -sf -X POST `+outlet+`/on ;;
	power=0) curl -sf -X POST `+outlet+`/off ;;
	reset=1) curl -sf -X POST `+outlet+`/reboot ;; esac; shift 2; done >/dev/null ;;
esac
exit 0
`, 0o700)
	lan := write("lan.conf", fmt.Sprintf(`name "%s"
set_working_mc 0x20
  startlan 1
    addr %s %d
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s %s"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "%s" "%s" admin 10 none md2 md5 straight
`, n.Name, c.Lab.Addr(0), port, chassis, n.Name, bmcUser, bmcPassword), 0o600)
	emu := write("sim.emu", "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nsel_enable 0x20 1000 0x0a\nmc_enable 0x20\n", 0o600)
	state := filepath.Join(dir, "state")
	must(t, os.Mkdir(state, 0o700))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	said, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	sim := c.Lab.Command(ctx, "ipmi_sim", "-c", lan, "-f", emu, "-s", state, "-n")
	sim.Stdout, sim.Stderr = said, said
	must(t, sim.Start())
	t.Cleanup(func() {
		stop()
		_ = sim.Wait()
		_ = said.Close()
		if b, err := os.ReadFile(said.Name()); err == nil && t.Failed() {
			t.Logf("ipmi_sim of %s: %s", n.Name, b)
		}
	})
}
