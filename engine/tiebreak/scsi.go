package tiebreak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// SCSI races with SCSI-3 persistent reservations (SPC-4, section 5.9), through
// sg_persist. Every voter registers a key of its own on every path while there is a
// majority. At a tie a half removes the keys of the others with PREEMPT, which the
// device does for the first one only: the other half's keys are no longer
// registered then, and what it sends is refused. A key is never registered anew
// during a tie. It is looked at again each time: a reservation that a reset or a
// bus has lost is no reservation.
type SCSI struct{ cfg SCSIConfig }

// SCSIConfig says which paths there are.
type SCSIConfig struct {
	Program string        // default sg_persist
	Devices []string      // every path to every device; all must agree
	Timeout time.Duration // of one call
	Good    time.Duration // how long an answer is good
	Cluster string
	Node    string
	Now     func() time.Time
}

// NewSCSI returns the race for some devices.
func NewSCSI(cfg SCSIConfig) *SCSI {
	if cfg.Program == "" {
		cfg.Program = "sg_persist"
	}
	return &SCSI{cfg: cfg}
}

// reservationType is "write exclusive, registrants only".
const reservationType = "5"

// Ask removes the keys of the voters that are not of this half, on every path.
func (s *SCSI) Ask(ctx context.Context, c Claim) Answer {
	began := s.cfg.Now()
	own := scsiKey(c.Cluster, c.Node)
	for _, dev := range s.cfg.Devices {
		keys, err := s.keys(ctx, dev)
		if err != nil {
			return Answer{Err: err}
		}
		if !keys[own] {
			return no("the key of this node is not registered on " + dev + ": the other half has removed it")
		}
		for _, v := range c.Voters {
			other := scsiKey(c.Cluster, v)
			if slices.Contains(c.Present, v) || !keys[other] {
				continue
			}
			if out, err := s.run(ctx, dev, "--out", "--preempt", "--param-rk="+own, "--param-sark="+other, "--prout-type="+reservationType); err != nil {
				return no(fmt.Sprintf("the key of %s could not be removed from %s: %s", v, dev, firstLine(out, err)))
			}
		}
		// What the device shows counts, not what the command said.
		if keys, err = s.keys(ctx, dev); err != nil {
			return Answer{Err: err}
		}
		for _, v := range c.Voters {
			if keys[scsiKey(c.Cluster, v)] != slices.Contains(c.Present, v) && (v == c.Node || !slices.Contains(c.Present, v)) {
				return no(fmt.Sprintf("the keys on %s are not this half's", dev))
			}
		}
	}
	return Answer{Answer: cib.QuorumHave, Reason: "the other half's keys are removed from every path", Until: began.Add(s.cfg.Good)}
}

// Check registers this node's key where it is missing and there is a majority, and
// makes the reservation that the race is about.
func (s *SCSI) Check(ctx context.Context, quorate bool) error {
	own := scsiKey(s.cfg.Cluster, s.cfg.Node)
	for _, dev := range s.cfg.Devices {
		keys, err := s.keys(ctx, dev)
		if err != nil {
			return err
		}
		if keys[own] || !quorate {
			continue
		}
		if out, err := s.run(ctx, dev, "--out", "--register-ignore", "--param-sark="+own); err != nil {
			return fmt.Errorf("register a key on %s: %s", dev, firstLine(out, err))
		}
		// Somebody else of the cluster may have made it: that is as good.
		_, _ = s.run(ctx, dev, "--out", "--reserve", "--param-rk="+own, "--prout-type="+reservationType)
		if keys, err = s.keys(ctx, dev); err != nil {
			return err
		}
		if !keys[own] {
			return fmt.Errorf("a key was registered on %s, and is not there", dev)
		}
	}
	return nil
}

// Close does nothing: the keys stay.
func (s *SCSI) Close() {}

var keyLine = regexp.MustCompile(`(?m)^\s*0x([0-9a-fA-F]+)\s*$`)

// keys reads the keys that are registered on a path.
func (s *SCSI) keys(ctx context.Context, dev string) (map[string]bool, error) {
	out, err := s.run(ctx, dev, "--in", "--read-keys")
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %s", dev, firstLine(out, err))
	}
	found := map[string]bool{}
	for _, m := range keyLine.FindAllStringSubmatch(out, -1) {
		found["0x"+strings.ToLower(strings.TrimLeft(m[1], "0"))] = true
	}
	return found, nil
}

// unitAttention is the exit status of sg_persist (sg3_utils(8)) for a device that first
// wants to say that something has happened to it: that the other half has removed a key,
// or a reset. It says so once for each, instead of doing what it was told (SAM-5, section
// 5.14).
const unitAttention = 6

// attentionsMax is how many of these a call bears with.
const attentionsMax = 4

// run calls sg_persist.
func (s *SCSI) run(ctx context.Context, dev string, args ...string) (out string, err error) {
	for range attentionsMax {
		out, err = s.call(ctx, dev, args...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != unitAttention {
			break
		}
	}
	return out, err
}

func (s *SCSI) call(ctx context.Context, dev string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.cfg.Program, append(args, dev)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func firstLine(out string, err error) string {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ">>") {
			return fmt.Sprintf("%.200s (%v)", line, err)
		}
	}
	return err.Error()
}

// scsiKey is the key of a node: never zero, and the same on every node.
func scsiKey(cluster, node string) string {
	sum := sha256.Sum256([]byte("belay " + cluster + "/" + node))
	return fmt.Sprintf("0x%x", binary.BigEndian.Uint64(sum[:])|1)
}
