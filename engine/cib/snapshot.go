package cib

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Snapshot is the whole state of a cluster at one revision of the store. It is
// never changed after it was built: readers share it without locks.
type Snapshot struct {
	Revision  int64 // of the newest change in it
	ConfigGen ConfigGeneration
	Config    *Config
	Status    Status
	Faults    map[string]string // documents that could not be read: key to reason
	// Access holds what the management daemons keep, by name. It says nothing to the
	// engine and is shown to nobody else.
	Access map[string]*AccessDocument `json:"-"`
}

// FeatureLevel is the level that the cluster runs at: the stored one; before there is
// one, the newest that this engine knows.
func (s *Snapshot) FeatureLevel() int {
	if v := s.Status.View; v != nil && v.FeatureLevel > 0 {
		return v.FeatureLevel
	}
	return FeatureLevel
}

// NextFeatureLevel is the level that the cluster may be raised to: the lowest of its
// nodes', as each registered last. It is never below the stored one.
func (s *Snapshot) NextFeatureLevel() int {
	level := 0
	for name, m := range s.Status.Members {
		if s.Config.Nodes[name] != nil && (level == 0 || m.FeatureLevel < level) {
			level = m.FeatureLevel
		}
	}
	if v := s.Status.View; v != nil {
		level = max(level, v.FeatureLevel)
	}
	return level
}

// AccessDocument is one document of the management daemons: a session, a token, who
// has which role.
type AccessDocument struct {
	Value json.RawMessage
	Rev   int64
}

// ConfigGeneration is the document that every change of the configuration
// compares and raises.
type ConfigGeneration struct {
	Number uint64    `json:"generation"`
	Time   time.Time `json:"time"`
	// Numbered is the last number given to a resource or a device, see [AssignNumbers].
	Numbered uint32 `json:"numbered,omitempty"`
	Rev      int64  `json:"-"`
}

// GenerationRecord is kept for every generation: enough to show, compare and
// undo it.
type GenerationRecord struct {
	Generation uint64    `json:"generation"`
	Time       time.Time `json:"time"`
	Actor      string    `json:"actor"`
	Action     string    `json:"action"`
	Object     string    `json:"object,omitempty"`
	RequestID  string    `json:"requestId"`
	Changes    []Changed `json:"changes"`
}

// Changed is one document before and after a change; null where it did not exist.
type Changed struct {
	Key    string          `json:"key"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Empty returns the snapshot of an empty store.
func Empty() *Snapshot {
	return &Snapshot{
		Config: &Config{
			Nodes: map[string]*Node{}, Resources: map[string]*Resource{}, Constraints: map[string]*Constraint{},
			FenceDevices: map[string]*FenceDevice{}, FenceTopology: map[string]*FenceTopology{},
			QuorumDevices: map[string]*QuorumDevice{}, Tickets: map[string]*Ticket{},
			AuditRules: map[string]*AuditRule{}, Roles: map[string]*AccessRole{}, RoleBindings: map[string]*RoleBinding{}, RemoteNodes: map[string]*RemoteNode{},
			SNMPUsers: map[string]*SNMPUser{}, SNMPTargets: map[string]*SNMPTarget{},
			CIMFilters: map[string]*CIMFilter{}, CIMDestinations: map[string]*CIMDestination{}, CIMSubscriptions: map[string]*CIMSubscription{},
			Webhooks: map[string]*Webhook{}, MailTargets: map[string]*MailTarget{},
		},
		Status: Status{
			Members: map[string]*Member{}, Nodes: map[string]*NodeStatus{}, Remotes: map[string]*RemoteLink{}, Attributes: map[string]*Attributes{},
			Histories: map[string]map[string]*History{}, Pending: map[string]map[string]*Pending{},
			Requests: map[string]*FenceRequest{}, Proofs: map[string]*Proof{}, Fenced: map[string]*FenceRequest{},
			Readiness: map[string]map[string]*Readiness{}, Stores: map[string]*StoreStatus{}, Links: map[string]*LinkReport{},
			Tickets: map[string]*TicketStatus{},
		},
		Faults: map[string]string{},
		Access: map[string]*AccessDocument{},
	}
}

// Apply returns the snapshot after the changes, at revision rev. Parts that did
// not change are shared. A document that can't be read stands in Faults, and what
// was known of it before is kept: half an update must not look like a deletion.
func (s *Snapshot) Apply(kvs []KV, rev int64) *Snapshot {
	b := &builder{Snapshot: *s, copied: map[string]bool{}}
	b.Revision = rev
	for _, kv := range kvs {
		err := b.apply(kv)
		if err == nil && s.Faults[kv.Key] == "" {
			continue
		}
		own(b, "faults", &b.Faults)
		delete(b.Faults, kv.Key)
		if err != nil {
			b.Faults[kv.Key] = err.Error()
		}
	}
	out := b.Snapshot
	return &out
}

// builder copies a map before its first change.
type builder struct {
	Snapshot
	copied map[string]bool
}

func own[V any](b *builder, what string, m *map[string]V) {
	if !b.copied[what] {
		b.copied[what] = true
		if *m == nil {
			*m = map[string]V{}
		} else {
			*m = maps.Clone(*m)
		}
	}
}

func (b *builder) config() *Config {
	if !b.copied["config"] {
		b.copied["config"] = true
		c := *b.Config
		b.Config = &c
	}
	return b.Config
}

// one reads a document into a map of documents.
func one[V any](b *builder, m *map[string]*V, prefix string, kv KV, set func(*V)) error {
	id := strings.TrimPrefix(kv.Key, prefix)
	if kv.Value == nil {
		own(b, prefix, m)
		delete(*m, id)
		return nil
	}
	v, err := decode[V](kv)
	if err != nil {
		return err
	}
	if set != nil {
		set(v)
	}
	own(b, prefix, m)
	(*m)[id] = v
	return nil
}

// two reads a document into a map of maps of documents.
func two[V any](b *builder, m *map[string]map[string]*V, prefix string, kv KV, set func(*V)) error {
	first, rest := SplitKey(kv.Key, prefix)
	if first == "" || rest == "" {
		return errors.New("key has no node or no name")
	}
	var v *V
	if kv.Value != nil {
		var err error
		if v, err = decode[V](kv); err != nil {
			return err
		}
		set(v)
	}
	own(b, prefix, m)
	inner := (*m)[first]
	own(b, prefix+first, &inner)
	if v == nil {
		delete(inner, rest)
	} else {
		inner[rest] = v
	}
	if len(inner) == 0 {
		delete(*m, first)
		delete(b.copied, prefix+first)
	} else {
		(*m)[first] = inner
	}
	return nil
}

// single reads a document that exists once.
func single[V any](dst **V, kv KV, set func(*V)) error {
	if kv.Value == nil {
		*dst = nil
		return nil
	}
	v, err := decode[V](kv)
	if err == nil {
		set(v)
		*dst = v
	}
	return err
}

func decode[V any](kv KV) (*V, error) {
	v := new(V)
	if err := json.Unmarshal(kv.Value, v); err != nil {
		return nil, fmt.Errorf("read %s: %w", kv.Key, err)
	}
	return v, nil
}

func (b *builder) apply(kv KV) error {
	st := &b.Status
	rev := kv.ModRev
	switch key := kv.Key; {
	case key == KeyCluster:
		v := &Cluster{}
		if err := single(&v, kv, func(*Cluster) {}); err != nil {
			return err
		}
		if v == nil {
			v = &Cluster{}
		}
		b.config().Cluster = *v
		return nil
	case key == KeyConfigGen:
		v := &b.ConfigGen
		if err := single(&v, kv, func(g *ConfigGeneration) { g.Rev = rev }); err != nil || v == nil {
			return err
		}
		b.ConfigGen = *v
		return nil
	case strings.HasPrefix(key, KeyNode):
		return one(b, &b.config().Nodes, KeyNode, kv, nil)
	case strings.HasPrefix(key, KeyResource):
		return one(b, &b.config().Resources, KeyResource, kv, nil)
	case strings.HasPrefix(key, KeyConstraint):
		return one(b, &b.config().Constraints, KeyConstraint, kv, nil)
	case strings.HasPrefix(key, KeyFenceDevice):
		return one(b, &b.config().FenceDevices, KeyFenceDevice, kv, nil)
	case strings.HasPrefix(key, KeyFenceTopology):
		return one(b, &b.config().FenceTopology, KeyFenceTopology, kv, nil)
	case strings.HasPrefix(key, KeyQuorumDevice):
		return one(b, &b.config().QuorumDevices, KeyQuorumDevice, kv, nil)
	case strings.HasPrefix(key, KeyTicket):
		return one(b, &b.config().Tickets, KeyTicket, kv, nil)
	case strings.HasPrefix(key, KeyAuditRule):
		return one(b, &b.config().AuditRules, KeyAuditRule, kv, nil)
	case strings.HasPrefix(key, KeyRole):
		return one(b, &b.config().Roles, KeyRole, kv, nil)
	case strings.HasPrefix(key, KeySNMPUser):
		return one(b, &b.config().SNMPUsers, KeySNMPUser, kv, nil)
	case strings.HasPrefix(key, KeySNMPTarget):
		return one(b, &b.config().SNMPTargets, KeySNMPTarget, kv, nil)
	case strings.HasPrefix(key, KeyCIMFilter):
		return one(b, &b.config().CIMFilters, KeyCIMFilter, kv, nil)
	case strings.HasPrefix(key, KeyCIMDestination):
		return one(b, &b.config().CIMDestinations, KeyCIMDestination, kv, nil)
	case strings.HasPrefix(key, KeyCIMSubscription):
		return one(b, &b.config().CIMSubscriptions, KeyCIMSubscription, kv, nil)
	case strings.HasPrefix(key, KeyWebhook):
		return one(b, &b.config().Webhooks, KeyWebhook, kv, nil)
	case strings.HasPrefix(key, KeyMailTarget):
		return one(b, &b.config().MailTargets, KeyMailTarget, kv, nil)
	case strings.HasPrefix(key, KeyRoleBinding):
		return one(b, &b.config().RoleBindings, KeyRoleBinding, kv, nil)
	case strings.HasPrefix(key, KeyRemoteNode):
		return one(b, &b.config().RemoteNodes, KeyRemoteNode, kv, nil)

	case key == KeyDataGen:
		v := &DataGeneration{}
		if err := single(&v, kv, func(*DataGeneration) {}); err != nil || v == nil {
			return err
		}
		st.Generation = *v
		return nil
	case key == KeyDC:
		return single(&st.DC, kv, func(v *DC) { v.Rev = rev })
	case key == KeyView:
		return single(&st.View, kv, func(v *View) { v.Rev = rev })
	case key == KeyVoters:
		return single(&st.Voters, kv, func(v *VoterSet) { v.Rev = rev })
	case key == KeyRevoked:
		return single(&st.Revoked, kv, func(v *Revoked) { v.Rev = rev })
	case key == KeyAdvice:
		return single(&st.Advice, kv, func(v *Advice) { v.Rev = rev })
	case strings.HasPrefix(key, KeyMember):
		return one(b, &st.Members, KeyMember, kv, func(v *Member) { v.Rev = rev })
	case strings.HasPrefix(key, KeyNodeStatus):
		return one(b, &st.Nodes, KeyNodeStatus, kv, func(v *NodeStatus) { v.Rev = rev })
	case strings.HasPrefix(key, KeyRemote):
		return one(b, &st.Remotes, KeyRemote, kv, func(v *RemoteLink) { v.Rev = rev })
	case strings.HasPrefix(key, KeyRemoteHistory):
		return two(b, &st.Histories, KeyRemoteHistory, kv, func(v *History) { v.Rev = rev })
	case strings.HasPrefix(key, KeyAttributes):
		return one(b, &st.Attributes, KeyAttributes, kv, func(v *Attributes) { v.Rev = rev })
	case strings.HasPrefix(key, KeyHistory):
		return two(b, &st.Histories, KeyHistory, kv, func(v *History) { v.Rev = rev })
	case strings.HasPrefix(key, KeyPending):
		return two(b, &st.Pending, KeyPending, kv, func(v *Pending) { v.Rev = rev })
	case strings.HasPrefix(key, KeyTicketStatus):
		return one(b, &st.Tickets, KeyTicketStatus, kv, func(v *TicketStatus) { v.Rev = rev })
	case strings.HasPrefix(key, KeyRound):
		return one(b, &st.Rounds, KeyRound, kv, func(v *Round) { v.Rev = rev })
	case strings.HasPrefix(key, KeyOutages):
		return one(b, &st.Outages, KeyOutages, kv, func(v *Outages) { v.Rev = rev })
	case strings.HasPrefix(key, KeyFenceRequest):
		return one(b, &st.Requests, KeyFenceRequest, kv, func(v *FenceRequest) { v.Rev = rev })
	case strings.HasPrefix(key, KeyProof):
		return one(b, &st.Proofs, KeyProof, kv, func(v *Proof) { v.Rev = rev })
	case strings.HasPrefix(key, KeyFenceHistory):
		return one(b, &st.Fenced, KeyFenceHistory, kv, func(v *FenceRequest) { v.Rev = rev })
	case strings.HasPrefix(key, KeyReadiness):
		return two(b, &st.Readiness, KeyReadiness, kv, func(v *Readiness) { v.Rev = rev })
	case strings.HasPrefix(key, KeyStore):
		return one(b, &st.Stores, KeyStore, kv, func(v *StoreStatus) { v.Rev = rev })
	case strings.HasPrefix(key, KeyLinks):
		return one(b, &st.Links, KeyLinks, kv, func(v *LinkReport) { v.Rev = rev })
	case strings.HasPrefix(key, KeyEvent):
		return b.event(kv)
	case strings.HasPrefix(key, KeyAccess):
		own(b, KeyAccess, &b.Access)
		if kv.Value == nil {
			delete(b.Access, strings.TrimPrefix(key, KeyAccess))
		} else {
			b.Access[strings.TrimPrefix(key, KeyAccess)] = &AccessDocument{Value: kv.Value, Rev: rev}
		}
		return nil
	}
	return nil // a key of a newer version, or one that is not part of the snapshot
}

func (b *builder) event(kv KV) error {
	if !b.copied["events"] {
		b.copied["events"] = true
		b.Status.Events = slices.Clone(b.Status.Events)
	}
	events := b.Status.Events
	if kv.Value == nil { // the oldest go first, so this looks at few
		if i := slices.IndexFunc(events, func(e *Event) bool { return e.Key == kv.Key }); i >= 0 {
			b.Status.Events = slices.Delete(events, i, i+1)
		}
		return nil
	}
	v, err := decode[Event](kv)
	if err != nil {
		return err
	}
	v.Key, v.Seq = kv.Key, uint64(max(0, kv.ModRev))*EventsPerTxn+v.Index%EventsPerTxn
	i, found := slices.BinarySearchFunc(events, v.Seq, func(e *Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
	if found {
		events[i] = v
	} else {
		b.Status.Events = slices.Insert(events, i, v)
	}
	return nil
}
