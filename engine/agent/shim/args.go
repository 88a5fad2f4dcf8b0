package shim

import (
	"fmt"
	"slices"
	"strings"
)

// argument says whether an option takes a value.
type argument uint8

const (
	none     argument = iota
	required          // takes the next word, whatever it is
	optional          // takes the next word unless that begins with "-"
)

// option is one option of a tool. The first name is the one that the tool's
// code asks for; one-letter names are short options.
type option struct {
	names []string
	arg   argument
}

func opt(arg argument, names ...string) option { return option{names, arg} }

// given is one option as it stood on the command line.
type given struct {
	name  string
	value string
	has   bool // a value was there
}

// usageError is a command line that a tool does not understand.
type usageError string

func (e usageError) Error() string { return string(e) }

// parse reads a command line as GLib's parser does after Pacemaker has split
// short options that stand together: "-1rfA", "-nvalue". What is no option is
// dropped, as the tools do.
func parse(options []option, args []string) ([]given, error) {
	var out []given
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			break
		}
		if name, ok := strings.CutPrefix(word, "--"); ok {
			name, value, has := strings.Cut(name, "=")
			o, found := find(options, name)
			if !found || len(name) == 1 || o.arg == none && has {
				return nil, usageError("Unknown option " + word)
			}
			if !has && o.arg == required {
				if i++; i == len(args) {
					return nil, usageError("Missing argument for --" + name)
				}
				value, has = args[i], true
			}
			if !has && o.arg == optional && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value, has = args[i], true
			}
			out = append(out, given{o.names[0], value, has})
			continue
		}
		if len(word) < 2 || word[0] != '-' {
			continue
		}
		more, skip, err := shorts(options, word[1:], args[i+1:])
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
		i += skip
	}
	return out, nil
}

// shorts reads the letters of one word. The last one may take a value: the rest
// of the word, or the next word.
func shorts(options []option, letters string, rest []string) (out []given, skip int, err error) {
	for i := range len(letters) {
		name := letters[i : i+1]
		o, found := find(options, name)
		if !found {
			return nil, 0, usageError("Unknown option -" + name)
		}
		g := given{name: o.names[0]}
		tail := strings.TrimPrefix(letters[i+1:], "=")
		switch {
		case o.arg == none:
			out = append(out, g)
			continue
		case tail != "":
			g.value, g.has = tail, true
		case len(rest) > 0 && (o.arg == required || !strings.HasPrefix(rest[0], "-")):
			g.value, g.has, skip = rest[0], true, 1
		case o.arg == required:
			return nil, 0, usageError("Missing argument for -" + name)
		}
		return append(out, g), skip, nil
	}
	return out, 0, nil
}

func find(options []option, name string) (option, bool) {
	i := slices.IndexFunc(options, func(o option) bool { return slices.Contains(o.names, name) })
	if i < 0 {
		return option{}, false
	}
	return options[i], true
}

// attribute writes an XML attribute.
func attribute(name, value string) string {
	return fmt.Sprintf(" %s=\"%s\"", name, escape(value))
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;", "\t", "&#9;", "\r", "&#13;")

func escape(s string) string { return escaper.Replace(s) }
