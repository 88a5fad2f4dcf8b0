package cib

import (
	"fmt"
	"strings"
)

// EnumEntry is one value of an enumeration as every face shows it: the number
// in the MIB and the MOF, the name in JSON, YAML and on the command line, and
// a text for people.
type EnumEntry[T ~uint8] struct {
	Value T
	Name  string
	Text  string
}

// Enum is the one table of an enumeration. REST, MIB, MOF and GUI are generated
// from it or tested against it. Numbers are never reused.
type Enum[T ~uint8] []EnumEntry[T]

// Name returns the name of v, or "T(n)" for a value that is not in the table.
func (e Enum[T]) Name(v T) string {
	for _, x := range e {
		if x.Value == v {
			return x.Name
		}
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}

// Text returns the text of v for people.
func (e Enum[T]) Text(v T) string {
	for _, x := range e {
		if x.Value == v {
			return x.Text
		}
	}
	return e.Name(v)
}

// Parse finds the value with a name. Upper and lower case are the same.
func (e Enum[T]) Parse(name string) (T, error) {
	for _, x := range e {
		if strings.EqualFold(x.Name, name) {
			return x.Value, nil
		}
	}
	var zero T
	return zero, fmt.Errorf("%q is not one of %s", name, strings.Join(e.Names(), ", "))
}

// Names lists the names in the table's order.
func (e Enum[T]) Names() []string {
	out := make([]string, len(e))
	for i, x := range e {
		out[i] = x.Name
	}
	return out
}

func (e Enum[T]) marshal(v T) ([]byte, error) {
	for _, x := range e {
		if x.Value == v {
			return []byte(x.Name), nil
		}
	}
	return nil, fmt.Errorf("%T has no value %d", v, uint8(v))
}

func (e Enum[T]) unmarshal(v *T, b []byte) error {
	x, err := e.Parse(string(b))
	if err != nil {
		return err
	}
	*v = x
	return nil
}
