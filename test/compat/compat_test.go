package compat

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pacemaker"
	"github.com/belay-ha/belay/engine/policy"
)

var update = flag.Bool("update", false, "add cases that have come to pass to testdata/passing")

// The lists of cases: those that are decided alike, and, one a line with the reason,
// those that are not.
const (
	passingFile = "testdata/passing"
	failingFile = "testdata/failing"
	// The cases of the passing ones in which other recurring monitors are begun or ended.
	monitorsFile = "testdata/monitors"
)

// anyTime is the time of cases that don't name one.
var anyTime = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// directory is where the cases are; "" if they are not here.
func directory(t *testing.T) string {
	dir := os.Getenv("BELAY_SCHEDULER_CASES")
	if dir == "" {
		dir = "../../../shared/scheduler-cases" // beside the repository
	}
	_, err := os.Stat(filepath.Join(dir, "cases"))
	switch {
	case err == nil:
		return dir
	case !errors.Is(err, fs.ErrNotExist):
		t.Fatal(err)
	}
	return ""
}

// testCase is one line of cases.tsv.
type testCase struct{ name, level, args string }

func readCases(t *testing.T, dir string) []testCase {
	f, err := os.Open(filepath.Join(dir, "cases.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("read cases.tsv: %d rows, %v", len(rows), err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	name, level, args := column("name"), column("level"), column("args")
	var out []testCase
	for _, row := range rows[1:] {
		out = append(out, testCase{row[name], row[level], row[args]})
	}
	return out
}

// imported reads a CIB as of the time that it, or the case, names.
func imported(doc []byte, args string) (*pacemaker.Imported, error) {
	d, err := pacemaker.Read(doc)
	if err != nil {
		return nil, err
	}
	now := anyTime
	if t, ok := d.Time(); ok {
		now = t
	}
	if _, text, ok := strings.Cut(args, "-t"); ok {
		if t, ok := pacemaker.ParseTime(strings.Trim(text, " \"'")); ok {
			now = t
		}
	}
	return pacemaker.Import(d, now), nil
}

// decide reads a CIB and decides.
func decide(doc []byte, args string) (*Decision, error) {
	im, err := imported(doc, args)
	if err != nil {
		return nil, err
	}
	return decideOn(im.Snapshot, im.Now)
}

// errPlan says that a plan must not be carried out: a defect of the policy.
var errPlan = errors.New("the plan is not correct")

// decideOn decides on a snapshot. A plan that the linter refuses is an error.
func decideOn(s *cib.Snapshot, now time.Time) (*Decision, error) {
	p, g, _ := policy.Decide(s, now)
	if err := policy.Check(s, now, p, g); err != nil {
		return nil, fmt.Errorf("%w: %w", errPlan, err)
	}
	p, g = policy.Foresee(s, now) // as belay simulate shows it
	b, err := json.Marshal(pacemaker.Describe(s, policy.Active(s, now), p, g))
	if err != nil {
		return nil, err
	}
	out := &Decision{}
	return out, json.Unmarshal(b, out)
}

// TestCases decides every case and compares.
func TestCases(t *testing.T) {
	dir := directory(t)
	if dir == "" {
		fmt.Fprintln(os.Stderr, "*** test/compat: NO SCHEDULER CASES HERE, NOTHING WAS COMPARED; set BELAY_SCHEDULER_CASES ***")
		return
	}
	levels, active, idle := map[string]*score{}, &score{}, &score{}
	var passing, failing, monitors []string
	for _, c := range readCases(t, dir) {
		expected := &Decision{}
		b, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".json"))
		if err == nil {
			err = json.Unmarshal(b, expected)
		}
		if err != nil {
			t.Fatal(err)
		}
		doc, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		actual, err := decide(doc, c.args)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		kind := idle
		if expected.Active() {
			kind = active
		}
		if levels[c.level] == nil {
			levels[c.level] = &score{}
		}
		levels[c.level].all++
		kind.all++
		if Compare(expected, actual).Same() {
			levels[c.level].same++
			kind.same++
			passing = append(passing, c.name)
			if !SameMonitors(expected, actual) {
				monitors = append(monitors, c.name)
			}
		} else {
			failing = append(failing, c.name)
		}
	}
	var table strings.Builder
	for _, l := range slices.Sorted(maps.Keys(levels)) {
		fmt.Fprintf(&table, "level %s                  %4d of %4d  %5.1f %%\n", l, levels[l].same, levels[l].all, levels[l].percent())
	}
	all := score{active.same + idle.same, active.all + idle.all}
	fmt.Fprintf(&table, "cases that need action   %4d of %4d  %5.1f %%\n", active.same, active.all, active.percent())
	fmt.Fprintf(&table, "cases that need none     %4d of %4d  %5.1f %%\n", idle.same, idle.all, idle.percent())
	fmt.Fprintf(&table, "all                      %4d of %4d  %5.1f %%\n", all.same, all.all, all.percent())
	fmt.Fprintf(&table, "these, and their monitors %4d of %4d  %5.1f %%\n", all.same-len(monitors), all.all, score{all.same - len(monitors), all.all}.percent())
	t.Logf("decided as Pacemaker 3.0.2 does (placement, actions, order):\n%s", table.String())
	compareWithList(t, passing)
	compareWithReasons(t, failingFile, failing)
	compareWithReasons(t, monitorsFile, monitors)
}

// compareWithList fails for cases that are in the list and do not pass.
func compareWithList(t *testing.T, passing []string) {
	b, err := os.ReadFile(passingFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	listed := strings.Fields(string(b))
	for _, name := range listed {
		if !slices.Contains(passing, name) {
			t.Errorf("%s was decided alike, and is not any more", name)
		}
	}
	slices.Sort(passing)
	fresh := slices.DeleteFunc(slices.Clone(passing), func(n string) bool { return slices.Contains(listed, n) })
	if len(fresh) == 0 {
		return
	}
	if !*update {
		t.Logf("%d cases have come to pass; add them with go test ./test/compat -update: %s", len(fresh), strings.Join(fresh, " "))
		return
	}
	listed = append(listed, fresh...)
	slices.Sort(listed)
	if err := os.WriteFile(passingFile, []byte(strings.Join(listed, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compareWithReasons fails for cases that are decided differently and have no
// reason in the list, and for those in the list that are decided alike.
func compareWithReasons(t *testing.T, file string, failing []string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, reason, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
			reasons[name] = strings.TrimSpace(reason)
		}
	}
	if *update {
		slices.Sort(failing)
		var out strings.Builder
		for _, name := range failing {
			fmt.Fprintf(&out, "%s %s\n", name, reasons[name])
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range failing {
		if reasons[name] == "" {
			t.Errorf("%s is decided differently, and %s does not say why", name, file)
		}
		delete(reasons, name)
	}
	for name := range reasons {
		if !*update {
			t.Errorf("%s is in %s, and is decided alike: go test ./test/compat -update takes it out", name, file)
		}
	}
}

// TestCompare holds the comparison to its own rules.
func TestCompare(t *testing.T) {
	web := func(node string) []Place { return []Place{{Resource: "web", Node: node, Role: "Started"}} }
	move := func(order ...[2]int) *Decision {
		return &Decision{Placement: web("n2"), Order: order, Actions: []Action{
			{ID: 1, Kind: "resource", Resource: "web", Op: "stop", Node: "n1"},
			{ID: 2, Kind: "resource", Resource: "web", Op: "probe", Node: "n2"},
			{ID: 3, Kind: "resource", Resource: "web", Op: "start", Node: "n2"},
		}}
	}
	expected := move([2]int{1, 2}, [2]int{2, 3})
	watched := move()
	watched.Actions = append(watched.Actions, Action{ID: 4, Kind: "resource", Resource: "web", Op: "monitor", Node: "n2", Interval: 10000})
	if SameMonitors(expected, watched) || !SameMonitors(watched, watched) || !Compare(expected, watched).Same() {
		t.Error("a recurring monitor counts where monitors are compared, and only there")
	}
	for _, c := range []struct {
		what   string
		actual *Decision
		want   Result
	}{
		{"the same", move([2]int{1, 3}), Result{true, true, true}},
		{"no order at all is no conflict", move(), Result{true, true, true}},
		{"the other way round", move([2]int{3, 1}), Result{true, true, false}},
		{"nothing done", &Decision{Placement: web("n1")}, Result{false, false, true}},
		{"one action too few", &Decision{Placement: web("n2"), Actions: expected.Actions[1:]}, Result{true, false, true}},
	} {
		if got := Compare(expected, c.actual); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.what, got, c.want)
		}
	}
}
