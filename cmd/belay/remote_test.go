package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-ha/belay/engine/api"
)

// With --server the management daemon answers what is about who is logged in there and about
// the log of its node: nothing of this machine is asked.
func TestRemote(t *testing.T) {
	const root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	answers := map[string]string{
		"/v1/can-i?action=stop&object=resource%2Fweb":                     `{"allowed": false, "reason": "no role of eve", "rule": ""}`,
		"/v1/can-i?action=stop&group=dba&object=resource%2Fweb&user=anna": `{"allowed": true, "reason": "role operator", "rule": "x"}`,
		"/v1/access/table?":                    `{"roles": ["auditor"], "rows": [{"kind": "audit", "object": "audit", "actions": ["read", "verify"]}]}`,
		"/v1/access/table?group=dba&user=anna": `{"roles": ["operator"], "rows": []}`,
		"/v1/audit/verify":                     `{"node": "n7", "whole": true, "first": 1, "records": 9, "signed": 9, "witnessed": 8, "root": "` + root + `"}`,
		"/v1/audit/verify/cluster":             `{"by": "n7", "whole": true, "complete": false, "nodes": [{"node": "n7", "whole": true, "records": 9}, {"node": "n8", "unverified": "it does not answer", "holders": [{"node": "n7", "records": 4}]}]}`,
		"/v1/audit/export?format=csv":          "a,b\n",
		"/v1/audit/rotate-key":                 `{"node": "n7", "key": "new", "replaced": {"key": "old", "records": 12, "time": "2026-01-01T00:00:00Z", "note": "x"}}`,
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[strings.TrimSuffix(r.URL.String(), "?")]
		if !ok {
			a, ok = answers[r.URL.Path+"?"+r.URL.RawQuery]
		}
		if !ok || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s was asked for, with %q", r.URL, r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(a))
	}))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BELAY_TOKEN", "secret")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for line, want := range map[string]struct {
		rc   int
		text string
	}{
		"auth can-i stop resource/web":                        {api.ExitFailed, "no: no role of eve"},
		"auth can-i stop resource/web --as anna --groups dba": {0, "yes: role operator"},
		"auth can-i stop resource/web -o json":                {api.ExitFailed, `"auditor"`},
		"auth table":                                          {0, "read verify"},
		"audit verify":                                        {0, "The audit log of n7 is whole: records 1 to 9"},
		"audit verify -o json":                                {0, root},
		"audit verify --keys x":                               {api.ExitUsage, "export it"},
		"audit verify --cluster":                              {api.ExitFailed, "n8: it does not answer"},
		"audit verify --cluster --dir x":                      {api.ExitUsage, "--cluster"},
		"audit export --format csv":                           {0, "a,b"},
		"audit rotate-key":                                    {0, "after record 12"},
	} {
		var out, errs bytes.Buffer
		rc := run(t.Context(), append([]string{"--server", s.URL, "--ca-file", ca}, strings.Fields(line)...), strings.NewReader(""), &out, &errs)
		if rc != want.rc || !strings.Contains(out.String()+errs.String(), want.text) {
			t.Errorf("%s: %d\n%s%s", line, rc, &out, &errs)
		}
	}
}
