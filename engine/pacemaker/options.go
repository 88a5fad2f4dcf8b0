package pacemaker

import (
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// importOptions reads the cluster options and the defaults.
func (im *importer) importOptions() {
	var all values
	im.pairs(&all, im.config.child("crm_config"), "cluster_property_set", "cib-bootstrap-options", nil)
	im.feature = im.root.attr("crm_feature_set")
	o := &im.Snapshot.Config.Cluster.Options
	im.Snapshot.Config.Cluster.Name = "imported"
	o.TieBreak = "pacemaker" // what is imported behaves the same
	seen := map[string]bool{}
	for _, raw := range all.names {
		name, value := normalize(raw), all.of[raw]
		if seen[name] {
			continue
		}
		seen[name] = true
		if !im.option(o, name, value) {
			im.noteName(im.config.child("crm_config"), "", raw, "the value %q is not understood; the default holds", shorten(value))
		}
	}
	if o.HealthStrategy != "progressive" { // they mean nothing then
		o.HealthBase, o.HealthRed, o.HealthYellow, o.HealthGreen = nil, nil, nil, nil
	}
	im.importDefaults()
}

func setBool(dst **bool, value string) bool {
	v, ok := parseBool(value)
	if ok {
		*dst = &v
	}
	return ok
}

func setPlainBool(dst *bool, value string) bool {
	v, ok := parseBool(value)
	*dst = v
	return ok
}

func setScore(dst **cib.Score, value string) bool {
	s, ok := parseScore(value)
	if ok {
		*dst = &s
	}
	return ok
}

func setDuration(dst **cib.Duration, value string) bool {
	d, ok := parseDuration(value)
	if ok {
		*dst = &d
	}
	return ok
}

// option reads one cluster option; false where its value makes no sense.
func (im *importer) option(o *cib.Options, name, value string) bool {
	d := &im.Snapshot.Config.Cluster
	switch name {
	case "no-quorum-policy":
		switch v := strings.ToLower(value); v {
		case "suicide":
			o.NoQuorumPolicy = cib.NoQuorumFence
		default:
			p, err := cib.NoQuorumPolicies.Parse(v)
			o.NoQuorumPolicy = p
			return err == nil
		}
	case "symmetric-cluster":
		return setBool(&o.SymmetricCluster, value)
	case "maintenance-mode":
		return setPlainBool(&o.MaintenanceMode, value)
	case "is-managed-default":
		return setBool(&d.ResourceDefaults.Managed, value)
	case "default-resource-stickiness":
		s, ok := parseScore(value)
		d.ResourceDefaults.Stickiness = &s
		return ok
	case "default-migration-threshold":
		s, ok := parseScore(value)
		d.ResourceDefaults.MigrationThreshold = new(int(max(0, s)))
		return ok
	case "default-action-timeout":
		t, ok := parseDuration(value)
		d.OpDefaults.Timeout = t
		return ok
	case "stop-all-resources":
		return setPlainBool(&o.StopAllResources, value)
	case "stop-removed-resources":
		return setBool(&o.StopOrphans, value)
	case "shutdown-lock":
		return setPlainBool(&o.ShutdownLock, value)
	case "shutdown-lock-limit":
		d, ok := parseDuration(value)
		o.ShutdownLockLimit = d
		return ok
	case "start-failure-is-fatal":
		return setBool(&o.StartFailureFatal, value)
	case "enable-startup-probes":
		return setBool(&o.StartupProbes, value)
	case "batch-limit":
		n, err := strconv.Atoi(value)
		o.BatchLimit = max(0, min(n, 10_000))
		return err == nil
	case "node-action-limit":
		n, err := strconv.Atoi(value)
		o.NodeActionLimit = max(0, min(n, 10_000))
		return err == nil
	case "placement-strategy":
		switch value {
		case "default", "utilization", "minimal", "balanced":
			o.PlacementStrategy = value
		default:
			return false
		}
	case "node-health-strategy":
		switch value {
		case "none", "migrate-on-red", "only-green", "progressive", "custom":
			o.HealthStrategy = value
		default:
			return false
		}
	case "node-health-base":
		return setScore(&o.HealthBase, value)
	case "node-health-red":
		return setScore(&o.HealthRed, value)
	case "node-health-yellow":
		return setScore(&o.HealthYellow, value)
	case "node-health-green":
		return setScore(&o.HealthGreen, value)
	case "cluster-recheck-interval":
		return setDuration(&o.RecheckInterval, value)
	case "fencing-enabled":
		return setBool(&o.FencingRequired, value)
	case "fencing-action":
		switch strings.ToLower(value) {
		case "reboot":
			o.FencingAction = cib.FenceOpReboot
		case "off", "poweroff":
			o.FencingAction = cib.FenceOpOff
		default:
			return false
		}
	case "fencing-timeout":
		return setDuration(&o.FencingTimeout, value)
	case "startup-fencing":
		return setBool(&o.StartupFencing, value)
	case "priority-fencing-delay":
		t, ok := parseDuration(value)
		o.FencingDelay = t
		return ok
	case "concurrent-fencing":
		return setBool(&o.ConcurrentFences, value)
	case "cluster-name":
		if value != "" {
			d.Name = value
		}
	case "dc-version", "cluster-infrastructure", "last-lrm-refresh", "have-watchdog", "expected-quorum-votes", "":
		// Pacemaker writes these itself.
	default:
		im.noteName(im.config.child("crm_config"), "", name, "there is no such option here; its value %q has no effect", shorten(value))
	}
	return true
}

// importDefaults reads rsc_defaults and op_defaults: what holds for everything, and
// with its rule what does not.
func (im *importer) importDefaults() {
	d := &im.Snapshot.Config.Cluster
	if e := im.config.child("rsc_defaults"); e != nil {
		im.defaults = im.defaultsIn(e, func(r cib.Rule, v *values) {
			x := cib.ResourceDefaultRule{Rule: r}
			if im.meta(&x.Meta, e, v); x.Meta != (cib.Meta{}) {
				d.ResourceDefaultRules = append(d.ResourceDefaultRules, x)
			}
		})
		im.meta(&d.ResourceDefaults, e, im.defaults)
	}
	if e := im.config.child("op_defaults"); e != nil {
		all := im.defaultsIn(e, func(r cib.Rule, v *values) {
			x := cib.OpDefaultRule{Rule: r}
			if im.opDefaults(&x.Defaults, e, v); x.Defaults != (cib.OpDefaults{}) {
				d.OpDefaultRules = append(d.OpDefaultRules, x)
			}
		})
		im.opDefaults(&d.OpDefaults, e, all)
	}
}

// defaultsIn reads a section of defaults, and returns those that hold for everything.
// It calls ruled for each set that has a rule, without what an earlier one says for
// everything: the first of a name counts.
func (im *importer) defaultsIn(e *element, ruled func(cib.Rule, *values)) *values {
	all := &values{}
	for _, b := range im.blocks(e, "meta_attributes", "") {
		r := b.e.child("rule")
		if r == nil {
			im.pairsOf(all, b.e)
			continue
		}
		rule, never := im.defaultRule(r, 0)
		if never {
			im.noteName(b.e, b.e.attr("id"), "rule", "it can't be true, since a default is about no node; the set has no effect")
			continue
		}
		var own, left values
		im.pairsOf(&own, b.e)
		for _, name := range own.names {
			if _, fixed := all.of[name]; !fixed {
				left.set(name, own.of[name])
			}
		}
		ruled(rule, &left)
	}
	return all
}

func (im *importer) opDefaults(d *cib.OpDefaults, e *element, v *values) {
	for _, name := range v.names {
		value := v.of[name]
		switch normalize(name) {
		case "timeout":
			if t, ok := parseDuration(value); ok {
				d.Timeout = t
			}
		case "on-fail":
			d.OnFail = parseOnFail(value)
		case "record-pending":
		default:
			im.noteName(e, "", name, "operations have no default of that name")
		}
	}
}

func parseOnFail(value string) cib.OnFail {
	switch v := strings.ToLower(value); v {
	case "nothing":
		return cib.OnFailIgnore
	case "default":
		return 0
	default:
		f, _ := cib.OnFails.Parse(v)
		return f
	}
}

func parsePort(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0 && n < 1<<16
}

// meta sets meta attributes.
func (im *importer) meta(m *cib.Meta, e *element, v *values) {
	id := e.attr("id")
	seen := map[string]bool{}
	for _, raw := range v.names {
		name, value := normalize(raw), strings.TrimSpace(v.of[raw])
		if seen[name] {
			continue
		}
		seen[name] = true
		ok := true
		switch name {
		case "target-role":
			if strings.EqualFold(value, "default") {
				break
			}
			m.TargetRole = parseRole(value)
			ok = m.TargetRole != 0
		case "is-managed":
			ok = setBool(&m.Managed, value)
		case "maintenance":
			ok = setBool(&m.Maintenance, value)
		case "priority":
			var s cib.Score
			s, ok = parseScore(value)
			m.Priority = &s
		case "resource-stickiness":
			if strings.EqualFold(value, "default") {
				break
			}
			var s cib.Score
			s, ok = parseScore(value)
			m.Stickiness = &s
		case "migration-threshold":
			var s cib.Score
			if s, ok = parseScore(value); ok && s >= 0 {
				m.MigrationThreshold = new(int(s))
			}
		case "failure-timeout":
			ok = setDuration(&m.FailureTimeout, value)
		case "multiple-active":
			switch strings.ReplaceAll(strings.ToLower(value), "_", "-") {
			case "block":
				m.MultipleActive = cib.MultipleActiveBlock
			case "stop-only":
				m.MultipleActive = cib.MultipleActiveStopOnly
			case "stop-unexpected":
				m.MultipleActive = cib.MultipleActiveStopUnexpected
			case "stop-start", "default":
				m.MultipleActive = cib.MultipleActiveStopStart
			default:
				ok = false
			}
		case "allow-migrate":
			ok = setBool(&m.AllowMigrate, value)
		case "allow-unhealthy-nodes":
			ok = setBool(&m.AllowUnhealthy, value)
		case "critical":
			ok = setBool(&m.Critical, value)
		case "requires":
			switch v := strings.ToLower(value); v {
			case "nothing", "quorum", "fencing", "unfencing":
				m.Requires = v
			default:
				ok = false
			}
		case "clone-max", "clone-node-max", "clone-min", "globally-unique", "interleave", "ordered", "notify", "promotable",
			"promoted-max", "promoted-node-max", "collocated", "container-attribute-target", "provides", "":
			// of clones, groups and bundles: read there
		case "remote-node":
			m.RemoteNode = value
		case "remote-addr":
			m.RemoteAddr = value
		case "remote-port":
			m.RemotePort, ok = parsePort(value)
		case "remote-connect-timeout":
			ok = setDuration(&m.RemoteConnectTimeout, value)
		case "remote-allow-migrate":
			ok = setBool(&m.RemoteAllowMigrate, value)
		case "container":
			m.Container = value
		default:
			im.noteName(e, id, raw, "there is no such meta attribute here")
		}
		if !ok {
			im.noteName(e, id, raw, "the value %q is not understood; the default holds", shorten(value))
		}
	}
}
