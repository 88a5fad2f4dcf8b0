package compat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"testing"
)

// value is an attribute's value in a document.
var value = regexp.MustCompile(`"[^"<>]*"`)

// absurd are values that no administrator would write.
var absurd = []string{`""`, `"-1"`, `"0"`, `"99999999999999999999"`, `"-INFINITY"`, `"true"`, `"Promoted"`, `":"`, `"a:b:c"`, `"1e308"`, `"P9999999Y"`, `"!"`}

// mutate exchanges a few values of a document with others of it, or absurd ones:
// references that dangle, go round in circles, or name the wrong kind of thing.
func mutate(doc []byte, r *rand.Rand) []byte {
	places := value.FindAllIndex(doc, -1)
	if len(places) == 0 {
		return doc
	}
	change := map[int]string{}
	for range 1 + r.IntN(12) {
		from := places[r.IntN(len(places))]
		text := string(doc[from[0]:from[1]])
		if r.IntN(4) == 0 {
			text = absurd[r.IntN(len(absurd))]
		}
		change[r.IntN(len(places))] = text
	}
	var out []byte
	last := 0
	for i, p := range places {
		if text, ok := change[i]; ok {
			out = append(append(out, doc[last:p[0]]...), text...)
			last = p[1]
		}
	}
	return append(out, doc[last:]...)
}

// TestMutated decides on damaged cases: any answer will do, as long as it is one. A
// plan that the linter refuses is none: one of the two is wrong then.
func TestMutated(t *testing.T) {
	dir := directory(t)
	if dir == "" {
		return // TestCases has said so
	}
	for i, c := range readCases(t, dir) {
		doc, err := os.ReadFile(filepath.Join(dir, "cases", c.name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > 200_000 {
			continue // the same, and slow
		}
		r := rand.New(rand.NewPCG(uint64(i), 1))
		for n := range rounds {
			bad := mutate(doc, r)
			if text := answered(bad); text != "" {
				t.Errorf("%s, seed %d, round %d: %s", c.name, i, n, text)
				break
			}
		}
	}
}

// rounds is how often each case is damaged.
const rounds = 10

// answered decides and returns what went wrong; an error is an answer.
func answered(doc []byte) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmtPanic(r)
		}
	}()
	if _, err := decide(doc, ""); errors.Is(err, errPlan) {
		return err.Error()
	}
	return "" // any other error is an answer
}

func fmtPanic(r any) string { return fmt.Sprintf("panic: %v\n%s", r, debug.Stack()) }
