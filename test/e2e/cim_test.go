package e2e

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
)

// changing is what is another at every run.
var changing = regexp.MustCompile(`127\.\d+\.\d+\.\d+(:\d+)?|Belay:Job:[A-Za-z0-9_-]+`)

// Every command of a CIM client that others have written, against a cluster: it sees the
// cluster, changes it, and is refused what its user may not. Each answer is checked on
// its way by the DTD and by the classes.
func TestWbemcli(t *testing.T) {
	d := startDev(t, "--cim-http")
	f := d.file()
	schemas, err := schema.Load()
	must(t, err)
	class := func(name string) *object.Class { return schemas[0].Class(name) }
	target, err := url.Parse(f.CIMHTTP)
	must(t, err)
	proxy := httptest.NewServer(cimtest.Handler(httputil.NewSingleHostReverseProxy(target), class, func(err error) { t.Error(err) }))
	t.Cleanup(proxy.Close)
	passwords := map[string]string{}
	for _, u := range f.Users {
		passwords[u.Role] = u.Name + ":" + u.Password
	}
	run := func(user string, args []string) string {
		fill := strings.NewReplacer(
			"$U", strings.Replace(proxy.URL, "://", "://"+passwords[user]+"@", 1), "$TLS", strings.Replace(f.CIM, "://", "://"+passwords[user]+"@", 1), "$CA", f.CA,
			"$CLUSTER", `root/cimv2:Belay_Cluster.CreationClassName="Belay_Cluster",Name="dev"`,
			"$NODE", `root/cimv2:Belay_Node.CreationClassName="Belay_Node",Name="n2"`,
			"$DEMO", `root/cimv2:Belay_Resource.CreationClassName="Belay_Resource",Name="demo",SystemCreationClassName="Belay_Cluster",SystemName="dev"`,
		)
		for i := range args {
			args[i] = fill.Replace(args[i])
		}
		out, err := exec.CommandContext(t.Context(), "wbemcli", args...).CombinedOutput()
		text := changing.ReplaceAllString(strings.TrimSpace(string(out)), "X")
		if _, failed := err.(*exec.ExitError); err != nil && !failed { //nolint:errorlint // as it comes
			t.Fatalf("wbemcli: %v: is it installed? make setup", err)
		} else if failed {
			text += "\n" + err.Error()
		}
		return strings.TrimSpace(text) + "\n"
	}
	datadriven.RunTest(t, "testdata/wbemcli", func(t *testing.T, td *datadriven.TestData) string {
		user, until := "admin", ""
		td.MaybeScanArgs(t, "as", &user)
		td.MaybeScanArgs(t, "until", &until)
		last := ""
		await(t, time.Minute, "wbemcli "+td.Input, func() string {
			last = run(user, strings.Fields(td.Input))
			if !strings.Contains(last, until) {
				return fmt.Sprintf("it has no %s: %s", until, last)
			}
			return ""
		})
		return last
	})
}
