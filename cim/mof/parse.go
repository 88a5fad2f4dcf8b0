package mof

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/belay-ha/belay/cim/object"
)

// What a text declares, before it is known what its names mean.

type classDecl struct {
	at         position
	name       string
	super      string
	qualifiers []qualifierUse
	features   []featureDecl
}

// featureDecl is a property, a reference or a method.
type featureDecl struct {
	at         position
	name       string
	typeName   string // of a reference: the class
	ref        bool
	array      bool
	size       int
	qualifiers []qualifierUse
	value      *literal
	method     bool
	parameters []featureDecl
}

type qualifierUse struct {
	at      position
	name    string
	value   *literal // nil: none was given
	flavors []string
}

type qualifierDecl struct {
	at       position
	name     string
	typeName string
	array    bool
	size     int
	value    *literal
	scopes   []string
	flavors  []string
}

// literal is a value before its type is known.
type literal struct {
	at    position
	array bool
	items []token // one, unless it is an array
}

// unit is what was declared for one namespace.
type unit struct {
	classes    []*classDecl
	qualifiers []*qualifierDecl
	included   map[string]bool
}

// parser reads files into units.
type parser struct {
	files     fs.FS
	units     map[string]*unit
	namespace string
	depth     int
	lex       *lexer
	ahead     token
}

// includeMax bounds how deep files include each other.
const includeMax = 16

// file reads a file for the namespace in force.
func (p *parser) file(name string, from position) error {
	u := p.unit()
	if u.included[name] {
		return nil
	}
	u.included[name] = true
	if p.depth++; p.depth > includeMax {
		return from.errorf("files include each other more than %d deep", includeMax)
	}
	defer func() { p.depth-- }()
	text, err := fs.ReadFile(p.files, name)
	if err != nil {
		if from.file == "" {
			return fmt.Errorf("read MOF: %w", err)
		}
		return from.errorf("include: %w", err)
	}
	lex, ahead, namespace := p.lex, p.ahead, p.namespace
	p.lex = &lexer{rest: strings.TrimPrefix(string(text), "\ufeff"), at: position{name, 1}}
	err = p.declarations()
	p.lex, p.ahead, p.namespace = lex, ahead, namespace
	return err
}

func (p *parser) unit() *unit {
	key := object.Fold(p.namespace)
	if p.units[key] == nil {
		p.units[key] = &unit{included: map[string]bool{}}
	}
	return p.units[key]
}

func (p *parser) declarations() error {
	if err := p.step(); err != nil {
		return err
	}
	for p.ahead.kind != tokenEnd {
		if err := p.declaration(); err != nil {
			return err
		}
	}
	return nil
}

// declaration reads one production of the specification.
func (p *parser) declaration() error {
	if p.isMark("#") {
		return p.pragma()
	}
	if p.isWord("Qualifier") {
		return p.qualifierDeclaration()
	}
	uses, err := p.qualifierList()
	if err != nil {
		return err
	}
	switch {
	case p.isWord("class"):
		return p.classDeclaration(uses)
	case p.isWord("instance"):
		return p.ahead.at.errorf("an instance is no part of a schema")
	}
	return p.ahead.at.errorf("%s stands where a declaration is expected", p.ahead)
}

// pragma reads a compiler directive.
func (p *parser) pragma() error {
	if err := p.step(); err != nil {
		return err
	}
	if !p.isWord("pragma") {
		return p.ahead.at.errorf("%s stands where pragma is expected", p.ahead)
	}
	if err := p.step(); err != nil {
		return err
	}
	name, err := p.name("the name of a pragma")
	if err != nil {
		return err
	}
	if err := p.mark("("); err != nil {
		return err
	}
	arg := p.ahead
	if arg.kind != tokenString {
		return arg.at.errorf("%s stands where a text is expected", arg)
	}
	if err := p.step(); err != nil {
		return err
	}
	// What follows the parenthesis may already belong to another file or namespace.
	if !p.isMark(")") {
		return p.ahead.at.errorf("%s stands where ')' is expected", p.ahead)
	}
	switch object.Fold(name.text) {
	case "include":
		if err := p.file(path.Join(path.Dir(arg.at.file), arg.text), arg.at); err != nil {
			return err
		}
	case "namespace":
		if p.namespace = strings.Trim(arg.text, "/"); p.namespace == "" {
			return arg.at.errorf("a namespace needs a name")
		}
	case "locale", "instancelocale":
	default:
		return name.at.errorf("there is no pragma %s", name.text)
	}
	return p.step()
}

func (p *parser) qualifierDeclaration() error {
	q := &qualifierDecl{at: p.ahead.at}
	if err := p.step(); err != nil {
		return err
	}
	name, err := p.name("the name of a qualifier")
	if err != nil {
		return err
	}
	q.name = name.text
	if err := p.mark(":"); err != nil {
		return err
	}
	typ, err := p.name("a type")
	if err != nil {
		return err
	}
	q.typeName = typ.text
	if q.array, q.size, err = p.arraySuffix(); err != nil {
		return err
	}
	if q.value, err = p.initializer(); err != nil {
		return err
	}
	for p.isMark(",") {
		if err := p.step(); err != nil {
			return err
		}
		part, err := p.name("Scope or Flavor")
		if err != nil {
			return err
		}
		words, err := p.wordList()
		switch {
		case err != nil:
			return err
		case object.Same(part.text, "Scope"):
			q.scopes = append(q.scopes, words...)
		case object.Same(part.text, "Flavor"):
			q.flavors = append(q.flavors, words...)
		default:
			return part.at.errorf("%s stands where Scope or Flavor is expected", part)
		}
	}
	p.unit().qualifiers = append(p.unit().qualifiers, q)
	return p.mark(";")
}

// wordList reads names in parentheses.
func (p *parser) wordList() ([]string, error) {
	if err := p.mark("("); err != nil {
		return nil, err
	}
	var out []string
	for {
		w, err := p.name("a word")
		if err != nil {
			return nil, err
		}
		out = append(out, object.Fold(w.text))
		if !p.isMark(",") {
			return out, p.mark(")")
		}
		if err := p.step(); err != nil {
			return nil, err
		}
	}
}

// qualifierList reads the qualifiers of one element, if there are any.
func (p *parser) qualifierList() ([]qualifierUse, error) {
	if !p.isMark("[") {
		return nil, nil
	}
	var out []qualifierUse
	for {
		if err := p.step(); err != nil {
			return nil, err
		}
		name, err := p.name("the name of a qualifier")
		if err != nil {
			return nil, err
		}
		u := qualifierUse{at: name.at, name: name.text}
		switch {
		case p.isMark("("):
			if err = p.step(); err != nil {
				return nil, err
			}
			if u.value, err = p.single(); err == nil {
				err = p.mark(")")
			}
		case p.isMark("{"):
			u.value, err = p.array()
		}
		if err != nil {
			return nil, err
		}
		if p.isMark(":") {
			if err := p.step(); err != nil {
				return nil, err
			}
			for p.ahead.kind == tokenName {
				u.flavors = append(u.flavors, object.Fold(p.ahead.text))
				if err := p.step(); err != nil {
					return nil, err
				}
			}
		}
		out = append(out, u)
		if !p.isMark(",") {
			return out, p.mark("]")
		}
	}
}

func (p *parser) classDeclaration(uses []qualifierUse) error {
	c := &classDecl{qualifiers: uses}
	if err := p.step(); err != nil {
		return err
	}
	name, err := p.name("the name of a class")
	if err != nil {
		return err
	}
	c.at, c.name = name.at, name.text
	if p.isMark(":") {
		if err := p.step(); err != nil {
			return err
		}
		super, err := p.name("the name of the superclass")
		if err != nil {
			return err
		}
		c.super = super.text
	}
	if err := p.mark("{"); err != nil {
		return err
	}
	for !p.isMark("}") {
		f, err := p.feature(false)
		if err != nil {
			return err
		}
		if err := p.mark(";"); err != nil {
			return err
		}
		c.features = append(c.features, *f)
	}
	if err := p.step(); err != nil {
		return err
	}
	p.unit().classes = append(p.unit().classes, c)
	return p.mark(";")
}

// feature reads a property, a reference, a method or a parameter.
func (p *parser) feature(parameter bool) (*featureDecl, error) {
	uses, err := p.qualifierList()
	if err != nil {
		return nil, err
	}
	typ, err := p.name("a type")
	if err != nil {
		return nil, err
	}
	f := &featureDecl{qualifiers: uses, typeName: typ.text}
	if p.isWord("REF") {
		f.ref = true
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	name, err := p.name("a name")
	if err != nil {
		return nil, err
	}
	f.at, f.name = name.at, name.text
	if p.isMark("(") && !parameter && !f.ref {
		f.method = true
		return f, p.parameterList(f)
	}
	if f.array, f.size, err = p.arraySuffix(); err != nil {
		return nil, err
	}
	if !parameter {
		f.value, err = p.initializer()
	}
	return f, err
}

func (p *parser) parameterList(f *featureDecl) error {
	if err := p.step(); err != nil {
		return err
	}
	if p.isMark(")") {
		return p.step()
	}
	for {
		x, err := p.feature(true)
		if err != nil {
			return err
		}
		f.parameters = append(f.parameters, *x)
		if !p.isMark(",") {
			return p.mark(")")
		}
		if err := p.step(); err != nil {
			return err
		}
	}
}

// arraySuffix reads [] or [n], if it is there.
func (p *parser) arraySuffix() (array bool, size int, err error) {
	if !p.isMark("[") {
		return false, 0, nil
	}
	if err := p.step(); err != nil {
		return false, 0, err
	}
	if p.ahead.kind == tokenInteger {
		n, err := object.Parse(p.ahead.text, object.Uint16)
		if err != nil || n == uint16(0) {
			return false, 0, p.ahead.at.errorf("%s is no size of an array", p.ahead)
		}
		size = int(n.(uint16))
		if err := p.step(); err != nil {
			return false, 0, err
		}
	}
	return true, size, p.mark("]")
}

// initializer reads "= value", if it is there.
func (p *parser) initializer() (*literal, error) {
	if !p.isMark("=") {
		return nil, nil
	}
	if err := p.step(); err != nil {
		return nil, err
	}
	if p.isMark("{") {
		return p.array()
	}
	return p.single()
}

// single reads one value; texts that follow each other are one.
func (p *parser) single() (*literal, error) {
	t := p.ahead
	switch {
	case t.kind == tokenString:
		var b strings.Builder
		for p.ahead.kind == tokenString {
			b.WriteString(p.ahead.text)
			if err := p.step(); err != nil {
				return nil, err
			}
		}
		t.text = b.String()
		return &literal{at: t.at, items: []token{t}}, nil
	case t.kind == tokenInteger, t.kind == tokenReal, t.kind == tokenChar,
		t.kind == tokenName && (object.Same(t.text, "true") || object.Same(t.text, "false") || object.Same(t.text, "null")):
		return &literal{at: t.at, items: []token{t}}, p.step()
	}
	return nil, t.at.errorf("%s stands where a value is expected", t)
}

func (p *parser) array() (*literal, error) {
	out := &literal{at: p.ahead.at, array: true}
	if err := p.step(); err != nil {
		return nil, err
	}
	if p.isMark("}") {
		return out, p.step()
	}
	for {
		one, err := p.single()
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, one.items...)
		if !p.isMark(",") {
			return out, p.mark("}")
		}
		if err := p.step(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) step() (err error) {
	p.ahead, err = p.lex.next()
	return err
}

func (p *parser) isMark(m string) bool { return p.ahead.kind == tokenMark && p.ahead.text == m }

func (p *parser) isWord(w string) bool {
	return p.ahead.kind == tokenName && object.Same(p.ahead.text, w)
}

func (p *parser) mark(m string) error {
	if !p.isMark(m) {
		return p.ahead.at.errorf("%s stands where '%s' is expected", p.ahead, m)
	}
	return p.step()
}

func (p *parser) name(what string) (token, error) {
	t := p.ahead
	if t.kind != tokenName {
		return t, t.at.errorf("%s stands where %s is expected", t, what)
	}
	return t, p.step()
}
