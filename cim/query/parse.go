package query

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/belay-ha/belay/cim/object"
)

// Limits of a query.
const (
	textMaxBytes = 4096
	depthMax     = 40
	likeMaxBytes = 256
)

// Query is a query that was understood.
type Query struct {
	Class  string   // "" of a filter
	Select []string // names of properties; nil: all
	where  condition
}

// Parse reads a query. Errors are [object.QueryLanguage] and [object.InvalidQuery].
func Parse(language, text string) (*Query, error) {
	p, err := newParser(language, text, WQL, CQL, "CIM:CQL")
	if err != nil {
		return nil, err
	}
	q, err := p.query()
	return q, p.wrap(err)
}

// ParseFilter reads a filter of FQL.
func ParseFilter(language, text string) (*Query, error) {
	p, err := newParser(language, text, FQL)
	if err != nil {
		return nil, err
	}
	q := &Query{}
	if q.where, err = p.or(); err == nil && p.ahead.kind != end {
		err = p.unexpected("the end")
	}
	return q, p.wrap(err)
}

var operators = []string{"=", "<>", "!=", "<", "<=", ">", ">="}

type kind uint8

const (
	end kind = iota
	name
	number
	text
	mark
)

type token struct {
	kind kind
	text string
}

type parser struct {
	class string // of the query, which may stand before its properties
	rest  string
	ahead token
	depth int
	wql   bool
}

func newParser(language, s string, languages ...string) (*parser, error) {
	known := false
	for _, l := range languages {
		known = known || strings.EqualFold(l, language)
	}
	if !known {
		return nil, object.Errorf(object.QueryLanguage, "%.40q; known are %s", language, strings.Join(languages, ", "))
	}
	if len(s) > textMaxBytes || !utf8.ValidString(s) {
		return nil, object.Errorf(object.InvalidQuery, "the query is longer than %d bytes, or not UTF-8", textMaxBytes)
	}
	p := &parser{rest: s, wql: strings.EqualFold(language, WQL)}
	return p, p.wrap(p.step())
}

func (p *parser) wrap(err error) error {
	if err == nil {
		return nil // and no typed nil
	}
	return err
}

func (p *parser) unexpected(want string) error {
	got := "the end"
	if p.ahead.kind != end {
		got = strconv.Quote(p.ahead.text)
	}
	return object.Errorf(object.InvalidQuery, "%s stands where %s is expected", got, want)
}

// step reads the next token.
func (p *parser) step() error {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		p.ahead = token{}
		return nil
	}
	c := p.rest[0]
	switch {
	case c == '\'' || c == '"':
		return p.quoted(c)
	case letter(c):
		p.take(name, func(c byte) bool { return letter(c) || digit(c) })
	case digit(c) || (c == '-' || c == '+') && len(p.rest) > 1 && digit(p.rest[1]):
		sign := p.rest[:1]
		p.rest = p.rest[1:]
		p.take(number, func(c byte) bool { return letter(c) || digit(c) || c == '.' })
		p.ahead.text = sign + p.ahead.text
		if e := p.ahead.text[len(p.ahead.text)-1]; e|0x20 == 'e' && !strings.HasPrefix(p.ahead.text, "0x") && p.rest != "" && (p.rest[0] == '-' || p.rest[0] == '+') {
			mantissa := p.ahead.text + p.rest[:1]
			p.rest = p.rest[1:]
			p.take(number, digit)
			p.ahead.text = mantissa + p.ahead.text
		}
	default:
		n := 1
		for _, two := range []string{"<>", "<=", ">=", "!="} {
			if strings.HasPrefix(p.rest, two) {
				n = 2
			}
		}
		if !strings.ContainsRune("<>=!(),.*[]", rune(c)) {
			r, _ := utf8.DecodeRuneInString(p.rest)
			return object.Errorf(object.InvalidQuery, "the character %q has no meaning", r)
		}
		p.ahead, p.rest = token{mark, p.rest[:n]}, p.rest[n:]
	}
	return nil
}

func (p *parser) take(k kind, in func(byte) bool) {
	n := 0
	for n < len(p.rest) && in(p.rest[n]) {
		n++
	}
	p.ahead, p.rest = token{k, p.rest[:n]}, p.rest[n:]
}

func letter(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
}
func digit(c byte) bool { return c >= '0' && c <= '9' }

// quoted reads a text; a quote in it is doubled or has a backslash before it.
func (p *parser) quoted(quote byte) error {
	var b strings.Builder
	s := p.rest
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == quote || s[i+1] == '\\'):
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			p.ahead, p.rest = token{text, b.String()}, s[i+1:]
			return nil
		}
		b.WriteByte(s[i])
	}
	return object.Errorf(object.InvalidQuery, "a text has no end")
}

func (p *parser) isWord(w string) bool {
	return p.ahead.kind == name && strings.EqualFold(p.ahead.text, w)
}

func (p *parser) isMark(m string) bool { return p.ahead.kind == mark && p.ahead.text == m }

func (p *parser) word(w string) error {
	if !p.isWord(w) {
		return p.unexpected(w)
	}
	return p.step()
}

func (p *parser) mark(m string) error {
	if !p.isMark(m) {
		return p.unexpected(m)
	}
	return p.step()
}

func (p *parser) name(what string) (string, error) {
	if p.ahead.kind != name {
		return "", p.unexpected(what)
	}
	s := p.ahead.text
	return s, p.step()
}

func (p *parser) query() (*Query, error) {
	q := &Query{}
	if err := p.word("SELECT"); err != nil {
		return nil, err
	}
	var lists [][]string
	all := false
	for {
		if p.isMark("*") {
			all = true
			if err := p.step(); err != nil {
				return nil, err
			}
		} else {
			path, star, err := p.selected()
			if err != nil {
				return nil, err
			}
			all = all || star
			lists = append(lists, path)
		}
		if !p.isMark(",") {
			break
		}
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if err := p.word("FROM"); err != nil {
		return nil, err
	}
	var err error
	if q.Class, err = p.name("a class"); err != nil {
		return nil, err
	}
	p.class = q.Class
	for _, path := range lists {
		if len(path) > 0 && strings.EqualFold(path[0], q.Class) {
			path = path[1:]
		}
		switch {
		case all:
		case len(path) == 1:
			q.Select = append(q.Select, path[0])
		default:
			return nil, object.Errorf(object.InvalidQuery, "only properties of %s can be selected", q.Class)
		}
	}
	if p.isWord("WHERE") {
		if err := p.step(); err != nil {
			return nil, err
		}
		if q.where, err = p.or(); err != nil {
			return nil, err
		}
	}
	if p.ahead.kind != end {
		return nil, p.unexpected("the end")
	}
	return q, nil
}

// selected reads Name, Class.Name or Class.*.
func (p *parser) selected() (path []string, star bool, err error) {
	for {
		if p.isMark("*") && len(path) > 0 {
			return path, true, p.step()
		}
		n, err := p.name("a property")
		if err != nil {
			return nil, false, err
		}
		path = append(path, n)
		if !p.isMark(".") {
			return path, false, nil
		}
		if err := p.step(); err != nil {
			return nil, false, err
		}
	}
}

func (p *parser) or() (condition, error) {
	return p.joined("OR", p.and, func(list []condition) condition { return or(list) })
}

func (p *parser) and() (condition, error) {
	return p.joined("AND", p.not, func(list []condition) condition { return and(list) })
}

func (p *parser) joined(word string, one func() (condition, error), join func([]condition) condition) (condition, error) {
	first, err := one()
	if err != nil || !p.isWord(word) {
		return first, err
	}
	list := []condition{first}
	for p.isWord(word) {
		if err := p.step(); err != nil {
			return nil, err
		}
		c, err := one()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return join(list), nil
}

func (p *parser) not() (condition, error) {
	if p.depth++; p.depth > depthMax {
		return nil, object.Errorf(object.InvalidQuery, "the conditions are more than %d deep", depthMax)
	}
	defer func() { p.depth-- }()
	switch {
	case p.isWord("NOT"):
		if err := p.step(); err != nil {
			return nil, err
		}
		c, err := p.not()
		return not{c}, err
	case p.isMark("("):
		if err := p.step(); err != nil {
			return nil, err
		}
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		return c, p.mark(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, error) {
	quantity := ""
	if p.isWord("ANY") || p.isWord("EVERY") {
		quantity = strings.ToUpper(p.ahead.text)
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	c := comparison{quantity: quantity, left: left, op: strings.ToUpper(p.ahead.text)}
	switch {
	case p.isWord("ISA"):
		if err := p.step(); err != nil {
			return nil, err
		}
		class := p.ahead.text
		if p.ahead.kind != name && p.ahead.kind != text {
			return nil, p.unexpected("a class")
		}
		return isa{left, class}, p.step()
	case p.isWord("IS"):
		return p.isNull(left)
	case p.isWord("LIKE"):
		if err := p.step(); err != nil {
			return nil, err
		}
		if p.ahead.kind != text {
			return nil, p.unexpected("a pattern")
		}
		if c.like, err = like(p.ahead.text, p.wql); err != nil {
			return nil, err
		}
		return c, p.step()
	case p.ahead.kind == mark && slices.Contains(operators, p.ahead.text):
		if err := p.step(); err != nil {
			return nil, err
		}
		c.right, err = p.operand()
		return c, err
	}
	return nil, p.unexpected("a comparison")
}

func (p *parser) isNull(left operand) (condition, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	negated := p.isWord("NOT")
	if negated {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	var c condition = isNull{left}
	if negated {
		c = not{c}
	}
	return c, p.word("NULL")
}

// operand reads a value or the path of a property.
func (p *parser) operand() (operand, error) {
	t := p.ahead
	switch {
	case t.kind == text:
		return operand{value: t.text}, p.step()
	case t.kind == number:
		for _, typ := range []object.Type{object.Sint64, object.Uint64, object.Real64} {
			if v, err := object.Parse(t.text, typ); err == nil {
				return operand{value: v}, p.step()
			}
		}
		return operand{}, object.Errorf(object.InvalidQuery, "%.40q is no number", t.text)
	case p.isWord("TRUE") || p.isWord("FALSE"):
		return operand{value: strings.EqualFold(t.text, "TRUE")}, p.step()
	case p.isWord("NULL"):
		return operand{}, p.step()
	case t.kind != name:
		return operand{}, p.unexpected("a property or a value")
	}
	o := operand{index: -1}
	for {
		n, err := p.name("a property")
		if err != nil {
			return operand{}, err
		}
		o.path = append(o.path, n)
		if !p.isMark(".") {
			break
		}
		if err := p.step(); err != nil {
			return operand{}, err
		}
	}
	if len(o.path) > 1 && strings.EqualFold(o.path[0], p.class) {
		o.path = o.path[1:]
	}
	if !p.isMark("[") {
		return o, nil
	}
	if err := p.step(); err != nil {
		return operand{}, err
	}
	n, err := strconv.ParseUint(p.ahead.text, 10, 16)
	if err != nil || p.ahead.kind != number {
		return operand{}, p.unexpected("the place in an array")
	}
	o.index = int(n)
	if err := p.step(); err != nil {
		return operand{}, err
	}
	return o, p.mark("]")
}

// like makes a regular expression of a pattern. Go's take time in proportion to the
// text, whatever the pattern.
func like(pattern string, wql bool) (*regexp.Regexp, error) {
	if len(pattern) > likeMaxBytes {
		return nil, object.Errorf(object.InvalidQuery, "a pattern is longer than %d bytes", likeMaxBytes)
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	runes := []rune(pattern)
	repeated := false // a further asterisk has nothing to repeat
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case wql && r == '%':
			b.WriteString(".*")
		case wql && r == '_', !wql && r == '.':
			b.WriteString(".")
		case !wql && r == '*' && i > 0 && !repeated:
			b.WriteString("*")
			repeated = true
			continue
		case !wql && r == '\\' && i+1 < len(runes):
			i++
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
		repeated = false
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, object.Errorf(object.InvalidQuery, "the pattern %.40q can't be used", pattern)
	}
	return re, nil
}
