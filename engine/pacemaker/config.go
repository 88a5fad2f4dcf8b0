package pacemaker

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// Configuration makes of an imported CIB what administrators write: fence devices
// are fence devices and not resources, and only what is configured is in it. The
// notes are those of the import and its own.
func Configuration(im *Imported) (*cib.Config, []Note) {
	c := *im.Snapshot.Config
	notes := slices.Clone(im.Notes)
	note := func(id, reason string) {
		notes = append(notes, Note{Element: "primitive", ID: shorten(id), Reason: reason})
	}
	gone := map[string]bool{}
	c.Resources, c.FenceDevices = map[string]*cib.Resource{}, map[string]*cib.FenceDevice{}
	for _, id := range slices.Sorted(maps.Keys(im.Snapshot.Config.Resources)) {
		r := im.Snapshot.Config.Resources[id]
		agent, ok := strings.CutPrefix(r.Agent, "stonith:")
		if !ok {
			c.Resources[id] = r
			continue
		}
		gone[id] = true
		agent = agent[strings.LastIndexByte(agent, ':')+1:]
		if !strings.HasPrefix(agent, "fence_") {
			note(id, "agent "+shorten(agent)+" is no fence agent of today: only those named fence_* can be carried over")
			continue
		}
		if r.Meta.TargetRole == cib.RoleStopped {
			note(id, "target-role is Stopped, so that it is not used; it is left out, since a fence device here is always used")
			continue
		}
		d := fenceDevice(agent, r)
		for _, text := range lostOfDevice(r) {
			note(id, text)
		}
		if im.Snapshot.Config.FenceDevices[id].Unfences() {
			d.Unfencing = new(true)
		}
		c.FenceDevices[id] = d
	}
	for again := true; again; { // a clone of a fence device, and what holds that
		again = false
		for _, id := range slices.Sorted(maps.Keys(c.Resources)) {
			r := *c.Resources[id]
			if r.Clone != nil && gone[r.Clone.Resource] {
				note(id, "fence devices need no clone: each can be used from every node")
			} else if n := len(r.Group); n > 0 {
				r.Group = slices.DeleteFunc(slices.Clone(r.Group), func(m string) bool { return gone[m] })
				if len(r.Group) == n {
					continue
				}
				c.Resources[id] = &r
				if len(r.Group) > 0 {
					continue
				}
				note(id, "it is a group of fence devices")
			} else {
				continue
			}
			delete(c.Resources, id)
			gone[id], again = true, true
		}
	}
	c.Constraints = map[string]*cib.Constraint{}
	for _, id := range slices.Sorted(maps.Keys(im.Snapshot.Config.Constraints)) {
		x := im.Snapshot.Config.Constraints[id]
		if slices.ContainsFunc(namesOf(x), func(r string) bool { return gone[r] }) {
			notes = append(notes, Note{Element: "constraint", ID: shorten(id), Reason: "it is about a fence device: those are used from every node that can reach them"})
			continue
		}
		c.Constraints[id] = x
	}
	c.FenceTopology = map[string]*cib.FenceTopology{}
	for _, target := range slices.Sorted(maps.Keys(im.Snapshot.Config.FenceTopology)) {
		t := &cib.FenceTopology{}
		for _, level := range im.Snapshot.Config.FenceTopology[target].Levels {
			if i := slices.IndexFunc(level, func(d string) bool { return c.FenceDevices[d] == nil }); i >= 0 {
				notes = append(notes, Note{Element: "fencing-level", ID: shorten(target), Reason: "a level needs all of its devices, and " + shorten(level[i]) + " is none here: the level is left out"})
				continue
			}
			t.Levels = append(t.Levels, level)
		}
		if len(t.Levels) > 0 {
			c.FenceTopology[target] = t
		}
	}
	return &c, notes
}

// lostOfDevice says what of a primitive of the class stonith has no place in a fence
// device.
func lostOfDevice(r *cib.Resource) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		if strings.HasPrefix(name, "pcmk_") && !slices.Contains(deviceSettings, name) {
			out = append(out, "a fence device has no setting like "+shorten(name)+"; its value was "+strconv.Quote(shorten(r.Parameters[name])))
		}
	}
	if m := r.Meta; m != (cib.Meta{}) {
		out = append(out, "a fence device has no meta attributes: those of the resource have no effect any more")
	}
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Name != cib.OpMonitor || o.Interval == 0 || o.Timeout != 0 || o.OnFail != 0 || o.Enabled != nil || len(o.Parameters) > 0 || o.StartDelay != 0 || o.Role != 0 {
			out = append(out, "of the operations of a fence device only the interval of its monitor is kept: "+shorten(o.Name)+" says more")
		}
	}
	if r.Description != "" {
		out = append(out, "a fence device has no description")
	}
	if len(r.Utilization) > 0 {
		out = append(out, "a fence device needs no capacity")
	}
	return out
}

// deviceSettings are the parameters of a fence device that Pacemaker reads itself and
// that are settings here, too.
var deviceSettings = []string{"pcmk_host_list", "pcmk_host_map", "pcmk_delay_base", "pcmk_action_limit", "pcmk_reboot_timeout", "pcmk_off_timeout"}

// namesOf lists the resources that a constraint names.
func namesOf(c *cib.Constraint) []string {
	switch {
	case c.Location != nil && c.Location.Pattern != "":
		return nil
	case c.Location != nil:
		return []string{c.Location.Resource}
	case c.Colocation != nil:
		return []string{c.Colocation.Resource, c.Colocation.With}
	case c.Order != nil:
		return []string{c.Order.First, c.Order.Then}
	case c.Ticket != nil:
		return []string{c.Ticket.Resource}
	}
	return nil
}

// fenceDevice makes a fence device of a primitive of the class stonith. The
// parameters that Pacemaker reads itself are settings here.
func fenceDevice(agent string, r *cib.Resource) *cib.FenceDevice {
	d := &cib.FenceDevice{Agent: agent, Parameters: map[string]string{}, Targets: map[string]string{}}
	for name, value := range r.Parameters {
		switch name {
		case "pcmk_host_list", "hostlist":
			for _, n := range strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == ',' || c == ';' }) {
				if _, there := d.Targets[n]; !there {
					d.Targets[n] = ""
				}
			}
		case "pcmk_host_map":
			for _, pair := range strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == ';' }) {
				if n, port, ok := strings.Cut(pair, ":"); ok {
					d.Targets[n] = port
				}
			}
		case "pcmk_delay_base":
			if t, ok := parseDuration(value); ok {
				d.Delay = t
			}
		case "pcmk_action_limit":
			if limit, err := strconv.Atoi(value); err == nil && limit > 0 {
				d.Concurrency = limit
			}
		case "pcmk_reboot_timeout", "pcmk_off_timeout":
			if t, ok := parseDuration(value); ok {
				d.Timeout = max(d.Timeout, t)
			}
		default:
			if !strings.HasPrefix(name, "pcmk_") {
				d.Parameters[name] = value
			}
		}
	}
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Name == cib.OpMonitor && o.Interval > 0 {
			d.MonitorInterval = o.Interval
		}
	}
	return d
}
