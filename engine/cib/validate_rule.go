package cib

import (
	"fmt"
	"strings"
	"time"
)

// rulePlace says where a rule stands, and so what it may look at.
type rulePlace uint8

const (
	ofLocation rulePlace = iota
	ofResourceDefault
	ofOpDefault
)

// defaultRules checks the defaults that hold for some only.
func (v *validator) defaultRules(cl *Cluster) {
	for i := range cl.ResourceDefaultRules {
		x, p := &cl.ResourceDefaultRules[i], fmt.Sprintf("cluster.resource-default-rules[%d]", i)
		v.rule(p+".rule", &x.Rule, ofResourceDefault, 0)
		v.meta(p+".meta", &x.Meta)
		v.notForAll(p+".meta", &x.Meta)
	}
	for i := range cl.OpDefaultRules {
		x, p := &cl.OpDefaultRules[i], fmt.Sprintf("cluster.op-default-rules[%d]", i)
		v.rule(p+".rule", &x.Rule, ofOpDefault, 0)
		v.zeroOr(p+".defaults.timeout", x.Defaults.Timeout, time.Millisecond, day)
		enum(v, p+".defaults.on-fail", OnFails, x.Defaults.OnFail)
	}
}

// rule checks a rule and what is in it.
func (v *validator) rule(p string, r *Rule, where rulePlace, depth int) {
	if len(r.Expressions) > 0 && where != ofLocation {
		v.fault(p+".expressions", "the rule of a default is about no node, so that it can't look at attributes")
	}
	if len(r.Agents) > 0 && where == ofLocation {
		v.fault(p+".agents", "fits the rules of defaults only")
	}
	if len(r.Operations) > 0 && where != ofOpDefault {
		v.fault(p+".operations", "fits the rules of op-default-rules only")
	}
	for i, m := range r.Operations {
		if m.Name == "" {
			v.fault(fmt.Sprintf("%s.operations[%d].name", p, i), "names no operation")
		}
	}
	if r.empty() {
		v.fault(p, "a rule needs at least one expression, date or rule")
	}
	if depth >= RuleDepthMax {
		v.fault(p, "there are more than %d rules inside of each other", RuleDepthMax)
		return
	}
	for i := range r.Expressions {
		v.expression(fmt.Sprintf("%s.expressions[%d]", p, i), &r.Expressions[i])
	}
	for i := range r.Dates {
		v.date(fmt.Sprintf("%s.dates[%d]", p, i), &r.Dates[i])
	}
	for i := range r.Rules {
		v.rule(fmt.Sprintf("%s.rules[%d]", p, i), &r.Rules[i], where, depth+1)
	}
}

func (v *validator) date(p string, d *Date) {
	v.oneOf(p+".operation", d.Operation, "in-range", "lt", "gt", "date-spec")
	for _, x := range []struct{ name, text string }{{"start", d.Start}, {"end", d.End}} {
		if _, err := time.Parse(time.RFC3339, x.text); x.text != "" && err != nil {
			v.fault(p+"."+x.name, "%q is no time such as 2026-03-04T12:00:00Z", shorten(x.text))
		}
	}
	switch d.Operation {
	case "gt":
		if d.Start == "" {
			v.fault(p+".start", "is not set: gt is true after it")
		}
	case "lt":
		if d.End == "" {
			v.fault(p+".end", "is not set: lt is true before it")
		}
	case "date-spec":
		if d.Spec == nil {
			v.fault(p+".date-spec", "is not set")
			return
		}
		v.dateSpec(p+".date-spec", d.Spec)
	default:
		if d.Start == "" && d.End == "" {
			v.fault(p, "has neither a start nor an end")
		}
		if d.Duration != nil && (d.Start == "" || d.End != "") {
			v.fault(p+".duration", "goes with a start, and instead of an end")
		}
	}
	if d.Operation != "date-spec" && d.Spec != nil {
		v.fault(p+".date-spec", "fits the operation date-spec only")
	}
}

func (v *validator) dateSpec(p string, s *DateSpec) {
	said := false
	for _, x := range s.parts(time.Time{}) {
		if x.text == "" {
			continue
		}
		said = true
		for part := range strings.SplitSeq(x.text, ",") {
			if low, high, ok := readRange(part); !ok || low > high {
				v.fault(p+"."+x.name, "%q is no number or range such as 1-5", shorten(part))
			}
		}
	}
	if !said {
		v.fault(p, "says nothing: set hours, weekdays or another part")
	}
}
