package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

const (
	quorumdID   = "q" // of the quorum device
	quorumdHost = 101
	dirQuorumd  = "quorumd"
)

func (n network) quorumd() string {
	return net.JoinHostPort(fmt.Sprintf("127.%d.0.%d", n.a, quorumdHost), strconv.Itoa(cib.PortQuorumd))
}

// arbitrator is a belay-quorumd that this process runs.
type arbitrator struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// arbitrate starts an arbitrator that knows the cluster, and makes it the cluster's
// tie-breaker.
func (c *cluster) arbitrate(ctx context.Context) error {
	if c.opts.quorumd == "" {
		return nil
	}
	conf, err := c.client[0].Config(ctx)
	if err != nil {
		return err
	}
	keys := map[string][]string{}
	for name, n := range conf.Config.Nodes {
		keys[name] = []string{n.PublicKey}
	}
	dir := filepath.Join(c.work.path, dirQuorumd)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the arbitrator's directory: %w", err)
	}
	// YAML reads JSON.
	text, err := json.Marshal(map[string]any{"clusters": map[string]any{clusterName: map[string]any{"nodes": keys}}})
	if err != nil {
		return fmt.Errorf("encode the arbitrator's configuration: %w", err)
	}
	file := filepath.Join(dir, "quorumd.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the arbitrator's configuration: %w", err)
	}
	pin, err := c.startArbitrator(ctx, dir, file)
	if err != nil {
		return err
	}
	value, err := json.Marshal(&cib.QuorumDevice{Kind: cib.QuorumDeviceQuorumd, Parameters: map[string]string{
		"servers": c.net.quorumd(), "fingerprint": strings.TrimSpace(string(pin)),
	}})
	if err != nil {
		return fmt.Errorf("encode the quorum device: %w", err)
	}
	_, err = c.client[0].Change(ctx, &api.Change{Action: api.ActionCreate, Object: "quorum-device/" + quorumdID, Value: value, RequestID: newBootID()})
	return err
}

// startArbitrator starts the arbitrator and returns the pin of its key.
func (c *cluster) startArbitrator(ctx context.Context, dir, config string) ([]byte, error) {
	// Meanwhile the supervisor takes no child's end, and takes none for an orphan.
	c.super.mu.Lock()
	defer c.super.mu.Unlock()
	pin, err := exec.CommandContext(ctx, c.opts.quorumd, "key", "--state-dir", dir).Output()
	if err != nil {
		return nil, fmt.Errorf("make the arbitrator's key: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "quorumd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of the arbitrator: %w", err)
	}
	defer log.Close() //nolint:errcheck // the arbitrator has its own
	//nolint:noctx // it ends with the cluster, see stop
	cmd := exec.Command(c.opts.quorumd, "serve", "--config", config, "--state-dir", dir, "--socket", filepath.Join(dir, "q.sock"),
		"--listen", c.net.quorumd(), "--status", "", "--name", quorumdID, "--log-level", c.opts.logLevel)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	a := &arbitrator{cmd: cmd, ended: make(chan struct{})}
	begun := make(chan error, 1)
	go func() {
		defer close(a.ended)
		// The kernel ends it with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			_ = cmd.Wait() // its log says why
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("start the arbitrator: %w", err)
	}
	c.arbiter, c.super.outside = a, cmd.Process.Pid
	return pin, nil
}

// stop ends the arbitrator.
func (a *arbitrator) stop() error {
	if a == nil {
		return nil
	}
	err := a.cmd.Process.Kill()
	<-a.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// findQuorumd looks for the arbitrator's program beside the engine.
func (o *options) findQuorumd() error {
	if !o.arbiter {
		return nil
	}
	o.quorumd = filepath.Join(filepath.Dir(o.belayd), "belay-quorumd")
	if _, err := os.Stat(o.quorumd); err != nil {
		return fmt.Errorf("--quorumd: there is no belay-quorumd beside %s: build it with \"make build\"", o.belayd)
	}
	return nil
}
