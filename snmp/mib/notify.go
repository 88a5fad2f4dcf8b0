package mib

import (
	"slices"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// arcNotify is the arc of the objects that only notifications carry.
const arcNotify = 13

// notifyArgs is the first arc of the objects made from the events' arguments.
const notifyArgs = 20

// notifyObject is an object that notifications carry.
type notifyObject struct {
	object
	get func(n *Notice) Value
}

// Notice is an event on its way to a receiver.
type Notice struct {
	Event    *cib.Event
	Cluster  string
	Sequence uint64 // rises by one from notification to notification of a sender
	Sender   string // the node that speaks for itself alone; "": the cluster
}

// notifyCommon are carried by every notification, in this order.
var notifyCommon = []notifyObject{
	{
		object{1, "Sequence", syntaxCounter, "", "Rises by one from notification to notification of one sender. A repeated notification has the same number; a gap means that one was lost.", false},
		func(n *Notice) Value { return counter64(n.Sequence) },
	},
	{object{2, "Time", syntaxDate, "", "When it happened.", false}, func(n *Notice) Value { return date(n.Event.Time) }},
	{object{3, "Severity", syntaxSeverity, "", "Severity of what happened; cleared(1) where it ends an alarm.", false}, func(n *Notice) Value { return enum(n.Event.Severity) }},
	{object{4, "Code", syntaxText, "", "Stable code of the event, such as BLY3002. The same code stands in log, audit trail and documents.", false}, func(n *Notice) Value { return text(n.Event.Code) }},
	{object{5, "Text", syntaxText, "", "What happened, in words.", false}, func(n *Notice) Value { return text(n.Event.Text) }},
	{object{6, "ClusterName", syntaxText, "", "Name of the cluster.", false}, func(n *Notice) Value { return text(n.Cluster) }},
	{object{7, "Source", syntaxText, "", "Name of the node that noticed it.", false}, func(n *Notice) Value { return text(n.Event.Source) }},
	{object{8, "Node", syntaxText, "", "Name of the node it is about, zero-length if none.", false}, func(n *Notice) Value { return text(n.Event.Node) }},
	{object{9, "Resource", syntaxText, "", "Name of the resource it is about, zero-length if none.", false}, func(n *Notice) Value { return text(n.Event.Resource) }},
	{object{10, "Device", syntaxText, "", "Name of the device it is about, zero-length if none.", false}, func(n *Notice) Value { return text(n.Event.Device) }},
	{
		object{11, "Sender", syntaxText, "", "Name of the node that sends it for itself alone, since it has lost quorum; zero-length where the cluster sends it. Each sender has its own belayNotifySequence.", false},
		func(n *Notice) Value { return text(n.Sender) },
	},
}

// argNames lists the arguments of all events that become notifications, in the order in
// which the catalogue first has them. The place in the list is part of the object
// identifier: events are added at the catalogue's end.
var argNames = func() []string {
	var out []string
	for _, d := range Notified() {
		for _, a := range d.Args {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}()

func argObject(i int) object {
	return object{uint32(notifyArgs + i), "Arg" + title(argNames[i]), syntaxText, "", "Value of {" + argNames[i] + "} in the text of the event.", false}
}

// Heartbeat is the number of the notification that only says that its sender lives.
const Heartbeat = 1

// heartbeatText describes it.
const heartbeatText = "Sent at a fixed interval, so that a silent sender is noticed. It has the belayNotifySequence of the notification sent last, so that a lost one is noticed, too."

// Notified lists the events that become notifications, by number.
func Notified() []*event.Definition {
	var out []*event.Definition
	for i := range event.Catalogue {
		if event.Catalogue[i].Trap {
			out = append(out, &event.Catalogue[i])
		}
	}
	return out
}

// NotificationOID is the identity of the notification of an event's number, or of
// [Heartbeat].
func NotificationOID(number int, root OID) OID { return root.Child(arcNotifications, uint32(number)) }

// Notification returns what is sent about an event: the notification's identity and its
// variables. ok is false where the event does not become a notification.
func Notification(n *Notice, root OID) (id OID, vars []Variable, ok bool) {
	d, ok := event.ByCode(n.Event.Code)
	if !ok || !d.Trap {
		return nil, nil, false
	}
	vars = commonVariables(n, root)
	for _, arg := range d.Args {
		if i := slices.Index(argNames, arg); i >= 0 {
			vars = append(vars, Variable{root.Child(arcObjects, arcNotify, argObject(i).arc, 0), text(n.Event.Args[arg])})
		}
	}
	return NotificationOID(d.Number, root), vars, true
}

// HeartbeatNotification returns the notification that says that its sender lives, with
// the state of the cluster.
func HeartbeatNotification(n *Notice, v *View, root OID) (id OID, vars []Variable) {
	vars = commonVariables(n, root)
	state := clusterGroup.all[1]
	return NotificationOID(Heartbeat, root), append(vars, Variable{root.Child(arcObjects, clusterGroup.arc, state.arc, 0), state.get(v)})
}

func commonVariables(n *Notice, root OID) []Variable {
	var vars []Variable
	for _, o := range notifyCommon {
		vars = append(vars, Variable{root.Child(arcObjects, arcNotify, o.arc, 0), o.get(n)})
	}
	return vars
}
