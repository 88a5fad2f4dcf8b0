package agent

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// ocfPath finds an OCF agent, and the root it belongs to.
func (r *Runner) ocfPath(id ID) (root, path string, err error) {
	for _, root := range r.cfg.OCFRoots {
		path := filepath.Join(root, "resource.d", id.Provider, id.Type)
		st, err := os.Stat(path)
		if err == nil && st.Mode().IsRegular() {
			return root, path, nil
		}
	}
	return "", "", fmt.Errorf("no agent %s below %s: %w", id, strings.Join(r.cfg.OCFRoots, ", "), fs.ErrNotExist)
}

func (r *Runner) runOCF(ctx context.Context, q Request) Result {
	root, path, err := r.ocfPath(q.Agent)
	if err != nil {
		return Result{Status: cib.OpNotInstalled, RC: cib.NotInstalled, Reason: err.Error()}
	}
	c := command{
		path: path, args: []string{q.Op}, env: r.ocfEnv(root, &q), dir: "/",
		timeout: q.Timeout, notAfter: q.NotAfter, record: q.record(),
	}
	if q.Op == opMetaData {
		c.wholeStdout = meta.SizeMax + 1
	}
	out := r.run(ctx, c)
	return out.result(q.describe(), &q)
}

func (q *Request) record() record {
	return record{ActionID: q.ActionID, Instance: q.Instance, Agent: q.Agent.String(), Op: q.Op}
}

// describe says what runs, for reasons: "start of web (ocf:heartbeat:nginx)".
func (q *Request) describe() string {
	if q.Instance == "" {
		return q.Op + " of " + q.Agent.String()
	}
	return q.Op + " of " + q.Instance + " (" + q.Agent.String() + ")"
}

// baseEnv is what every program sees. Nothing of the engine's own environment
// is in it.
func (r *Runner) baseEnv() []string {
	return append([]string{"PATH=" + r.cfg.ShimDir + ":" + searchPath, stateVariable + "=" + r.cfg.StateDir}, r.cfg.Env...)
}

// ocfEnv is the environment of the OCF Resource Agent API 1.1, "Parameter
// passing", with what agents expect of Pacemaker and of heartbeat before it.
func (r *Runner) ocfEnv(root string, q *Request) []string {
	env := append(
		r.baseEnv(),
		"OCF_ROOT="+root,
		"OCF_RA_VERSION_MAJOR=1",
		"OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE="+q.Instance,
		"OCF_RESOURCE_TYPE="+q.Agent.Type,
		"OCF_RESOURCE_PROVIDER="+q.Agent.Provider,
		"OCF_EXIT_REASON_PREFIX="+exitReasonPrefix,
		"HA_SBIN_DIR="+r.cfg.ShimDir,
		"HA_RSCTMP="+r.cfg.RscTmp,
		"HA_VARRUN=/run",
		"HA_debug=0",
		"HA_use_logd=off",
		"HA_cluster_type=belay",
	)
	// Without a facility and a file agents log to standard error, which we keep.
	if r.cfg.LogFacility != "" {
		env = append(env, "HA_LOGFACILITY="+r.cfg.LogFacility, "HA_logfacility="+r.cfg.LogFacility)
	}
	for _, k := range slices.Sorted(maps.Keys(q.Params)) {
		name := "OCF_RESKEY_" + k
		if k == "OCF_CHECK_LEVEL" {
			name = k
		}
		env = append(env, name+"="+q.Params[k])
	}
	metas := map[string]string{}
	for k, v := range q.Meta {
		metas[strings.ReplaceAll(strings.TrimPrefix(k, "CRM_meta_"), "-", "_")] = v
	}
	metas["name"] = q.Op
	metas["timeout"] = strconv.FormatInt(q.Timeout.Milliseconds(), 10)
	metas["interval"] = strconv.FormatInt(q.Interval.Milliseconds(), 10)
	metas["on_node"] = q.Node
	metas["on_node_uuid"] = q.NodeID
	for _, k := range slices.Sorted(maps.Keys(metas)) {
		env = append(env, "OCF_RESKEY_CRM_meta_"+k+"="+metas[k])
	}
	env = append(env, "OCF_RESKEY_crm_feature_set="+r.cfg.FeatureSet)
	for _, k := range slices.Sorted(maps.Keys(q.Env)) {
		env = append(env, k+"="+q.Env[k])
	}
	return env
}
