package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// metadata describes the agent in the format of the fence-agents API.
func metadata() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" ?>
<resource-agent name="fence_lab" shortdesc="Fence agent for the power switch of Belay's test lab" >
<longdesc>fence_lab operates the power switch that the test lab provides for its virtual hosts. It speaks HTTP to it.</longdesc>
<vendor-url>https://github.com/belay-ha/belay</vendor-url>
<parameters>
`)
	for _, o := range table {
		if o.old != "" {
			parameter(&b, o, o.old, ` deprecated="1"`)
			parameter(&b, o, o.name, fmt.Sprintf(" obsoletes=%q", o.old))
		} else {
			parameter(&b, o, o.name, "")
		}
	}
	b.WriteString("</parameters>\n<actions>\n")
	for _, a := range actions {
		automatic := ""
		if a == "on" {
			automatic = ` automatic="0"`
		}
		fmt.Fprintf(&b, "\t<action name=%q%s/>\n", a, automatic)
	}
	b.WriteString("</actions>\n</resource-agent>\n")
	return b.String()
}

func parameter(b *strings.Builder, o option, name, attributes string) {
	required := 0
	if o.required {
		required = 1
	}
	value := ""
	if o.value != "" {
		value = fmt.Sprintf(" default=\"%s\"", escape(o.value))
	}
	fmt.Fprintf(b, "\t<parameter name=%q unique=\"0\" required=\"%d\"%s>\n", name, required, attributes)
	fmt.Fprintf(b, "\t\t<getopt mixed=\"%s\" />\n", escape(o.flags()))
	if len(o.choices) > 0 {
		fmt.Fprintf(b, "\t\t<content type=\"select\"%s >\n", value)
		for _, c := range o.choices {
			fmt.Fprintf(b, "\t\t\t<option value=\"%s\" />\n", escape(c))
		}
		b.WriteString("\t\t</content>\n")
	} else {
		fmt.Fprintf(b, "\t\t<content type=%q%s />\n", o.kind, value)
	}
	fmt.Fprintf(b, "\t\t<shortdesc lang=\"en\">%s</shortdesc>\n\t</parameter>\n", escape(o.text))
}

// flags shows how the option is written on the command line.
func (o option) flags() string {
	flag := "--" + strings.ReplaceAll(o.name, "_", "-")
	if o.kind != "boolean" {
		flag += "=[" + o.name + "]"
	}
	if o.short != "" {
		flag = "-" + o.short + ", " + flag
	}
	return flag
}

func usage() string {
	var b strings.Builder
	b.WriteString("Usage:\n\tfence_lab [options]\nOptions:\n")
	for _, o := range table {
		fmt.Fprintf(&b, "\t%-40s %s\n", o.flags(), o.text)
	}
	return b.String()
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
