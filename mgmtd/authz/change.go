package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// byObject are the actions of which the objects that they change say what they
// need, rather than the one that they name.
var byObject = []string{"apply", "rollback", "create", "update", "patch", "delete"}

// CanChange says whether the subject may make a change whose simulation says what
// it would change. Each object that is created, changed or deleted needs its own
// right, so that a document that is applied as a whole can do no more than its
// parts. Nobody may change a role or binding that is their own.
func (e *Enforcer) CanChange(s Subject, action, object string, changes []cib.Changed) Decision {
	if len(changes) == 0 || !slices.Contains(byObject, action) || s.BreakGlass {
		return e.Can(s, action, object)
	}
	var first Decision
	for i, ch := range changes {
		do := action
		switch {
		case ch.Before == nil:
			do = "create"
		case ch.After == nil:
			do = "delete"
		case action == "apply" || action == "rollback":
			do = "update"
		}
		d := e.canDocument(&s, do, &ch)
		if !d.Allowed {
			return d
		}
		if i == 0 {
			first = d
		}
	}
	return first
}

func (e *Enforcer) canDocument(s *Subject, action string, ch *cib.Changed) Decision {
	object := strings.TrimPrefix(ch.Key, cib.KeyConfig)
	kind, id, _ := strings.Cut(object, "/")
	refuse := func(err error) Decision {
		return Decision{Reason: fmt.Sprintf("what would change in %s can't be read: %v", object, err)}
	}
	var uses []string
	switch kind {
	case "constraint":
		before, err := read[cib.Constraint](ch.Before)
		after, err2 := read[cib.Constraint](ch.After)
		if err != nil || err2 != nil {
			return refuse(fmt.Errorf("%w, %w", err, err2))
		}
		uses = append(constrained(before), constrained(after)...)
	case "resource":
		for _, doc := range []json.RawMessage{ch.Before, ch.After} {
			r, err := read[cib.Resource](doc)
			if err != nil {
				return refuse(err)
			}
			if r != nil {
				uses = append(uses, r.Group...)
				if r.Clone != nil {
					uses = append(uses, r.Clone.Resource)
				}
			}
		}
	case "role":
		if slices.ContainsFunc(e.bindings, func(b *binding) bool { return b.holds(s) && b.includes[id] }) {
			return Decision{Reason: fmt.Sprintf("%s holds role %s: nobody changes their own rights", s.User, id)}
		}
	case "role-binding":
		for _, doc := range []json.RawMessage{ch.Before, ch.After} {
			b, err := read[cib.RoleBinding](doc)
			if err != nil {
				return refuse(err)
			}
			if b != nil && (&binding{doc: b}).holds(s) {
				return Decision{Reason: fmt.Sprintf("role-binding %s names %s: nobody changes their own rights", id, s.User)}
			}
		}
	}
	return e.can(s, action, object, uses)
}

// read reads a document; nil where there is none.
func read[T any](doc json.RawMessage) (*T, error) {
	if doc == nil {
		return nil, nil
	}
	v := new(T)
	return v, json.Unmarshal(doc, v)
}

// constrained lists the resources that a constraint names.
func constrained(c *cib.Constraint) []string {
	switch {
	case c == nil:
		return nil
	case c.Location != nil && c.Location.Pattern != "":
		return []string{"*"} // whatever it fits, now or later
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
