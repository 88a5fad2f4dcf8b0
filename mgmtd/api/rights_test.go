package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/cib"
)

// TestRightsTable asks over REST for every action on every kind of object, as somebody
// of each group of a new cluster, each cell once by itself and once in the table. The
// golden table is the one that the enforcer and the command line are tested with.
func TestRightsTable(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) { o.Rate = 0 })
	datadriven.RunTest(t, "testdata/rights", func(t *testing.T, d *datadriven.TestData) string {
		var role string
		d.ScanArgs(t, "role", &role)
		token := w.login(role)
		var out strings.Builder
		for _, row := range answer[rightsTable](t, w, http.MethodGet, "/v1/access/table", token, "").Rows {
			fmt.Fprintf(&out, "%-20s %s\n", row.Kind, strings.Join(row.Actions, " "))
			for _, a := range cib.AccessActions {
				q := url.Values{"action": {a.Name}, "object": {row.Object}}
				single := answer[mayAnswer](t, w, http.MethodGet, "/v1/can-i?"+q.Encode(), token, "")
				if single.Allowed != slices.Contains(row.Actions, a.Name) {
					t.Errorf("%s: %s of %s: by itself %v, in the table not", role, a.Name, row.Object, single.Allowed)
				}
			}
		}
		return out.String()
	})
}
