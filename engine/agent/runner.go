package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Config says where things are on this machine. Every zero value has a
// default that fits a Debian host, except StateDir.
type Config struct {
	Node          string           // this node's name, for agents; default: the host's name
	StateDir      string           // records of running agents, state of built-in agents; must not outlive a boot: /run/belay/agent
	OCFRoots      []string         // looked through in order; default /usr/lib/ocf
	LSBDir        string           // default /etc/init.d
	FenceDirs     []string         // default /usr/sbin
	ShimDir       string           // the crm_* and attrd_updater tools: HA_SBIN_DIR, and first in PATH; default /usr/lib/belay/shim
	RscTmp        string           // HA_RSCTMP, made if missing; default /run/resource-agents
	SystemdSocket string           // of the service manager; default /run/systemd/private
	LogFacility   string           // syslog facility for agents' logs; default none: they come with the output
	FeatureSet    string           // crm_feature_set that agents compare; default that of Pacemaker 2.1.5
	Env           []string         // further variables for every agent: where the shims find the engine
	KillGrace     time.Duration    // between SIGTERM and SIGKILL; default 2s
	Now           func() time.Time // the clock that NotAfter is read on; default time.Now
	Builtins      []Builtin        // besides the package's own
}

const (
	defaultFeatureSet = "3.16.2"
	defaultKillGrace  = 2 * time.Second
	searchPath        = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Runner runs agents. Its methods may be called from many goroutines.
type Runner struct {
	cfg      Config
	runs     *runs
	builtins map[string]Builtin
	units    *units
	metadata metadataCache
}

// New makes a Runner and the directories it needs.
func New(cfg Config) (*Runner, error) {
	if cfg.StateDir == "" {
		return nil, errors.New("agent runner: no state directory given")
	}
	cfg.StateDir = filepath.Clean(cfg.StateDir)
	if cfg.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("agent runner: own name: %w", err)
		}
		cfg.Node = host
	}
	def(&cfg.LSBDir, "/etc/init.d")
	def(&cfg.ShimDir, "/usr/lib/belay/shim")
	def(&cfg.RscTmp, "/run/resource-agents")
	def(&cfg.SystemdSocket, "/run/systemd/private")
	def(&cfg.FeatureSet, defaultFeatureSet)
	if len(cfg.OCFRoots) == 0 {
		cfg.OCFRoots = []string{"/usr/lib/ocf"}
	}
	if len(cfg.FenceDirs) == 0 {
		cfg.FenceDirs = []string{"/usr/sbin"}
	}
	if cfg.KillGrace <= 0 {
		cfg.KillGrace = defaultKillGrace
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Runner{cfg: cfg, builtins: map[string]Builtin{}, units: newUnits(cfg.SystemdSocket)}
	r.metadata.entries = map[string]*cachedMetadata{}
	for _, b := range append(ownBuiltins(cfg.StateDir), cfg.Builtins...) {
		r.builtins[b.Metadata.Name] = b
	}
	var err error
	if r.runs, err = openRuns(filepath.Join(cfg.StateDir, "runs")); err != nil {
		return nil, err
	}
	if err := makeRscTmp(cfg.RscTmp); err != nil {
		return nil, err
	}
	return r, nil
}

// Close lets go of the connection to the service manager. Agents that run are
// not touched: cancel their contexts first.
func (r *Runner) Close() error {
	r.units.close()
	return nil
}

func def(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// makeRscTmp makes the directory where agents note for one boot what they
// have started. As OCF agents expect, everyone may write there, like in /tmp.
func makeRscTmp(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // agents run as other users, too
		return fmt.Errorf("directory for agents' state: %w", err)
	}
	const mode = fs.ModeSticky | 0o755
	if err := os.Chmod(dir, mode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("directory for agents' state: %w", err)
	}
	return nil
}

// Run carries out one request and returns when it is over. It never fails as
// a call: whatever happens stands in the result.
func (r *Runner) Run(ctx context.Context, q Request) Result {
	if q.Timeout <= 0 {
		q.Timeout = cib.DefaultOpTimeout
	}
	def(&q.Node, r.cfg.Node)
	def(&q.NodeID, q.Node)
	if err := q.check(); err != nil {
		return Result{Status: cib.OpError, RC: cib.NotConfigured, Reason: err.Error()}
	}
	class := q.Agent.Class
	if class == ClassService {
		class = r.serviceClass(ctx, q.Agent.Type)
	}
	var res Result
	switch class {
	case ClassOCF:
		res = r.runOCF(ctx, q)
	case ClassLSB:
		res = r.runLSB(ctx, q)
	case ClassSystemd:
		res = r.runUnit(ctx, q)
	case ClassBelay:
		res = r.runBuiltin(ctx, q)
	}
	if res.Status == cib.OpDone && res.Signal == "" {
		res.Odd = odd(q.Op, res.RC)
	}
	return res
}

// result turns what came of a program into the answer to a request.
func (o *outcome) result(what string, q *Request) Result {
	hide := redactor(q.Secret, q.Params, q.Env)
	stdout, stderr := hide.Replace(printable(o.stdout.bytes())), hide.Replace(printable(o.stderr.bytes()))
	res := Result{
		RC:          cib.GenericError,
		Reason:      exitReason(stderr),
		Signal:      o.signal,
		Lingering:   o.lingering,
		Started:     o.started,
		Ended:       o.ended,
		Exec:        o.exec,
		Stdout:      stdout,
		Stderr:      lastBytes(stderr, KeepBytes),
		OutputBytes: o.stdout.size() + o.stderr.size(),
	}
	if !o.stdout.head {
		res.Stdout = lastBytes(stdout, KeepBytes)
	}
	switch o.how {
	case exited:
		switch {
		case o.err != nil:
			res.Status, res.Reason = cib.OpError, o.err.Error()
		case o.signal != "":
			res.Status = cib.OpError
			def(&res.Reason, what+" was ended by "+o.signal)
		default:
			res.Status, res.RC = cib.OpDone, o.code
		}
	case timedOut:
		res.Status = cib.OpTimeout
		res.Reason = join(what+" did not end within "+q.Timeout.String()+" and was killed", res.Reason)
	case cancelled:
		res.Status = cib.OpCancelled
		res.Reason = join(what+" was cancelled", res.Reason)
	case tooLate:
		res.Status = cib.OpNotRun
		res.Reason = what + " was not started: " + o.err.Error()
	case notStarted:
		res.Status, res.RC = cib.OpError, startErrorCode(o.err)
		if res.RC == cib.NotInstalled {
			res.Status = cib.OpNotInstalled
		}
		res.Reason = what + " could not be started: " + o.err.Error()
	}
	if o.lingering {
		res.Reason = join(res.Reason, "a process of it does not end even when killed")
	}
	return res
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// startErrorCode says in OCF's numbers why a program could not be started.
func startErrorCode(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cib.NotInstalled
	case errors.Is(err, fs.ErrPermission):
		return cib.Insufficient
	}
	return cib.GenericError
}
