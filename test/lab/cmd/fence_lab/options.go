package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// option is a parameter of the agent.
type option struct {
	name     string // on the standard input; with - for _ the long flag
	short    string // flag
	old      string // deprecated name
	kind     string // string, integer, second, boolean, select
	value    string // default
	choices  []string
	required bool
	text     string
}

// table has the parameters in the order in which they are shown.
var table = []option{
	{name: "action", short: "o", kind: "string", value: "reboot", required: true, text: "Fencing action"},
	{name: "ip", short: "a", old: "ipaddr", kind: "string", required: true, text: "Address of the power switch"},
	{name: "ipport", short: "u", kind: "integer", value: "8000", text: "TCP port of the power switch"},
	{name: "method", short: "m", kind: "select", value: "onoff", choices: []string{"onoff", "cycle"}, text: "How to reboot"},
	{name: "username", short: "l", old: "login", kind: "string", text: "Login name"},
	{name: "password", short: "p", old: "passwd", kind: "string", text: "Login password"},
	{name: "password_script", short: "S", old: "passwd_script", kind: "string", text: "Program that prints the password"},
	{name: "plug", short: "n", old: "port", kind: "string", required: true, text: "Name of the outlet, which is the name of the host"},
	{name: "quiet", short: "q", kind: "boolean", text: "Write nothing to the standard error"},
	{name: "verbose", short: "v", kind: "boolean", text: "Accepted and ignored"},
	{name: "version", short: "V", kind: "boolean", text: "Show the version and exit"},
	{name: "help", short: "h", kind: "boolean", text: "Show the options and exit"},
	{name: "separator", short: "C", kind: "string", value: ",", text: "Separator in lists"},
	{name: "delay", kind: "second", value: "0", text: "Wait before fencing starts"},
	{name: "login_timeout", kind: "second", value: "5", text: "Limit for the connection"},
	{name: "power_timeout", kind: "second", value: "20", text: "Limit for the outlet to change after an order"},
	{name: "power_wait", kind: "second", value: "0", text: "Wait after an order"},
	{name: "shell_timeout", kind: "second", value: "3", text: "Limit for the answer to a question"},
	{name: "retry_on", kind: "integer", value: "1", text: "How often to try again to power on"},
}

// actions are what the agent can do.
var actions = []string{"on", "off", "reboot", "status", "list", "list-status", "monitor", "metadata", "validate-all"}

// options are the values by name.
type options map[string]string

func (o options) is(name string) bool { return o[name] == "1" }

// seconds is a checked value of kind second.
func (o options) seconds(name string) time.Duration {
	d, _ := parseSeconds(o[name])
	return d
}

// number is a checked value of kind integer.
func (o options) number(name string) int {
	n, _ := strconv.Atoi(o[name])
	return n
}

func parseSeconds(s string) (time.Duration, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
	if err != nil || n < 0 || n > 1e6 {
		return 0, errors.New("not a valid time in seconds")
	}
	return time.Duration(n * float64(time.Second)), nil
}

// parse reads the options from the command line if there is one, else from the standard input.
func parse(args []string, stdin io.Reader) (options, []string, error) {
	o := options{}
	var warnings []string
	var err error
	if len(args) > 0 {
		warnings, err = parseFlags(o, args)
	} else {
		warnings, err = parseLines(o, stdin)
	}
	for _, opt := range table {
		if _, ok := o[opt.name]; !ok && opt.value != "" {
			o[opt.name] = opt.value
		}
	}
	o["action"] = strings.ToLower(o["action"])
	if o["action"] == "meta-data" { // as resource agents call it
		o["action"] = "metadata"
	}
	return o, warnings, err
}

// parseLines reads name=value lines. Unknown names are not an error: a cluster manager passes what
// it knows, and so do people who share options between agents.
func parseLines(o options, in io.Reader) (warnings []string, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if len(value) > 1 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
			value = value[1 : len(value)-1]
		}
		opt, ok := find(func(t option) bool {
			name := strings.ReplaceAll(name, "-", "_")
			return t.name == name || t.old != "" && t.old == name
		})
		switch {
		case name == "nodename": // the target, which cluster managers always pass
		case !ok:
			warnings = append(warnings, fmt.Sprintf("Parse error: Ignoring unknown option '%s'", name))
		case opt.kind != "boolean":
			o[opt.name] = value
		case slices.Contains([]string{"1", "yes", "on", "true"}, strings.ToLower(value)):
			o[opt.name] = "1"
		default:
			o[opt.name] = "0"
		}
	}
	return warnings, lines.Err()
}

// parseFlags reads -x value, -xvalue, --name=value and --name value.
func parseFlags(o options, args []string) (warnings []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var opt option
		var ok, hasValue bool
		var value string
		switch {
		case strings.HasPrefix(arg, "--"):
			var name string
			name, value, hasValue = strings.Cut(arg[2:], "=")
			opt, ok = find(func(t option) bool { return strings.ReplaceAll(t.name, "_", "-") == name })
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			opt, ok = find(func(t option) bool { return t.short == arg[1:2] })
			value = arg[2:]
			hasValue = value != ""
		default:
			warnings = append(warnings, "Unused arguments on command line: "+arg)
			continue
		}
		switch {
		case !ok:
			return warnings, fmt.Errorf("Parse error: option %s not recognized", arg) //nolint:staticcheck // the text agents print
		case opt.kind == "boolean":
			o[opt.name] = "1"
			continue
		case !hasValue && len(args) == 0:
			return warnings, fmt.Errorf("Parse error: option %s requires argument", arg) //nolint:staticcheck // as above
		case !hasValue:
			value, args = args[0], args[1:]
		}
		o[opt.name] = value
	}
	return warnings, nil
}

func find(is func(option) bool) (option, bool) {
	i := slices.IndexFunc(table, is)
	if i < 0 {
		return option{}, false
	}
	return table[i], true
}

// validate checks the values for the action. The texts are those of the fence-agents library.
func (o options) validate() error {
	failed := func(format string, args ...any) error { return fmt.Errorf("Failed: "+format, args...) }
	if !slices.Contains(actions, o["action"]) {
		return failed("Unrecognised action '%s'", o["action"])
	}
	if o["ip"] == "" {
		return failed("You have to enter fence address")
	}
	if o["plug"] == "" && !slices.Contains([]string{"list", "list-status", "monitor"}, o["action"]) {
		return failed("You have to enter plug number or machine identification")
	}
	for _, opt := range table {
		value := o[opt.name]
		switch opt.kind {
		case "integer":
			if n, err := strconv.Atoi(value); err != nil || n < 0 {
				return failed("The value you have entered for --%s is not a valid integer", opt.name)
			}
		case "second":
			if _, err := parseSeconds(value); err != nil {
				return failed("The value you have entered for --%s is %w", opt.name, err)
			}
		case "select":
			if !slices.Contains(opt.choices, value) {
				return failed("You have to enter a valid choice for --%s from the valid values: %v", opt.name, opt.choices)
			}
		}
	}
	return nil
}
