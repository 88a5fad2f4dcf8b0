package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// checkModule lets net-snmp read a walk with the module that "belay snmp mib" prints, and
// libsmi read the module: every instance has an object in it, of its type and with a
// name for its value.
func checkModule(t *testing.T, d *devCluster) {
	t.Helper()
	base, err := filepath.Glob("/usr/lib/erlang/lib/snmp-*/mibs")
	must(t, err)
	if len(base) == 0 {
		t.Fatal("no SNMPv2-SMI and the like: run make setup")
	}
	module, err := exec.CommandContext(t.Context(), belay(t), "snmp", "mib").Output()
	must(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "BELAY-MIB.txt")
	must(t, os.WriteFile(file, module, 0o600))
	dump := exec.CommandContext(t.Context(), "smidump", "-f", "identifiers", file)
	dump.Env = append(os.Environ(), "SMIPATH="+base[0])
	objects, err := dump.Output()
	must(t, err)
	readable := map[string]bool{} // the names of columns and scalars
	for line := range strings.Lines(string(objects)) {
		if f := strings.Fields(line); len(f) >= 3 && (f[2] == "column" || f[2] == "scalar") {
			readable[f[1]] = true
		}
	}
	s := d.file().SNMP
	walk := exec.CommandContext(t.Context(), "snmpwalk", "-v3", "-l", "authPriv", "-u", s.User, "-a", s.Auth, "-A", s.AuthPass, "-x", s.Priv, "-X", s.PrivPass,
		"-M", base[0]+":"+dir, "-m", "BELAY-MIB", s.Address, mibRoot.String())
	walk.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+d.dir)
	out, err := walk.Output()
	must(t, err)
	number := regexp.MustCompile(`= INTEGER: -?\d+$`)
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		at, found := strings.CutPrefix(line, "BELAY-MIB::")
		if !found { // the rest of a text of several lines would be one, too
			t.Errorf("%s: not of the module", line)
			continue
		}
		name, _, _ := strings.Cut(at, ".")
		seen[name] = true
		switch {
		case !readable[name]:
			t.Errorf("%s is not in the module as smidump reads it", name)
		case strings.Contains(line, "Wrong Type"):
			t.Errorf("%s: the module says another type", line)
		case number.MatchString(line) && !slices.Contains(plainIntegers, name):
			t.Errorf("%s: the module has no name for this value", line)
		}
	}
	if len(seen) < 80 { // some tables are empty here
		t.Errorf("the walk shows %d objects of the module's %d", len(seen), len(readable))
	}
}

// plainIntegers are the objects with an integer that is no enumeration.
var plainIntegers = []string{"belayInstanceLastExitCode", "belayQuorumDeviceOrder"}

// checkStations looks at the cluster with what Icinga and Prometheus use, as docs/snmp.md
// says.
func checkStations(t *testing.T, d *devCluster) {
	t.Helper()
	s := d.file().SNMP
	host, port, err := net.SplitHostPort(s.Address)
	must(t, err)
	check := func(oid string, more ...string) (string, error) {
		args := append([]string{
			"-H", host, "-p", port, "-P", "3", "-L", "authPriv", "-U", s.User, "-a", s.Auth, "-A", s.AuthPass, "-x", s.Priv, "-X", s.PrivPass,
			"-o", mibRoot.String() + oid,
		}, more...)
		cmd := exec.CommandContext(t.Context(), "/usr/lib/nagios/plugins/check_snmp", args...)
		cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+d.dir)
		out, err := cmd.Output()
		return string(out), err
	}
	if out, err := check(".1.1.2.0", "-w", "2:2", "-c", "2:3"); err != nil || !strings.HasPrefix(out, "SNMP OK - 2") {
		t.Errorf("check_snmp of a cluster that is normal: %v: %s", err, out)
	}
	if out, err := check(".1.1.2.0", "-w", "3:3", "-c", "3:3"); err == nil {
		t.Errorf("check_snmp knows no limit: %s", out)
	}
	checkExporter(t, d)
}

// checkExporter lets Prometheus' exporter walk the cluster with the module that "belay
// snmp exporter" prints.
func checkExporter(t *testing.T, d *devCluster) {
	t.Helper()
	s := d.file().SNMP
	module, err := exec.CommandContext(t.Context(), belay(t), "snmp", "exporter").Output()
	must(t, err)
	// Debian's exporter, of the time before 0.23, wants the credentials inside.
	config := fmt.Sprintf("%s  version: 3\n  auth:\n    username: %s\n    security_level: authPriv\n    password: %s\n    auth_protocol: %s\n    priv_protocol: %s\n    priv_password: %s\n",
		module, s.User, s.AuthPass, strings.ReplaceAll(s.Auth, "-", ""), s.Priv, s.PrivPass)
	file := filepath.Join(t.TempDir(), "snmp.yml")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	cmd := exec.CommandContext(t.Context(), "prometheus-snmp-exporter", "--config.file="+file, "--web.listen-address="+address)
	var log strings.Builder
	cmd.Stderr = &log
	must(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	var series map[string]float64
	await(t, time.Minute, "snmp_exporter walks the cluster", func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/snmp?module=belay&target="+s.Address, http.NoBody)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(resp.Body)
			return resp.Status + ": " + string(b)
		}
		series = metricsOf(t, resp.Body)
		return ""
	})
	for name, want := range map[string]float64{
		`belayClusterNodesOnline`:                                                                         3,
		`belayClusterState{belayClusterState="normal"}`:                                                   1,
		`belayNodeState{belayNodeIndex="1",belayNodeName="n1",belayNodeState="online"}`:                   1,
		`belayResourceState{belayResourceIndex="R",belayResourceName="web",belayResourceState="running"}`: 1,
	} {
		found := false
		for got, v := range series {
			if x := strings.Split(name, `"R"`); len(x) == 2 && strings.HasPrefix(got, x[0]) && strings.HasSuffix(got, x[1]) {
				got = name
				found = found || v == want
			}
			found = found || got == name && v == want
		}
		if !found {
			t.Errorf("the exporter does not show %s %v", name, want)
		}
	}
	if len(series) < 100 {
		t.Errorf("the exporter shows %d series", len(series))
	}
}

// metricsOf reads Prometheus' text format.
func metricsOf(t *testing.T, r io.Reader) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[i+1:], 64)
			must(t, err)
			out[line[:i]] = v
		}
	}
	must(t, lines.Err())
	return out
}

// storeReads is how often the members of the store have been read. Each counts what it
// has answered itself.
func (d *devCluster) storeReads() (n float64) {
	d.t.Helper()
	for _, node := range d.file().Nodes {
		dir := filepath.Join(d.dir, node.Name)
		pki := filepath.Join(dir, "state", "pki")
		at, err := url.Parse(node.REST)
		must(d.t, err)
		cert, err := tls.LoadX509KeyPair(filepath.Join(pki, "node.pem"), filepath.Join(pki, "node.key"))
		must(d.t, err)
		ca, err := os.ReadFile(filepath.Join(pki, "ca.pem"))
		must(d.t, err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		web := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, ServerName: at.Hostname(), MinVersion: tls.VersionTLS13},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "run", "etcd.sock.http"))
			},
		}}
		req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "https://127.0.0.1/metrics", http.NoBody)
		must(d.t, err)
		resp, err := web.Do(req)
		must(d.t, err)
		series := metricsOf(d.t, resp.Body)
		resp.Body.Close()
		v, ok := series["etcd_mvcc_range_total"]
		if !ok {
			d.t.Fatal("the store does not say how often it is read")
		}
		n += v
	}
	return n
}

// checkReads walks the cluster many times and fails where the store has been read for
// it: even one read a walk would be more than what the engines read for themselves.
func checkReads(t *testing.T, d *devCluster) {
	t.Helper()
	const walks = 60
	address, root := d.file().SNMP.Address, "."+mibRoot.String()
	before := d.storeReads()
	for range walks {
		if _, err := d.snmp("snmpbulkwalk", address, root); err != nil {
			t.Fatalf("snmpbulkwalk: %v", err)
		}
	}
	reads := d.storeReads() - before
	t.Logf("%d walks, %v reads of the store meanwhile", walks, reads)
	if reads >= walks {
		t.Errorf("the store was read %v times during %d walks", reads, walks)
	}
}
