package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/status"
)

// What the demo is made of.
const (
	clusterName   = "dev"
	deviceID      = "power"
	deviceAgent   = "belay:dev"
	resourceGroup = "demo"
	resourceDisk  = "disk"
	resourceWeb   = "web"
)

const (
	pollPause  = 10 * time.Millisecond
	askMax     = 2 * time.Second // one question to an engine
	joinMax    = 60 * time.Second
	crashesMax = 4  // of belayd on one node, before the start is given up
	tailLines  = 12 // of a log, shown after a failed start
	votersMax  = 3  // the first nodes are voters
)

// options are the flags of the command.
type options struct {
	nodes      int
	dir        string
	belayd     string
	mgmtd      string // "": none runs
	pam        string
	noMgmt     bool
	logLevel   string
	noReboot   bool
	trapTarget string // "": none
	cimHTTP    bool
	arbiter    bool   // run a belay-quorumd
	quorumd    string // "": none runs
	timeout    time.Duration
	release    string // of this program
}

// cluster is a cluster that this process runs.
type cluster struct {
	opts   options
	super  *supervisor
	work   *workDir
	net    network
	fence  *fenceDevice
	client []*client.Client // by node
	web    *http.Client
	users  []FileUser
	snmp   *FileSNMP // nil: nothing answers
	began  time.Time

	arbiter *arbitrator // nil: none runs

	phases phases

	mu    sync.Mutex
	ready bool // dev.json is there
}

// phases are the times of the start.
type phases struct {
	Engines time.Duration // until every engine answers
	Init    time.Duration // for "cluster init" and the configuration
	Join    time.Duration // until every node has joined
	Settle  time.Duration // until all is as it should be
	Manage  time.Duration // from there until every management daemon is ready
}

// openCluster starts the machines of a new cluster and its fence device.
func openCluster(ctx context.Context, o options, w *workDir, note func(string)) (*cluster, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	syscall.Umask(0o077)
	c := &cluster{opts: o, work: w, web: serviceClient(), began: time.Now()}
	if c.net, err = chooseNetwork(ctx, o.nodes); err != nil {
		return nil, err
	}
	if c.snmp, err = c.newSNMP(); err != nil {
		return nil, errors.Join(err, c.net.guard.Close())
	}
	c.super = &supervisor{dir: w.path, program: program, belayd: o.belayd, mgmtd: o.mgmtd, pam: o.pam, logLevel: o.logLevel, note: note, changed: c.update}
	for i := 1; i <= o.nodes; i++ {
		n := &node{name: nodeName(i), dir: filepath.Join(w.path, nodeName(i)), addresses: c.net.node(i)}
		if o.mgmtd != "" {
			n.rest, n.cim = c.net.rest(i), c.net.cim(i, cimPort)
			if o.cimHTTP {
				n.cimHTTP = c.net.cim(i, cimHTTPPort)
			}
			if c.snmp != nil && c.snmp.Address != "" {
				n.snmp = "udp:" + c.net.snmp(i)
			}
		}
		c.super.nodes = append(c.super.nodes, n)
		c.client = append(c.client, client.New(n.socket()))
	}
	if o.mgmtd != "" {
		if c.users, err = makeUsers(w.path, program); err != nil {
			return nil, errors.Join(err, c.net.guard.Close())
		}
	}
	if err := c.super.begin(); err != nil {
		return nil, errors.Join(err, c.net.guard.Close())
	}
	if c.fence, err = serveFence(ctx, filepath.Join(w.path, fileFence), c.super); err != nil {
		return nil, errors.Join(err, c.close())
	}
	for _, n := range c.super.nodes {
		if err := c.super.powerOn(n); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// close powers everything off. The directory stays.
func (c *cluster) close() error {
	c.mu.Lock()
	c.ready = false
	err := os.Remove(filepath.Join(c.work.path, fileDev))
	c.mu.Unlock()
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, c.super.end(), c.arbiter.stop())
	if c.fence != nil {
		c.fence.close()
	}
	for _, cl := range c.client {
		cl.Close()
	}
	return errors.Join(err, c.net.guard.Close())
}

// start makes the cluster and waits until it is as it should be.
func (c *cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.timeout)
	defer cancel()
	for _, step := range []struct {
		what string
		took *time.Duration
		do   func(context.Context) error
	}{
		{"start the engines", &c.phases.Engines, c.awaitEngines},
		{"make the cluster", &c.phases.Init, c.init},
		{"join the nodes", &c.phases.Join, func(ctx context.Context) error {
			if err := c.join(ctx); err != nil {
				return err
			}
			return c.arbitrate(ctx)
		}},
		{"wait until all is well", &c.phases.Settle, c.settle},
	} {
		began := time.Now()
		if err := c.guarded(ctx, step.do); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		*step.took = time.Since(began)
	}
	if err := c.copyCA(); err != nil {
		return err
	}
	began := time.Now()
	if err := c.awaitManagement(ctx); err != nil {
		return fmt.Errorf("reach the management daemons: %w", err)
	}
	c.phases.Manage = time.Since(began)
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	return c.writeFile()
}

// guarded does a step, and ends it when an engine does not keep running.
func (c *cluster) guarded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watch sync.WaitGroup
	defer watch.Wait()
	done := make(chan struct{})
	defer close(done)
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-time.After(10 * pollPause):
			}
			for _, v := range c.super.views() {
				if v.state != on {
					cancel(fmt.Errorf("the machine of %s has ended", v.name))
				} else if v.ends >= crashesMax {
					cancel(fmt.Errorf("belayd of %s ends again and again: it %s", v.name, v.lastEnd))
				}
			}
		}
	})
	err := do(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, ctx.Err()) {
		return cause
	}
	return err
}

// awaitEngines waits until every engine answers at its socket.
func (c *cluster) awaitEngines(ctx context.Context) error {
	for i, cl := range c.client {
		if err := poll(ctx, func(ctx context.Context) error {
			_, err := cl.Local(ctx)
			return err
		}); err != nil {
			return fmt.Errorf("node %s: %w", nodeName(i+1), err)
		}
	}
	return nil
}

// init makes the cluster of the first node and configures it.
func (c *cluster) init(ctx context.Context) error {
	if _, err := c.client[0].Init(ctx, &api.Init{Cluster: clusterName, Node: nodeName(1), Addresses: c.super.nodes[0].addresses}); err != nil {
		return err
	}
	value, err := json.Marshal(c.config())
	if err != nil {
		return fmt.Errorf("encode the configuration: %w", err)
	}
	_, err = c.client[0].Change(ctx, &api.Change{Action: api.ActionApply, Object: "cluster", Merge: true, Value: value, RequestID: newBootID()})
	return err
}

// config is what is added to the configuration of the new cluster.
func (c *cluster) config() map[string]any {
	monitor := []cib.Operation{{Name: cib.OpMonitor, Interval: cib.Duration(2 * time.Second), Timeout: cib.Duration(10 * time.Second)}}
	stickiness := cib.Score(100)
	url := "http://" + c.net.service()
	config := map[string]any{
		"fence-devices": map[string]*cib.FenceDevice{
			deviceID: {
				Agent: deviceAgent, Parameters: map[string]string{"socket": filepath.Join(c.work.path, fileFence)},
				Timeout: cib.Duration(20 * time.Second), MonitorInterval: cib.Duration(10 * time.Second), Concurrency: nodesMax,
			},
		},
		"resources": map[string]*cib.Resource{
			resourceDisk: {Agent: "belay:dummy", Description: "Stands for a file system", Operations: monitor},
			resourceWeb: {
				Agent: "belay:process", Description: "A small web service", Operations: monitor,
				Parameters: map[string]string{
					"command": c.super.program, "args": "dev web --listen " + c.net.service(), "env": envDir + "=" + quote(c.work.path),
					"health_url": url + "/status", "stop_timeout": "2s",
				},
			},
			resourceGroup: {Group: []string{resourceDisk, resourceWeb}, Description: "What belay dev shows", Meta: cib.Meta{Stickiness: &stickiness}},
		},
	}
	c.snmp.configure(config)
	options := map[string]any{}
	if c.opts.noReboot {
		options["fencing-action"] = cib.FenceOpOff
	}
	if c.opts.quorumd != "" {
		// The demo stops at once: so one of two nodes need not wait long for the other's
		// end.
		options["stop-grace"], options["watchdog-timeout"] = "5s", "1s"
	}
	if len(options) > 0 {
		config["cluster"] = map[string]any{"options": options}
	}
	return config
}

// quote writes a word as the parameters of belay:process read it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// join lets the other nodes join.
func (c *cluster) join(ctx context.Context) error {
	if len(c.client) == 1 {
		return nil
	}
	token, err := c.client[0].Token(ctx, &api.TokenRequest{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinMax)
	defer cancel()
	for i, cl := range c.client[1:] {
		n := c.super.nodes[i+1]
		if _, err := cl.Join(ctx, &api.Join{Token: token.Token, Server: c.super.nodes[0].addresses[0], Node: n.name, Addresses: n.addresses}); err != nil {
			return fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	return nil
}

// settle waits until nothing is missing.
func (c *cluster) settle(ctx context.Context) error {
	return poll(ctx, func(ctx context.Context) error {
		s, err := c.client[0].Status(ctx, false)
		if err != nil {
			return err
		}
		if what := missing(s, len(c.client)); what != "" {
			return errors.New(what)
		}
		_, err = askService(ctx, c.web, c.url())
		return err
	})
}

// missing says what is not yet as it should be; "" when nothing is.
func missing(s *status.Summary, nodes int) string {
	if len(s.Nodes) < nodes {
		return fmt.Sprintf("%d of %d nodes are configured", len(s.Nodes), nodes)
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.State != status.NodeOnline {
			return strings.TrimRight("node "+n.Name+" is "+n.State.String()+": "+n.Reason, ": ")
		}
	}
	if s.Quorum.State != status.QuorumQuorate && s.Quorum.State != status.QuorumNotRequired {
		return "no quorum: " + s.Quorum.Reason
	}
	if n, want := len(s.Quorum.Voters), min(nodes, votersMax); n < want {
		return fmt.Sprintf("%d of %d nodes are voters", n, want)
	}
	for _, id := range []string{resourceGroup, resourceWeb} {
		r := s.Resource(id)
		if r == nil {
			return "resource " + id + " is not configured"
		}
		if r.State != status.ResourceRunning {
			return strings.TrimRight("resource "+id+" is "+r.State.String()+": "+r.Reason, ": ")
		}
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; nodes > 1 && n.Fence != status.FenceReadinessReady {
			return strings.TrimRight("node "+n.Name+" could not be fenced now: "+n.FenceReason, ": ")
		}
	}
	return ""
}

// poll asks until there is no error. When ctx ends it returns the last one.
func poll(ctx context.Context, ask func(context.Context) error) error {
	return pollEvery(ctx, pollPause, ask)
}

func pollEvery(ctx context.Context, pause time.Duration, ask func(context.Context) error) error {
	var last error
	for {
		actx, cancel := context.WithTimeout(ctx, askMax)
		err := ask(actx)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // not the one that says that time is over
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("time is over: %w", last)
		case <-time.After(pause):
		}
	}
}

func (c *cluster) url() string { return "http://" + c.net.service() }

// copyCA copies the certificate of the cluster's authority to where it stays.
func (c *cluster) copyCA() error {
	b, err := os.ReadFile(filepath.Join(c.super.nodes[0].dir, "state", "pki", "ca.pem"))
	if err == nil {
		err = os.WriteFile(filepath.Join(c.work.path, fileCA), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("copy the certificate of the cluster's authority: %w", err)
	}
	return nil
}

// file describes the cluster as it is now.
func (c *cluster) file() *File {
	f := &File{
		Version: 1, Release: c.opts.release, Cluster: clusterName, Supervisor: FileProcess{os.Getpid()}, Nodes: fileNodes(c.super.views()),
		CA: filepath.Join(c.work.path, fileCA), Service: FileService{resourceWeb, c.url()},
		Fence: FileFence{filepath.Join(c.work.path, fileFence), deviceID, deviceAgent}, Belayd: c.opts.belayd, Users: c.users,
	}
	if c.snmp != nil {
		f.SNMP = *c.snmp
	}
	if c.opts.mgmtd != "" {
		f.REST, f.CIM = f.Nodes[0].REST, "https://"+c.super.nodes[0].cim
		if c.opts.cimHTTP {
			f.CIMHTTP = "http://" + c.super.nodes[0].cimHTTP
		}
	}
	return f
}

// update writes dev.json anew, after a change.
func (c *cluster) update() {
	if err := c.writeFile(); err != nil {
		c.super.note(err.Error())
	}
}

func (c *cluster) writeFile() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		return nil
	}
	return c.file().write(c.work.path)
}

// tails returns the end of the logs of all nodes.
func (c *cluster) tails() string {
	var b strings.Builder
	for _, v := range c.super.views() {
		lines := tail(v.log, tailLines)
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "--- %s\n", v.log)
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

// tail returns the last lines of a file.
func tail(file string, n int) []string {
	const bytesMax = 16 << 10
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err == nil && st.Size() > bytesMax {
		if _, err := f.Seek(-bytesMax, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, bytesMax))
	if err != nil || len(b) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return slices.Clone(lines[max(0, len(lines)-n):])
}
