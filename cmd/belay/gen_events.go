//go:build ignore

// Command gen_events writes the list of events for people, from the catalogue.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen_events FILE")
		os.Exit(2)
	}
	var b strings.Builder
	b.WriteString("# Events\n\nGenerated from the catalogue in `engine/event`. `belay events` shows what happened, `belay alarms` what is wrong now.\n" +
		"An alarm stays until the event that clears it, or until its cause is gone. Codes are never reused.\n" +
		"What is a notification goes to the receivers of SNMP and CIM.\n\n" +
		"| code | severity | name | text | alarm | notification | what to do |\n|---|---|---|---|---|---|---|\n")
	for i := range event.Catalogue {
		d := &event.Catalogue[i]
		alarm := ""
		switch {
		case d.Alarm:
			alarm = "yes"
		case d.Clears != 0:
			alarm = "clears " + event.Get(d.Clears).Code()
		}
		notification := ""
		if d.Trap {
			notification = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", d.Code(), severity(d), d.Name, text(d.Text), alarm, notification, text(d.Remedy))
	}
	if err := os.WriteFile(os.Args[1], []byte(b.String()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen_events:", err)
		os.Exit(1)
	}
}

// severity names a severity as the command line does.
func severity(d *event.Definition) string {
	if d.Severity == cib.SeverityIndeterminate {
		return "info"
	}
	return d.Severity.String()
}

// text fits into a cell of a table, and shows what stands for a value.
func text(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "{", "*", "}", "*").Replace(s)
}
