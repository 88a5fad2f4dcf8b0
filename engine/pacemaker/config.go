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
		d := fenceDevice(agent, r)
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
	return &c, notes
}

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
