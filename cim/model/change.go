package model

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Order is what a request of CIM means: a change for the engine, or an answer that
// needs none.
type Order struct {
	Change *api.Change       // nil: nothing is to be changed
	Then   []*api.Change     // made after it, in order
	Token  *api.TokenRequest // instead of a change: what lets a machine join
	Path   *object.Path      // of what is made
	Return int               // of a method that needs no change
	Out    []any             // output parameters besides Job, once the change is made: names and values
}

// Create says what making an instance means. Properties that the client gave are set;
// user is who asks.
func (s *State) Create(i *object.Instance, user string) (*Order, error) {
	kind, id, doc, err := s.drafted(i)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(kind, "cim-") {
		doc.set("owner", user)
	}
	value, err := doc.json(true)
	if err != nil {
		return nil, err
	}
	ch := &api.Change{Action: api.ActionCreate, Object: kind + "/" + id, Value: value, ExpectedGeneration: generation(i)}
	return &Order{Change: ch, Path: s.made(i, kind, id)}, nil
}

// made is the path of what was created.
func (s *State) made(i *object.Instance, kind, id string) *object.Path {
	switch kind {
	case "cim-filter":
		return onSystem(Interop, clusterClass, s.name, FilterClass, i.Text("Name"))
	case "cim-destination":
		return onSystem(Interop, clusterClass, s.name, i.Class().Name, i.Text("Name"))
	case "cim-subscription":
		return i.Path()
	case "resource":
		if i.Class().Is(settingClass) {
			return byID(settingClass, settingID+id)
		}
	}
	return s.Object(kind + "/" + id)
}

// drafted is the document that an instance describes, with the name of its object.
func (s *State) drafted(i *object.Instance) (kind, id string, doc patch, err error) {
	given := i.Has
	doc = patch{}
	if i.Class().Property("Document") != nil && i.Text("Document") != "" {
		if doc, err = document(i.Text("Document")); err != nil {
			return "", "", nil, err
		}
	}
	switch i.Class().Name {
	case resourceClass:
		kind = "resource"
		if id, err = s.keyName(i); err == nil {
			err = resourcePatch(doc, i, given, nil)
		}
	case settingClass:
		kind = "resource"
		if id, err = nameOf(i, "ResourceName", settingID); err == nil {
			err = resourcePatch(doc, i, given, nil)
		}
	case constraintClass:
		kind = "constraint"
		if id, err = nameOf(i, "ConstraintName", constraintID); err == nil {
			err = constraintPatch(doc, i, given, nil)
		}
	case fenceDeviceClass:
		kind = "fence-device"
		if id, err = s.keyName(i); err == nil {
			err = fenceDevicePatch(doc, i, given, nil)
		}
	case quorumClass:
		kind = "quorum-device"
		if id = i.Text("DeviceID"); id == "" {
			err = object.Errorf(object.InvalidParameter, "DeviceID names no device")
		} else {
			err = quorumDevicePatch(doc, i, given, nil)
		}
	case FilterClass:
		kind = "cim-filter"
		id, err = s.filterDraft(doc, i)
	case ListenerClass, HandlerClass:
		kind = "cim-destination"
		id, err = s.destinationDraft(doc, i)
	case SubscriptionClass:
		kind = "cim-subscription"
		id, err = s.subscriptionDraft(doc, i)
	default:
		err = object.Errorf(object.NotSupported, "instances of %s are not made by clients", i.Class().Name)
	}
	return kind, id, doc, err
}

// keyName is the name of something that the cluster hosts. Keys that the client gave
// must be those that the instance will have.
func (s *State) keyName(i *object.Instance) (string, error) {
	for _, k := range []struct{ name, want string }{{"SystemCreationClassName", clusterClass}, {"SystemName", s.name}, {"CreationClassName", i.Class().Name}} {
		if v := i.Get(k.name); v != nil && v != k.want {
			return "", object.Errorf(object.InvalidParameter, "%s is %q here", k.name, k.want)
		}
	}
	if i.Text("Name") == "" {
		return "", object.Errorf(object.InvalidParameter, "Name is missing")
	}
	return i.Text("Name"), nil
}

// nameOf is the name of settings: a property of its own, or the end of InstanceID.
func nameOf(i *object.Instance, property, prefix string) (string, error) {
	name := i.Text(property)
	if id := i.Text("InstanceID"); id != "" {
		bare := strings.TrimPrefix(id, prefix)
		if name != "" && name != bare {
			return "", object.Errorf(object.InvalidParameter, "InstanceID %q and %s %q are two names", id, property, name)
		}
		name = bare
	}
	if name == "" {
		return "", object.Errorf(object.InvalidParameter, "%s is missing", property)
	}
	return name, nil
}

// generation is the generation that the client has seen; 0: it does not say.
func generation(i *object.Instance) uint64 {
	n, _ := i.Get("ConfigGeneration").(uint64)
	return n
}

// resourcePatch puts what want names of a resource into its document; old is nil for
// a new one.
func resourcePatch(p patch, i *object.Instance, want func(string) bool, old *cib.Resource) error {
	clone, was := old != nil && old.Clone != nil, map[string]string(nil)
	if old != nil {
		was = old.Parameters
	}
	kind, _ := i.Get("ResourceType").(uint16)
	if want("ResourceType") && kind != 0 {
		if old != nil && cib.Kind(kind) != old.Kind() {
			return object.Errorf(object.InvalidParameter, "ResourceType: a resource stays what it is")
		}
		clone = cib.Kind(kind) == cib.KindClone || cib.Kind(kind) == cib.KindPromotable
		if cib.Kind(kind) == cib.KindPromotable {
			p.set("clone.promotable", true)
		}
	}
	if want("Agent") {
		p.set("agent", i.Get("Agent"))
	}
	if want("Description") {
		p.set("description", i.Get("Description"))
	}
	if members := i.Texts("Members"); want("Members") && len(members) > 0 {
		switch {
		case clone && len(members) != 1:
			return object.Errorf(object.InvalidParameter, "Members: a clone is made of one resource")
		case clone:
			p.set("clone.resource", members[0])
		default:
			p.set("group", members)
		}
	}
	if err := fill(p, metaFields, i, want); err != nil {
		return err
	}
	if clone {
		if err := fill(p, cloneFields, i, want); err != nil {
			return err
		}
	}
	if want("OperationNames") || want("OperationIntervals") || want("OperationTimeouts") {
		if err := operationsPatch(p, i, old); err != nil {
			return err
		}
	}
	if want("ParameterNames") || want("ParameterValues") {
		return p.pairs("parameters", i, "ParameterNames", "ParameterValues", was)
	}
	return nil
}

// operationsPatch makes the operations of a resource. What the three arrays do not say
// of an operation stays as it was.
func operationsPatch(p patch, i *object.Instance, old *cib.Resource) error {
	names, _ := i.Get("OperationNames").([]any)
	list := []any{}
	for n := range names {
		name, _ := names[n].(string)
		op := map[string]any{"name": name}
		interval, _, err := element(i, "OperationIntervals", n, len(names))
		if err != nil {
			return err
		}
		if old != nil {
			for k := range old.Operations {
				if o := &old.Operations[k]; o.Name == name && uint64(shortMillis(o.Interval)) == interval {
					kept := map[string]any{}
					if err := json.Unmarshal([]byte(shown(o)), &kept); err != nil {
						return fmt.Errorf("read an operation: %w", err)
					}
					op = kept
					break
				}
			}
		}
		for field, property := range map[string]string{"interval": "OperationIntervals", "timeout": "OperationTimeouts"} {
			ms, said, err := element(i, property, n, len(names))
			if err != nil {
				return err
			}
			switch {
			case said && ms > 0:
				op[field], _ = millis(ms)
			case said:
				delete(op, field)
			}
		}
		list = append(list, op)
	}
	p.set("operations", list)
	return nil
}

// element is an element of an array that stands beside another one of n elements; said
// is false where the array is NULL.
func element(i *object.Instance, property string, at, n int) (v uint64, said bool, err error) {
	a, ok := i.Get(property).([]any)
	if !ok {
		return 0, false, nil
	}
	if len(a) != n {
		return 0, false, object.Errorf(object.InvalidParameter, "%s has %d elements and OperationNames has %d", property, len(a), n)
	}
	x, _ := a[at].(uint32)
	return uint64(x), true, nil
}

func constraintPatch(p patch, i *object.Instance, want func(string) bool, old *cib.Constraint) error {
	kind, _ := i.Get("ConstraintType").(uint16)
	was := 0
	if old != nil {
		switch {
		case old.Location != nil:
			was = kindLocation
		case old.Colocation != nil:
			was = kindColocation
		case old.Order != nil:
			was = kindOrder
		case old.Ticket != nil:
			was = kindTicket
		}
		if want("ConstraintType") && int(kind) != was {
			return object.Errorf(object.InvalidParameter, "ConstraintType: a constraint stays what it is")
		}
		kind = uint16(was)
	}
	switch kind {
	case kindLocation:
		return fill(p, locationFields, i, want)
	case kindColocation:
		return fill(p, colocationFields, i, want)
	case kindOrder:
		return fill(p, orderFields, i, want)
	case kindTicket:
		return fill(p, ticketFields, i, want)
	case 0:
		if i.Text("Document") != "" {
			return nil
		}
	}
	return object.Errorf(object.InvalidParameter, "ConstraintType says nothing, or none of its values")
}

func fenceDevicePatch(p patch, i *object.Instance, want func(string) bool, old *cib.FenceDevice) error {
	var params, targets map[string]string
	if old != nil {
		params, targets = old.Parameters, old.Targets
	}
	if err := fill(p, fenceDeviceFields, i, want); err != nil {
		return err
	}
	if want("Targets") || want("TargetPorts") {
		if i.Get("TargetPorts") == nil {
			ports := []string{}
			for _, n := range i.Texts("Targets") {
				ports = append(ports, targets[n])
			}
			i.Set("TargetPorts", ports)
		}
		if err := p.pairs("targets", i, "Targets", "TargetPorts", targets); err != nil {
			return err
		}
	}
	if want("ParameterNames") || want("ParameterValues") {
		return p.pairs("parameters", i, "ParameterNames", "ParameterValues", params)
	}
	return nil
}

func quorumDevicePatch(p patch, i *object.Instance, want func(string) bool, old *cib.QuorumDevice) error {
	var params map[string]string
	if old != nil {
		params = old.Parameters
	}
	if err := fill(p, quorumDeviceFields, i, want); err != nil {
		return err
	}
	if want("ParameterNames") || want("ParameterValues") {
		return p.pairs("parameters", i, "ParameterNames", "ParameterValues", params)
	}
	return nil
}

// Modify says what changing an instance means: the properties that are set, as far as
// they are other ones than now. A client that sends back all that it has read changes
// what it meant to, on the generation that it has read.
func (s *State) Modify(i *object.Instance) (*Order, error) {
	if !slices.Contains(changeable, i.Class().Name) {
		return nil, object.Errorf(object.NotSupported, "instances of %s are not changed by clients", i.Class().Name)
	}
	now, err := s.Source(Access{}).Get(i.Path())
	if err != nil {
		return nil, err
	}
	var differ []string
	for _, p := range i.Given() {
		if !p.Key && p.Writable && p.Name != "ConfigGeneration" && !reflect.DeepEqual(i.Get(p.Name), now.Get(p.Name)) {
			differ = append(differ, p.Name)
		}
	}
	if len(differ) == 0 {
		return &Order{}, nil
	}
	merged := complete(i, now)
	ch, err := s.operation(merged, differ)
	if ch == nil && err == nil {
		ch, err = s.patched(merged, func(name string) bool { return slices.Contains(differ, name) })
	}
	if err != nil {
		return nil, err
	}
	ch.ExpectedGeneration = generation(i)
	return &Order{Change: ch}, nil
}

// changeable are the classes whose instances clients change and remove.
var changeable = []string{
	clusterClass, nodeClass, remoteClass, resourceClass, settingClass, constraintClass, fenceDeviceClass, quorumClass, FilterClass, ListenerClass, HandlerClass, SubscriptionClass,
}

// besides are arrays whose elements belong to those of another one.
var besides = map[string]string{"ParameterValues": "ParameterNames", "AttributeValues": "AttributeNames", "TargetPorts": "Targets"}

// complete adds to an instance what it does not say, as it is now. Values that belong to
// names which are given are not added: they would belong to other names then.
func complete(i, now *object.Instance) *object.Instance {
	out := i.Class().New(i.Namespace)
	for n, p := range i.Class().Properties {
		switch {
		case i.Has(p.Name):
			out.Set(p.Name, i.At(n))
		case now.Has(p.Name) && !i.Has(besides[p.Name]):
			out.Set(p.Name, now.At(n))
		}
	}
	return out
}

// operation is the operation that a change of one property is: who may operate the
// cluster and not configure it can make it. nil where it is none.
func (s *State) operation(i *object.Instance, differ []string) (*api.Change, error) {
	if len(differ) != 1 {
		return nil, nil
	}
	on, _ := i.Get(differ[0]).(bool)
	either := func(object string, yes, no api.Action) (*api.Change, error) {
		if on {
			return &api.Change{Action: yes, Object: object}, nil
		}
		return &api.Change{Action: no, Object: object}, nil
	}
	switch i.Class().Name + "." + differ[0] {
	case "Belay_Cluster.MaintenanceMode":
		return either("cluster", api.ActionMaintenanceOn, api.ActionMaintenanceOff)
	case "Belay_Node.StandbyMode":
		return either("node/"+i.Text("Name"), api.ActionStandby, api.ActionOnline)
	case "Belay_Node.Maintenance":
		return either("node/"+i.Text("Name"), api.ActionMaintenanceOn, api.ActionMaintenanceOff)
	case "Belay_Node.Voter":
		return &api.Change{Action: api.ActionVoter, Object: "node/" + i.Text("Name"), Value: json.RawMessage(fmt.Sprintf(`{"voter":%t}`, on))}, nil
	case "Belay_Resource.Managed":
		return either("resource/"+i.Text("Name"), api.ActionManage, api.ActionUnmanage)
	case "Belay_Resource.Maintenance":
		return either("resource/"+i.Text("Name"), api.ActionMaintenanceOn, api.ActionMaintenanceOff)
	case "Belay_Resource.TargetState":
		switch target, _ := i.Get("TargetState").(uint16); cib.Role(target) {
		case cib.RoleStarted:
			return &api.Change{Action: api.ActionStart, Object: "resource/" + i.Text("Name")}, nil
		case cib.RoleStopped:
			return &api.Change{Action: api.ActionStop, Object: "resource/" + i.Text("Name")}, nil
		case cib.RoleUnknown:
			return nil, object.Errorf(object.InvalidParameter, "TargetState: nobody can want it unknown")
		case cib.RoleUnpromoted, cib.RolePromoted:
		}
	}
	return nil, nil
}

// patched is a change of the fields that want names. A new Document is the document.
func (s *State) patched(i *object.Instance, want func(string) bool) (*api.Change, error) {
	p, kind, id, action := patch{}, "", i.Text("Name"), api.ActionPatch
	var err error
	if want("Document") {
		if p, err = document(i.Text("Document")); err != nil {
			return nil, err
		}
		action = api.ActionUpdate
	}
	switch i.Class().Name {
	case clusterClass:
		kind, id = "cluster", ""
		err = fill(p, clusterFields, i, want)
	case nodeClass:
		kind = "node"
		var was map[string]string
		if n := s.config.Nodes[id]; n != nil {
			was = n.Attributes
		}
		err = nodePatch(p, nodeFields, i, want, was)
	case remoteClass:
		kind = "remote-node"
		var was map[string]string
		if n := s.config.RemoteNodes[id]; n != nil {
			was = n.Attributes
		} else {
			action = api.ActionCreate // one without settings has no document
		}
		err = nodePatch(p, remoteFields, i, want, was)
	case resourceClass:
		kind = "resource"
		err = resourcePatch(p, i, want, s.config.Resources[id])
	case settingClass:
		kind, id = "resource", strings.TrimPrefix(i.Text("InstanceID"), settingID)
		err = resourcePatch(p, i, want, s.config.Resources[id])
	case constraintClass:
		kind, id = "constraint", strings.TrimPrefix(i.Text("InstanceID"), constraintID)
		err = constraintPatch(p, i, want, s.config.Constraints[id])
	case fenceDeviceClass:
		kind = "fence-device"
		err = fenceDevicePatch(p, i, want, s.config.FenceDevices[id])
	case quorumClass:
		kind, id = "quorum-device", i.Text("DeviceID")
		err = quorumDevicePatch(p, i, want, s.config.QuorumDevices[id])
	case FilterClass, ListenerClass, HandlerClass, SubscriptionClass:
		kind, id, err = s.indicationPatch(p, i, want)
	}
	if err != nil {
		return nil, err
	}
	for name, property := range map[string]string{"ResourceName": settingClass, "ConstraintName": constraintClass} {
		if i.Class().Is(property) && want(name) {
			return nil, object.Errorf(object.NotSupported, "%s can't be changed: it names the object", name)
		}
	}
	value, err := p.json(action != api.ActionPatch)
	if err != nil {
		return nil, err
	}
	return &api.Change{Action: action, Object: strings.TrimSuffix(kind+"/"+id, "/"), Value: value}, nil
}

func nodePatch[T any](p patch, fields []field[T], i *object.Instance, want func(string) bool, was map[string]string) error {
	if err := fill(p, fields, i, want); err != nil {
		return err
	}
	if want("AttributeNames") || want("AttributeValues") {
		return p.pairs("attributes", i, "AttributeNames", "AttributeValues", was)
	}
	return nil
}

// Delete says what removing an instance means.
func (s *State) Delete(path *object.Path) (*Order, error) {
	if !slices.Contains(changeable, path.Class) {
		return nil, object.Errorf(object.NotSupported, "instances of %s are not removed by clients", path.Class)
	}
	i, err := s.Source(Access{}).Get(path)
	if err != nil {
		return nil, err
	}
	if i.Class().Is(remoteClass) {
		return s.deleteRemote(i.Text("Name"))
	}
	object, err := s.deletable(i)
	if err != nil {
		return nil, err
	}
	return &Order{Change: &api.Change{Action: api.ActionDelete, Object: object}}, nil
}

// deleteRemote removes the connection of a remote node with its settings, which would stand
// in the way of it.
func (s *State) deleteRemote(name string) (*Order, error) {
	doc := map[string]any{}
	if s.config.Resources[name] != nil {
		doc["resources"] = map[string]any{name: nil}
	}
	if s.config.RemoteNodes[name] != nil {
		doc["remote-nodes"] = map[string]any{name: nil}
	}
	o, err := change(api.ActionApply, "cluster", doc)
	if err == nil {
		o.Change.Merge = true
	}
	return o, err
}

// deletable is the object of the configuration that an instance stands for.
func (s *State) deletable(i *object.Instance) (string, error) {
	switch i.Class().Name {
	case resourceClass:
		return "resource/" + i.Text("Name"), nil
	case settingClass:
		return "resource/" + i.Text("ResourceName"), nil
	case constraintClass:
		return "constraint/" + i.Text("ConstraintName"), nil
	case fenceDeviceClass:
		return "fence-device/" + i.Text("Name"), nil
	case quorumClass:
		return "quorum-device/" + i.Text("DeviceID"), nil
	case FilterClass:
		id := s.filterID(i.Text("Name"))
		if _, builtin := cib.CIMBuiltinFilters[id]; builtin {
			return "", object.Errorf(object.NotSupported, "%s is built in", id)
		}
		return "cim-filter/" + id, nil
	case ListenerClass, HandlerClass:
		return "cim-destination/" + s.destinationID(i.Path()), nil
	case SubscriptionClass:
		if id := s.subscriptionID(i.Path()); id != "" {
			return "cim-subscription/" + id, nil
		}
	}
	return "", object.Errorf(object.NotSupported, "instances of %s are not removed by clients", i.Class().Name)
}
