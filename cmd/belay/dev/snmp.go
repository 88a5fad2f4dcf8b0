package dev

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// FileSNMP is how the nodes answer SNMP.
type FileSNMP struct {
	Address  string `json:"address"` // of the agent of the first node
	User     string `json:"user"`    // of SNMPv3, authPriv
	Auth     string `json:"auth"`    // protocol
	AuthPass string `json:"auth_passphrase"`
	Priv     string `json:"priv"` // protocol
	PrivPass string `json:"priv_passphrase"`
	Target   string `json:"trap_target,omitempty"` // receives notifications
}

// snmpUser is whom the agents know.
const (
	snmpUser   = "ops"
	snmpTarget = "trap-target"
	snmpPort   = 1161
)

// snmpInstalled reports whether net-snmp's agent is there.
func snmpInstalled() bool {
	if _, err := exec.LookPath("snmpd"); err == nil {
		return true
	}
	_, err := os.Stat("/usr/sbin/snmpd")
	return err == nil
}

func (n network) snmp(i int) string {
	return net.JoinHostPort(n.node(i)[0], strconv.Itoa(snmpPort))
}

// newSNMP draws the pass phrases. Nil where nothing answers: without management daemons,
// and without snmpd.
func (c *cluster) newSNMP() (*FileSNMP, error) {
	if c.opts.trapTarget != "" {
		if _, port, err := net.SplitHostPort(c.opts.trapTarget); err != nil || port == "" {
			return nil, fmt.Errorf("--trap-target %q is no host:port", c.opts.trapTarget)
		}
		if c.opts.mgmtd == "" {
			return nil, errors.New("--trap-target: the management daemons send notifications, and none runs")
		}
	}
	if c.opts.mgmtd == "" || !snmpInstalled() && c.opts.trapTarget == "" {
		return nil, nil
	}
	s := &FileSNMP{User: snmpUser, Auth: "SHA-256", AuthPass: strings.ToLower(rand.Text()[:passwordLen]), Priv: "AES", PrivPass: strings.ToLower(rand.Text()[:passwordLen]), Target: c.opts.trapTarget}
	if snmpInstalled() {
		s.Address = c.net.snmp(1)
	}
	return s, nil
}

// configure adds SNMP to the configuration of the new cluster.
func (s *FileSNMP) configure(config map[string]any) {
	if s == nil {
		return
	}
	config["snmp-users"] = map[string]*cib.SNMPUser{
		snmpUser: {Auth: s.Auth, AuthPass: s.AuthPass, Priv: s.Priv, PrivPass: s.PrivPass, Agent: true},
	}
	if s.Target != "" {
		config["snmp-targets"] = map[string]*cib.SNMPTarget{snmpTarget: {Address: s.Target, User: snmpUser, Inform: true}}
	}
}

// walk is the command that shows the MIB.
func (s *FileSNMP) walk() string {
	return fmt.Sprintf("snmpwalk -v3 -l authPriv -u %s -a %s -A %s -x %s -X %s %s 1.3.6.1.4.1.32473", s.User, s.Auth, s.AuthPass, s.Priv, s.PrivPass, s.Address)
}
