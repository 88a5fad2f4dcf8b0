package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	makeCall = regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z0-9-]*)")
	target   = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

// documents returns the Markdown files that people read.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(file string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(file, ".md") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestLinks follows every link to a file of the tree and to a heading.
func TestLinks(t *testing.T) {
	for _, file := range documents(t) {
		text := fence.ReplaceAllString(read(t, file), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			to, anchor, _ := strings.Cut(m[1], "#")
			at := file
			if to != "" {
				at = filepath.Join(filepath.Dir(file), to)
			}
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, at)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
}

// TestMakeTargets finds every "make NAME" of the documents in the Makefile.
func TestMakeTargets(t *testing.T) {
	var targets []string
	for _, m := range target.FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1) {
		targets = append(targets, m[1])
	}
	for _, file := range documents(t) {
		for _, m := range makeCall.FindAllStringSubmatch(read(t, file), -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s names %q, which the Makefile does not have", file, "make "+m[1])
			}
		}
	}
}

// TestReachable fails when a document in docs/ is named by no other document.
func TestReachable(t *testing.T) {
	linked := map[string]bool{}
	files := documents(t)
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			linked[filepath.Join(filepath.Dir(file), to)] = true
		}
	}
	for _, file := range files {
		if strings.HasPrefix(file, filepath.Join(root, "docs")) && !linked[file] {
			t.Errorf("no document links to %s: add it to docs/README.md", file)
		}
	}
}

// anchors returns the names under which headings can be linked to: lower case,
// without punctuation, with "-" for blanks.
func anchors(text string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(m[1])))
	}
	return names
}
