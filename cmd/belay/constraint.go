package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

func constraintCmd(a *app) *cobra.Command {
	del := a.simple("delete NAME", "Delete a constraint", "  belay constraint delete web-likes-n1", "constraint", api.ActionDelete, nil)
	del.ValidArgsFunction = a.complete("constraint")
	return group("constraint", "Constraints: where, with whom and in which order resources run", `  belay constraint list
  belay constraint add location web --node n1 --score 100
  belay constraint add colocation web --with db
  belay constraint add order db web`,
		a.constraintList(),
		group("add", "Add a constraint", `  belay constraint add location web --node n1 --score 100
  belay constraint add colocation web --with db
  belay constraint add order db web`, a.addLocation(), a.addColocation(), a.addOrder(), a.addTicket()),
		del)
}

func (a *app) constraintList() *cobra.Command {
	return command("list", "List the constraints", "  belay constraint list", 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		all := cfg.Config.Constraints
		if all == nil {
			all = map[string]*cib.Constraint{}
		}
		return a.print(all, func() string {
			if len(all) == 0 {
				return "no constraints\n"
			}
			var b strings.Builder
			for _, id := range slices.Sorted(maps.Keys(all)) {
				fmt.Fprintf(&b, "%-24s %s\n", id, sentence(all[id]))
			}
			return b.String()
		})
	})
}

// ruleText says what a rule asks for.
func ruleText(r *cib.Rule) string {
	var parts []string
	for _, e := range r.Expressions {
		value := e.Value
		if e.Source == "param" {
			value = "parameter " + value
		}
		parts = append(parts, strings.TrimSpace(e.Attribute+" "+e.Operation+" "+value))
	}
	for i := range r.Dates {
		parts = append(parts, dateText(&r.Dates[i]))
	}
	for i := range r.Rules {
		parts = append(parts, "("+ruleText(&r.Rules[i])+")")
	}
	joint := " and "
	if r.Any {
		joint = " or "
	}
	return strings.Join(parts, joint)
}

// dateText says when a date is true.
func dateText(d *cib.Date) string {
	switch {
	case d.Operation == "date-spec":
		return "the date fits"
	case d.Operation == "gt":
		return "after " + d.Start
	case d.Operation == "lt":
		return "before " + d.End
	case d.End == "":
		return "from " + d.Start
	case d.Start == "":
		return "until " + d.End
	}
	return "from " + d.Start + " until " + d.End
}

// sentence says what a constraint means.
func sentence(c *cib.Constraint) string {
	role := func(r cib.Role) string {
		if r == 0 {
			return ""
		}
		return " (" + r.String() + ")"
	}
	switch {
	case c.Location != nil:
		l := c.Location
		where := "on " + l.Node
		if l.Rule != nil {
			where = "where " + ruleText(l.Rule)
		}
		if l.UntilReached {
			where += ", until it is so"
		}
		score := l.Score.String()
		if l.ScoreAttribute != "" {
			score = "the score in " + l.ScoreAttribute
		}
		what := l.Resource
		if l.Pattern != "" {
			what = "resources " + l.Pattern
		}
		return fmt.Sprintf("%s%s %s: %s", what, role(l.Role), where, score)
	case c.Colocation != nil:
		k := c.Colocation
		return fmt.Sprintf("%s%s with %s%s: %s", k.Resource, role(k.Role), k.With, role(k.WithRole), k.Score)
	case c.Order != nil:
		first, then := c.Order.Actions()
		kind := c.Order.Kind
		if kind == 0 {
			kind = cib.OrderMandatory
		}
		return fmt.Sprintf("%s %s, then %s %s: %s", first, c.Order.First, then, c.Order.Then, kind)
	case c.Ticket != nil:
		return fmt.Sprintf("%s%s needs ticket %s", c.Ticket.Resource, role(c.Ticket.Role), c.Ticket.Ticket)
	}
	return ""
}

// addConstraint makes the part that the three kinds share.
func (a *app) addConstraint(use, short, example string, n int, kind string, doc func(args []string) (document, string, error)) *cobra.Command {
	f := &changing{}
	var id string
	c := f.flags(command(use, short, example, n, func(c *cobra.Command, args []string) error {
		d, name, err := doc(args)
		if err != nil {
			return err
		}
		if id != "" {
			name = id
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "constraint/" + name, Value: encode(document{kind: d})}, nil)
	}))
	c.Flags().StringVar(&id, "id", "", "its `name` (default: made from what it says)")
	c.ValidArgsFunction = a.complete("resource")
	return c
}

// score reads a score as it is typed.
func score(text string) (json.RawMessage, error) {
	s, err := cib.ParseScore(text)
	if err != nil {
		return nil, usage("--score: %s", err)
	}
	return encode(s), nil
}

// noName fits what can't be in the name of a constraint.
var noName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (a *app) addLocation() *cobra.Command {
	var node, text, role, when string
	var pattern bool
	c := a.addConstraint("location RESOURCE", "Say how much a resource wants a node", `  belay constraint add location web --node n1 --score 100     prefers n1
  belay constraint add location web --node n3 --score -INFINITY   never on n3
  belay constraint add location web --when "rack eq 1" --score 50
  belay constraint add location '^db-' --pattern --node n1   all that are named so`, 1, "location", func(args []string) (document, string, error) {
		s, err := score(text)
		if err != nil {
			return nil, "", err
		}
		d := document{"resource": args[0], "score": s}
		name := "location-" + args[0]
		if pattern {
			d = document{"resource-pattern": args[0], "score": s}
			name = "location-" + strings.Trim(noName.ReplaceAllString(args[0], "-"), "-")
		}
		switch {
		case (node == "") == (when == ""):
			return nil, "", usage("say --node or --when")
		case node != "":
			d["node"] = node
			name += "-" + node
		default:
			words := strings.Fields(when)
			if len(words) < 2 || len(words) > 3 {
				return nil, "", usage("--when: %q is not ATTRIBUTE OPERATION [VALUE], such as \"rack eq 1\"", when)
			}
			e := document{"attribute": words[0], "operation": words[1]}
			if len(words) == 3 {
				e["value"] = words[2]
			}
			d["rule"] = document{"expressions": []document{e}}
			name += "-" + words[0]
		}
		if role != "" {
			d["role"] = role
		}
		return d, name, nil
	})
	c.Flags().StringVar(&node, "node", "", "the `node`")
	c.Flags().BoolVar(&pattern, "pattern", false, "RESOURCE is a regular expression: every resource whose id it matches, in no group or clone; with ! before it, every one that it does not match")
	c.Flags().StringVar(&when, "when", "", "every node whose attribute is so: \"`ATTRIBUTE OPERATION VALUE`\"")
	c.Flags().StringVar(&text, "score", "INFINITY", "how much: a `number`, INFINITY for must, -INFINITY for must not")
	c.Flags().StringVar(&role, "role", "", "only in this `role`: Promoted, Unpromoted")
	return c
}

func (a *app) addColocation() *cobra.Command {
	var with, text, role, withRole string
	c := a.addConstraint("colocation RESOURCE", "Say how much a resource wants to be where another one is", `  belay constraint add colocation web --with db
  belay constraint add colocation vip --with dbs --with-role Promoted
  belay constraint add colocation web --with batch --score -100`, 1, "colocation", func(args []string) (document, string, error) {
		s, err := score(text)
		if err != nil {
			return nil, "", err
		}
		if with == "" {
			return nil, "", usage("say --with which resource")
		}
		d := document{"resource": args[0], "with": with, "score": s}
		if role != "" {
			d["role"] = role
		}
		if withRole != "" {
			d["with-role"] = withRole
		}
		return d, "colocation-" + args[0] + "-" + with, nil
	})
	c.Flags().StringVar(&with, "with", "", "the other `resource`, which is placed first")
	c.Flags().StringVar(&text, "score", "INFINITY", "how much: a `number`, INFINITY for must, -INFINITY for must not")
	c.Flags().StringVar(&role, "role", "", "only in this `role`: Promoted, Unpromoted")
	c.Flags().StringVar(&withRole, "with-role", "", "of the other, only in this `role`")
	return c
}

func (a *app) addOrder() *cobra.Command {
	var kind, first, then string
	c := a.addConstraint("order FIRST THEN", "Say what starts before what; it stops the other way round", `  belay constraint add order db web
  belay constraint add order dbs web --first-action promote --then-action start
  belay constraint add order backup db --kind Serialize`, 2, "order", func(args []string) (document, string, error) {
		d := document{"first": args[0], "then": args[1]}
		for k, v := range map[string]string{"kind": kind, "first-action": first, "then-action": then} {
			if v != "" {
				d[k] = v
			}
		}
		return d, "order-" + args[0] + "-" + args[1], nil
	})
	c.Flags().StringVar(&kind, "kind", "", "Mandatory (default), Optional or Serialize")
	c.Flags().StringVar(&first, "first-action", "", "start (default), stop, promote or demote")
	c.Flags().StringVar(&then, "then-action", "", "start, stop, promote or demote (default: the first action)")
	return c
}

func (a *app) addTicket() *cobra.Command {
	var loss, role string
	c := a.addConstraint("ticket RESOURCE TICKET", "Say that a resource runs only while the cluster has a ticket", `  belay constraint add ticket web site-a
  belay constraint add ticket db site-a --role Promoted --loss-policy demote`, 2, "ticket", func(args []string) (document, string, error) {
		d := document{"resource": args[0], "ticket": args[1]}
		if role != "" {
			d["role"] = role
		}
		if loss != "" {
			d["loss-policy"] = loss
		}
		return d, "ticket-" + args[0] + "-" + args[1], nil
	})
	c.Flags().StringVar(&loss, "loss-policy", "", "what happens to what runs when the ticket is lost: stop (default), demote, fence or freeze")
	c.Flags().StringVar(&role, "role", "", "only in this `role`: Promoted, Unpromoted")
	return c
}
