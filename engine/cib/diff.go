package cib

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrStale means that a document is not as the change expects it.
var ErrStale = errors.New("changed in between")

// section is one map of documents in a configuration. The functions hide the
// type of its documents, so that editing and comparing are written once.
type section struct {
	kind   string // in objects of changes: "resource"
	prefix string // of keys: "config/resource/"
	field  string // in cluster.yaml: "resources"
	each   func(c *Config, f func(id string, doc any))
	get    func(c *Config, id string) any // a pointer; nil where there is none
	put    func(c *Config, id string, doc any)
	del    func(c *Config, id string)
	read   func(path string, doc []byte) (any, []Fault) // strictly
	load   func(doc []byte) (any, error)                // as from the store
}

func sectionOf[V any](kind, prefix, field string, m func(*Config) *map[string]*V) section {
	return section{
		kind: kind, prefix: prefix, field: field,
		each: func(c *Config, f func(id string, doc any)) {
			for id, v := range *m(c) {
				f(id, v)
			}
		},
		get: func(c *Config, id string) any {
			if v := (*m(c))[id]; v != nil {
				return v
			}
			return nil
		},
		put: func(c *Config, id string, doc any) { (*m(c))[id] = doc.(*V) },
		del: func(c *Config, id string) { delete(*m(c), id) },
		read: func(path string, doc []byte) (any, []Fault) {
			v := new(V)
			return v, parse(doc, path, v)
		},
		load: func(doc []byte) (any, error) {
			v := new(V)
			return v, json.Unmarshal(doc, v)
		},
	}
}

var sections = []section{
	sectionOf("audit-rule", KeyAuditRule, "audit-rules", func(c *Config) *map[string]*AuditRule { return &c.AuditRules }),
	sectionOf("cim-destination", KeyCIMDestination, "cim-destinations", func(c *Config) *map[string]*CIMDestination { return &c.CIMDestinations }),
	sectionOf("cim-filter", KeyCIMFilter, "cim-filters", func(c *Config) *map[string]*CIMFilter { return &c.CIMFilters }),
	sectionOf("cim-subscription", KeyCIMSubscription, "cim-subscriptions", func(c *Config) *map[string]*CIMSubscription { return &c.CIMSubscriptions }),
	sectionOf("constraint", KeyConstraint, "constraints", func(c *Config) *map[string]*Constraint { return &c.Constraints }),
	sectionOf("fence-device", KeyFenceDevice, "fence-devices", func(c *Config) *map[string]*FenceDevice { return &c.FenceDevices }),
	sectionOf("fence-topology", KeyFenceTopology, "fence-topology", func(c *Config) *map[string]*FenceTopology { return &c.FenceTopology }),
	sectionOf("mail-target", KeyMailTarget, "mail-targets", func(c *Config) *map[string]*MailTarget { return &c.MailTargets }),
	sectionOf("node", KeyNode, "nodes", func(c *Config) *map[string]*Node { return &c.Nodes }),
	sectionOf("quorum-device", KeyQuorumDevice, "quorum-devices", func(c *Config) *map[string]*QuorumDevice { return &c.QuorumDevices }),
	sectionOf("remote-node", KeyRemoteNode, "remote-nodes", func(c *Config) *map[string]*RemoteNode { return &c.RemoteNodes }),
	sectionOf("resource", KeyResource, "resources", func(c *Config) *map[string]*Resource { return &c.Resources }),
	sectionOf("role", KeyRole, "roles", func(c *Config) *map[string]*AccessRole { return &c.Roles }),
	sectionOf("role-binding", KeyRoleBinding, "role-bindings", func(c *Config) *map[string]*RoleBinding { return &c.RoleBindings }),
	sectionOf("snmp-target", KeySNMPTarget, "snmp-targets", func(c *Config) *map[string]*SNMPTarget { return &c.SNMPTargets }),
	sectionOf("snmp-user", KeySNMPUser, "snmp-users", func(c *Config) *map[string]*SNMPUser { return &c.SNMPUsers }),
	sectionOf("ticket", KeyTicket, "tickets", func(c *Config) *map[string]*Ticket { return &c.Tickets }),
	sectionOf("webhook", KeyWebhook, "webhooks", func(c *Config) *map[string]*Webhook { return &c.Webhooks }),
}

// ObjectKinds are the kinds that objects of a configuration have, besides the
// cluster itself: what stands before the slash in "resource/web".
func ObjectKinds() []string {
	out := make([]string, len(sections))
	for i, s := range sections {
		out[i] = s.kind
	}
	return out
}

// Clone returns a configuration whose maps may be changed. The objects in them
// are shared: replace them, do not change them.
func (c *Config) Clone() *Config {
	return &Config{
		Cluster:          c.Cluster,
		Nodes:            cloneMap(c.Nodes),
		Resources:        cloneMap(c.Resources),
		Constraints:      cloneMap(c.Constraints),
		FenceDevices:     cloneMap(c.FenceDevices),
		FenceTopology:    cloneMap(c.FenceTopology),
		QuorumDevices:    cloneMap(c.QuorumDevices),
		Tickets:          cloneMap(c.Tickets),
		AuditRules:       cloneMap(c.AuditRules),
		Roles:            cloneMap(c.Roles),
		RoleBindings:     cloneMap(c.RoleBindings),
		RemoteNodes:      cloneMap(c.RemoteNodes),
		SNMPUsers:        cloneMap(c.SNMPUsers),
		SNMPTargets:      cloneMap(c.SNMPTargets),
		CIMFilters:       cloneMap(c.CIMFilters),
		CIMDestinations:  cloneMap(c.CIMDestinations),
		CIMSubscriptions: cloneMap(c.CIMSubscriptions),
		Webhooks:         cloneMap(c.Webhooks),
		MailTargets:      cloneMap(c.MailTargets),
	}
}

func cloneMap[V any](m map[string]*V) map[string]*V {
	if m == nil {
		return map[string]*V{}
	}
	return maps.Clone(m)
}

// encode writes a document in its canonical form: fields in the order of the
// type, keys of maps sorted.
func encode(doc any) json.RawMessage {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", doc, err)) // an enumeration outside of its table
	}
	return b
}

// Documents returns the configuration as the documents of the store, by key. Each
// is in canonical form: equal documents have equal bytes.
func Documents(c *Config) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	if c.Cluster.Name != "" || !bytes.Equal(encode(c.Cluster), encode(Cluster{})) {
		out[KeyCluster] = encode(c.Cluster)
	}
	for _, s := range sections {
		s.each(c, func(id string, doc any) { out[s.prefix+id] = encode(doc) })
	}
	return out
}

// FromDocuments is the inverse of [Documents]. Keys outside of the configuration
// are an error.
func FromDocuments(docs map[string]json.RawMessage) (*Config, error) {
	c := (&Config{}).Clone()
	for _, key := range slices.Sorted(maps.Keys(docs)) {
		if err := c.setDocument(key, docs[key]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// setDocument replaces one document; nil removes it.
func (c *Config) setDocument(key string, doc json.RawMessage) error {
	if key == KeyCluster {
		var cl Cluster
		if doc != nil {
			if err := json.Unmarshal(doc, &cl); err != nil {
				return fmt.Errorf("read %s: %w", key, err)
			}
		}
		c.Cluster = cl
		return nil
	}
	for _, s := range sections {
		id, ok := strings.CutPrefix(key, s.prefix)
		if !ok || id == "" {
			continue
		}
		if doc == nil {
			s.del(c, id)
			return nil
		}
		v, err := s.load(doc)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		s.put(c, id, v)
		return nil
	}
	return fmt.Errorf("%s is no key of the configuration", key)
}

// Diff lists the documents that differ, by key, as they are before and after.
func Diff(before, after *Config) []Changed {
	a, b := Documents(before), Documents(after)
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	var out []Changed
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !bytes.Equal(a[key], b[key]) {
			out = append(out, Changed{Key: key, Before: a[key], After: b[key]})
		}
	}
	return out
}

// ApplyChanges returns the configuration after the changes. Each document must be
// as the change expects it, else the error is [ErrStale].
func ApplyChanges(c *Config, changes []Changed) (*Config, error) {
	n := c.Clone()
	have := Documents(c)
	for _, ch := range changes {
		if !sameDocument(have[ch.Key], ch.Before) {
			return nil, fmt.Errorf("%s: %w", ch.Key, ErrStale)
		}
		if err := n.setDocument(ch.Key, ch.After); err != nil {
			return nil, err
		}
		have[ch.Key] = ch.After
	}
	return n, nil
}

// sameDocument compares two documents that may have been written by different
// versions: by their values, not by their bytes.
func sameDocument(a, b json.RawMessage) bool {
	if a == nil || b == nil || bytes.Equal(a, b) {
		return bytes.Equal(a, b) && (a == nil) == (b == nil)
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return bytes.Equal(encode(x), encode(y))
}

// Invert returns the changes that undo the changes, in the order in which they
// must be applied.
func Invert(changes []Changed) []Changed {
	out := make([]Changed, 0, len(changes))
	for _, ch := range slices.Backward(changes) {
		out = append(out, Changed{Key: ch.Key, Before: ch.After, After: ch.Before})
	}
	return out
}
