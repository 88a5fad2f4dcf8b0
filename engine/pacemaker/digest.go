package pacemaker

import (
	"cmp"
	"crypto/md5" //nolint:gosec // Pacemaker's digests are MD5; nothing is protected by them
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// Digests that no parameters have; that of a monitor is not that of the start before it.
const (
	changed        = "changed"
	changedMonitor = "changed monitor"
)

// digestOf returns the digest that the result of an operation would have here:
// that of the present parameters where Pacemaker's says that they are the ones
// it was run with, another one where not, "" where that cannot be told.
func (im *importer) digestOf(p *primitive, r *operationRecord) string {
	have := r.e.attr("op-digest")
	switch {
	case have == "":
		return ""
	case r.op.Op == cib.OpMonitor && r.op.Interval > 0:
		return im.monitorDigest(p, r, have)
	case r.op.Op != cib.OpStart && !r.op.Probe && r.op.Op != cib.OpMigrateFrom:
		return ""
	}
	params, extra := p.cfg.Parameters, false
	for i := range p.cfg.Operations {
		if o := &p.cfg.Operations[i]; o.Name == r.op.Op && o.Interval == 0 && len(o.Parameters) > 0 {
			params = maps.Clone(params)
			if params == nil {
				params = map[string]string{}
			}
			maps.Copy(params, o.Parameters)
			extra = true // an agent cannot reload parameters of one operation
			break
		}
	}
	if digest(params, nil) == have || p.class == "stonith" && digest(agentOnly(params), nil) == have {
		return cib.Digest(params)
	}
	if im.masked(r, params, p.class == "stonith") {
		return cib.Digest(params)
	}
	if names := slices.Collect(maps.Keys(params)); !extra && r.e.attr("op-restart-digest") != "" {
		if text, ok := r.e.lookup("op-force-restart"); ok {
			names = strings.Fields(text)
		}
		if digest(params, names) == r.e.attr("op-restart-digest") {
			rest := maps.Clone(params)
			maps.DeleteFunc(rest, func(name, _ string) bool { return !slices.Contains(names, name) })
			r.op.RestartDigest = cib.Digest(rest)
			for _, name := range slices.Sorted(maps.Keys(params)) {
				if !slices.Contains(names, name) {
					r.op.Reloadable = append(r.op.Reloadable, name)
				}
			}
		}
	}
	return changed
}

// monitorDigest is digestOf for a recurring monitor. Pacemaker's digest of one has its
// time-out, too; those of old releases had not. Fence devices are left alone: most
// documents have their passwords made unreadable.
func (im *importer) monitorDigest(p *primitive, r *operationRecord, have string) string {
	i := slices.IndexFunc(p.cfg.Operations, func(o cib.Operation) bool { return o.Name == cib.OpMonitor && o.Interval == r.op.Interval })
	if i < 0 || p.class == "stonith" {
		return ""
	}
	o := &p.cfg.Operations[i]
	timeout := o.Timeout
	if timeout == 0 {
		about := cib.Subject{Agent: p.cfg.Agent, Op: o.Name, Interval: o.Interval}
		timeout = cmp.Or(im.Snapshot.Config.Cluster.OpDefaultsFor(about, im.Now).Timeout, cib.Duration(cib.DefaultOpTimeout))
	}
	params := p.cfg.ParametersOf(o)
	timed := maps.Clone(params)
	if timed == nil {
		timed = map[string]string{}
	}
	timed["CRM_meta_timeout"] = strconv.FormatInt(timeout.D().Milliseconds(), 10)
	if digest(timed, nil) == have || digest(params, nil) == have {
		return cib.Digest(params)
	}
	if im.masked(r, params, false) {
		return cib.Digest(params)
	}
	return changedMonitor
}

// masked reports whether the parameters are those of the operation but for secrets
// that were made unreadable before the document was given away.
func (im *importer) masked(r *operationRecord, params map[string]string, fences bool) bool {
	private := strings.Fields(r.e.attr("op-secure-params"))
	open, hidden := maps.Clone(params), false
	for _, name := range private {
		hidden = hidden || open[name] != "" && strings.Trim(open[name], "*") == ""
		delete(open, name)
	}
	have := r.e.attr("op-secure-digest")
	return hidden && have != "" && (digest(open, nil) == have || fences && digest(agentOnly(open), nil) == have)
}

// agentOnly leaves out the parameters of fence devices that the fencer reads
// itself, as Pacemaker does since 2.1.
func agentOnly(params map[string]string) map[string]string {
	out := maps.Clone(params)
	maps.DeleteFunc(out, func(name, _ string) bool {
		return strings.HasPrefix(name, "pcmk_") || name == "provides" || name == "stonith-timeout"
	})
	return out
}

// digest is Pacemaker's: MD5 of an XML element with the parameters as attributes, sorted.
// With names only those.
func digest(params map[string]string, names []string) string {
	var b strings.Builder
	b.WriteString(" <parameters")
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		b.WriteString(" " + name + `="` + escape.Replace(params[name]) + `"`)
	}
	b.WriteString("/>\n")
	sum := md5.Sum([]byte(b.String())) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
