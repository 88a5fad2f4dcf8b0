package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/remote"
)

// A remote node has no engine: belayd there runs agents for the proxy that is
// connected, and decides nothing.

// fileEpoch holds the highest epoch that was accepted, in the run directory: nothing
// that was asked for in an earlier boot runs.
const fileEpoch = "remote-epoch.json"

type keptEpoch struct {
	BootID string `json:"bootId"`
	Epoch  uint64 `json:"epoch"`
}

// JoinRemote gets this machine the certificate of a remote node. The token may name the
// member to ask, as belay cluster token prints it; server comes before that.
func (d *Daemon) JoinRemote(ctx context.Context, server, text, name string) error {
	if _, err := pki.LoadCA(d.path(dirPKI)); err == nil {
		return fmt.Errorf("%s holds the certificate of a node already: remove it first", d.path(dirPKI))
	}
	name, err := nodeName(name)
	if err != nil {
		return err
	}
	text, at, _ := strings.Cut(strings.TrimSpace(text), "@")
	if server = cmp.Or(server, at); server == "" {
		return errors.New("the token names no member: add --server ADDRESS of one")
	}
	token, err := pki.ParseToken(text)
	if err != nil {
		return err
	}
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	req, err := pki.NewRequest(name, key)
	if err != nil {
		return err
	}
	ans, ca, err := askToJoin(ctx, server, token, &api.JoinRequest{
		TokenID: token.ID, Secret: token.Secret, Node: name, Request: string(req), Version: d.opts.Version, FeatureLevel: cib.FeatureLevel, Wall: time.Now(), Remote: true,
	})
	if err != nil {
		return err
	}
	cert, err := pki.DecodeCert([]byte(ans.Cert))
	if err != nil {
		return err
	}
	id, err := pki.NewIdentity(ca, cert, key)
	if err != nil {
		return err
	}
	return errors.Join(id.Save(d.path(dirPKI), "", ""), pki.WriteFile(filepath.Join(d.path(dirPKI), pki.FileCA), []byte(ans.CA), 0o600))
}

// RunRemote runs agents for proxies until ctx ends. Services go on without it.
func (d *Daemon) RunRemote(ctx context.Context, listen []string) error {
	unlock, err := lockDir(d.opts.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	ca, err := pki.LoadCA(d.path(dirPKI))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this machine has no certificate of a remote node: get a token with belay cluster token on a member, and give it to belayd remote-join")
	}
	if err != nil {
		return err
	}
	id, err := pki.LoadIdentity(ca, d.path(dirPKI), pki.FileNode, pki.FileNodeKey)
	if err != nil {
		return err
	}
	boot, err := d.remoteBoot()
	if err != nil {
		return err
	}
	agents, err := agent.New(d.agentConfig(id.Name()))
	if err != nil {
		return err
	}
	defer func() { _ = agents.Close() }()
	if gone, err := agents.KillLeftovers(ctx); err != nil {
		d.log.Error("agents of an earlier belayd can't be ended", "err", err)
	} else if len(gone) > 0 {
		d.log.Warn("agents of an earlier belayd were ended", "count", len(gone))
	}
	var kept keptEpoch
	file := filepath.Join(d.opts.RunDir, fileEpoch)
	if err := readJSON(file, &kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if kept.BootID != boot {
		kept = keptEpoch{BootID: boot}
	}
	cfg := remote.Config{
		Identity: id, BootID: boot, Version: d.opts.Version, Cores: d.cores, Runner: agents, Now: d.clock.now, Log: d.log.With("node", id.Name()),
		Epoch: kept.Epoch,
		Keep: func(epoch uint64) error {
			if epoch == kept.Epoch {
				return nil
			}
			kept.Epoch = epoch // one at a time, see remote.Config
			return writeJSON(file, &kept)
		},
	}
	lns := make([]net.Listener, 0, len(listen))
	for _, a := range listen {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			for _, ln := range lns {
				_ = ln.Close()
			}
			return fmt.Errorf("listen for proxies: %w", err)
		}
		lns = append(lns, ln)
	}
	cfg.Log.Info("waiting for a proxy", "addresses", listen)
	if d.opts.Ready != nil {
		d.opts.Ready()
	}
	s := remote.NewServer(cfg)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(lns))
	var work sync.WaitGroup
	for i, ln := range lns {
		work.Go(func() {
			defer cancel()
			errs[i] = s.Serve(ctx, ln)
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// firstPIDs is the name that the kernel gives to the namespace of process numbers in
// which it was booted (PROC_PID_INIT_INO of linux/proc_ns.h).
const firstPIDs = "pid:[4026531836]"

// remoteBoot is the boot id of a remote node. A container has that of its host, and
// begins and ends with its first process: what ran in an earlier one is over.
func (d *Daemon) remoteBoot() (string, error) {
	if d.opts.BootID != "" {
		return d.bootID, nil
	}
	if pids, err := os.Readlink("/proc/self/ns/pid"); err == nil && pids == firstPIDs {
		return d.bootID, nil
	}
	start, err := agent.StartOf(1)
	if err != nil {
		return "", fmt.Errorf("find out when this container began: %w", err)
	}
	return fmt.Sprintf("%s-%d", d.bootID, start), nil
}
