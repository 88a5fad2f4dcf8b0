package main

import (
	"maps"
	"strings"
	"testing"
)

// Options mean the same on the standard input, as flags, and under their old names.
func TestParse(t *testing.T) {
	want := options{"action": "off", "ip": "192.0.2.1", "plug": "n1", "password": "a b", "quiet": "1", "delay": "1.5s"}
	lines := "# comment\n\naction=OFF\nipaddr=192.0.2.1\nport=n1\npasswd=\"a b\"\nquiet=yes\nverbose=off\nnodename=n1\ndelay=1.5s\nunknown=x\n"
	for name, parsed := range map[string]func() (options, []string, error){
		"standard input": func() (options, []string, error) { return parse(nil, strings.NewReader(lines)) },
		"short flags": func() (options, []string, error) {
			return parse([]string{"-o", "off", "-a192.0.2.1", "-n", "n1", "-p", "a b", "-q", "--delay", "1.5s", "stray"}, nil)
		},
		"long flags": func() (options, []string, error) {
			return parse([]string{"--action=off", "--ip", "192.0.2.1", "--plug=n1", "--password=a b", "--quiet", "--delay=1.5s", "stray"}, nil)
		},
	} {
		got, warnings, err := parsed()
		if err != nil || len(warnings) != 1 {
			t.Errorf("%s: warnings %q, %v", name, warnings, err)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s is %q, want %q", name, k, got[k], v)
			}
		}
		if got["ipport"] != "8000" || got.is("verbose") || got.seconds("delay").Seconds() != 1.5 || got.number("retry_on") != 1 {
			t.Errorf("%s: defaults or kinds: %v", name, got)
		}
		if err := got.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, args := range [][]string{{"--frob"}, {"-o"}, {"-Z", "1"}} {
		if _, _, err := parse(args, nil); err == nil {
			t.Errorf("accepted %q", args)
		}
	}
}

func TestValidate(t *testing.T) {
	good := options{
		"action": "off", "ip": "192.0.2.1", "plug": "n1", "ipport": "1", "method": "onoff", "delay": "0", "login_timeout": "1",
		"power_timeout": "1", "power_wait": "0", "shell_timeout": "1", "retry_on": "0",
	}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"action": "explode", "ip": "", "plug": "", "ipport": "x", "method": "zap", "delay": "-1", "power_timeout": "soon", "retry_on": "-1",
	} {
		bad := maps.Clone(good)
		bad[name] = value
		if err := bad.validate(); err == nil {
			t.Errorf("accepted %s=%q", name, value)
		}
	}
}
