package meta

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on what an agent may print as its metadata. The largest of the
// Debian catalogue has 60 KiB and 90 parameters.
const (
	SizeMax       = 1 << 20 // bytes
	DepthMax      = 16      // nested elements
	ElementsMax   = 50_000
	ParametersMax = 2_000
	ActionsMax    = 500
	TextMax       = 64 << 10 // bytes of one description, the rest is cut
)

// Faults of metadata as a whole.
var (
	ErrTooLarge = errors.New("metadata too large")
	ErrNoAgent  = errors.New("no <resource-agent> element")
)

// Parse reads what an agent printed for meta-data. A document type declaration
// is skipped, never loaded; entities beyond the five of XML are refused.
// Whatever stands before the first "<" is ignored: some agents warn on stdout.
func Parse(kind Kind, data []byte) (*Metadata, error) {
	if len(data) > SizeMax {
		return nil, fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, len(data), SizeMax)
	}
	if i := bytes.IndexByte(data, '<'); i > 0 {
		data = data[i:]
	}
	if !utf8.Valid(data) && !bytes.Contains(data[:min(len(data), 128)], []byte("encoding=")) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	inner := xml.NewDecoder(bytes.NewReader(data))
	inner.CharsetReader = charset
	var doc xmlAgent
	err := xml.NewTokenDecoder(&limited{dec: inner}).Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil, ErrNoAgent
	case err != nil:
		return nil, fmt.Errorf("parse metadata: %w", err)
	}
	return doc.metadata(kind)
}

// limited counts what passes, so that a hostile document ends early.
type limited struct {
	dec      *xml.Decoder
	depth    int
	elements int
}

// Token gives the next token, or an error at a limit.
func (l *limited) Token() (xml.Token, error) {
	t, err := l.dec.RawToken()
	if err != nil {
		return nil, err
	}
	switch t.(type) {
	case xml.StartElement:
		l.depth++
		l.elements++
		if l.depth > DepthMax {
			return nil, fmt.Errorf("%w: nested deeper than %d", ErrTooLarge, DepthMax)
		}
		if l.elements > ElementsMax {
			return nil, fmt.Errorf("%w: more than %d elements", ErrTooLarge, ElementsMax)
		}
	case xml.EndElement:
		l.depth--
	}
	return t, nil
}

// charset reads the encodings that old agents declare.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii", "utf8":
		return in, nil
	case "iso-8859-1", "iso-8859-15", "latin1", "windows-1252":
		raw, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		var out strings.Builder
		for _, b := range raw {
			out.WriteRune(rune(b))
		}
		return strings.NewReader(out.String()), nil
	}
	return nil, fmt.Errorf("encoding %q is not supported", label)
}

// The document as agents write it.
type (
	xmlAgent struct {
		XMLName    xml.Name
		Name       string     `xml:"name,attr"`
		Version    string     `xml:"version,attr"`
		ShortAttr  string     `xml:"shortdesc,attr"`
		APIVersion string     `xml:"version"`
		LongDesc   []xmlText  `xml:"longdesc"`
		ShortDesc  []xmlText  `xml:"shortdesc"`
		VendorURL  string     `xml:"vendor-url"`
		Parameters []xmlParam `xml:"parameters>parameter"`
		Actions    []xmlOp    `xml:"actions>action"`
	}
	xmlText struct {
		Lang string `xml:"lang,attr"`
		Text string `xml:",chardata"`
	}
	xmlParam struct {
		Name        string    `xml:"name,attr"`
		Unique      string    `xml:"unique,attr"`
		UniqueGroup string    `xml:"unique-group,attr"`
		Required    string    `xml:"required,attr"`
		Reloadable  string    `xml:"reloadable,attr"`
		DeprAttr    string    `xml:"deprecated,attr"`
		Obsoletes   string    `xml:"obsoletes,attr"`
		LongDesc    []xmlText `xml:"longdesc"`
		ShortDesc   []xmlText `xml:"shortdesc"`
		Deprecated  *struct {
			ReplacedBy []struct {
				Name string `xml:"name,attr"`
			} `xml:"replaced-with"`
		} `xml:"deprecated"`
		Content struct {
			Type    string  `xml:"type,attr"`
			Default *string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
	}
	xmlOp struct {
		Name       string `xml:"name,attr"`
		Timeout    string `xml:"timeout,attr"`
		Interval   string `xml:"interval,attr"`
		StartDelay string `xml:"start-delay,attr"`
		Depth      string `xml:"depth,attr"`
		Role       string `xml:"role,attr"`
		OnTarget   string `xml:"on_target,attr"`
		Automatic  string `xml:"automatic,attr"`
	}
)

func (d *xmlAgent) metadata(kind Kind) (*Metadata, error) {
	if d.XMLName.Local != "resource-agent" {
		return nil, fmt.Errorf("%w, but <%s>", ErrNoAgent, d.XMLName.Local)
	}
	if len(d.Parameters) > ParametersMax || len(d.Actions) > ActionsMax {
		return nil, fmt.Errorf("%w: %d parameters and %d actions", ErrTooLarge, len(d.Parameters), len(d.Actions))
	}
	m := &Metadata{
		Kind:       kind,
		Name:       strings.TrimSpace(d.Name),
		Version:    strings.TrimSpace(d.Version),
		APIVersion: strings.TrimSpace(d.APIVersion),
		ShortDesc:  english(d.ShortDesc),
		LongDesc:   english(d.LongDesc),
		VendorURL:  strings.TrimSpace(d.VendorURL),
	}
	if m.ShortDesc == "" {
		m.ShortDesc = tidy(d.ShortAttr)
	}
	seen := map[string]bool{}
	for _, x := range d.Parameters {
		// A few agents list a parameter twice; the first line is the one
		// that other managers obey.
		if x.Name == "" || seen[x.Name] {
			continue
		}
		seen[x.Name] = true
		m.Parameters = append(m.Parameters, x.parameter())
	}
	m.linkObsolete()
	for _, x := range d.Actions {
		if x.Name != "" {
			m.Actions = append(m.Actions, x.action())
		}
	}
	return m, nil
}

func (x *xmlParam) parameter() Parameter {
	p := Parameter{
		Name:        x.Name,
		Type:        parseType(x.Content.Type),
		Unique:      flag(x.Unique),
		UniqueGroup: x.UniqueGroup,
		Required:    flag(x.Required),
		Reloadable:  flag(x.Reloadable),
		Deprecated:  flag(x.DeprAttr) || x.Deprecated != nil,
		ShortDesc:   english(x.ShortDesc),
		LongDesc:    english(x.LongDesc),
	}
	if p.Type == Other {
		p.TypeName = x.Content.Type
	}
	if x.Deprecated != nil {
		for _, r := range x.Deprecated.ReplacedBy {
			p.ReplacedBy = append(p.ReplacedBy, r.Name)
		}
	}
	for old := range strings.FieldsFuncSeq(x.Obsoletes, func(r rune) bool { return r == ',' || r == ' ' }) {
		p.Obsoletes = append(p.Obsoletes, old)
	}
	if x.Content.Default != nil {
		p.HasDefault, p.Default = true, *x.Content.Default
	}
	for _, o := range x.Content.Options {
		p.Options = append(p.Options, o.Value)
	}
	return p
}

// linkObsolete makes the two ways of saying "old name" agree: a parameter that
// obsoletes another is what the other is replaced by.
func (m *Metadata) linkObsolete() {
	for _, p := range m.Parameters {
		for _, old := range p.Obsoletes {
			for i := range m.Parameters {
				if o := &m.Parameters[i]; o.Name == old && !slices.Contains(o.ReplacedBy, p.Name) {
					o.ReplacedBy = append(o.ReplacedBy, p.Name)
				}
			}
		}
	}
}

func (x *xmlOp) action() Action {
	a := Action{Name: x.Name, OnTarget: flag(x.OnTarget), Automatic: flag(x.Automatic)}
	// The figures are advice; one that does not parse is as good as none.
	a.Timeout, _ = ParseDuration(x.Timeout)
	a.Interval, _ = ParseDuration(x.Interval)
	a.StartDelay, _ = ParseDuration(x.StartDelay)
	a.Depth, _ = strconv.Atoi(x.Depth)
	switch strings.ToLower(x.Role) {
	case "master", "promoted":
		a.Role = "Promoted"
	case "slave", "unpromoted":
		a.Role = "Unpromoted"
	}
	return a
}

func flag(s string) bool {
	v, _ := ParseBool(s)
	return v
}

// english picks the English text of several, else the first.
func english(texts []xmlText) string {
	for _, t := range texts {
		if t.Lang == "" || strings.HasPrefix(t.Lang, "en") {
			return tidy(t.Text)
		}
	}
	if len(texts) > 0 {
		return tidy(texts[0].Text)
	}
	return ""
}

// tidy takes the indentation of the XML source out of a text, keeping its
// lines and paragraphs, and anything that would disturb a terminal.
func tidy(s string) string {
	if len(s) > TextMax {
		s = strings.ToValidUTF8(s[:TextMax], "")
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, l))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
