package mof

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// position is where something stands in a file.
type position struct {
	file string
	line int
}

func (p position) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", p.file, p.line, fmt.Errorf(format, args...))
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenInteger
	tokenReal
	tokenString
	tokenChar
	tokenMark // one character of punctuation
)

type token struct {
	kind tokenKind
	text string // of a string: what it means
	at   position
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the file"
	case tokenString:
		return strconv.Quote(t.text)
	default:
		return "'" + t.text + "'"
	}
}

// lexer cuts a text into tokens. Its first error ends it.
type lexer struct {
	rest string
	at   position
}

const marks = "{}[]();:,=#$"

func (l *lexer) next() (token, error) {
	if err := l.blank(); err != nil {
		return token{}, err
	}
	t := token{at: l.at}
	if l.rest == "" {
		return t, nil
	}
	c := l.rest[0]
	var err error
	switch {
	case c == '"':
		t.kind = tokenString
		t.text, err = l.quoted('"')
	case c == '\'':
		t.kind = tokenChar
		t.text, err = l.quoted('\'')
		if err == nil && utf8.RuneCountInString(t.text) != 1 {
			err = t.at.errorf("a char16 is one character, not %q", t.text)
		}
	case strings.IndexByte(marks, c) >= 0:
		t.kind, t.text = tokenMark, l.take(1)
	case isDigit(c) || c == '+' || c == '-' || c == '.':
		t.text = l.take(span(l.rest, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' || c == '+' || c == '-' }))
		t.kind = tokenInteger
		if strings.ContainsRune(t.text, '.') {
			t.kind = tokenReal
		}
	case isLetter(c):
		t.kind, t.text = tokenName, l.take(span(l.rest, func(c byte) bool { return isLetter(c) || isDigit(c) }))
	default:
		r, _ := utf8.DecodeRuneInString(l.rest)
		err = t.at.errorf("the character %q has no meaning here", r)
	}
	return t, err
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

// take consumes n bytes and counts their lines.
func (l *lexer) take(n int) string {
	s := l.rest[:n]
	l.rest = l.rest[n:]
	l.at.line += strings.Count(s, "\n")
	return s
}

// blank consumes white space and comments.
func (l *lexer) blank() error {
	for {
		l.take(span(l.rest, func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }))
		switch {
		case strings.HasPrefix(l.rest, "//"):
			n := strings.IndexByte(l.rest, '\n')
			if n < 0 {
				n = len(l.rest)
			}
			l.take(n)
		case strings.HasPrefix(l.rest, "/*"):
			n := strings.Index(l.rest[2:], "*/")
			if n < 0 {
				return l.at.errorf("this comment has no end")
			}
			l.take(n + 4)
		default:
			return nil
		}
	}
}

// quoted reads a string or a character with the escapes of DSP0004, annex A.
func (l *lexer) quoted(quote byte) (string, error) {
	began := l.at
	l.take(1)
	var b strings.Builder
	for l.rest != "" {
		switch c := l.rest[0]; c {
		case quote:
			l.take(1)
			if !utf8.ValidString(b.String()) {
				return "", began.errorf("this text is not UTF-8")
			}
			return b.String(), nil
		case '\n':
			return "", began.errorf("this text has no end")
		case '\\':
			if err := l.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteString(l.take(1))
		}
	}
	return "", began.errorf("this text has no end")
}

func (l *lexer) escape(b *strings.Builder) error {
	if len(l.rest) < 2 {
		return l.at.errorf("this text has no end")
	}
	const from, to = `btnfr"'\`, "\b\t\n\f\r\"'\\"
	if n := strings.IndexByte(from, l.rest[1]); n >= 0 {
		l.take(2)
		b.WriteByte(to[n])
		return nil
	}
	if l.rest[1] == 'x' || l.rest[1] == 'X' {
		digits := l.rest[2:]
		digits = digits[:min(4, span(digits, func(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }))]
		if n, err := strconv.ParseUint(digits, 16, 16); err == nil && n != 0 && utf8.ValidRune(rune(n)) {
			l.take(2 + len(digits))
			b.WriteRune(rune(n))
			return nil
		}
	}
	return l.at.errorf("the escape \\%c is none", l.rest[1])
}
