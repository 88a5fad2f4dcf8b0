package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/cim/cimtest"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/schema"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
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
	certificate(t, d)
}

// certificate lets a program in by its client certificate, which has no password: once
// its key is known it is who the key stands for, with the roles of that name.
func certificate(t *testing.T, d *devCluster) {
	t.Helper()
	f, dir := d.file(), t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	run := func() string {
		out, _ := exec.CommandContext(t.Context(), "wbemcli", "ein", "-cacert", f.CA, "-clientcert", certFile, "-clientkey", keyFile, f.CIM+"/root/cimv2:Belay_Cluster").CombinedOutput()
		return string(out)
	}
	if out := run(); !strings.Contains(out, "Username/password required") {
		t.Errorf("an unknown key: %s", out)
	}
	body, err := json.Marshal(map[string]any{"key": fmt.Sprintf("%x", sha256.Sum256(spki)), "user": "robot", "expires": time.Now().Add(time.Hour)})
	must(t, err)
	d.request("security-admin", http.MethodPost, "/v1/client-certificates", body, nil)
	await(t, time.Minute, "the key is known", func() string {
		if out := run(); !strings.Contains(out, "CIM_ERR_ACCESS_DENIED") {
			return out
		}
		return ""
	})
	engine := client.New(f.Nodes[0].Socket)
	defer engine.Close()
	_, err = engine.Change(t.Context(), &api.Change{Action: api.ActionCreate, Object: "role-binding/robots", Value: json.RawMessage(`{"role":"viewer","users":["robot"]}`)})
	must(t, err)
	await(t, time.Minute, "the name has a role", func() string {
		if out := run(); !strings.Contains(out, `Name="dev"`) {
			return out
		}
		return ""
	})
}
