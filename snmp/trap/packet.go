package trap

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/gosnmp/gosnmp"

	"github.com/belay-ha/belay/snmp/mib"
)

// Objects that every notification begins with, RFC 3416, section 4.2.6.
const (
	oidUpTime  = "1.3.6.1.2.1.1.3.0"
	oidTrap    = "1.3.6.1.6.3.1.1.4.1.0"
	msgMaxSize = 65507
)

// coldStart is the identity of the standard notification of that name, RFC 3418.
var coldStart = mib.OID{1, 3, 6, 1, 6, 3, 1, 1, 5, 1}

var (
	authProtocols = map[string]gosnmp.SnmpV3AuthProtocol{"SHA": gosnmp.SHA, "SHA-256": gosnmp.SHA256, "SHA-512": gosnmp.SHA512}
	privProtocols = map[string]gosnmp.SnmpV3PrivProtocol{"AES": gosnmp.AES, "AES-256": gosnmp.AES256}
)

// engineEpoch is the length of what counts as one boot of the sender's engine.
const engineEpoch = 1 << 20

// engineTime is the boots and time of the sender's SNMP engine (RFC 3414, section
// 2.2). All nodes of a cluster send as one engine, so both follow from the wall clock:
// they rise whoever sends, and receivers allow 150 s.
func engineTime(now time.Time) (boots, seconds uint32) {
	s := now.Unix()
	return uint32(s / engineEpoch), uint32(s % engineEpoch)
}

// packet is one notification.
type packet struct {
	id     mib.OID
	vars   []mib.Variable
	upTime time.Duration // of the sender
}

// post sends a notification. Of a trap it only says that it left; an inform was
// answered.
func post(ctx context.Context, t *Target, engineID []byte, p *packet) error {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	g := &gosnmp.GoSNMP{
		Target: host, Port: uint16(number), Transport: "udp", Community: t.Community, Version: gosnmp.Version2c, Context: ctx,
		Timeout: t.Timeout, Retries: t.Retries, MaxOids: gosnmp.MaxOids, UseUnconnectedUDPSocket: false,
	}
	if t.Version == V3 {
		usm := &gosnmp.UsmSecurityParameters{
			UserName: t.User.Name, AuthenticationProtocol: authProtocols[t.User.Auth], AuthenticationPassphrase: t.User.AuthPass,
			PrivacyProtocol: privProtocols[t.User.Priv], PrivacyPassphrase: t.User.PrivPass,
		}
		if !t.Inform { // the sender of a trap is the authority; of an inform the receiver, which is asked
			usm.AuthoritativeEngineID = string(engineID)
			usm.AuthoritativeEngineBoots, usm.AuthoritativeEngineTime = engineTime(time.Now())
			g.ContextEngineID = string(engineID)
		}
		g.Version, g.SecurityModel, g.MsgFlags, g.SecurityParameters = gosnmp.Version3, gosnmp.UserSecurityModel, gosnmp.AuthPriv, usm
	}
	if err := g.Connect(); err != nil {
		return fmt.Errorf("connect to %s: %w", t.Address, err)
	}
	defer g.Conn.Close() //nolint:errcheck // everything was sent, or not
	pdus := []gosnmp.SnmpPDU{
		{Name: oidUpTime, Type: gosnmp.TimeTicks, Value: uint32(int64(p.upTime/(10*time.Millisecond)) & math.MaxUint32)},
		{Name: oidTrap, Type: gosnmp.ObjectIdentifier, Value: p.id.String()},
	}
	for _, v := range p.vars {
		pdus = append(pdus, pdu(v))
	}
	answer, err := g.SendTrap(gosnmp.SnmpTrap{Variables: pdus, IsInform: t.Inform})
	switch {
	case err != nil:
		return fmt.Errorf("send to %s: %w", t.Address, err)
	case t.Inform && answer == nil:
		return errors.New("no answer from " + t.Address)
	case t.Inform && answer.Error != gosnmp.NoError:
		return fmt.Errorf("%s answers %s", t.Address, answer.Error)
	}
	return nil
}

func pdu(v mib.Variable) gosnmp.SnmpPDU {
	out := gosnmp.SnmpPDU{Name: v.OID.String()}
	switch v.Value.Type {
	case mib.Integer:
		out.Type, out.Value = gosnmp.Integer, int(int32(v.Value.Num))
	case mib.OctetString:
		out.Type, out.Value = gosnmp.OctetString, v.Value.Bytes
	case mib.ObjectID:
		out.Type, out.Value = gosnmp.ObjectIdentifier, v.Value.OID.String()
	case mib.Counter32:
		out.Type, out.Value = gosnmp.Counter32, uint32(v.Value.Num)
	case mib.Gauge32:
		out.Type, out.Value = gosnmp.Gauge32, uint32(v.Value.Num)
	case mib.TimeTicks:
		out.Type, out.Value = gosnmp.TimeTicks, uint32(v.Value.Num)
	case mib.Counter64:
		out.Type, out.Value = gosnmp.Counter64, v.Value.Num
	}
	return out
}
