package shim

import (
	"context"
	"slices"
	"strings"
	"time"
)

var attrdOptions = []option{
	opt(required, "name", "n"),
	opt(required, "update", "U", "v"),
	opt(required, "update-both", "B"),
	opt(none, "update-delay", "Y"),
	opt(none, "query", "Q"),
	opt(none, "delete", "D"),
	opt(none, "refresh", "R"),
	opt(required, "delay", "d"),
	opt(required, "node", "N"),
	opt(none, "all", "A"), // has no effect: an agent asks for its own node, anyone else for all
	opt(none, "private", "p"),
	opt(required, "lifetime", "l"), // has had no effect for long
	opt(required, "section", "S"),  // nor has this
	opt(required, "set", "s"),
	opt(required, "wait", "W"), // newer than 2.1.5; the engine's answer comes when it is done
	opt(none, "quiet", "q"),
	optVersion, optVerbose, optOutput, optTo, optHelp,
}

func attrdUpdater(ctx context.Context, c *call) int {
	options, err := parse(attrdOptions, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	a := Attribute{Scope: ScopeReboot}
	command, xml, nodeGiven := "query", false, false
	var dampen time.Duration
	for _, o := range options {
		switch o.name {
		case "version":
			c.printf("%s", versionText)
			return exitOK
		case "name":
			a.Name = o.value
		case "update", "update-both":
			command, a.Value = "update", o.value
		case "query", "delete", "refresh", "update-delay":
			command = o.name
		case "delay":
			dampen = duration(o.value)
		case "node":
			a.Node, nodeGiven = o.value, true
		case "private":
			a.Private = true
		case "output-as":
			xml = o.value == "xml"
		}
	}
	if command == "refresh" {
		return exitOK // the engine keeps nothing back
	}
	if a.Name == "" {
		return c.fail(exitUsage, "Command requires --name argument")
	}
	if command == "query" {
		if !nodeGiven {
			a.Node = c.target()
		}
		return c.queryTransient(ctx, a, xml)
	}
	if a.Node == "" {
		if a.Node, err = c.node(ctx); err != nil {
			return c.notUpdated(a, err)
		}
	}
	switch command {
	case "update":
		if a.Value, err = c.expand(ctx, a); err == nil {
			err = c.engine.SetAttribute(ctx, a, dampen)
		}
	case "delete":
		_, err = c.engine.DeleteAttribute(ctx, a, dampen)
	case "update-delay":
		// A dampening time is part of each change here, not of the attribute.
	}
	if err != nil {
		return c.notUpdated(a, err)
	}
	return exitOK
}

func (c *call) notUpdated(a Attribute, err error) int {
	text := "Could not update " + a.Name + "=" + a.Value + ": " + err.Error()
	if status(err) == exitUnreachable {
		text = "Could not update " + a.Name + "=" + a.Value + ": Connection refused (111)"
	}
	return c.fail(status(err), text)
}

// queryTransient prints an attribute of one node, or of all that have it.
func (c *call) queryTransient(ctx context.Context, a Attribute, xml bool) int {
	node := a.Node
	a.Node = ""
	found, err := c.engine.QueryAttribute(ctx, a)
	switch {
	case err != nil && status(err) == exitUnreachable:
		return c.fail(exitUnreachable, "Could not connect to attrd: Connection refused")
	case err != nil:
		return c.fail(status(err), "Could not query value of "+a.Name+": "+err.Error())
	case len(found) == 0:
		return c.fail(exitConfig, "Could not query value of "+a.Name+": attribute does not exist")
	}
	if node != "" {
		i := slices.IndexFunc(found, func(f Attribute) bool { return f.Node == node })
		if i < 0 {
			found = []Attribute{{Node: node, Name: a.Name}}
		} else {
			found = found[i : i+1]
		}
	}
	slices.SortStableFunc(found, func(a, b Attribute) int { return strings.Compare(a.Node, b.Node) })
	var body strings.Builder
	for _, f := range found {
		if xml {
			body.WriteString("  <attribute" + attribute("name", f.Name) + attribute("value", f.Value) + attribute("host", f.Node) + "/>\n")
		} else {
			// Not escaped: agents cut the value out as it is.
			c.printf("name=\"%s\" host=\"%s\" value=\"%s\"\n", f.Name, f.Node, f.Value)
		}
	}
	if xml {
		c.document(body.String())
	}
	return exitOK
}

// duration reads a dampening time: "5", "5s", "500ms". What cannot be read is
// none, as for Pacemaker.
func duration(s string) time.Duration {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n := 0
	for _, d := range s[:min(i, 9)] {
		n = 10*n + int(d-'0')
	}
	switch strings.TrimSpace(s[i:]) {
	case "", "s", "sec":
		return time.Duration(n) * time.Second
	case "ms", "msec":
		return time.Duration(n) * time.Millisecond
	case "m", "min":
		return time.Duration(n) * time.Minute
	case "h", "hr":
		return time.Duration(n) * time.Hour
	}
	return 0
}
