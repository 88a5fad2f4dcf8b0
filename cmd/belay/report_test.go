package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// A report without an engine: what lies on the disk, and none of its secrets.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	key, raw, err := pki.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	const secret, quoted, short = "T1efGeheim", `Gänse"füßchen`, "abc"
	seal := func(name, value string) string {
		v, err := key.Seal(cib.SealObject("config/fence-device/pdu", name), value)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	snapshot, err := json.Marshal(map[string]any{"docs": []any{map[string]any{
		"k": "config/fence-device/pdu", "r": 1, "v": map[string]any{"parameters": map[string]any{"password": seal("password", secret), "login": seal("login", quoted), "x": seal("x", short)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	const token = "belay-1-abcdefgh-k7jm2tyn4xqz5rsv6wab3cde-aaaabbbbccccddddeeeeffff2222333344445555666677772222-abcd"
	const pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIGeheim\n-----END EC PRIVATE KEY-----"
	journal := "stop of web without the store: agent said " + secret + " and \"" + strings.ReplaceAll(quoted, `"`, `\"`) + "\"\n" +
		"join " + token + "\n" + pem + "\npassword=Unbekannt1 {\"api_key\": \"Unbekannt\\\"2\"} key=config/resource/web passwd='Unbekannt 3'\n" +
		`msg="agent said \"secret=\\\"Unbekannt4\\\"\""` + "\n"
	for name, data := range map[string][]byte{"snapshot.json": snapshot, "journal.log": []byte(journal), "node.json": []byte(`{"token": "storetoken"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := pki.SaveSealKey(filepath.Join(dir, "pki", pki.FileSeal), raw); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.tar.gz")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"report", "--socket", filepath.Join(dir, "none"), "--state-dir", dir, "--file", file}, nil, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	if !strings.Contains(out.String(), "not collected: status.json: BLY2006") {
		t.Errorf("it does not tell what is missing: %s", out.String())
	}
	parts := unpackReport(t, file)
	sealKey, err := os.ReadFile(filepath.Join(dir, "pki", pki.FileSeal))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range parts {
		for _, s := range []string{secret, "füßchen", token, "k7jm2tyn4", "MHcCAQ", "Unbekannt", "storetoken", "sealed:v1:", strings.TrimSpace(string(sealKey))} {
			if strings.Contains(text, s) {
				t.Errorf("%s shows %q:\n%s", name, s, text)
			}
		}
	}
	for name, want := range map[string]string{
		"journal.log": "key=config/resource/web", "files.txt": "pki/seal.key", "audit.txt": "0 records", "report.json": `"version": "dev"`, "host/uname.txt": "Linux",
	} {
		if !strings.Contains(parts[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, parts[name])
		}
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the report: %v %v", st.Mode(), err)
	}
}

// A part that is too long keeps its end, in whole lines.
func TestReportIsBounded(t *testing.T) {
	r := &report{scrub: &scrubber{}}
	r.add("long", bytes.Repeat([]byte("a line of a log\n"), reportPartMaxBytes/8), nil)
	if got := r.parts[0].data; len(got) > reportPartMaxBytes+100 || !bytes.HasPrefix(got, []byte("(the beginning was left out)\na line")) || !bytes.HasSuffix(got, []byte("log\n")) {
		t.Errorf("%d bytes: %.100s", len(got), got)
	}
	for range 2 * reportPartsMax {
		r.add("more", []byte("x"), nil)
	}
	if len(r.parts) != reportPartsMax {
		t.Errorf("%d parts", len(r.parts))
	}
	var out tail
	for range 5 {
		_, _ = out.Write(make([]byte, reportPartMaxBytes))
	}
	if len(out.b) > 2*reportPartMaxBytes {
		t.Errorf("%d bytes of output are kept", len(out.b))
	}
}

// unpackReport returns the parts of a report by name, without the folder.
func unpackReport(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		parts[name] = string(b)
	}
}
