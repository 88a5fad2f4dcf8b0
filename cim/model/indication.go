package model

import (
	"slices"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// Classes of indications.
const (
	FilterClass       = "CIM_IndicationFilter"
	ListenerClass     = "CIM_ListenerDestinationCIMXML"
	HandlerClass      = "CIM_IndicationHandlerCIMXML"
	SubscriptionClass = "CIM_IndicationSubscription"
	collectionClass   = "CIM_FilterCollection"
	indicationService = "belay-indications"
	capabilitiesID    = "Belay:Capabilities:Indications"
	collectionID      = "Belay:Filters"
)

// How deliveries are tried again.
const (
	RetryAttempts        = 3
	RetryIntervalSeconds = 20
)

func (s *State) indicationServicePath() *object.Path {
	return onSystem(Interop, clusterClass, s.name, "CIM_IndicationService", indicationService)
}

func (s *Source) indicationService(y yield) {
	i := s.in(Interop, "CIM_IndicationService")
	hosted(i, clusterClass, s.name, indicationService)
	i.Set("ElementName", "Belay indication service")
	running.set(i, "running", "")
	i.Set("RequestedState", 12)
	i.Set("StartMode", "Automatic")
	i.Set("Started", true)
	i.Set("FilterCreationEnabled", true)
	i.Set("DeliveryRetryAttempts", RetryAttempts)
	i.Set("DeliveryRetryInterval", RetryIntervalSeconds)
	i.Set("SubscriptionRemovalAction", 4)
	i.Set("SubscriptionRemovalTimeInterval", 0)
	y(i)
}

func (s *Source) indicationCapabilities(y yield) {
	i := s.in(Interop, "CIM_IndicationServiceCapabilities")
	i.Set("InstanceID", capabilitiesID)
	i.Set("ElementName", "Belay indication service")
	for _, name := range []string{
		"FilterCreationEnabledIsSettable", "DeliveryRetryAttemptsIsSettable", "DeliveryRetryIntervalIsSettable", "SubscriptionRemovalActionIsSettable", "SubscriptionRemovalTimeIntervalIsSettable",
	} {
		i.Set(name, false)
	}
	i.Set("MaxListenerDestinations", cib.CIMObjectsMax)
	i.Set("MaxActiveSubscriptions", cib.CIMObjectsMax)
	y(i)
}

func (s *Source) interopCapabilities(y yield) {
	y(s.link(Interop, "CIM_ElementCapabilities", "ManagedElement", s.indicationServicePath(), "Capabilities", object.NewPath(Interop, "CIM_IndicationServiceCapabilities", "InstanceID", capabilitiesID)))
}

func nameOr(name, id string) string {
	if name == "" {
		return id
	}
	return name
}

func (s *State) filterPath(id string) *object.Path {
	if f := s.config.CIMFilters[id]; f != nil {
		id = nameOr(f.Name, id)
	}
	return onSystem(Interop, clusterClass, s.name, FilterClass, id)
}

func (s *State) destinationPath(id string) *object.Path {
	class, name := ListenerClass, id
	if d := s.config.CIMDestinations[id]; d != nil {
		name = nameOr(d.Name, id)
		if d.Older {
			class = HandlerClass
		}
	}
	return onSystem(Interop, clusterClass, s.name, class, name)
}

func (s *Source) filters(y yield) {
	one := func(name, query, language, caption string, namespaces []string) bool {
		i := s.in(Interop, FilterClass)
		hosted(i, clusterClass, s.name, name)
		text(i, "Caption", caption)
		i.Set("IndividualSubscriptionSupported", true)
		if len(namespaces) == 0 {
			namespaces = []string{Root}
		}
		i.Set("SourceNamespace", namespaces[0])
		i.Set("SourceNamespaces", namespaces)
		i.Set("Query", query)
		i.Set("QueryLanguage", language)
		return y(i)
	}
	for _, id := range sortedKeys(cib.CIMBuiltinFilters) {
		if !one(id, cib.CIMBuiltinFilters[id], "DMTF:CQL", "built in", nil) {
			return
		}
	}
	for _, id := range sortedKeys(s.config.CIMFilters) {
		f := s.config.CIMFilters[id]
		if !one(nameOr(f.Name, id), f.Query, f.Language, ownedBy(f.Owner), f.Namespaces) {
			return
		}
	}
}

func ownedBy(user string) string {
	if user == "" {
		return ""
	}
	return truncate("of "+user, 64)
}

func truncate(s string, n int) string {
	r := []rune(s)
	return string(r[:min(n, len(r))])
}

func (s *Source) filterCollections(y yield) {
	i := s.in(Interop, collectionClass)
	i.Set("InstanceID", collectionID)
	i.Set("ElementName", "Built-in filters")
	i.Set("CollectionName", collectionID)
	y(i)
}

func (s *Source) filtersOfCollections(y yield) {
	for _, id := range sortedKeys(cib.CIMBuiltinFilters) {
		if !y(s.link(Interop, "CIM_MemberOfCollection", "Collection", object.NewPath(Interop, collectionClass, "InstanceID", collectionID), "Member", s.filterPath(id))) {
			return
		}
	}
}

func (s *Source) destinations(class string, y yield) {
	for _, id := range sortedKeys(s.config.CIMDestinations) {
		d := s.config.CIMDestinations[id]
		if d.Older != (class == HandlerClass) {
			continue
		}
		i := s.in(Interop, class)
		hosted(i, clusterClass, s.name, nameOr(d.Name, id))
		text(i, "Caption", ownedBy(d.Owner))
		i.Set("PersistenceType", 2)
		i.Set("Protocol", 2)
		i.Set("Destination", d.URL)
		if !y(i) {
			return
		}
	}
}

func (s *Source) subscriptions(y yield) {
	for _, id := range sortedKeys(s.config.CIMSubscriptions) {
		x := s.config.CIMSubscriptions[id]
		i := s.link(Interop, SubscriptionClass, "Filter", s.filterPath(x.Filter), "Handler", s.destinationPath(x.Destination))
		i.Set("OnFatalErrorPolicy", 2)
		state := 2
		if x.Disabled {
			state = 4
		}
		i.Set("SubscriptionState", state)
		i.Set("RepeatNotificationPolicy", 2)
		if !y(i) {
			return
		}
	}
}

func (s *Source) indicationServiceAffects(y yield) {
	var paths []*object.Path
	for _, id := range slices.Concat(sortedKeys(cib.CIMBuiltinFilters), sortedKeys(s.config.CIMFilters)) {
		paths = append(paths, s.filterPath(id))
	}
	for _, id := range sortedKeys(s.config.CIMDestinations) {
		paths = append(paths, s.destinationPath(id))
	}
	for _, p := range paths {
		if !y(s.link(Interop, "CIM_ServiceAffectsElement", "AffectedElement", p, "AffectingElement", s.indicationServicePath())) {
			return
		}
	}
}

// alertTypes are the values of CIM_AlertIndication.AlertType that are not Other.
func alertType(d *event.Definition) int {
	switch d.Number {
	case event.NodeLost, event.LinkDown, event.LinkUp, event.QuorumLost, event.QuorumGained, event.NodeStalled, event.NodeOnline:
		return 2
	case event.ResourceFailed, event.ResourceBlocked, event.ResourceUnexpected, event.ActionTimedOut, event.StoreStalled, event.StoreSlow:
		return 4
	case event.FenceDeviceFailed, event.FenceDeviceReady, event.QuorumDeviceFailed, event.QuorumDeviceReady:
		return 5
	case event.ConfigChanged, event.VoterSetChanged:
		return 7
	case event.AuditFailed, event.AuditConflict, event.AuditForwardFailed, event.CertificateExpired, event.NodeRejected:
		return 8
	}
	return 1
}

// Event is an event of the ring as an indication; nil where it is of another version,
// or is shown in the ring alone.
func (s *State) Event(ev *cib.Event) *object.Instance {
	d, ok := event.ByCode(ev.Code)
	if !ok || !d.Trap {
		return nil
	}
	i := s.new("Belay_ClusterEvent")
	i.Set("IndicationTime", ev.Time.UTC())
	i.Set("EventTime", ev.Time.UTC())
	i.Set("Description", ev.Text)
	i.Set("Message", ev.Text)
	i.Set("MessageID", ev.Code)
	i.Set("MessageArguments", valuesOf(ev.Args))
	i.Set("OwningEntity", "Belay")
	i.Set("ProviderName", "belay-mgmtd")
	i.Set("EventID", ev.Code)
	i.Set("EventKind", d.Number)
	i.Set("EventName", d.Name)
	i.Set("AlertType", alertType(d))
	number(i, "Severity", ev.Severity)
	i.Set("PerceivedSeverity", perceived[ev.Severity])
	i.Set("Cleared", ev.Severity == cib.SeverityCleared)
	i.Set("ProbableCause", 1)
	i.Set("ProbableCauseDescription", d.Title)
	i.Set("Trending", 1)
	actions := []string{}
	if d.Remedy != "" {
		actions = []string{event.Render(d.Remedy, ev)}
	}
	i.Set("RecommendedActions", actions)
	i.Set("SystemCreationClassName", clusterClass)
	i.Set("SystemName", s.name)
	i.Set("ClusterName", s.name)
	text(i, "NodeName", ev.Node)
	text(i, "ResourceName", ev.Resource)
	text(i, "DeviceName", ev.Device)
	text(i, "SourceNode", ev.Source)
	text(i, "Initiator", initiator(ev))
	i.Set("EventSequence", ev.Seq)
	i.Set("AlertingElementFormat", 2)
	about := s.clusterPath()
	switch {
	case ev.Resource != "":
		about = s.ResourcePath(ev.Resource)
	case ev.Device != "" && s.config.FenceDevices[ev.Device] != nil:
		about = s.servicePath(fenceDeviceClass, ev.Device)
	case ev.Node != "":
		about = s.machinePath(ev.Node)
	}
	i.Set("AlertingManagedElement", about.String())
	return i
}

// initiator is who caused an event, where it names somebody.
func initiator(ev *cib.Event) string {
	for _, arg := range []string{"person", "actor", "user"} {
		if v := ev.Args[arg]; v != "" {
			return v
		}
	}
	return ""
}
