package event

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCatalogue checks what every face relies on: numbers rise without gaps in
// the table, names are unique, placeholders are declared, clears point at alarms.
func TestCatalogue(t *testing.T) {
	names := map[string]bool{}
	placeholder := regexp.MustCompile(`\{([a-z]+)\}`)
	for i := range Catalogue {
		d := &Catalogue[i]
		if i > 0 && d.Number <= Catalogue[i-1].Number {
			t.Errorf("%s: numbers must rise", d.Name)
		}
		if names[d.Name] {
			t.Errorf("%s stands twice", d.Name)
		}
		names[d.Name] = true
		for _, m := range placeholder.FindAllStringSubmatch(d.Text+d.Remedy, -1) {
			if !slices.Contains([]string{"node", "resource", "device"}, m[1]) && !slices.Contains(d.Args, m[1]) {
				t.Errorf("%s: placeholder %s is not in Args", d.Name, m[0])
			}
		}
		for _, a := range d.Args {
			if !strings.Contains(d.Text+d.Remedy, "{"+a+"}") {
				t.Errorf("%s: argument %s is not used", d.Name, a)
			}
		}
		if d.Clears != 0 && !Get(d.Clears).Alarm {
			t.Errorf("%s clears %s, which is no alarm", d.Name, Get(d.Clears).Name)
		}
		if d.Alarm && d.Remedy == "" {
			t.Errorf("%s is an alarm without a remedy", d.Name)
		}
	}
}

// TestNew fills a definition in.
func TestNew(t *testing.T) {
	ev := New(NodeFenced, "node", "n1", "by", "pdu from n2", "proof", "p7")
	if want := "node n1 was confirmed dead by pdu from n2 (p7); what ran there is recovered"; ev.Text != want || ev.Code != "BLY3004" {
		t.Errorf("got %s %q, want %q", ev.Code, ev.Text, want)
	}
	if want := "Find out why it failed before you trust it again: belay fence history n1"; Remedy(&ev) != want {
		t.Errorf("remedy %q, want %q", Remedy(&ev), want)
	}
}
