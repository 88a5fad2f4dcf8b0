package model

import (
	"net/url"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/status"
)

const (
	managerClass = "CIM_ObjectManager"
	managerName  = "belay-mgmtd"
	profileClass = "CIM_RegisteredProfile"
)

func (s *State) managerPath() *object.Path {
	return onSystem(Interop, clusterClass, s.name, managerClass, managerName)
}

func (s *Source) objectManager(y yield) {
	i := s.in(Interop, managerClass)
	hosted(i, clusterClass, s.name, managerName)
	i.Set("ElementName", "Belay")
	i.Set("Description", "Belay CIM server version "+s.Version)
	condition{opOK, healthOK, enabled}.set(i, "running", "")
	i.Set("RequestedState", 12)
	i.Set("StartMode", "Automatic")
	i.Set("Started", true)
	i.Set("GatherStatisticalData", false)
	y(i)
}

// namespaceNames are the namespaces, with what is in them.
var namespaceNames = []struct {
	name, text string
	info       int
}{
	{Root, "the CIM Schema and the classes of Belay", 3},
	{Interop, "the server, its profiles and indications", 2},
}

func (s *State) namespacePath(name string) *object.Path {
	return object.NewPath(Interop, "CIM_Namespace", "SystemCreationClassName", clusterClass, "SystemName", s.name,
		"ObjectManagerCreationClassName", managerClass, "ObjectManagerName", managerName, "CreationClassName", "CIM_Namespace", "Name", name)
}

func (s *Source) namespaces(y yield) {
	for _, n := range namespaceNames {
		i := s.in(Interop, "CIM_Namespace")
		for _, k := range s.namespacePath(n.name).Keys {
			i.Set(k.Name, k.Value)
		}
		i.Set("ElementName", n.name)
		i.Set("ClassInfo", n.info)
		i.Set("DescriptionOfClassInfo", n.text)
		if !y(i) {
			return
		}
	}
}

func (s *Source) namespacesInManager(y yield) {
	for _, n := range namespaceNames {
		if !y(s.link(Interop, "CIM_NamespaceInManager", "Antecedent", s.managerPath(), "Dependent", s.namespacePath(n.name))) {
			return
		}
	}
}

// eachMechanism calls f with a name for each URL of the server.
func (s *State) eachMechanism(f func(name, address string) bool) {
	for _, u := range s.URLs {
		if p, err := url.Parse(u); err == nil && !f("cim-xml-"+p.Scheme+"-"+p.Host, u) {
			return
		}
	}
}

const mechanismClass = "CIM_CIMXMLCommunicationMechanism"

func (s *Source) mechanisms(y yield) {
	s.eachMechanism(func(name, address string) bool {
		i := s.in(Interop, mechanismClass)
		hosted(i, clusterClass, s.name, name)
		i.Set("ElementName", address)
		condition{opOK, healthOK, enabled}.set(i, "listening", "")
		i.Set("RequestedState", 12)
		i.Set("CommunicationMechanism", 2)
		i.Set("FunctionalProfilesSupported", []int{2, 3, 5, 6, 7, 8, 9})
		i.Set("MultipleOperationsSupported", false)
		i.Set("AuthenticationMechanismsSupported", []int{3, 1})
		i.Set("AuthenticationMechanismDescriptions", []string{"", "TLS client certificate"})
		i.Set("Version", "1.4")
		i.Set("CIMXMLProtocolVersion", 2)
		i.Set("CIMValidated", false)
		return y(i)
	})
}

func (s *Source) mechanismsForManager(y yield) {
	s.eachMechanism(func(name, _ string) bool {
		return y(s.link(Interop, "CIM_CommMechanismForManager", "Antecedent", s.managerPath(), "Dependent", onSystem(Interop, clusterClass, s.name, mechanismClass, name)))
	})
}

func (s *Source) hostedInteropServices(y yield) {
	for _, p := range []*object.Path{s.managerPath(), s.indicationServicePath()} {
		if !y(s.link(Interop, "CIM_HostedService", "Antecedent", s.clusterPath(), "Dependent", p)) {
			return
		}
	}
}

// A profile is one that the server follows. DSP numbers are those of the DMTF.
type profile struct {
	id           string
	organization int // 1: Belay, 2: DMTF
	name         string
	version      string
	refers       []string // ids of profiles
	conforming   func(s *State, p func(*object.Path) bool)
}

// profiles are the profiles, those that are referred to first.
var profileTable = []profile{
	{"Belay:Profile:ProfileRegistration", 2, "Profile Registration", "1.0.0", nil, func(_ *State, p func(*object.Path) bool) { // DSP1033
		for _, id := range profileIDs {
			if !p(profilePath(id)) {
				return
			}
		}
	}},
	{"Belay:Profile:Indications", 2, "Indications", "1.2.0", []string{"Belay:Profile:ProfileRegistration"}, func(s *State, p func(*object.Path) bool) { // DSP1054
		p(s.indicationServicePath())
	}},
	{"Belay:Profile:RoleBasedAuthorization", 2, "Role Based Authorization", "1.0.0", []string{"Belay:Profile:ProfileRegistration"}, func(s *State, p func(*object.Path) bool) { // DSP1039
		p(s.authorizationPath())
	}},
	{"Belay:Profile:BaseServer", 2, "Base Server", "1.0.0", []string{"Belay:Profile:ProfileRegistration"}, func(s *State, p func(*object.Path) bool) { // DSP1004
		s.eachNode(nil, func(n *status.Node) bool { return p(s.nodePath(n.Name)) })
	}},
	{"Belay:Profile:WBEMServer", 2, "WBEM Server", "1.0.0", []string{"Belay:Profile:ProfileRegistration", "Belay:Profile:Indications"}, func(s *State, p func(*object.Path) bool) { // DSP1092
		p(s.managerPath())
	}},
	{"Belay:Profile:HACluster", 1, "HA Cluster", "1.0.0", []string{"Belay:Profile:ProfileRegistration", "Belay:Profile:BaseServer", "Belay:Profile:RoleBasedAuthorization"}, func(s *State, p func(*object.Path) bool) {
		p(s.clusterPath())
	}},
}

// profileIDs are the ids of the table: an initialiser that looked at the table itself
// would look at what is not there yet.
var profileIDs = []string{
	"Belay:Profile:ProfileRegistration", "Belay:Profile:Indications", "Belay:Profile:RoleBasedAuthorization",
	"Belay:Profile:BaseServer", "Belay:Profile:WBEMServer", "Belay:Profile:HACluster",
}

func profilePath(id string) *object.Path {
	return object.NewPath(Interop, profileClass, "InstanceID", id)
}

func (s *Source) profiles(y yield) {
	for k := range profileTable {
		p := &profileTable[k]
		i := s.in(Interop, profileClass)
		i.Set("InstanceID", p.id)
		i.Set("ElementName", p.name)
		i.Set("RegisteredOrganization", p.organization)
		if p.organization == 1 {
			i.Set("OtherRegisteredOrganization", "Belay")
		}
		i.Set("RegisteredName", p.name)
		i.Set("RegisteredVersion", p.version)
		i.Set("AdvertiseTypes", []int{2})
		if !y(i) {
			return
		}
	}
}

func (s *Source) referencedProfiles(y yield) {
	for k := range profileTable {
		for _, to := range profileTable[k].refers {
			if !y(s.link(Interop, "CIM_ReferencedProfile", "Antecedent", profilePath(to), "Dependent", profilePath(profileTable[k].id))) {
				return
			}
		}
	}
}

// conforming says which elements follow which profile. It can be asked in the namespace
// of the profiles and in that of the elements.
func (s *Source) conforming(namespace string, y yield) {
	more := true
	for k := range profileTable {
		profileTable[k].conforming(s.State, func(p *object.Path) bool {
			if namespace != Root || p.Namespace == Root {
				more = y(s.link(namespace, "CIM_ElementConformsToProfile", "ConformantStandard", profilePath(profileTable[k].id), "ManagedElement", p))
			}
			return more
		})
		if !more {
			return
		}
	}
}
