package meta

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// Marshal writes the metadata as an OCF agent prints it. What Parse reads from
// it is the same again.
func (m *Metadata) Marshal() []byte {
	var b bytes.Buffer
	esc := func(s string) string {
		var e bytes.Buffer
		_ = xml.EscapeText(&e, []byte(s))
		return e.String()
	}
	text := func(indent, element, s string) {
		if s != "" {
			fmt.Fprintf(&b, "%s<%s lang=\"en\">%s</%s>\n", indent, element, esc(s), element)
		}
	}
	b.WriteString("<?xml version=\"1.0\"?>\n")
	fmt.Fprintf(&b, "<resource-agent name=\"%s\" version=\"%s\">\n", esc(m.Name), esc(m.Version))
	if m.APIVersion != "" {
		fmt.Fprintf(&b, "  <version>%s</version>\n", esc(m.APIVersion))
	}
	text("  ", "longdesc", m.LongDesc)
	text("  ", "shortdesc", m.ShortDesc)
	if m.VendorURL != "" {
		fmt.Fprintf(&b, "  <vendor-url>%s</vendor-url>\n", esc(m.VendorURL))
	}
	b.WriteString("  <parameters>\n")
	for _, p := range m.Parameters {
		fmt.Fprintf(&b, "    <parameter name=\"%s\"", esc(p.Name))
		attr(&b, "unique", p.Unique)
		if p.UniqueGroup != "" {
			fmt.Fprintf(&b, " unique-group=\"%s\"", esc(p.UniqueGroup))
		}
		attr(&b, "required", p.Required)
		attr(&b, "reloadable", p.Reloadable)
		for i, old := range p.Obsoletes {
			if i == 0 {
				fmt.Fprintf(&b, " obsoletes=\"%s\"", esc(old))
			}
		}
		b.WriteString(">\n")
		if p.Deprecated {
			b.WriteString("      <deprecated>")
			for _, n := range p.ReplacedBy {
				fmt.Fprintf(&b, "<replaced-with name=\"%s\"/>", esc(n))
			}
			b.WriteString("</deprecated>\n")
		}
		text("      ", "longdesc", p.LongDesc)
		text("      ", "shortdesc", p.ShortDesc)
		name := p.Type.String()
		if p.Type == Other && p.TypeName != "" {
			name = p.TypeName
		}
		fmt.Fprintf(&b, "      <content type=\"%s\"", esc(name))
		if p.HasDefault {
			fmt.Fprintf(&b, " default=\"%s\"", esc(p.Default))
		}
		b.WriteString(">")
		for _, o := range p.Options {
			fmt.Fprintf(&b, "<option value=\"%s\"/>", esc(o))
		}
		b.WriteString("</content>\n    </parameter>\n")
	}
	b.WriteString("  </parameters>\n  <actions>\n")
	for _, a := range m.Actions {
		fmt.Fprintf(&b, "    <action name=\"%s\"", esc(a.Name))
		span(&b, "timeout", a.Timeout)
		span(&b, "interval", a.Interval)
		span(&b, "start-delay", a.StartDelay)
		if a.Depth != 0 {
			fmt.Fprintf(&b, " depth=\"%d\"", a.Depth)
		}
		if a.Role != "" {
			fmt.Fprintf(&b, " role=\"%s\"", esc(a.Role))
		}
		attr(&b, "on_target", a.OnTarget)
		attr(&b, "automatic", a.Automatic)
		b.WriteString("/>\n")
	}
	b.WriteString("  </actions>\n</resource-agent>\n")
	return b.Bytes()
}

func attr(b *bytes.Buffer, name string, set bool) {
	if set {
		fmt.Fprintf(b, " %s=\"1\"", name)
	}
}

func span(b *bytes.Buffer, name string, d time.Duration) {
	if d <= 0 {
		return
	}
	text := strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	if d%time.Second == 0 {
		text = strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	fmt.Fprintf(b, " %s=\"%s\"", name, text)
}
