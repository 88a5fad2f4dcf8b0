package cib

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong with a configuration, or a warning about it.
type Fault struct {
	Path string `json:"path"` // "resources.web.parameters.ip"
	Text string `json:"text"` // what is wrong, and where it does not say itself, what to do
}

// Limits of a configuration document. Each stops an input that no administrator
// would write.
const (
	depthMax  = 32  // objects and lists inside each other; ours need 7
	faultsMax = 200 // faults reported at once
)

// ParseConfig reads a configuration strictly: fields that do not exist, and keys
// that stand twice, are faults, since what they were meant to do would not happen.
// It reports every fault that it finds; the configuration is nil if there is one.
// What the values mean together is for [Validate] to judge.
func ParseConfig(doc []byte) (*Config, []Fault) {
	c := &Config{}
	if faults := parse(doc, "", c); len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// parse reads a JSON document into v, a pointer, and reports faults below path.
func parse(doc []byte, path string, v any) []Fault {
	root, faults := parseTree(doc, path)
	d := &strict{faults: faults}
	if root != nil {
		d.decode(root, path, reflect.ValueOf(v).Elem())
	}
	if len(d.faults) > faultsMax {
		more := len(d.faults) - faultsMax
		d.faults = append(d.faults[:faultsMax:faultsMax], Fault{path, fmt.Sprintf("and %d faults more", more)})
	}
	return d.faults
}

// tree is a JSON value that has kept the order of its keys and the text of its
// numbers.
type tree struct {
	kind   byte // '{', '[', 's', 'n', 'b', '0' (null)
	text   string
	keys   []string
	values []*tree
}

// child returns the value of a key; nil where there is none.
func (t *tree) child(key string) *tree {
	if t == nil || t.kind != '{' {
		return nil
	}
	if i := slices.Index(t.keys, key); i >= 0 {
		return t.values[i]
	}
	return nil
}

var kindNames = map[byte]string{'{': "a mapping", '[': "a list", 's': "a text", 'n': "a number", 'b': "true or false", '0': "empty"}

// parseTree reads a document. What encoding/json would let pass is a fault: a
// key that stands twice, anything after the document, deep nesting.
func parseTree(doc []byte, path string) (*tree, []Fault) {
	if !utf8.Valid(doc) {
		return nil, []Fault{{path, "is not valid UTF-8"}}
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	p := &treeParser{dec: dec}
	t, err := p.value(path, 0)
	if err == nil {
		if _, err2 := dec.Token(); !errors.Is(err2, io.EOF) {
			err = errors.New("there is something after the end of the document")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the document ends in the middle")
		}
		return nil, append(p.faults, Fault{path, "cannot be read: " + err.Error()})
	}
	return t, p.faults
}

type treeParser struct {
	dec    *json.Decoder
	faults []Fault
}

func (p *treeParser) value(path string, depth int) (*tree, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("nested deeper than %d levels", depthMax)
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Delim:
		t := &tree{kind: byte(v)}
		seen := map[string]bool{}
		for p.dec.More() {
			at := join(path, strconv.Itoa(len(t.values)), v == '[')
			if v == '{' {
				key, err := p.dec.Token()
				if err != nil {
					return nil, err
				}
				name, _ := key.(string)
				at = join(path, name, false)
				if seen[name] {
					p.faults = append(p.faults, Fault{at, "stands twice: remove one of them"})
				}
				seen[name] = true
				t.keys = append(t.keys, name)
			}
			child, err := p.value(at, depth+1)
			if err != nil {
				return nil, err
			}
			t.values = append(t.values, child)
		}
		_, err := p.dec.Token() // the closing bracket
		return t, err
	case string:
		return &tree{kind: 's', text: v}, nil
	case json.Number:
		return &tree{kind: 'n', text: v.String()}, nil
	case bool:
		return &tree{kind: 'b', text: strconv.FormatBool(v)}, nil
	}
	return &tree{kind: '0', text: "null"}, nil
}

// join appends a key or an index to a path. A key that holds what divides a path
// is quoted: nodes["n1.example.org"].id.
func join(path, key string, index bool) string {
	switch {
	case index:
		return path + "[" + key + "]"
	case key == "" || strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// strict decodes a tree into Go values. It uses reflection so that the types of
// this package stay the only description of the document.
type strict struct {
	faults []Fault
}

func (d *strict) fault(path, format string, args ...any) {
	d.faults = append(d.faults, Fault{path, fmt.Sprintf(format, args...)})
}

func (d *strict) decode(t *tree, path string, v reflect.Value) {
	if t.kind == '0' {
		return // "parameters:" with nothing below means that nothing is set
	}
	if d.custom(t, path, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(t, path, v.Elem())
	case reflect.Struct:
		d.structure(t, path, v)
	case reflect.Map:
		d.mapping(t, path, v)
	case reflect.Slice:
		d.list(t, path, v)
	case reflect.String:
		if t.kind != 's' {
			d.wrong(t, path, "a text")
			return
		}
		v.SetString(t.text)
	case reflect.Bool:
		if t.kind != 'b' {
			d.wrong(t, path, "true or false")
			return
		}
		v.SetBool(t.text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(t.text, 10, 32)
		if t.kind != 'n' || err != nil {
			d.wrong(t, path, "a whole number")
			return
		}
		v.SetInt(n)
	case reflect.Uint32:
		n, err := strconv.ParseUint(t.text, 10, 32)
		if t.kind != 'n' || err != nil {
			d.wrong(t, path, "a whole number, not negative")
			return
		}
		v.SetUint(n)
	default:
		panic(fmt.Sprintf("no rule to decode a %s", v.Type())) // a new type in Config
	}
}

// custom decodes types that read themselves: scores, durations, enumerations.
func (d *strict) custom(t *tree, path string, v reflect.Value) bool {
	if !v.CanAddr() || v.Kind() == reflect.Pointer {
		return false
	}
	var err error
	switch u := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		if t.kind != 's' && t.kind != 'n' {
			d.wrong(t, path, "a text or a number")
			return true
		}
		err = u.UnmarshalJSON([]byte(t.text))
	case encoding.TextUnmarshaler:
		if t.kind != 's' {
			// "on-fail: off" is false in YAML 1.1, and a role is never a number.
			d.wrong(t, path, "a text")
			return true
		}
		err = u.UnmarshalText([]byte(t.text))
	default:
		return false
	}
	if err != nil {
		d.fault(path, "%s", err)
	}
	return true
}

// wrong reports a value of the wrong kind, with the way to write it right.
func (d *strict) wrong(t *tree, path, want string) {
	switch {
	case want == "a text" && (t.kind == 'n' || t.kind == 'b'):
		d.fault(path, "%s is read as %s, but a text is wanted: write it in quotes, %q", t.text, kindNames[t.kind], t.text)
	case t.kind == 's':
		d.fault(path, "%s is wanted, but %q is a text", want, shorten(t.text))
	case t.kind == 'n':
		d.fault(path, "%s is wanted, not %s", want, t.text)
	default:
		d.fault(path, "%s is wanted, not %s", want, kindNames[t.kind])
	}
}

// shorten keeps what a fault quotes short.
func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}

func (d *strict) structure(t *tree, path string, v reflect.Value) {
	if t.kind != '{' {
		d.wrong(t, path, "a mapping")
		return
	}
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "-" {
			fields[name] = v.Field(i)
		}
	}
	for i, key := range t.keys {
		f, ok := fields[key]
		if !ok {
			d.fault(join(path, key, false), "no such field%s", similar(key, slices.Sorted(maps.Keys(fields))))
			continue
		}
		d.decode(t.values[i], join(path, key, false), f)
	}
}

func (d *strict) mapping(t *tree, path string, v reflect.Value) {
	if t.kind != '{' {
		d.wrong(t, path, "a mapping")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(t.keys)))
	for i, key := range t.keys {
		at := join(path, key, false)
		if t.values[i].kind == '0' {
			d.fault(at, "is empty: give it a value, or leave it out")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(t.values[i], at, e)
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
}

func (d *strict) list(t *tree, path string, v reflect.Value) {
	if t.kind != '[' {
		d.wrong(t, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(t.values), len(t.values)))
	for i, x := range t.values {
		at := join(path, strconv.Itoa(i), true)
		if x.kind == '0' {
			d.fault(at, "is empty: give it a value, or leave it out")
			continue
		}
		d.decode(x, at, v.Index(i))
	}
}

// similar proposes the name that was probably meant.
func similar(name string, names []string) string {
	best, at := 3, ""
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return ": it is written " + n
		}
		if dist := distance(name, n, best); dist < best && dist*2 < len(n) {
			best, at = dist, n
		}
	}
	if at != "" {
		return ": is " + at + " meant?"
	}
	if len(names) <= 12 {
		return "; there are " + strings.Join(names, ", ")
	}
	return ""
}

// distance is the number of letters to change, add or drop to get from a to b;
// at least limit where it would be more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
