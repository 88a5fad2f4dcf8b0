package model

import (
	"encoding/json"
	"iter"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// The namespaces, by their canonical names.
const (
	Root    = "root/cimv2" // the cluster
	Interop = "interop"    // the server, profiles, indications
)

// View is the cluster at one moment.
type View struct {
	Summary *status.Summary
	Config  *api.Config // secrets left out
	Version string      // of the server
	URLs    []string    // where the server answers
}

// Job is what was begun by a change and goes on in the cluster.
type Job struct {
	ID         string
	Action     api.Action
	Object     string
	Generation uint64
	RequestID  string
	User       string
	Began      time.Time
	Over       bool
	Failed     bool   // it is over, and not as it was wanted
	Reason     string // why
}

// Access is what one caller may see, and what is not part of a view. A function that is
// nil shows nothing.
type Access struct {
	// Read returns an error where the caller may not read an object such as
	// "resource/*".
	Read func(object string) error
	Jobs func() ([]Job, error)
	Job  func(id string) (*Job, error) // nil where there is none
	// Audit returns records of the audit log of the node that answers after a number,
	// and the number to go on after; 0: there are no more. limit is how many at most.
	Audit func(after uint64, limit int) (records []json.RawMessage, next uint64, err error)
	Node  string // that answers
}

// State is a view with what is looked up in it often. It does not change.
type State struct {
	View
	schemas   map[string]*object.Schema
	config    *cib.Config
	name      string // of the cluster
	parents   map[string]string
	resources map[string]*status.Resource
	nodes     map[string]*status.Node
	remotes   map[string]*status.Node // remote nodes
}

// New makes a state; schemas are those of the namespaces. A view without summary or
// configuration shows an empty cluster.
func New(schemas map[string]*object.Schema, v View) *State {
	if v.Summary == nil {
		v.Summary = &status.Summary{Cluster: status.Cluster{State: status.ClusterUnknown, Reason: "nothing is known yet"}}
	}
	if v.Config == nil || v.Config.Config == nil {
		v.Config = &api.Config{Config: cib.Empty().Config}
	}
	s := &State{View: v, schemas: schemas, config: v.Config.Config, name: v.Summary.Cluster.Name, resources: map[string]*status.Resource{}, nodes: map[string]*status.Node{}, remotes: map[string]*status.Node{}}
	s.parents = s.config.Parents()
	for i := range v.Summary.Resources {
		s.resources[v.Summary.Resources[i].ID] = &v.Summary.Resources[i]
	}
	for i := range v.Summary.Nodes {
		s.nodes[v.Summary.Nodes[i].Name] = &v.Summary.Nodes[i]
	}
	for i := range v.Summary.Remotes {
		s.remotes[v.Summary.Remotes[i].Name] = &v.Summary.Remotes[i]
	}
	return s
}

// Source is what a caller sees of a state.
func (s *State) Source(a Access) *Source { return &Source{State: s, access: a} }

// Source is an [object.Source].
type Source struct {
	*State
	access Access
}

// yield takes one instance; false ends the sequence.
type yield func(*object.Instance) bool

// provider makes the instances of one class in one namespace.
type provider struct {
	needs string // object that the caller must be allowed to read
	// each yields all; near is a path of the class, or of an object that an association
	// refers to: what has nothing to do with it may be left out.
	each func(s *Source, near *object.Path, y yield) error
}

func (s *Source) provider(namespace, class string) (*provider, error) {
	p := classes[namespace][class]
	if p == nil {
		return nil, nil
	}
	if s.access.Read != nil {
		if err := s.access.Read(p.needs); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// sequence yields what keep wants.
func (s *Source) sequence(namespace string, c *object.Class, near *object.Path, keep func(*object.Instance) bool) iter.Seq2[*object.Instance, error] {
	return func(y func(*object.Instance, error) bool) {
		p, err := s.provider(namespace, c.Name)
		if p == nil || err != nil {
			if err != nil {
				y(nil, err)
			}
			return
		}
		more := true
		err = p.each(s, near, func(i *object.Instance) bool {
			if keep == nil || keep(i) {
				more = y(i, nil)
			}
			return more
		})
		if err != nil && more {
			y(nil, err)
		}
	}
}

// Instances yields the instances of a class.
func (s *Source) Instances(namespace string, c *object.Class) iter.Seq2[*object.Instance, error] {
	return s.sequence(namespace, c, nil, nil)
}

// Get returns the instance with a path: one whose keys are all as in the path.
func (s *Source) Get(path *object.Path) (*object.Instance, error) {
	c := s.class(path.Namespace, path.Class)
	if c == nil {
		return nil, object.Errorf(object.InvalidClass, "there is no class %s in %s", path.Class, path.Namespace)
	}
	near := path
	if refs := c.References(); len(refs) > 0 {
		if near, _ = path.Get(refs[0].Name).(*object.Path); near == nil {
			return nil, object.Errorf(object.NotFound, "there is no %s", path)
		}
	}
	key := path.Key()
	for i, err := range s.sequence(path.Namespace, c, near, func(i *object.Instance) bool { return i.Path().Key() == key }) {
		return i, err
	}
	return nil, object.Errorf(object.NotFound, "there is no %s", path)
}

// References yields the instances of an association that refer to a path.
func (s *Source) References(path *object.Path, association *object.Class) iter.Seq2[*object.Instance, error] {
	key, refs := path.Key(), association.References()
	return s.sequence(path.Namespace, association, path, func(i *object.Instance) bool {
		for _, r := range refs {
			if p, ok := i.Get(r.Name).(*object.Path); ok && p.Key() == key {
				return true
			}
		}
		return false
	})
}

func (s *State) class(namespace, name string) *object.Class {
	if schema := s.schemas[namespace]; schema != nil {
		return schema.Class(name)
	}
	return nil
}

// in begins an instance of a class that this package knows.
func (s *State) in(namespace, class string) *object.Instance {
	return s.schemas[namespace].MustClass(class).New(namespace)
}

// new begins an instance in the namespace of the cluster.
func (s *State) new(class string) *object.Instance { return s.in(Root, class) }

// link makes an instance of an association from its two ends.
func (s *State) link(namespace, class, role string, from *object.Path, otherRole string, to *object.Path) *object.Instance {
	i := s.in(namespace, class)
	i.Set(role, from)
	i.Set(otherRole, to)
	return i
}

// each makes a provider's function for what needs no hint.
func each(f func(s *Source, y yield)) func(*Source, *object.Path, yield) error {
	return func(s *Source, _ *object.Path, y yield) error {
		f(s, y)
		return nil
	}
}

// classes are the classes that have instances, by namespace.
var classes = map[string]map[string]*provider{
	Root: {
		"Belay_Cluster":                         {"cluster", each((*Source).cluster)},
		"CIM_EnabledLogicalElementCapabilities": {"cluster", each((*Source).capabilities)},
		"CIM_ElementCapabilities":               {"cluster", (*Source).elementCapabilities},
		"Belay_NodeRedundancySet":               {"cluster", each((*Source).redundancySet)},
		"CIM_HostedCollection":                  {"cluster", each((*Source).hostedCollection)},
		"Belay_NodeInRedundancySet":             {"cluster", (*Source).nodeInSet},
		"Belay_QuorumDevice":                    {"cluster", each((*Source).quorumDevices)},
		"Belay_Ticket":                          {"cluster", each((*Source).tickets)},
		"CIM_ConcreteDependency":                {"cluster", each((*Source).concreteDependencies)},
		"CIM_SoftwareIdentity":                  {"cluster", each((*Source).software)},
		"CIM_InstalledSoftwareIdentity":         {"cluster", (*Source).installedSoftware},
		"CIM_ElementSoftwareIdentity":           {"cluster", (*Source).elementSoftware},
		"CIM_HostedService":                     {"cluster", each((*Source).hostedServices)},
		"CIM_ServiceAffectsElement":             {"cluster", (*Source).serviceAffects},
		"Belay_ClusteringService":               {"cluster", each((*Source).clusteringService)},
		"Belay_Node":                            {"cluster", (*Source).nodeInstances},
		"Belay_RemoteNode":                      {"cluster", (*Source).remoteInstances},
		"Belay_ParticipatingNode":               {"cluster", (*Source).participating},
		"Belay_Link":                            {"cluster", (*Source).links},
		"CIM_HostedAccessPoint":                 {"cluster", (*Source).hostedAccessPoints},
		"Belay_Resource":                        {"cluster", (*Source).resourceInstances},
		"Belay_HostedResource":                  {"cluster", (*Source).hostedResources},
		"Belay_SubResource":                     {"cluster", (*Source).subResources},
		"Belay_RunningOn":                       {"cluster", (*Source).runningOn},
		"CIM_IPProtocolEndpoint":                {"cluster", (*Source).endpoints},
		"CIM_ServiceAccessBySAP":                {"cluster", (*Source).endpointServices},
		"Belay_FenceDevice":                     {"cluster", each((*Source).fenceDevices)},
		"CIM_AssociatedPowerManagementService":  {"cluster", (*Source).powerManagement},
		"Belay_ResourceSetting":                 {"resource/*", (*Source).resourceSettings},
		"Belay_ResourceSettingData":             {"resource/*", (*Source).resourceSettingData},
		"Belay_Constraint":                      {"constraint/*", (*Source).constraints},
		"Belay_ConstraintSettingData":           {"constraint/*", (*Source).constraintSettingData},
		"Belay_Job":                             {"job/*", (*Source).jobs},
		"CIM_OwningJobElement":                  {"job/*", (*Source).owningJobs},
		"CIM_AffectedJobElement":                {"job/*", (*Source).affectedByJobs},
		"CIM_RoleBasedAuthorizationService":     {"role/*", each((*Source).authorizationService)},
		"CIM_Role":                              {"role/*", each((*Source).roles)},
		"CIM_OwningCollectionElement":           {"role/*", each((*Source).ownedRoles)},
		"CIM_Privilege":                         {"role/*", each((*Source).privileges)},
		"CIM_MemberOfCollection":                {"role/*", each((*Source).rolePrivileges)},
		"CIM_RecordLog":                         {"audit", each((*Source).recordLog)},
		"CIM_UseOfLog":                          {"audit", each((*Source).useOfLog)},
		"CIM_LogEntry":                          {"audit", (*Source).logEntries},
		"CIM_LogManagesRecord":                  {"audit", (*Source).logManagesRecord},
		"CIM_ElementConformsToProfile":          {"cluster", each(func(s *Source, y yield) { s.conforming(Root, y) })},
	},
	Interop: {
		"CIM_ObjectManager":                 {"cluster", each((*Source).objectManager)},
		"CIM_Namespace":                     {"cluster", each((*Source).namespaces)},
		"CIM_NamespaceInManager":            {"cluster", each((*Source).namespacesInManager)},
		"CIM_CIMXMLCommunicationMechanism":  {"cluster", each((*Source).mechanisms)},
		"CIM_CommMechanismForManager":       {"cluster", each((*Source).mechanismsForManager)},
		"CIM_RegisteredProfile":             {"cluster", each((*Source).profiles)},
		"CIM_ReferencedProfile":             {"cluster", each((*Source).referencedProfiles)},
		"CIM_ElementConformsToProfile":      {"cluster", each(func(s *Source, y yield) { s.conforming(Interop, y) })},
		"CIM_HostedService":                 {"cluster", each((*Source).hostedInteropServices)},
		"CIM_IndicationService":             {"cluster", each((*Source).indicationService)},
		"CIM_IndicationServiceCapabilities": {"cluster", each((*Source).indicationCapabilities)},
		"CIM_ElementCapabilities":           {"cluster", each((*Source).interopCapabilities)},
		"CIM_FilterCollection":              {"cluster", each((*Source).filterCollections)},
		"CIM_MemberOfCollection":            {"cluster", each((*Source).filtersOfCollections)},
		"CIM_IndicationFilter":              {"subscription/*", each((*Source).filters)},
		"CIM_ListenerDestinationCIMXML":     {"subscription/*", each(func(s *Source, y yield) { s.destinations(ListenerClass, y) })},
		"CIM_IndicationHandlerCIMXML":       {"subscription/*", each(func(s *Source, y yield) { s.destinations(HandlerClass, y) })},
		"CIM_IndicationSubscription":        {"subscription/*", each((*Source).subscriptions)},
		"CIM_ServiceAffectsElement":         {"subscription/*", each((*Source).indicationServiceAffects)},
	},
}

// Class is a class of the cluster's namespace that this program knows.
func (s *State) Class(name string) *object.Class { return s.schemas[Root].MustClass(name) }
