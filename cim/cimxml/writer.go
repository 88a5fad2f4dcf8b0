package cimxml

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/belay-ha/belay/cim/object"
)

// ContentType is that of every document.
const ContentType = `application/xml; charset="utf-8"`

// flushAt is how much is gathered before it is written.
const flushAt = 32 << 10

// Writer writes a document as it is made. Its first error ends it, and is told by
// [Writer.Close].
type Writer struct {
	out   io.Writer // nil: all is gathered
	buf   []byte
	err   error
	sent  bool
	ends  []string // of the elements of the envelope that are open
	depth int      // of embedded objects
}

// NewWriter returns a writer of one document.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Sent reports whether anything was written, so that the answer can't become another.
func (w *Writer) Sent() bool { return w.sent }

// Reset forgets what is gathered. It is for answers of which nothing was sent.
func (w *Writer) Reset() { w.buf, w.ends, w.depth = w.buf[:0], nil, 0 }

// Close ends the document and writes what is left.
func (w *Writer) Close() error {
	w.endAll()
	w.flush()
	return w.err
}

// endAll ends the elements of the envelope.
func (w *Writer) endAll() {
	for _, name := range slices.Backward(w.ends) {
		w.end(name)
	}
	w.ends = nil
}

func (w *Writer) flush() {
	if w.err == nil && len(w.buf) > 0 {
		w.sent = true
		if _, err := w.out.Write(w.buf); err != nil {
			w.err = fmt.Errorf("write an answer: %w", err)
		}
	}
	w.buf = w.buf[:0]
}

// full writes what is gathered once it is much. It is asked between elements.
func (w *Writer) full() {
	if len(w.buf) >= flushAt && w.out != nil {
		w.flush()
	}
}

func (w *Writer) raw(s string) { w.buf = append(w.buf, s...) }

func (w *Writer) end(name string) {
	w.buf = append(w.buf, "</"...)
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '>')
}

// attr writes an attribute; its name is known to be good.
func (w *Writer) attr(name, value string) {
	w.buf = append(w.buf, ' ')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '=', '"')
	w.buf = escape(w.buf, value, true)
	w.buf = append(w.buf, '"')
}

func (w *Writer) text(s string) { w.buf = escape(w.buf, s, false) }

// open begins an element of the envelope, which Close will end.
func (w *Writer) open(name string, attrs ...string) {
	w.raw("<")
	w.raw(name)
	for i := 0; i+1 < len(attrs); i += 2 {
		w.attr(attrs[i], attrs[i+1])
	}
	w.raw(">")
	w.ends = append(w.ends, name)
}

// escape appends a text. What XML 1.0 can't hold (section 2.2) becomes U+FFFD: it can
// be in what an agent has printed. A carriage return is written as a reference, or a
// parser would make a line feed of it, and in an attribute all white space is.
func escape(b []byte, s string, attribute bool) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' && c != '"' {
			i++
			continue
		}
		size, with := 1, ""
		switch {
		case c == '&':
			with = "&amp;"
		case c == '<':
			with = "&lt;"
		case c == '>':
			with = "&gt;"
		case c == '"':
			with = "&quot;"
		case c == '\r':
			with = "&#13;"
		case c == '\n' || c == '\t':
			if !attribute {
				i++
				continue
			}
			with = "&#" + strconv.Itoa(int(c)) + ";"
		case c < 0x20:
			with = "\ufffd"
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError && r != 0xfffe && r != 0xffff {
				i += size
				continue
			}
			with = "\ufffd"
		}
		b = append(b, s[from:i]...)
		b = append(b, with...)
		i += size
		from = i
	}
	return append(b, s[from:]...)
}

// begin writes the elements around every message.
func (w *Writer) begin(id string) {
	w.raw(`<?xml version="1.0" encoding="utf-8"?>` + "\n")
	w.open("CIM", "CIMVERSION", "2.0", "DTDVERSION", "2.0")
	w.open("MESSAGE", "ID", id, "PROTOCOLVERSION", "1.0")
}

// Response begins the answer to a request.
func (w *Writer) Response(r *Request) {
	w.begin(r.ID)
	w.open("SIMPLERSP")
	if r.Intrinsic {
		w.open("IMETHODRESPONSE", "NAME", r.Name)
	} else {
		w.open("METHODRESPONSE", "NAME", r.Name)
	}
}

// Error is the answer that an operation failed.
func (w *Writer) Error(e *object.Error) {
	w.raw("<ERROR")
	w.attr("CODE", strconv.Itoa(int(e.Code)))
	w.attr("DESCRIPTION", strings.ReplaceAll(e.Error(), "\n", ". ")) // some clients show references as they stand
	w.raw("/>")
}

// ReturnValue begins the return value of an operation, and EndReturnValue ends it.
func (w *Writer) ReturnValue() { w.raw("<IRETURNVALUE>") }

// EndReturnValue ends what ReturnValue began.
func (w *Writer) EndReturnValue() { w.end("IRETURNVALUE") }

// Result is the answer of a method.
func (w *Writer) Result(m *object.Method, r *object.Result) {
	if r.Return != nil {
		w.raw("<RETURNVALUE")
		w.paramType(m.Return)
		w.raw(">")
		w.one(r.Return)
		w.end("RETURNVALUE")
	}
	for _, a := range r.Out {
		w.ParamValue(a.Parameter.Name, a.Parameter.Kind, a.Value)
	}
}

// ParamValue is an output parameter.
func (w *Writer) ParamValue(name string, k object.Kind, v any) {
	w.raw("<PARAMVALUE")
	w.attr("NAME", name)
	w.paramType(k)
	w.raw(">")
	w.Value(v)
	w.end("PARAMVALUE")
}

func (w *Writer) paramType(k object.Kind) {
	w.attr("PARAMTYPE", k.Type.String())
	w.embedded(k.Embedded)
}

func (w *Writer) embedded(e object.Embedded) {
	switch e {
	case object.EmbeddedInstance:
		w.raw(` EmbeddedObject="instance"`)
	case object.EmbeddedObject:
		w.raw(` EmbeddedObject="object"`)
	case object.NotEmbedded:
	}
}

// ExportIndication is the request by which an indication is delivered to a listener.
func ExportIndication(id string, indication *object.Instance) []byte {
	w := &Writer{}
	w.begin(id)
	w.open("SIMPLEEXPREQ")
	w.open("EXPMETHODCALL", "NAME", "ExportIndication")
	w.open("EXPPARAMVALUE", "NAME", "NewIndication")
	w.Instance(indication, All(indication.Class()))
	w.endAll()
	return w.buf
}
