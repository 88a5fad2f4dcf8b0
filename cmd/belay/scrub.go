package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// scrubber takes secrets out of texts that others wrote, such as logs: what looks
// like a secret, and, where the cluster's key can be read, every value that the
// configuration keeps sealed.
type scrubber struct{ known [][]byte }

// secretMinBytes is the length from which on a secret is looked for by its value.
// A shorter one would be found in every second word.
const secretMinBytes = 4

var (
	quotes    = regexp.MustCompile(`^\\*["']|`)
	pemKey    = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`)
	joinToken = regexp.MustCompile(`(?i)belay-1-[a-z2-7]{4,}-[a-z2-7-]{16,}`)
	sealed    = regexp.MustCompile(regexp.QuoteMeta(cib.SealedPrefix) + `[A-Za-z0-9+/=]+`)
	name      = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_-]*)\\*["']?\s?[=:]\s?`)
	value     = regexp.MustCompile(`^(?:\\+".*?\\+"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"',;}&]+)`)
)

// keptWaitMax is how long a scrubber waits for the snapshot on the disk, which the
// engine writes every other second.
const keptWaitMax = 5 * time.Second

// kept is the part of the engine's snapshot on the disk that matters here.
type kept struct {
	Docs []struct {
		Key   string         `json:"k"`
		Value map[string]any `json:"v"`
	} `json:"docs"`
}

func (k *kept) generation() uint64 {
	for _, d := range k.Docs {
		if n, ok := d.Value["number"].(float64); ok && d.Key == cib.KeyConfigGen {
			return uint64(n)
		}
	}
	return 0
}

// newScrubber learns the secrets of a configuration generation, or of what is on
// the disk where it is 0.
func newScrubber(ctx context.Context, stateDir string, generation uint64) *scrubber {
	s := &scrubber{}
	key, raw, err := pki.LoadSealKey(filepath.Join(stateDir, "pki", pki.FileSeal))
	if err != nil {
		return s // not root: then no file with a secret can be read either
	}
	s.learn(string(raw))
	s.learn(base64.StdEncoding.EncodeToString(raw))
	ctx, cancel := context.WithTimeout(ctx, keptWaitMax)
	defer cancel()
	var k kept
	for {
		k = kept{}
		b, err := os.ReadFile(filepath.Join(stateDir, "snapshot.json"))
		if err == nil {
			err = json.Unmarshal(b, &k)
		}
		if generation == 0 || err == nil && k.generation() >= generation || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, d := range k.Docs {
		s.open(key, d.Key, "", d.Value)
	}
	// The longest first: one secret may be part of another.
	slices.SortFunc(s.known, func(a, b []byte) int { return len(b) - len(a) })
	return s
}

// open learns every sealed value of a document.
func (s *scrubber) open(key pki.SealKey, doc, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			s.open(key, doc, k, e)
		}
	case []any:
		for _, e := range v {
			s.open(key, doc, name, e)
		}
	case string:
		if !cib.Sealed(v) {
			return
		}
		if plain, err := key.Open(cib.SealObject(doc, name), v); err == nil {
			s.learn(plain)
		}
	}
}

func (s *scrubber) learn(secret string) {
	if len(secret) < secretMinBytes {
		return
	}
	s.known = append(s.known, []byte(secret))
	if quoted, err := json.Marshal(secret); err == nil {
		if q := string(quoted[1 : len(quoted)-1]); q != secret {
			s.known = append(s.known, []byte(q))
		}
	}
}

// text returns a text without secrets.
func (s *scrubber) text(b []byte) []byte {
	for _, secret := range s.known {
		b = bytes.ReplaceAll(b, secret, []byte(cib.Redacted))
	}
	b = pemKey.ReplaceAll(b, []byte(cib.Redacted))
	b = joinToken.ReplaceAll(b, []byte(cib.Redacted))
	b = sealed.ReplaceAll(b, []byte(cib.Redacted))
	return assigned(b)
}

// assigned takes out the values that stand after the name of a secret, as in
// password=x. A value may itself hold names: only a secret one is skipped whole.
func assigned(b []byte) []byte {
	var out []byte
	for {
		at := name.FindSubmatchIndex(b)
		if at == nil {
			return append(out, b...)
		}
		out = append(out, b[:at[1]]...)
		// "key" is a key of the store in our own logs and documents.
		n := string(b[at[2]:at[3]])
		b = b[at[1]:]
		if n == "key" || !cib.IsSecretName(n) {
			continue
		}
		if v := value.Find(b); v != nil {
			quote := quotes.Find(v)
			out = append(append(append(out, quote...), cib.Redacted...), quote...)
			b = b[len(v):]
		}
	}
}
