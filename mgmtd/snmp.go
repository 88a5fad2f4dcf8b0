package mgmtd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	engineapi "github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/client"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/status"
	"github.com/belay-ha/belay/mgmtd/outbox"
	"github.com/belay-ha/belay/mgmtd/view"
	"github.com/belay-ha/belay/snmp/agentx"
	"github.com/belay-ha/belay/snmp/mib"
	"github.com/belay-ha/belay/snmp/snmpd"
	"github.com/belay-ha/belay/snmp/trap"
	"github.com/belay-ha/belay/snmp/usm"
)

// snmpService shows the cluster over SNMP: an agent on every node, and from one node at
// a time, the DC, notifications.
type snmpService struct {
	view    *view.Holder
	engine  *client.Client
	node    func() string
	version string
	dir     string // of the private agent
	listen  string // instead of the configured address
	started time.Time
	log     *slog.Logger
	poke    <-chan struct{} // the configuration changed
	box     *outbox.Box

	mu    sync.Mutex
	built []mib.Variable // of the view with number
	of    uint64
	root  mib.OID
}

func newSNMP(o *Options, holder *view.Holder, engine *client.Client, node func() string) *snmpService {
	log := o.Log.With("part", "snmp")
	return &snmpService{
		view: holder, engine: engine, node: node, version: o.Version, dir: filepath.Join(o.StateDir, "snmp"), listen: o.SNMPListen, started: time.Now(),
		log: log, poke: holder.ConfigChanges(), box: &outbox.Box{Engine: engine, Kind: "snmp", Log: log},
	}
}

// run serves until ctx ends. Whatever changes in the settings, what depends on it is
// ended and begun anew.
func (s *snmpService) run(ctx context.Context) {
	outbox.Watch(ctx, s.poke, func(ctx context.Context) (*engineapi.SNMP, error) {
		settings, err := s.engine.SNMP(ctx)
		if err != nil {
			return nil, err
		}
		settings.Generation = 0
		return settings, nil
	}, s.serve)
}

// serve runs agents and senders with settings until ctx ends.
func (s *snmpService) serve(ctx context.Context, settings *engineapi.SNMP) {
	var work sync.WaitGroup
	defer work.Wait()
	pen := settings.Settings.Enterprise()
	s.mu.Lock()
	s.root, s.built, s.of = mib.Root(pen), nil, 0
	root := s.root
	s.mu.Unlock()
	listen := cmp.Or(s.listen, settings.Settings.Listen)
	users := snmpUsers(settings.Users)
	if (listen != "" || settings.Settings.AgentX != "" || len(settings.Targets) > 0) && pen == mib.DocumentationPEN {
		s.log.Warn("SNMP uses the enterprise number for documentation (RFC 5612): set cluster.snmp.enterprise-number once one is registered", "number", pen)
	}
	masters := map[string]bool{}
	if settings.Settings.AgentX != "" {
		masters[settings.Settings.AgentX] = true
	}
	if readers, community := agentUsers(settings.Users, users); listen != "" && (len(readers) > 0 || community != "") {
		masters[snmpd.Address(s.dir)] = true
		work.Go(func() {
			err := snmpd.Run(ctx, snmpd.Config{
				Dir: s.dir, Listen: listen, Users: readers, Community: community, EngineID: trap.EngineID(pen, s.cluster()+"/"+s.node()), Log: s.log,
			})
			if err != nil {
				s.log.Error("the private SNMP agent does not run", "listen", listen, "err", err)
			}
		})
	} else if listen != "" {
		s.log.Warn("the private SNMP agent has no user and does not run: belay snmp user add NAME --agent", "listen", listen)
	}
	for address := range masters {
		work.Go(func() {
			err := agentx.Run(ctx, agentx.Config{Address: address, Root: root, Description: "Belay " + s.version, Variables: s.variables, Log: s.log})
			if err != nil {
				s.log.Error("no SNMP agent", "err", err)
			}
		})
	}
	targets := s.targets(settings, users)
	config := func() *trap.Config { return s.trapConfig(settings, root, pen) }
	work.Go(func() { s.notify(ctx, config, targets, settings) })
	work.Go(func() { s.alone(ctx, config, targets) })
}

// variables are what a walk shows: made once for each view, when somebody asks.
func (s *snmpService) variables() []mib.Variable {
	v := s.view.Current()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.built == nil || s.of != v.Number || v.Problem != nil {
		s.built, s.of = mib.Build(s.shown(v), s.root), v.Number
	}
	return s.built
}

func (s *snmpService) shown(v *view.View) *mib.View {
	out := &mib.View{Summary: v.Summary, Node: s.node(), Version: s.version, Age: v.Age(time.Now())}
	if out.Summary == nil {
		out.Summary = &status.Summary{Cluster: status.Cluster{State: status.ClusterUnknown, Reason: "the engine of this node has not said anything yet"}}
	}
	return out
}

func (s *snmpService) cluster() string {
	if v := s.view.Current(); v.Summary != nil {
		return v.Summary.Cluster.Name
	}
	return ""
}

func snmpUsers(configured map[string]*cib.SNMPUser) map[string]*usm.User {
	out := map[string]*usm.User{}
	for name, u := range configured {
		if !u.V2c() {
			out[name] = &usm.User{Name: name, Auth: u.AuthProtocol(), AuthPass: u.AuthPass, Priv: u.PrivProtocol(), PrivPass: u.PrivPass}
		}
	}
	return out
}

// agentUsers are those who may read from the private agent.
func agentUsers(configured map[string]*cib.SNMPUser, users map[string]*usm.User) (readers []usm.User, community string) {
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		switch u := configured[name]; {
		case !u.Agent:
		case u.V2c():
			community = cmp.Or(community, u.Community)
		default:
			readers = append(readers, *users[name])
		}
	}
	return readers, community
}

// aloneAfter is how long a node must have been without quorum before it speaks for
// itself: the survivors of a lost DC may be for a moment.
const aloneAfter = 2 * time.Second

// notify sends notifications while this node is the DC.
func (s *snmpService) notify(ctx context.Context, config func() *trap.Config, targets []*trap.Target, settings *engineapi.SNMP) {
	if !s.named(ctx) {
		return
	}
	cfg := config()
	var out []*outbox.Target
	for _, t := range targets {
		out = append(out, t.Outbox(cfg))
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Targets)) {
		if !slices.ContainsFunc(targets, func(t *trap.Target) bool { return t.Name == name }) {
			out = append(out, &outbox.Target{Name: name, Disabled: true})
		}
	}
	s.box.Serve(ctx, func() (bool, <-chan struct{}) { return s.view.Leads(s.node()) }, out)
}

// named waits until the cluster's name is known, which is part of what is sent. It
// returns false when ctx ends before that.
func (s *snmpService) named(ctx context.Context) bool {
	for {
		next := s.view.Next()
		if s.cluster() != "" {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-next:
		}
	}
}

// alone tells every target, from this node itself, when it has lost quorum: then no DC
// speaks for it.
func (s *snmpService) alone(ctx context.Context, config func() *trap.Config, targets []*trap.Target) {
	var calls sync.WaitGroup
	defer calls.Wait()
	told := false
	var lost <-chan time.Time // when quorum will have been lost for a while
	for {
		next := s.view.Next()
		if v := s.view.Current(); v.Summary != nil {
			switch inquorate := v.Summary.Quorum.State == status.QuorumInquorate; {
			case !inquorate:
				lost, told = nil, false
			case lost == nil && !told:
				lost = time.After(aloneAfter)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-lost:
			lost, told = nil, true
			s.tellAlone(ctx, &calls, config(), targets, s.view.Current().Summary)
		}
	}
}

func (s *snmpService) tellAlone(ctx context.Context, calls *sync.WaitGroup, cfg *trap.Config, targets []*trap.Target, sum *status.Summary) {
	ev := event.New(event.QuorumLost, "node", s.node(), "reason", sum.Quorum.Reason)
	ev.Time, ev.Source = time.Now().UTC(), s.node()
	if len(targets) == 0 {
		return
	}
	sequence, err := s.nextSequence()
	if err != nil {
		s.log.Warn("the number of this node's own notifications is lost; they begin anew", "err", err)
	}
	for _, t := range targets {
		calls.Go(func() {
			if err := cfg.Once(ctx, t, &ev, sequence); err != nil && ctx.Err() == nil {
				s.log.Warn("the loss of quorum did not arrive", "target", t.Name, "err", err)
			}
		})
	}
}

// nextSequence numbers what this node sends for itself.
func (s *snmpService) nextSequence() (n uint64, err error) {
	file := filepath.Join(s.dir, "sequence")
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &n)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	n++
	if mkErr := os.MkdirAll(s.dir, 0o700); mkErr != nil {
		return n, mkErr
	}
	return n, errors.Join(err, os.WriteFile(file, fmt.Appendf(nil, "%d\n", n), 0o600))
}

// targets are those that get notifications.
func (s *snmpService) targets(settings *engineapi.SNMP, users map[string]*usm.User) []*trap.Target {
	var out []*trap.Target
	for _, name := range slices.Sorted(maps.Keys(settings.Targets)) {
		t := settings.Targets[name]
		u := settings.Users[t.User]
		if t.Disabled || u == nil {
			continue
		}
		to := &trap.Target{
			Name: name, Address: t.Address, Version: trap.V3, Inform: t.Inform, Community: u.Community, User: users[t.User],
			Filter: outbox.Filter{MinSeverity: t.MinSeverity, Codes: t.Events}, Timeout: t.AnswerTime(), Retries: t.Tries(),
		}
		if u.V2c() {
			to.Version = trap.V2c
		}
		if err := to.Check(); err != nil {
			s.log.Error("an SNMP target gets nothing", "target", name, "err", err)
			continue
		}
		out = append(out, to)
	}
	return out
}

func (s *snmpService) trapConfig(settings *engineapi.SNMP, root mib.OID, pen uint32) *trap.Config {
	cluster := s.cluster()
	return &trap.Config{
		Root: root, EngineID: trap.EngineID(pen, cluster), Cluster: cluster, Started: s.started,
		View: func() *mib.View { return s.shown(s.view.Current()) }, Heartbeat: settings.Settings.Heartbeat.D(), Log: s.log,
	}
}
