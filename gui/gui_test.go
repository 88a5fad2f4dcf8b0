package gui

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func zipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	h, err := New(fstest.MapFS{
		"index.html":         {Data: []byte("<first page>")},
		"assets/a-123.js.gz": {Data: zipped(t, "script")},
		"assets/a-123.js.br": {Data: []byte("brotli")},
		"assets/f-9.woff2":   {Data: []byte("font")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, accept string
		status             int
		body, coding, kind string
		cache              string
	}{
		{"the first page", "/", "gzip, br", 200, "<first page>", "", "text/html; charset=utf-8", "no-cache"},
		{"an address of the GUI", "/resources/web", "", 200, "<first page>", "", "text/html; charset=utf-8", "no-cache"},
		{"an address with dots", "/resources/../../etc/passwd", "", 200, "<first page>", "", "text/html; charset=utf-8", "no-cache"},
		{"brotli first", "/assets/a-123.js", "gzip, deflate, br", 200, "brotli", "br", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"no brotli", "/assets/a-123.js", "br;q=0, gzip", 200, string(zipped(t, "script")), "gzip", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"no coding", "/assets/a-123.js", "", 200, "script", "", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"a font", "/assets/f-9.woff2", "gzip", 200, "font", "", "font/woff2", "public, max-age=31536000, immutable"},
		{"a part of an earlier build", "/assets/old.js", "", 404, "there is no such file in this release\n", "", "text/plain; charset=utf-8", "no-store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, h, c.path, "Accept-Encoding", c.accept)
			head := w.Header()
			if w.Code != c.status || w.Body.String() != c.body || head.Get("Content-Encoding") != c.coding || head.Get("Content-Type") != c.kind || head.Get("Cache-Control") != c.cache {
				t.Fatalf("%d %q\n%v", w.Code, w.Body, head)
			}
			if c.status != http.StatusOK {
				return
			}
			if again := get(t, h, c.path, "Accept-Encoding", c.accept, "If-None-Match", head.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Fatalf("who has it gets %d", again.Code)
			}
		})
	}
}

// A binary that was built without the GUI says so, at every address.
func TestNotBuilt(t *testing.T) {
	h, err := New(fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/resources"} {
		if w := get(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "built without the GUI: run <code>make build</code>") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// inline finds what the content security policy would block.
var inline = regexp.MustCompile(`<script(?:[^>]*)>[^<]+|<style|\son[a-z]+=|\sstyle=|https?://`)

// What is in this binary obeys the content security policy, and loads nothing from
// elsewhere.
func TestNothingInline(t *testing.T) {
	for _, page := range []string{"placeholder.html", "app/index.html"} {
		b, err := fs.ReadFile(built, "web/dist/"+page)
		if err != nil && page == "app/index.html" {
			continue // not built: the other page is what is served
		}
		if err != nil {
			t.Fatal(err)
		}
		if found := inline.FindAll(b, -1); found != nil {
			t.Errorf("%s: %q", page, found)
		}
	}
	if !inline.MatchString(`<p style="color: red">`) {
		t.Error("the pattern finds nothing")
	}
}
