package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/access"
)

// Access renders an access review.
func Access(r *access.Report, st Style) string {
	var b strings.Builder
	t := table{header: []string{"WHO", "ROLE", "MAY", "LIMITED TO", "SINCE", "BY", "LAST USED", "BINDING", "EXCEPTION"}}
	when := func(x *time.Time, none string) cell {
		if x == nil {
			return cell{none, dim}
		}
		return cell{text: st.stamp(*x, toSecond)}
	}
	for _, a := range r.Access {
		since, used := when(a.Since, "before the history"), when(a.LastUsed, "never")
		if a.Binding == "" {
			since = cell{}
		}
		if a.Kind != "user" {
			used = cell{}
		}
		t.row(cell{text: a.Kind + " " + a.Name}, cell{text: a.Role}, cell{text: strings.Join(a.Duties, ", ")}, cell{text: strings.Join(slices.Concat(a.Resources, a.Nodes), ", ")},
			since, cell{text: a.By}, used, cell{a.Binding, dim}, cell{a.Exception, warn})
	}
	b.WriteString(t.render(st))
	if len(r.Access) == 0 {
		b.WriteString("Nobody holds a role: only root at the engine's socket may do anything.\n")
	}
	if len(r.Others) > 0 {
		b.WriteString("\nWithout a binding of their own, as root or through a group:\n")
		o := table{header: []string{"WHO", "LAST USED"}, indent: "  "}
		for _, x := range r.Others {
			o.row(cell{text: x.User}, when(&x.LastUsed, ""))
		}
		b.WriteString(o.render(st))
	}
	if len(r.Unread) > 0 {
		fmt.Fprintf(&b, "\nThe audit log was not read of: %s\n", strings.Join(r.Unread, ", "))
	}
	return b.String()
}

// Roles renders a list of roles.
func Roles(all map[string]*cib.AccessRole) string {
	t := table{header: []string{"ROLE", "INCLUDES", "WHAT"}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.row(cell{text: name}, cell{text: strings.Join(all[name].Includes, ", ")}, cell{text: all[name].Description})
	}
	return t.render(Style{})
}

// Role renders what a role allows, with what it includes.
func Role(name string, r *cib.AccessRole, rules []cib.AccessRule, from []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", name, r.Description)
	for i, rule := range rules {
		word := "allows"
		if rule.Deny {
			word = "denies"
		}
		through := ""
		if from[i] != name {
			through = "  (through " + from[i] + ")"
		}
		fmt.Fprintf(&b, "  %s %s of %s%s\n", word, strings.Join(rule.Actions, ", "), strings.Join(rule.Objects, ", "), through)
	}
	return b.String()
}
