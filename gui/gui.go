package gui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:web/dist
var built embed.FS

// Files returns what the build made; without a build a file system without index.html.
func Files() fs.FS {
	sub, err := fs.Sub(built, "web/dist/app")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}

// placeholder is shown by a binary that was built without the GUI.
func placeholder() []byte {
	b, err := built.ReadFile("web/dist/placeholder.html")
	if err != nil {
		panic(err) // it is in the tree
	}
	return b
}

// file is one file in the forms in which it can be sent.
type file struct {
	kind      string // content type
	tag       string // entity tag
	immutable bool   // its name changes with its content
	// plain may be nil where the build kept the compressed forms only.
	plain, gzip, brotli []byte
}

// Handler serves the GUI. It keeps every file in memory, and compresses nothing while
// it answers: the build did.
type Handler struct {
	files map[string]*file
	index *file
}

// New returns a handler of what the build made, [Files].
func New(built fs.FS) (*Handler, error) {
	h := &Handler{files: map[string]*file{}}
	err := fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		h.add("/"+name, b)
		return nil
	})
	if err != nil && !isMissing(err) {
		return nil, err
	}
	h.index = h.files["/index.html"]
	if h.index == nil {
		h.index = newFile("/index.html")
		h.index.plain = placeholder()
		h.index.tag = tagOf(h.index.plain)
	}
	return h, nil
}

func isMissing(err error) bool {
	pe, ok := err.(*fs.PathError) //nolint:errorlint // WalkDir gives its own error
	return ok && pe.Path == "."
}

// types are the content types of what the build makes. The system's table is not
// asked: it differs from host to host.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".json": "application/json", ".txt": "text/plain; charset=utf-8", ".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon",
}

func newFile(name string) *file {
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	return &file{kind: kind, immutable: strings.HasPrefix(name, "/assets/")}
}

func (h *Handler) add(name string, content []byte) {
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".br")
	f := h.files[base]
	if f == nil {
		f = newFile(base)
		h.files[base] = f
	}
	switch {
	case strings.HasSuffix(name, ".gz"):
		f.gzip = content
	case strings.HasSuffix(name, ".br"):
		f.brotli = content
	default:
		f.plain = content
	}
	if f.tag == "" || f.plain != nil {
		f.tag = tagOf(content)
	}
}

func tagOf(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// ServeHTTP answers with a file, or with the page that every address of the GUI
// begins from. It expects GET or HEAD.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Clean("/" + r.URL.Path)
	f := h.files[name]
	switch {
	case f != nil:
	case strings.HasPrefix(name, "/assets/"):
		// A page of an earlier build asks for a part that is gone: it must not get the
		// first page under the name of a script.
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is no such file in this release", http.StatusNotFound)
		return
	default:
		f = h.index
	}
	f.serve(w, r)
}

// serve sends the smallest form that the caller takes.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", f.kind)
	head.Set("Vary", "Accept-Encoding")
	if f.immutable {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	content, encoding := f.choose(r.Header.Get("Accept-Encoding"))
	tag := strconv.Quote(f.tag + encoding)
	head.Set("ETag", tag)
	if encoding != "" {
		head.Set("Content-Encoding", encoding)
	}
	for t := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(t), "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	head.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

// choose returns a form of the file, and its content coding (RFC 9110, section 8.4.1).
func (f *file) choose(accept string) (content []byte, encoding string) {
	switch {
	case f.brotli != nil && takes(accept, "br"):
		return f.brotli, "br"
	case f.gzip != nil && takes(accept, "gzip"):
		return f.gzip, "gzip"
	case f.plain != nil:
		return f.plain, ""
	}
	z, err := gzip.NewReader(bytes.NewReader(f.gzip))
	if err == nil {
		content, err = io.ReadAll(z)
	}
	if err != nil {
		return nil, ""
	}
	return content, ""
}

// takes reports whether a coding is accepted (RFC 9110, section 12.5.3).
func takes(accept, coding string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			q := strings.TrimSpace(quality)
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
