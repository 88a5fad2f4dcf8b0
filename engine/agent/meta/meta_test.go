package meta

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func parseFile(t *testing.T, kind Kind, name string) *Metadata {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(kind, data)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

func TestParseResourceAgent(t *testing.T) {
	m := parseFile(t, Resource, "lamp.xml")
	want := &Metadata{
		Kind: Resource, Name: "Lamp", Version: "2.5", APIVersion: "1.1",
		ShortDesc: "Switches a lamp",
		LongDesc:  "First line\nsecond line.\n\nSecond paragraph & end.",
		Parameters: []Parameter{
			{Name: "socket", Type: String, Required: true, UniqueGroup: "where", ShortDesc: "The socket", LongDesc: "Path of\nthe socket"},
			{Name: "watts", Type: Integer, Reloadable: true, HasDefault: true, Default: "40", ShortDesc: "Power"},
			{Name: "dim", Type: Boolean, HasDefault: true, ShortDesc: "Dimmed"},
			{Name: "colour", Type: Select, Options: []string{"red", "green"}, HasDefault: true, Default: "red", ShortDesc: "Colour"},
			{Name: "delay", Type: Time, HasDefault: true, Default: "10s"},
			{Name: "mystery", Type: Other, TypeName: "quark"},
			{Name: "path", Type: String, Unique: true, Deprecated: true, ReplacedBy: []string{"socket"}},
		},
		Actions: []Action{
			{Name: "start", Timeout: 20 * time.Second},
			{Name: "stop", Timeout: 90 * time.Second},
			{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second, Role: "Promoted"},
			{Name: "monitor", Timeout: 20 * time.Second, Interval: 11 * time.Second, Role: "Unpromoted"},
			{Name: "monitor", Timeout: 30 * time.Second, Interval: time.Minute, Depth: 10, StartDelay: 500 * time.Millisecond},
			{Name: "meta-data", Timeout: 5 * time.Second},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
	if a, _ := m.Action("monitor", "Unpromoted", 0); a.Interval != 11*time.Second {
		t.Errorf("monitor of the unpromoted role: %+v", a)
	}
	if a, _ := m.Action("monitor", "", 10); a.Depth != 10 {
		t.Errorf("monitor of depth 10: %+v", a)
	}
	if a, ok := m.Action("monitor", "", 99); !ok || a.Role != "Promoted" {
		t.Errorf("monitor without an exact line: %+v %v", a, ok)
	}
	if m.HasAction("promote") || !m.HasAction("stop") {
		t.Error("HasAction does not know the actions")
	}
}

func TestParseFenceAgent(t *testing.T) {
	m := parseFile(t, Fence, "fence_lamp.xml")
	if m.Name != "fence_lamp" || m.ShortDesc != "Fence agent for lamps" || m.Kind != Fence {
		t.Errorf("head: %+v", m)
	}
	if got := m.PlugParameter(); got != "plug" {
		t.Errorf("plug parameter %q", got)
	}
	port, _ := m.Parameter("port")
	if !port.Deprecated || !reflect.DeepEqual(port.ReplacedBy, []string{"plug"}) {
		t.Errorf("old name: %+v", port)
	}
	if auto, onTarget := m.Unfences(); !auto || !onTarget {
		t.Errorf("unfencing: automatic %v, on target %v", auto, onTarget)
	}
}

func TestPlugParameter(t *testing.T) {
	for _, c := range []struct {
		params []Parameter
		want   string
	}{
		{nil, ""},
		{[]Parameter{{Name: "ip"}}, ""},
		{[]Parameter{{Name: "port"}}, "port"},
		{[]Parameter{{Name: "port", Deprecated: true}}, "port"},
		{[]Parameter{{Name: "port", Deprecated: true}, {Name: "plug"}}, "plug"},
		{[]Parameter{{Name: "nodename"}}, "nodename"},
		{[]Parameter{{Name: "nodename"}, {Name: "port"}}, "port"},
	} {
		m := Metadata{Kind: Fence, Parameters: c.params}
		if got := m.PlugParameter(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.params, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("<a>", 100)
	wide := "<resource-agent>" + strings.Repeat("<a/>", ElementsMax+1)
	params := "<resource-agent><parameters>" + strings.Repeat(`<parameter name="a"/>`, ParametersMax+1) + "</parameters></resource-agent>"
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"empty":          {"", ErrNoAgent},
		"text":           {"command not found", ErrNoAgent},
		"only a doctype": {"<?xml version='1.0'?><!DOCTYPE resource-agent SYSTEM 'x.dtd'>", ErrNoAgent},
		"another root":   {"<html/>", ErrNoAgent},
		"too large":      {"<resource-agent>" + strings.Repeat(" ", SizeMax), ErrTooLarge},
		"too deep":       {"<resource-agent>" + deep, ErrTooLarge},
		"too wide":       {wide, ErrTooLarge},
		"too many":       {params, ErrTooLarge},
		"not closed":     {"<resource-agent><parameters>", nil},
		"wrong end":      {"<resource-agent></parameters>", nil},
		"an entity":      {`<!DOCTYPE a [<!ENTITY e "boom">]><resource-agent><longdesc>&e;</longdesc></resource-agent>`, nil},
		"an encoding":    {`<?xml version="1.0" encoding="utf-7"?><resource-agent/>`, nil},
	} {
		m, err := Parse(Resource, []byte(c.in))
		if err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		} else if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestParseTolerates(t *testing.T) {
	for name, in := range map[string]string{
		"a warning in front": "Warning: deprecated\n<resource-agent name=\"x\"/>",
		"latin 1":            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><resource-agent name=\"x\"><longdesc>M\xfcller</longdesc></resource-agent>",
		"broken utf-8":       "<resource-agent name=\"x\"><longdesc>\xff</longdesc></resource-agent>",
		"a doctype":          `<!DOCTYPE resource-agent SYSTEM "file:///etc/passwd"><resource-agent name="x"/>`,
	} {
		m, err := Parse(Resource, []byte(in))
		if err != nil || m.Name != "x" {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	m, err := Parse(Resource, []byte("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><resource-agent name=\"x\"><longdesc>M\xfcller</longdesc></resource-agent>"))
	if err != nil || m.LongDesc != "Müller" {
		t.Errorf("latin 1 text: %+v, %v", m, err)
	}
}

func TestValidate(t *testing.T) {
	lamp, fence := parseFile(t, Resource, "lamp.xml"), parseFile(t, Fence, "fence_lamp.xml")
	for _, c := range []struct {
		name   string
		m      *Metadata
		params map[string]string
		want   []string // parameter, kind, part of the text
	}{
		{"all right", lamp, map[string]string{"socket": "/s", "watts": "-5", "dim": "yes", "colour": "green", "delay": "2min", "mystery": "anything", "CRM_meta_timeout": "1"}, nil},
		{"the default is always right", lamp, map[string]string{"socket": "/s", "dim": "", "watts": "40"}, nil},
		{"nothing given", lamp, nil, []string{"socket missing required by the agent Lamp"}},
		{"typing error", lamp, map[string]string{"socket": "/s", "wats": "4"}, []string{"wats unknown did you mean watts?"}},
		{"nothing like it", lamp, map[string]string{"socket": "/s", "zzzzzz": "4"}, []string{"zzzzzz unknown no such parameter"}},
		{"wrong types", lamp, map[string]string{"socket": "/s", "watts": "4.5", "dim": "maybe", "colour": "blue", "delay": "soon"}, []string{
			"colour wrong-type red, green", "delay wrong-type no time", "dim wrong-type no boolean", "watts wrong-type no whole number",
		}},
		{"old name instead of the new", lamp, map[string]string{"path": "/s"}, []string{"path deprecated use socket", "socket missing required"}},
		{"what the cluster gives", fence, map[string]string{"ip": "10.0.0.1", "passwd": "x", "pcmk_host_list": "n1"}, nil},
		{"required under its old name", fence, map[string]string{"ipaddr": "10.0.0.1"}, []string{"ipaddr deprecated use ip"}},
		{"seconds", fence, map[string]string{"ip": "a", "delay": "-1", "power_wait": "1.5"}, []string{"delay wrong-type no number of seconds"}},
		{"a secret is not shown", fence, map[string]string{"ip": "a", "secret_pin": "hunter2"}, []string{"secret_pin wrong-type does not fit the type integer"}},
	} {
		faults := c.m.Validate(c.params)
		if len(faults) != len(c.want) {
			t.Errorf("%s: %+v, want %q", c.name, faults, c.want)
			continue
		}
		for i, f := range faults {
			w := strings.SplitN(c.want[i], " ", 3)
			if f.Parameter != w[0] || f.Kind.String() != w[1] || !strings.Contains(f.Text, w[2]) {
				t.Errorf("%s: fault %d is %+v, want %q", c.name, i, f, c.want[i])
			}
			if strings.Contains(f.Error(), "hunter2") {
				t.Errorf("%s: shows a secret: %v", c.name, f)
			}
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "20": 20 * time.Second, "20s": 20 * time.Second, " 500ms ": 500 * time.Millisecond,
		"2min": 2 * time.Minute, "2m": 2 * time.Minute, "1h": time.Hour, "1.5s": 1500 * time.Millisecond, "10 s": 10 * time.Second,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"-1", "s", "soon", "1d", "1e9", "99999999999999999999h", "."} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q: accepted as %v", in, got)
		}
	}
}

func TestIsSecret(t *testing.T) {
	for _, n := range []string{"passwd", "password", "snmp_priv_passwd", "PASSWD", "api_token", "community", "key", "secretkey", "hexadecimal_kg", "auth-key"} {
		if !IsSecret(n) {
			t.Errorf("%s is a secret", n)
		}
	}
	for _, n := range []string{"ip", "passwd_script", "identity_file", "password_timeout", "keymap", "login", "plug"} {
		if IsSecret(n) {
			t.Errorf("%s is no secret", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.xml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(Resource, data)
		if err != nil {
			return
		}
		if len(m.Parameters) > ParametersMax || len(m.Actions) > ActionsMax {
			t.Errorf("limits passed: %d parameters, %d actions", len(m.Parameters), len(m.Actions))
		}
		params := map[string]string{"none": "x"}
		for _, p := range m.Parameters {
			params[p.Name] = p.Default
		}
		for _, fault := range m.Validate(params) {
			if _, known := m.Parameter(fault.Parameter); !known && fault.Kind != Unknown {
				t.Errorf("fault for a parameter that does not exist: %+v", fault)
			}
		}
		m.Kind = Fence
		m.PlugParameter()
	})
}
