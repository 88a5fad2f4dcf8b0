package cib

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ResourceDefaultRule is a default of resources that holds for some agents, or at
// some times.
type ResourceDefaultRule struct {
	Rule Rule `json:"rule"`
	Meta Meta `json:"meta"`
}

// OpDefaultRule is a default of operations that holds for some agents or
// operations, or at some times.
type OpDefaultRule struct {
	Rule     Rule       `json:"rule"`
	Defaults OpDefaults `json:"defaults"`
}

// AgentMatch is true for agents. What is left out fits every agent.
type AgentMatch struct {
	Class    string `json:"class,omitempty"`
	Provider string `json:"provider,omitempty"`
	Type     string `json:"type,omitempty"`
}

// OperationMatch is true for operations.
type OperationMatch struct {
	Name     string    `json:"name"`
	Interval *Duration `json:"interval,omitempty"` // left out: whatever it is
}

// Subject is what a rule of a default is evaluated for.
type Subject struct {
	Agent    string // class:provider:type or class:type; "" for a group, clone or bundle
	Op       string // "" where it is not about an operation
	Interval Duration
}

func (m *AgentMatch) holds(agent string) bool {
	parts := strings.SplitN(agent, ":", 3)
	class, provider, kind := parts[0], "", parts[len(parts)-1]
	if len(parts) == 3 {
		provider = parts[1]
	}
	fits := func(want, have string) bool { return want == "" || want == have }
	return agent != "" && fits(m.Class, class) && fits(m.Provider, provider) && fits(m.Type, kind)
}

// HoldsFor reports whether a rule of a default is true for a subject. Such a rule is
// about no node, so that what it says of node attributes is false.
func (r *Rule) HoldsFor(about Subject, now time.Time) bool { return r.holdsFor(about, now, 0) }

func (r *Rule) holdsFor(about Subject, now time.Time, depth int) bool {
	found := func(v bool) bool { return v == r.Any }
	switch {
	case depth >= RuleDepthMax:
		return false
	case r.empty():
		return true
	case len(r.Expressions) > 0 && !r.Any:
		return false
	case slices.ContainsFunc(r.Dates, func(d Date) bool { return found(d.Holds(now)) }),
		slices.ContainsFunc(r.Agents, func(m AgentMatch) bool { return found(m.holds(about.Agent)) }),
		slices.ContainsFunc(r.Operations, func(m OperationMatch) bool {
			return found(m.Name == about.Op && (m.Interval == nil || *m.Interval == about.Interval))
		}),
		slices.ContainsFunc(r.Rules, func(x Rule) bool { return found(x.holdsFor(about, now, depth+1)) }):
		return r.Any
	}
	return !r.Any
}

// empty reports whether a rule says nothing: then it is true.
func (r *Rule) empty() bool {
	return len(r.Expressions)+len(r.Dates)+len(r.Agents)+len(r.Operations)+len(r.Rules) == 0
}

// eachDate calls f for the dates of a rule, and of the rules in it.
func (r *Rule) eachDate(f func(*Date)) {
	for i := range r.Dates {
		f(&r.Dates[i])
	}
	for i := range r.Rules {
		r.Rules[i].eachDate(f)
	}
}

// DefaultsFor returns the meta attributes that a resource has where nothing that it
// is made of or is in says one: of the rules that hold, the first counts.
func (c *Cluster) DefaultsFor(agent string, now time.Time) Meta {
	var m Meta
	for i := range c.ResourceDefaultRules {
		if x := &c.ResourceDefaultRules[i]; x.Rule.HoldsFor(Subject{Agent: agent}, now) {
			m.inherit(&x.Meta)
		}
	}
	m.inherit(&c.ResourceDefaults)
	return m
}

// OpDefaultsFor returns what an operation has where it does not say otherwise: of
// the rules that hold, the first counts.
func (c *Cluster) OpDefaultsFor(about Subject, now time.Time) OpDefaults {
	var d OpDefaults
	for i := range c.OpDefaultRules {
		if x := &c.OpDefaultRules[i]; x.Rule.HoldsFor(about, now) {
			d.Timeout, d.OnFail = cmp.Or(d.Timeout, x.Defaults.Timeout), cmp.Or(d.OnFail, x.Defaults.OnFail)
		}
	}
	return OpDefaults{Timeout: cmp.Or(d.Timeout, c.OpDefaults.Timeout), OnFail: cmp.Or(d.OnFail, c.OpDefaults.OnFail)}
}

// DefaultsChange returns when a rule of a default may say something else than now;
// the zero time means never.
func (c *Cluster) DefaultsChange(now time.Time) time.Time {
	var next time.Time
	look := func(d *Date) {
		if t := d.Next(now); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for i := range c.ResourceDefaultRules {
		c.ResourceDefaultRules[i].Rule.eachDate(look)
	}
	for i := range c.OpDefaultRules {
		c.OpDefaultRules[i].Rule.eachDate(look)
	}
	return next
}

// LocationTarget is a resource that a location is about.
type LocationTarget struct {
	Resource string
	// Parts are what the groups of the pattern matched; the first is all of the id.
	// nil without a pattern.
	Parts []string
}

// Targets lists the resources that a location is about. A pattern looks at those
// that are in no group, clone or bundle, as Pacemaker's rsc-pattern: one that is
// not understood fits none. parents is the result of [Config.Parents].
func (l *Location) Targets(c *Config, parents map[string]string) []LocationTarget {
	if l.Pattern == "" {
		return []LocationTarget{{Resource: l.Resource}}
	}
	re, invert, err := l.compile()
	if err != nil {
		return nil
	}
	var out []LocationTarget
	for _, id := range slices.Sorted(maps.Keys(c.Resources)) {
		if parents[id] != "" || c.Resources[id] == nil {
			continue
		}
		switch parts := re.FindStringSubmatch(id); {
		case invert && parts == nil:
			out = append(out, LocationTarget{Resource: id})
		case !invert && parts != nil:
			out = append(out, LocationTarget{Resource: id, Parts: parts})
		}
	}
	return out
}

// compile reads the pattern.
func (l *Location) compile() (re *regexp.Regexp, invert bool, err error) {
	text, invert := strings.CutPrefix(l.Pattern, "!")
	re, err = regexp.Compile(text)
	return re, invert, err
}
