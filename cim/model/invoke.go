package model

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// Return codes of methods.
const (
	ReturnDone              = 0
	ReturnNotSupported      = 1
	ReturnFailed            = 4
	ReturnInvalidParameter  = 5
	ReturnInUse             = 6
	ReturnJob               = 4096
	ReturnInvalidTransition = 4097
	ReturnConflict          = 32768
	ReturnApproval          = 32769
)

// methods are the methods that there are, by class and name. What is not here is not
// supported.
var methods = map[string]func(s *State, c *object.Call) (*Order, error){
	"Belay_Cluster.RequestStateChange":           (*State).requestCluster,
	"Belay_Cluster.SetOption":                    (*State).setOption,
	"Belay_Node.RequestStateChange":              (*State).requestNode,
	"Belay_Node.Standby":                         onNode(api.ActionStandby),
	"Belay_Node.Online":                          onNode(api.ActionOnline),
	"Belay_Node.Drain":                           onNode(api.ActionDrain),
	"Belay_Node.ClearFailures":                   onNode(api.ActionCleanup),
	"Belay_Node.ConfirmDead":                     onNode(api.ActionConfirm),
	"Belay_Node.Fence":                           (*State).fence,
	"Belay_RemoteNode.RequestStateChange":        (*State).requestRemote,
	"Belay_RemoteNode.Standby":                   onRemote(map[string]any{"standby": true}),
	"Belay_RemoteNode.Online":                    onRemote(map[string]any{"standby": false}),
	"Belay_RemoteNode.ConfirmDead":               onNode(api.ActionConfirm),
	"Belay_Resource.RequestStateChange":          (*State).requestResource,
	"Belay_Resource.StartService":                onResource(api.ActionStart),
	"Belay_Resource.StopService":                 onResource(api.ActionStop),
	"Belay_Resource.Refresh":                     onResource(api.ActionRefresh),
	"Belay_Resource.ClearFailures":               onResource(api.ActionCleanup),
	"Belay_Resource.Restart":                     onResource(api.ActionRestart),
	"Belay_Resource.Move":                        (*State).move,
	"Belay_Resource.ClearMove":                   (*State).clearMove,
	"Belay_FenceDevice.RequestPowerStateChange":  (*State).requestPower,
	"Belay_FenceDevice.Test":                     (*State).testDevice,
	"Belay_NodeRedundancySet.Failover":           (*State).failover,
	"Belay_ClusteringService.EvictNode":          (*State).evictNode,
	"Belay_ClusteringService.CreateJoinToken":    (*State).joinToken,
	"Belay_ClusteringService.CreateResource":     creates("Setting", "Resource"),
	"Belay_ClusteringService.AddConstraint":      creates("Constraint", "Result"),
	"Belay_ClusteringService.AddFenceDevice":     creates("Device", "Result"),
	"Belay_ClusteringService.ModifyResource":     (*State).modifyResource,
	"Belay_ClusteringService.DeleteResource":     deletes("Resource"),
	"Belay_ClusteringService.RemoveConstraint":   deletes("Constraint"),
	"Belay_ClusteringService.RemoveFenceDevice":  deletes("Device"),
	"Belay_ClusteringService.SetQuorumDevice":    (*State).setQuorumDevice,
	"Belay_ClusteringService.ApplyConfiguration": (*State).applyConfiguration,
}

// Invoke says what the call of a method means.
func (s *State) Invoke(c *object.Call) (*Order, error) {
	do := methods[c.Class.Name+"."+c.Method.Name]
	if do == nil {
		return &Order{Return: ReturnNotSupported}, nil
	}
	o, err := do(s, c)
	if err != nil || o.Change == nil {
		return o, err
	}
	if n, ok := c.In.Get("ExpectedGeneration").(uint64); ok && n != 0 {
		o.Change.ExpectedGeneration = n
	}
	o.Change.DryRun = c.In.Get("DryRun") == true
	if o.Change.ChangeRef == "" {
		o.Change.ChangeRef = truncate(c.In.Text("Reason"), 200)
	}
	return o, nil
}

func change(action api.Action, object string, value any) (*Order, error) {
	ch := &api.Change{Action: action, Object: object}
	if value != nil {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		ch.Value = b
	}
	return &Order{Change: ch}, nil
}

// answer is an order without a change.
func answer(code int) (*Order, error) { return &Order{Return: code}, nil }

func onNode(action api.Action) func(*State, *object.Call) (*Order, error) {
	return func(_ *State, c *object.Call) (*Order, error) {
		return change(action, "node/"+c.Path.Text("Name"), nil)
	}
}

func onResource(action api.Action) func(*State, *object.Call) (*Order, error) {
	return func(_ *State, c *object.Call) (*Order, error) {
		var value any
		if n := c.In.Text("OnNode"); n != "" {
			value = map[string]string{"node": n}
		}
		return change(action, "resource/"+c.Path.Text("Name"), value)
	}
}

// requested is the state that RequestStateChange asks for. A time-out is not supported.
func requested(c *object.Call) (state uint16, refused *Order) {
	if c.In.Get("TimeoutPeriod") != nil {
		return 0, &Order{Return: 4098}
	}
	state, ok := c.In.Get("RequestedState").(uint16)
	if !ok || !slices.Contains(requestable(c.Class.Name), int(state)) {
		return 0, &Order{Return: ReturnInvalidParameter}
	}
	return state, nil
}

func (s *State) requestCluster(c *object.Call) (*Order, error) {
	state, refused := requested(c)
	if refused != nil {
		return refused, nil
	}
	switch o := &s.config.Cluster.Options; {
	case state == requestQuiesce:
		return change(api.ActionMaintenanceOn, "cluster", nil)
	case state == requestDisabled:
		return change(api.ActionPatch, "cluster", map[string]any{"options": map[string]any{"stop-all-resources": true}})
	case o.StopAllResources:
		return change(api.ActionPatch, "cluster", map[string]any{"options": map[string]any{"stop-all-resources": false, "maintenance-mode": false}})
	default:
		return change(api.ActionMaintenanceOff, "cluster", nil)
	}
}

func (s *State) setOption(c *object.Call) (*Order, error) {
	name, text := c.In.Text("Name"), c.In.Text("Value")
	if name == "" {
		return answer(ReturnInvalidParameter)
	}
	var value any
	if text != "" && json.Unmarshal([]byte(text), &value) != nil {
		value = text
	}
	return change(api.ActionPatch, "cluster", map[string]any{"options": map[string]any{name: value}})
}

func (s *State) requestNode(c *object.Call) (*Order, error) {
	state, refused := requested(c)
	if refused != nil {
		return refused, nil
	}
	name := c.Path.Text("Name")
	node := "node/" + name
	switch state {
	case requestOffline:
		return change(api.ActionStandby, node, nil)
	case requestQuiesce:
		return change(api.ActionMaintenanceOn, node, nil)
	case requestReboot, requestReset:
		return change(api.ActionFence, node, map[string]string{"op": cib.FenceOpReboot.String()})
	}
	if n := s.config.Nodes[name]; n != nil && n.Maintenance {
		return change(api.ActionMaintenanceOff, node, nil)
	}
	return change(api.ActionOnline, node, nil)
}

// onRemote changes the settings of a remote node: it has no operations of its own.
func onRemote(settings map[string]any) func(*State, *object.Call) (*Order, error) {
	return func(s *State, c *object.Call) (*Order, error) {
		name := c.Path.Text("Name")
		if s.config.RemoteNodes[name] == nil {
			return change(api.ActionCreate, "remote-node/"+name, settings)
		}
		return change(api.ActionPatch, "remote-node/"+name, settings)
	}
}

func (s *State) requestRemote(c *object.Call) (*Order, error) {
	state, refused := requested(c)
	if refused != nil {
		return refused, nil
	}
	switch state {
	case requestOffline:
		return onRemote(map[string]any{"standby": true})(s, c)
	case requestQuiesce:
		return onRemote(map[string]any{"maintenance": true})(s, c)
	}
	return onRemote(map[string]any{"standby": false, "maintenance": false})(s, c)
}

func (s *State) fence(c *object.Call) (*Order, error) {
	op := s.config.Cluster.Options.FenceOp()
	if n, ok := c.In.Get("Action").(uint16); ok {
		op = cib.FenceOp(min(n, 255))
		if !slices.ContainsFunc(cib.FenceOps, func(e cib.EnumEntry[cib.FenceOp]) bool { return e.Value == op }) {
			return answer(ReturnInvalidParameter)
		}
	}
	return change(api.ActionFence, "node/"+c.Path.Text("Name"), map[string]string{"op": op.String()})
}

func (s *State) requestResource(c *object.Call) (*Order, error) {
	state, refused := requested(c)
	if refused != nil {
		return refused, nil
	}
	id := c.Path.Text("Name")
	resource := "resource/" + id
	switch state {
	case requestDisabled:
		return change(api.ActionStop, resource, nil)
	case requestQuiesce:
		return change(api.ActionMaintenanceOn, resource, nil)
	}
	if r := s.resources[id]; r != nil && r.Maintenance {
		return change(api.ActionMaintenanceOff, resource, nil)
	}
	return change(api.ActionStart, resource, nil)
}

func (s *State) move(c *object.Call) (*Order, error) {
	if c.In.Get("Lifetime") != nil {
		return answer(ReturnNotSupported)
	}
	value := map[string]string{}
	id := c.Path.Text("Name")
	if to := c.In.Text("ToNode"); to != "" {
		value["node"] = to
	} else if r := s.resources[id]; r != nil && len(r.Nodes) == 1 {
		value["from"] = r.Nodes[0]
	} else {
		return answer(ReturnInvalidTransition) // it runs nowhere, or on several nodes
	}
	return change(api.ActionMove, "resource/"+id, value)
}

func (s *State) clearMove(c *object.Call) (*Order, error) {
	id := c.Path.Text("Name")
	for range 4 { // a move is of the outermost resource
		if s.config.Constraints[cib.MoveID(id)] != nil {
			return change(api.ActionDelete, "constraint/"+cib.MoveID(id), nil)
		}
		if id = s.parents[id]; id == "" {
			break
		}
	}
	return answer(ReturnDone)
}

// reference is a parameter that names an instance of a class of the cluster that is
// there.
func (s *State) reference(c *object.Call, name, class string) *object.Instance {
	p, _ := c.In.Get(name).(*object.Path)
	if p == nil {
		return nil
	}
	full := *p
	if full.Namespace == "" {
		full.Namespace = Root
	}
	i, err := s.Source(Access{}).Get(&full)
	if err != nil || !i.Class().IsA(class) {
		return nil
	}
	return i
}

func (s *State) requestPower(c *object.Call) (*Order, error) {
	if c.In.Get("TimeoutPeriod") != nil || c.In.Get("Time") != nil {
		return answer(ReturnNotSupported)
	}
	node := s.reference(c, "ManagedElement", nodeClass)
	device := s.config.FenceDevices[c.Path.Text("Name")]
	if node == nil || device == nil {
		return answer(ReturnInvalidParameter)
	}
	name := node.Text("Name")
	if _, ok := device.Targets[name]; !ok && len(device.Targets) > 0 {
		return answer(ReturnInvalidParameter)
	}
	state, _ := c.In.Get("PowerState").(uint16)
	ops := map[uint16]cib.FenceOp{2: cib.FenceOpOn, 5: cib.FenceOpReboot, 9: cib.FenceOpReboot, 10: cib.FenceOpReboot, 6: cib.FenceOpOff, 8: cib.FenceOpOff}
	op, ok := ops[state]
	if !ok {
		return answer(ReturnInvalidParameter)
	}
	return change(api.ActionFence, "node/"+name, map[string]string{"op": op.String()})
}

// testDevice tells what the nodes heard of a device last: they ask it all the time.
func (s *State) testDevice(c *object.Call) (*Order, error) {
	const answers, unasked, silent = 0, 2, 4
	for i := range s.Summary.FenceDevices {
		d := &s.Summary.FenceDevices[i]
		if d.ID != c.Path.Text("Name") {
			continue
		}
		results := []string{}
		for _, k := range d.Checks {
			said := "ok"
			if !k.OK {
				said = k.Error
			}
			results = append(results, k.Node+": "+said)
		}
		o := &Order{Return: silent, Out: []any{"Results", results}}
		switch {
		case len(d.Checks) == 0:
			o.Return = unasked
			return o, nil
		case d.State == status.FenceDeviceAvailable:
			o.Return = answers
		}
		if !d.Checked.IsZero() {
			o.Out = append(o.Out, "Checked", d.Checked.UTC())
		}
		return o, nil
	}
	return nil, object.Errorf(object.NotFound, "there is no fence device %q", c.Path.Text("Name"))
}

// failover empties a node. Who takes over is for the placement to say, or for the caller:
// then each resource that is active on the one alone is moved to the other, as a whole.
func (s *State) failover(c *object.Call) (*Order, error) {
	from := s.reference(c, "FailoverFrom", nodeClass)
	if from == nil {
		return answer(ReturnInvalidParameter)
	}
	if c.In.Get("FailoverTo") == nil {
		return change(api.ActionStandby, "node/"+from.Text("Name"), nil)
	}
	to := s.reference(c, "FailoverTo", nodeClass)
	if to == nil || to.Text("Name") == from.Text("Name") {
		return answer(ReturnInvalidParameter)
	}
	first := &Order{}
	for i := range s.Summary.Resources {
		r := &s.Summary.Resources[i]
		if s.parents[r.ID] != "" || len(r.Nodes) != 1 || r.Nodes[0] != from.Text("Name") || r.Kind == cib.KindClone || r.Kind == cib.KindPromotable {
			continue
		}
		o, err := change(api.ActionMove, "resource/"+r.ID, map[string]string{"node": to.Text("Name")})
		if err != nil {
			return nil, err
		}
		if first.Change == nil {
			first.Change = o.Change
		} else {
			first.Then = append(first.Then, o.Change)
		}
	}
	return first, nil
}

func (s *State) evictNode(c *object.Call) (*Order, error) {
	node := s.reference(c, "CS", nodeClass)
	if node == nil {
		return answer(ReturnInvalidParameter)
	}
	return change(api.ActionRemoveNode, "node/"+node.Text("Name"), nil)
}

func (s *State) joinToken(c *object.Call) (*Order, error) {
	r := &api.TokenRequest{Node: c.In.Text("NodeName")}
	if n, ok := c.In.Get("Lifetime").(uint32); ok {
		r.TTL = cib.Duration(time.Duration(n) * time.Second)
	}
	if voter, ok := c.In.Get("Voter").(bool); ok {
		r.Voter = &voter
	}
	return &Order{Token: r}, nil
}

// embedded is a parameter that holds an instance.
func embedded(c *object.Call, name string) *object.Instance {
	i, _ := c.In.Get(name).(*object.Instance)
	return i
}

func creates(parameter, result string) func(*State, *object.Call) (*Order, error) {
	return func(s *State, c *object.Call) (*Order, error) {
		i := embedded(c, parameter)
		if i == nil {
			return answer(ReturnInvalidParameter)
		}
		o, err := s.Create(i, "")
		if err != nil {
			return nil, err
		}
		if c.In.Get("DryRun") != true {
			o.Out = []any{result, s.Object(o.Change.Object)}
		}
		return o, nil
	}
}

func deletes(parameter string) func(*State, *object.Call) (*Order, error) {
	class := map[string]string{"Resource": resourceClass, "Constraint": constraintClass, "Device": fenceDeviceClass}[parameter]
	return func(s *State, c *object.Call) (*Order, error) {
		i := s.reference(c, parameter, class)
		if i == nil {
			return answer(ReturnInvalidParameter)
		}
		object, err := s.deletable(i)
		if err != nil {
			return nil, err
		}
		o, err := change(api.ActionDelete, object, nil)
		if err == nil {
			o.Change.Force = c.In.Get("Force") == true
		}
		return o, err
	}
}

func (s *State) modifyResource(c *object.Call) (*Order, error) {
	i, given := s.reference(c, "Resource", resourceClass), embedded(c, "Setting")
	if i == nil || given == nil {
		return answer(ReturnInvalidParameter)
	}
	setting := s.schemas[Root].MustClass(settingClass).New(Root)
	setting.Set("InstanceID", settingID+i.Text("Name"))
	for _, p := range given.Given() {
		if !p.Key && p.Name != "ResourceName" && p.Name != "ElementName" {
			setting.Set(p.Name, given.Get(p.Name))
		}
	}
	return s.Modify(setting)
}

func (s *State) setQuorumDevice(c *object.Call) (*Order, error) {
	i := embedded(c, "Device")
	if i == nil || i.Text("DeviceID") == "" {
		return answer(ReturnInvalidParameter)
	}
	id := i.Text("DeviceID")
	old := s.config.QuorumDevices[id]
	switch {
	case c.In.Get("Remove") == true:
		return change(api.ActionDelete, "quorum-device/"+id, nil)
	case old == nil:
		return s.Create(i, "")
	}
	device := s.schemas[Root].MustClass(quorumClass).New(Root)
	for _, p := range i.Given() {
		device.Set(p.Name, i.Get(p.Name))
	}
	return s.Modify(device)
}

func (s *State) applyConfiguration(c *object.Call) (*Order, error) {
	doc := strings.TrimSpace(c.In.Text("Document"))
	if !json.Valid([]byte(doc)) {
		return answer(ReturnInvalidParameter)
	}
	return &Order{Change: &api.Change{Action: api.ActionApply, Object: "cluster", Value: json.RawMessage(doc), Merge: c.In.Get("Replace") != true}}, nil
}
