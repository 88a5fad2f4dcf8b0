package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
)

// field is a property that stands for a field of a document of the configuration.
type field[T any] struct {
	name string
	path string // of the field in the document, such as "meta.priority"
	get  func(*T) any
	// json makes what stands in the document; nil: the value as it is.
	json func(v any) (any, error)
}

// setFields shows the fields of a document; a field that get has no value for stays
// NULL.
func setFields[T any](i *object.Instance, fields []field[T], doc *T) {
	if doc == nil {
		return
	}
	for _, f := range fields {
		if v := f.get(doc); v != nil {
			i.Set(f.name, v)
		}
	}
}

func named[E ~uint8](table cib.Enum[E]) func(any) (any, error) {
	return func(v any) (any, error) {
		n, _ := v.(uint16)
		for _, x := range table {
			if uint16(x.Value) == n {
				return x.Name, nil
			}
		}
		return nil, fmt.Errorf("%v is none of the values", v)
	}
}

func millis(v any) (any, error) {
	var ms int64
	switch n := v.(type) {
	case uint32:
		ms = int64(n)
	case uint64:
		const most = uint64(1<<63-1) / 1e6
		if n > most {
			return nil, fmt.Errorf("%d milliseconds are too many", n)
		}
		ms = int64(n)
	}
	return (time.Duration(ms) * time.Millisecond).String(), nil
}

func millisOf(d time.Duration) any { return max(0, d.Milliseconds()) }

// orNil is the value behind a pointer, or NULL.
func orNil[T, V any](p *T, f func(T) V) any {
	if p == nil {
		return nil
	}
	return f(*p)
}

func scoreInt(s cib.Score) int { return int(s) }

func same[T any](v T) T { return v }

// zeroNil is the number of an enumeration, or NULL.
func zeroNil[E ~uint8](v E) any {
	if v == 0 {
		return nil
	}
	return int(v)
}

func textNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

var clusterFields = []field[cib.Cluster]{
	{"NoQuorumPolicy", "options.no-quorum-policy", func(c *cib.Cluster) any { return int(c.Options.NoQuorum()) }, named(cib.NoQuorumPolicies)},
	{"MaintenanceMode", "options.maintenance-mode", func(c *cib.Cluster) any { return c.Options.MaintenanceMode }, nil},
	{"StopAllResources", "options.stop-all-resources", func(c *cib.Cluster) any { return c.Options.StopAllResources }, nil},
	{"FencingRequired", "options.fencing-required", func(c *cib.Cluster) any { return c.Options.Fencing() }, nil},
	{"FencingAction", "options.fencing-action", func(c *cib.Cluster) any { return int(c.Options.FenceOp()) }, named(cib.FenceOps)},
	{"SymmetricCluster", "options.symmetric-cluster", func(c *cib.Cluster) any { return c.Options.Symmetric() }, nil},
	{"DefaultStickiness", "resource-defaults.resource-stickiness", func(c *cib.Cluster) any { return intOf(c.ResourceDefaults.Stickiness, 0) }, nil},
	{"PlacementStrategy", "options.placement-strategy", func(c *cib.Cluster) any {
		if c.Options.PlacementStrategy == "" {
			return "default"
		}
		return c.Options.PlacementStrategy
	}, nil},
	{"DetectionTime", "options.detection", func(c *cib.Cluster) any { return millisOf(c.Options.DetectionTime()) }, millis},
}

var nodeFields = []field[cib.Node]{
	{"StandbyMode", "standby", func(n *cib.Node) any { return n.Standby }, nil},
	{"Maintenance", "maintenance", func(n *cib.Node) any { return n.Maintenance }, nil},
	{"Voter", "voter", func(n *cib.Node) any { return n.Voter }, nil},
	{"Site", "site", func(n *cib.Node) any { return textNil(n.Site) }, nil},
	{"AttributeNames", "", func(n *cib.Node) any { return names(n.Attributes) }, nil},
	{"AttributeValues", "", func(n *cib.Node) any { return valuesOf(n.Attributes) }, nil},
}

// remoteFields are those of a remote node.
var remoteFields = []field[cib.RemoteNode]{
	{"StandbyMode", "standby", func(n *cib.RemoteNode) any { return n.Standby }, nil},
	{"Maintenance", "maintenance", func(n *cib.RemoteNode) any { return n.Maintenance }, nil},
	{"Site", "site", func(n *cib.RemoteNode) any { return textNil(n.Site) }, nil},
	{"AttributeNames", "", func(n *cib.RemoteNode) any { return names(n.Attributes) }, nil},
	{"AttributeValues", "", func(n *cib.RemoteNode) any { return valuesOf(n.Attributes) }, nil},
}

func names(m map[string]string) []string {
	return slices.AppendSeq([]string{}, slices.Values(sortedKeys(m)))
}

func valuesOf(m map[string]string) []string {
	out := []string{}
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out
}

// metaFields are the meta attributes of a resource as they stand in its document.
var metaFields = []field[cib.Resource]{
	{"TargetState", "meta.target-role", func(r *cib.Resource) any { return zeroNil(r.Meta.TargetRole) }, named(cib.Roles)},
	{"Managed", "meta.is-managed", func(r *cib.Resource) any { return orNil(r.Meta.Managed, same) }, nil},
	{"Maintenance", "meta.maintenance", func(r *cib.Resource) any { return orNil(r.Meta.Maintenance, same) }, nil},
	{"Priority", "meta.priority", func(r *cib.Resource) any { return orNil(r.Meta.Priority, scoreInt) }, nil},
	{"Stickiness", "meta.resource-stickiness", func(r *cib.Resource) any { return orNil(r.Meta.Stickiness, scoreInt) }, nil},
	{"MigrationThreshold", "meta.migration-threshold", func(r *cib.Resource) any {
		return orNil(r.Meta.MigrationThreshold, func(n int) int { return max(0, n) })
	}, nil},
	{"FailureTimeout", "meta.failure-timeout", func(r *cib.Resource) any {
		return orNil(r.Meta.FailureTimeout, func(d cib.Duration) any { return millisOf(d.D()) })
	}, millis},
}

// cloneFields are those of a clone.
var cloneFields = []field[cib.Resource]{
	{"CloneMax", "clone.clone-max", func(r *cib.Resource) any { return orNil(r.Clone.Max, func(n int) int { return max(0, n) }) }, nil},
	{"CloneNodeMax", "clone.clone-node-max", func(r *cib.Resource) any { return max(1, r.Clone.NodeMax) }, nil},
	{"PromotedMax", "clone.promoted-max", func(r *cib.Resource) any { return orNil(r.Clone.PromotedMax, func(n int) int { return max(0, n) }) }, nil},
	{"Interleave", "clone.interleave", func(r *cib.Resource) any { return r.Clone.Interleave }, nil},
}

// constraintFields stand below the kind of the constraint, which write puts before
// the path.
var locationFields = []field[cib.Location]{
	{"FirstResource", "location.resource", func(l *cib.Location) any { return l.Resource }, nil},
	{"NodeName", "location.node", func(l *cib.Location) any { return textNil(l.Node) }, nil},
	{"Score", "location.score", func(l *cib.Location) any { return int(l.Score) }, nil},
	{"InRole", "location.role", func(l *cib.Location) any { return zeroNil(l.Role) }, named(cib.Roles)},
}

var colocationFields = []field[cib.Colocation]{
	{"FirstResource", "colocation.resource", func(c *cib.Colocation) any { return c.Resource }, nil},
	{"SecondResource", "colocation.with", func(c *cib.Colocation) any { return c.With }, nil},
	{"Score", "colocation.score", func(c *cib.Colocation) any { return int(c.Score) }, nil},
	{"InRole", "colocation.role", func(c *cib.Colocation) any { return zeroNil(c.Role) }, named(cib.Roles)},
}

var orderFields = []field[cib.Order]{
	{"FirstResource", "order.first", func(o *cib.Order) any { return o.First }, nil},
	{"SecondResource", "order.then", func(o *cib.Order) any { return o.Then }, nil},
	{"OrderKind", "order.kind", func(o *cib.Order) any { return int(max(o.Kind, cib.OrderMandatory)) }, named(cib.OrderKinds)},
}

var ticketFields = []field[cib.TicketConstraint]{
	{"FirstResource", "ticket.resource", func(t *cib.TicketConstraint) any { return t.Resource }, nil},
	{"TicketName", "ticket.ticket", func(t *cib.TicketConstraint) any { return t.Ticket }, nil},
	{"InRole", "ticket.role", func(t *cib.TicketConstraint) any { return zeroNil(t.Role) }, named(cib.Roles)},
}

var fenceDeviceFields = []field[cib.FenceDevice]{
	{"Agent", "agent", func(d *cib.FenceDevice) any { return d.Agent }, nil},
	{"Delay", "delay", func(d *cib.FenceDevice) any { return millisOf(d.Delay.D()) }, millis},
	{"Timeout", "timeout", func(d *cib.FenceDevice) any { return millisOf(d.Timeout.D()) }, millis},
}

var quorumDeviceFields = []field[cib.QuorumDevice]{
	{"DeviceType", "kind", func(d *cib.QuorumDevice) any { return zeroNil(d.Kind) }, named(cib.QuorumDeviceKinds)},
	{"AskOrder", "order", func(d *cib.QuorumDevice) any { return max(0, d.Order) }, nil},
}

// patch is a merge patch (RFC 7396), or a new document.
type patch map[string]any

// set puts a value at a path; nil removes the field.
func (p patch) set(path string, v any) {
	m := map[string]any(p)
	parts := strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := m[part].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[part] = inner
		}
		m = inner
	}
	m[parts[len(parts)-1]] = v
}

// fill puts the fields that want says into a patch.
func fill[T any](p patch, fields []field[T], i *object.Instance, want func(name string) bool) error {
	for _, f := range fields {
		if f.path == "" || !want(f.name) {
			continue
		}
		v := i.Get(f.name)
		if v != nil && f.json != nil {
			var err error
			if v, err = f.json(v); err != nil {
				return object.Errorf(object.InvalidParameter, "%s: %v", f.name, err)
			}
		}
		p.set(f.path, v)
	}
	return nil
}

// pairs makes a patch of a map from names and values: what is not named goes, and what
// has no value stays as it was.
func (p patch) pairs(path string, i *object.Instance, nameProperty, valueProperty string, was map[string]string) error {
	names, _ := i.Get(nameProperty).([]any)
	values, _ := i.Get(valueProperty).([]any)
	if len(names) != len(values) {
		return object.Errorf(object.InvalidParameter, "%s has %d elements and %s has %d: there is one value for each name", nameProperty, len(names), valueProperty, len(values))
	}
	out, seen := map[string]any{}, map[string]bool{}
	for n := range names {
		name, _ := names[n].(string)
		if name == "" || seen[name] {
			return object.Errorf(object.InvalidParameter, "%s has a name that is empty or there twice", nameProperty)
		}
		seen[name] = true
		_, had := was[name]
		switch v, ok := values[n].(string); {
		case ok:
			out[name] = v
		case !had:
			return object.Errorf(object.InvalidParameter, "%s gives %s no value, and it has none", valueProperty, name)
		}
	}
	for name := range was {
		if !seen[name] {
			out[name] = nil
		}
	}
	if len(out) > 0 {
		p.set(path, maps.Clone(out))
	}
	return nil
}

// document is what a client wrote as a document.
func document(text string) (patch, error) {
	p := patch{}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, object.Errorf(object.InvalidParameter, "Document is no JSON object: %v", err)
	}
	return p, nil
}

// json is the patch as it goes to the engine. Fields without a value are left out of a
// new document.
func (p patch) json(fresh bool) (json.RawMessage, error) {
	if fresh {
		dropNull(p)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	return b, nil
}

func dropNull(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			dropNull(v)
		}
	}
}

// shown is a document as JSON, with its placeholders for secrets.
func shown(doc any) string {
	b, err := json.Marshal(doc)
	if err != nil {
		return ""
	}
	return string(b)
}
