package arch

import (
	"fmt"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestImports fails when a package imports what its rule does not allow, when
// no rule covers it, or when a rule covers nothing.
//
// It parses the files itself instead of asking "go list": the test cache sees
// the files that a test opens, not those a child process opens.
func TestImports(t *testing.T) {
	faults, err := check(os.DirFS("../.."), rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestLayers fails when the table itself allows two packages to stand above
// each other. The compiler rejects cycles between packages; a table without
// them is what makes the folders layers.
func TestLayers(t *testing.T) {
	if c := cycle(rules); c != nil {
		t.Errorf("the rules allow a cycle: %s", strings.Join(c, " -> "))
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.pkg] {
			t.Errorf("two rules for %s", r.pkg)
		}
		seen[r.pkg] = true
		if r.why == "" {
			t.Errorf("the rule for %s has no reason", r.pkg)
		}
	}
}

// check returns every violation of the rules in the tree.
func check(tree fs.FS, rules []rule) ([]string, error) {
	var faults []string
	used := map[int]bool{}
	uncovered := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "node_modules", "bin", "dist"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		src, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(file)
		i := find(rules, pkg)
		if i < 0 {
			if !uncovered[pkg] {
				faults = append(faults, fmt.Sprintf("no rule covers %s: add a line to rules in test/arch", pkg))
			}
			uncovered[pkg] = true
			return nil
		}
		used[i] = true
		test := strings.HasSuffix(file, "_test.go") || ignored(src)
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !allowed(rules[i], pkg, imp, test) {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", file, imp, rules[i].why))
			}
		}
		return nil
	})
	for i, r := range rules {
		switch {
		case used[i] && r.planned:
			faults = append(faults, fmt.Sprintf("%s exists now: remove \"planned\" from its rule", r.pkg))
		case !used[i] && !r.planned && !strings.Contains(r.pkg, "*"):
			faults = append(faults, fmt.Sprintf("the rule for %s matches no package", r.pkg))
		}
	}
	return faults, err
}

// ignored reports whether a file is a generator, outside every build: it may
// read and write files where its package may not.
func ignored(src []byte) bool {
	for line := range strings.Lines(string(src)) {
		if strings.HasPrefix(line, "package ") {
			return false
		}
		if constraint.IsGoBuild(line) {
			x, err := constraint.Parse(strings.TrimSpace(line))
			return err == nil && !x.Eval(func(tag string) bool { return tag != "ignore" })
		}
	}
	return false
}

func find(rules []rule, pkg string) int {
	return slices.IndexFunc(rules, func(r rule) bool { return match(r.pkg, pkg) })
}

func match(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	if err != nil {
		panic(err) // a pattern of the table is malformed
	}
	return ok
}

func allowed(r rule, pkg, imp string, test bool) bool {
	matches := func(m string) bool { return match(m, strings.TrimPrefix(imp, module+"/")) }
	starts := func(m string) bool { return strings.HasPrefix(imp, m) }
	switch first, _, _ := strings.Cut(imp, "/"); {
	case strings.HasPrefix(imp, module+"/"):
		return test && imp == module+"/"+pkg || slices.ContainsFunc(r.may, matches)
	case !strings.Contains(first, "."): // the standard library
		return test || !slices.Contains(r.ban, imp)
	}
	return slices.ContainsFunc(r.third, starts) || test && slices.ContainsFunc(testThird, starts)
}

// cycle returns the packages of a cycle which the rules allow, or nil. A
// pattern among them stands for the packages that it matches.
func cycle(rules []rule) []string {
	done := map[int]bool{}
	var visit func(i int, from []int) []string
	visit = func(i int, from []int) []string {
		if at := slices.Index(from, i); at >= 0 {
			var names []string
			for _, j := range append(from[at:], i) {
				names = append(names, rules[j].pkg)
			}
			return names
		}
		if done[i] {
			return nil
		}
		for j, r := range rules {
			if j != i && slices.ContainsFunc(rules[i].may, func(m string) bool { return match(m, r.pkg) }) {
				if c := visit(j, append(slices.Clone(from), i)); c != nil {
					return c
				}
			}
		}
		done[i] = true
		return nil
	}
	for i := range rules {
		if c := visit(i, nil); c != nil {
			return c
		}
	}
	return nil
}

// TestCheck shows each kind of violation to the checker.
func TestCheck(t *testing.T) {
	table := []rule{
		{pkg: "low", ban: []string{"os"}, why: "low is pure"},
		{pkg: "high", may: []string{"low"}, third: []string{"example.org/x/"}, why: "high is high"},
		{pkg: "later", planned: true, why: "later"},
		{pkg: "any/*", why: "any"},
	}
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"allowed", map[string]string{"high/a.go": `"os"; "example.org/x/y"; "github.com/belay-ha/belay/low"`}, nil},
		{"upwards", map[string]string{"low/a.go": `"github.com/belay-ha/belay/high"`}, []string{"low/a.go imports github.com/belay-ha/belay/high: low is pure"}},
		{"impure", map[string]string{"low/a.go": `"os"`}, []string{"low/a.go imports os: low is pure"}},
		{"impure in a test", map[string]string{"low/a_test.go": `"os"; "github.com/belay-ha/belay/low"; "pgregory.net/rapid"`}, nil},
		{"upwards in a test", map[string]string{"low/a_test.go": `"github.com/belay-ha/belay/high"`}, []string{"low/a_test.go imports github.com/belay-ha/belay/high: low is pure"}},
		{"test library in the product", map[string]string{"high/a.go": `"pgregory.net/rapid"`}, []string{"high/a.go imports pgregory.net/rapid: high is high"}},
		{"foreign module", map[string]string{"low/a.go": `"example.org/x/y"`}, []string{"low/a.go imports example.org/x/y: low is pure"}},
		{"foreign module in a test", map[string]string{"low/a_test.go": `"example.org/x/y"`}, []string{"low/a_test.go imports example.org/x/y: low is pure"}},
		{"no rule", map[string]string{"new/a.go": `"os"`, "new/b.go": `"os"`}, []string{"no rule covers new: add a line to rules in test/arch"}},
		{"no longer planned", map[string]string{"later/a.go": `"os"`}, []string{`later exists now: remove "planned" from its rule`}},
		{"not our code", map[string]string{"high/testdata/a.go": `"none/such"`, "high/node_modules/a.go": `"none"`, ".x/a.go": `"none"`, "bin/a.go": `"none"`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, imports := range map[string]string{"low/doc.go": "", "high/doc.go": ""} {
				tree[name] = &fstest.MapFile{Data: []byte("package p\nimport (" + imports + ")\n")}
			}
			for name, imports := range tt.files {
				tree[name] = &fstest.MapFile{Data: []byte("package p\nimport (" + imports + ")\n")}
			}
			got, err := check(tree, table)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("generator", func(t *testing.T) {
		got, err := check(fstest.MapFS{
			"low/doc.go":  {Data: []byte("package p\n")},
			"high/doc.go": {Data: []byte("package p\n")},
			"low/gen.go":  {Data: []byte("//go:build ignore\n\npackage main\nimport \"os\"\n")},
		}, table)
		if err != nil || got != nil {
			t.Errorf("got %q, %v, want nothing", got, err)
		}
	})
	t.Run("rule without a package", func(t *testing.T) {
		got, err := check(fstest.MapFS{"low/doc.go": {Data: []byte("package p\n")}}, table)
		if want := []string{"the rule for high matches no package"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
	t.Run("cycle", func(t *testing.T) {
		got := cycle([]rule{{pkg: "a", may: []string{"b"}}, {pkg: "b", may: []string{"d/*"}}, {pkg: "d/e", may: []string{"a"}}})
		if want := []string{"a", "b", "d/e", "a"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
