package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belay-ha/belay/engine/agent/shim"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// tool runs one of the tools, as this user or another, with a token or without.
func (d *testDaemon) tool(uid uint32, token string, args ...string) (out string, rc int) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), filepath.Join(d.opts.ShimDir, args[0]), args[1:]...)
	cmd.Env = []string{shim.SocketVariable + "=" + d.opts.Socket, shim.TokenVariable + "=" + token, "GORACE=atexit_sleep_ms=0"}
	if int(uid) != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		d.t.Fatalf("%s: %v", args[0], err)
	} else if ok {
		rc = exit.ExitCode()
	}
	return strings.TrimSuffix(string(b), "\n"), rc
}

// The tools against a real engine: what is said and what the cluster then knows.
func TestTools(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	me := uint32(os.Getuid())
	d.apply(`{"resources": {"db": {"agent": "belay:dummy", "utilization": {"cpu": 2}, "meta": {"target-role": "Stopped", "priority": 5}},
		"web": {"agent": "ocf:heartbeat:mysql", "parameters": {"test_passwd": "hunter2"}, "meta": {"target-role": "Stopped"}}}}`)
	for _, step := range []struct {
		line string
		want string
		rc   int
	}{
		{"crm_node -n", "n1", 0},
		{"crm_node -q", "1", 0},
		{"crm_node -i", "1", 0},
		{"crm_node -l", "1 n1 member", 0},
		{"crm_node -p", "n1 ", 0},

		// Transient attributes.
		{"attrd_updater -n pick -Q", "attrd_updater: Could not query value of pick: attribute does not exist", 78},
		{"attrd_updater -n pick -U up", "", 0},
		{"attrd_updater -n pick -Q", `name="pick" host="n1" value="up"`, 0},
		{"crm_attribute -l reboot -n pick -G -q", "up", 0},
		{"crm_attribute -N n1 -l reboot -n count -v 7", "", 0},
		{"crm_attribute -N n1 -l reboot -n count -v value++", "", 0},
		{"crm_attribute -N n1 -l reboot -n count -G -q", "8", 0},
		{"attrd_updater -n pick -D", "", 0},
		{"attrd_updater -n pick -Q", "attrd_updater: Could not query value of pick: attribute does not exist", 78},
		{"attrd_updater -p -n hidden -U 1", "", 0},
		{"attrd_updater -n hidden -Q", `name="hidden" host="n1" value="1"`, 0},
		{"attrd_updater -n pick -U up -N n9", "attrd_updater: Could not update pick=up: no such node: n9", 105},
		{"crm_attribute --promotion=db -v 10", "", 0},
		{"crm_master -r db -l reboot -G -q", "10", 0},

		// The configuration.
		{"crm_attribute -N n1 -l forever -n rack -v r7", "", 0},
		{"crm_attribute -N n1 -l forever -n rack -G", "scope=nodes  name=rack value=r7", 0},
		{"crm_attribute -N n1 -l forever -n rack -D -q", "", 0},
		{"crm_attribute -N n1 -l forever -n rack -G -q", "crm_attribute: Error performing operation: No such device or address", 105},
		{"crm_attribute -N n1 -z -n cpu -v 8", "", 0},
		{"crm_attribute -N n1 -z -n cpu -G -q", "8", 0},
		{"crm_attribute -N n1 -n standby -v on", "", 0},
		{"crm_attribute -N n1 -n standby -G -q", "on", 0},
		{"crm_attribute -N n1 -n standby -D -q", "", 0},
		{"crm_attribute --type crm_config --name r_REPL_INFO -s redis_replication -v n1 -q", "", 0},
		{"crm_attribute --type crm_config --name r_REPL_INFO -s redis_replication --query -q", "n1", 0},
		{"crm_attribute --type crm_config --name r_REPL_INFO -s redis_replication -D -q", "", 0},
		{"crm_attribute --type crm_config --name r_REPL_INFO -s redis_replication -G -q", "crm_attribute: Error performing operation: No such device or address", 105},
		{"crm_attribute --type crm_config --name azure_events -v x", "", 0},
		{"crm_attribute --type crm_config --name azure_events -G -q", "x", 0},
		{"crm_attribute --type crm_config --name cluster-name -G -q", "test", 0},
		{"crm_attribute --type crm_config --name stonith-enabled -G -q", "false", 0},
		{"crm_attribute --type crm_config --name maintenance-mode -v true", "", 0},
		{"crm_attribute --type crm_config --name maintenance-mode -G -q", "true", 0},
		{"crm_attribute --type crm_config --name maintenance-mode -D -q", "", 0},
		{"crm_attribute --type crm_config --name batch-limit -v 7", "", 0},
		{"crm_attribute --type crm_config --name batch-limit -G -q", "7", 0},
		{"crm_attribute --type crm_config --name no-quorum-policy -v freeze", "", 0},

		// Resources.
		{"crm_resource -r db -z -g cpu", "2", 0},
		{"crm_resource -r db -z -p cpu -v 3", "Set 'db' option: id=db-utilization-cpu set=db-utilization name=cpu value=3", 0},
		{"crm_resource -r db -z -g cpu", "3", 0},
		{"crm_resource -r db -m -g target-role", "Stopped", 0},
		{"crm_resource -r db -m -g priority", "5", 0},
		{"crm_resource -r db -m -p is-managed -v off", "Set 'db' option: id=db-meta_attributes-is-managed set=db-meta_attributes name=is-managed value=off", 0},
		{"crm_resource -r db -m -g is-managed", "false", 0},
		{"crm_resource -r db -m -d is-managed", "Deleted 'db' option: id=db-meta_attributes-is-managed name=is-managed", 0},
		{"crm_resource -r web -g test_passwd", "crm_resource: Error performing operation: not permitted: the value of test_passwd is secret; an agent has it in its environment", 4},
		{"crm_resource -r db -W", "resource db is NOT running", 0},
		{"crm_resource -r nosuch -W", "crm_resource: Resource 'nosuch' not found\nError performing operation: No such object", 105},
		{"crm_resource -B -r db -N n1 -Q", "", 0},
		{"crm_resource -U -r db", "Removing constraint: cli-ban-db-on-n1", 0},
		{"crm_resource -M -r db:0 -N n1 -Q", "", 0},
		{"crm_resource -U -r db -N n1", "Removing constraint: cli-prefer-db", 0},
		{"crm_resource -B -r db -N n1 -u PT1H", "crm_resource: Error performing operation: a constraint has no lifetime here: make it without one, and clear it", 1},
		{"crm_resource -C -r db -N n1", "Cleaned up db on n1", 0},
		{"crm_resource -R", "Cleaned up all resources on all nodes", 0},
		{"crm_resource --wait -T 30", "", 0},
		{"crm_resource -F -r db -N n1", "crm_resource: Error performing operation: a failure can't be reported from outside here: the resource's own monitor finds it", 1},
	} {
		if out, rc := d.tool(me, "", strings.Fields(step.line)...); out != step.want || rc != step.rc {
			t.Errorf("%s: status %d\n%s\nwant %d\n%s", step.line, rc, out, step.rc, step.want)
		}
	}
	s := d.snapshot()
	if a := s.Status.Attributes["n1"]; a.BootID != "boot-1" || a.Values[cib.PromotionAttribute("db")] != "10" || a.Private["hidden"] != "1" || a.Values["hidden"] != "" {
		t.Errorf("attributes %+v", a)
	}
	if c := s.Config; len(c.Constraints) != 0 || c.Nodes["n1"].Standby || c.Nodes["n1"].Utilization["cpu"] != 8 || c.Cluster.Options.NoQuorumPolicy != cib.NoQuorumFreeze ||
		c.Cluster.Options.BatchLimit != 7 || c.Cluster.Options.MaintenanceMode || c.Cluster.Properties[optionSet]["azure_events"] != "x" {
		t.Errorf("configuration %+v", c)
	}
	out, rc := d.tool(me, "", "crm_mon", "-1")
	if rc != 0 || !strings.Contains(out, "Current DC: n1") || !strings.Contains(out, "* Online: [ n1 ]") || !strings.Contains(out, "2 resource instances configured") {
		t.Errorf("crm_mon: %d\n%s", rc, out)
	}
}

// What a caller may do, by who it is and whether an agent's run speaks for it.
func TestRights(t *testing.T) {
	run := &agentRun{}
	root, reader, stranger := &caller{reads: true, writes: true}, &caller{reads: true}, &caller{}
	for _, x := range []struct {
		c    *caller
		run  *agentRun
		want shimRight
	}{
		{nil, nil, shimNothing},
		{nil, run, shimNothing},
		{root, nil, shimAll},
		{root, run, shimAll},
		{reader, nil, shimRead},
		{reader, run, shimAttributes},
		{stranger, nil, shimNothing},
		{stranger, run, shimAttributes},
	} {
		if got := rightOf(x.c, x.run); got != x.want {
			t.Errorf("%+v, run %v: %d, want %d", x.c, x.run != nil, got, x.want)
		}
	}
}

// A token is good while its run goes on, and only as it was given.
func TestTokens(t *testing.T) {
	e := &engine{}
	r1, r2 := e.newRun(1, "db", nil), e.newRun(12, "web", nil)
	if e.runOf(r1.token) != r1 || e.runOf(r2.token) != r2 {
		t.Fatal("a run is not found by its token")
	}
	_, secret, _ := strings.Cut(r1.token, ".")
	if len(secret) != 32 {
		t.Errorf("a secret of %d digits", len(secret))
	}
	for _, bad := range []string{"", ".", "1", "1.", "x", r1.token[:len(r1.token)-1], r1.token + "0", "12." + secret, "2." + secret, " " + r1.token, "-1." + secret, "01." + secret} {
		if e.runOf(bad) != nil {
			t.Errorf("%q is taken for a token", bad)
		}
	}
	e.runs.Delete(uint64(1))
	if e.runOf(r1.token) != nil {
		t.Error("the token of a run that ended is taken")
	}
}

// An agent that has become another user writes its node's attributes with the
// token of its run, and nothing else; without it nobody but root gets an answer.
func TestOtherUsers(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	e := d.engine.Load()
	run := e.newRun(1<<40, "db", func() {})
	const nobody = 65534
	calls := []struct {
		line          string
		token, forged int
	}{
		{"crm_node -n", 0, 4},
		{"attrd_updater -n pick -U up", 0, 4},
		{"attrd_updater -n pick -Q", 0, 4},
		{"crm_attribute -N n1 -l forever -n rack -v r7", 4, 4},
		{"crm_attribute --type crm_config -n x -v y", 4, 4},
		{"crm_mon -1", 0, 4},
	}
	if os.Getuid() == 0 { // only root can become somebody else
		for _, c := range calls {
			if out, rc := d.tool(nobody, run.token, strings.Fields(c.line)...); rc != c.token {
				t.Errorf("%s with a token: status %d\n%s", c.line, rc, out)
			}
			for _, token := range []string{"", "1.00"} {
				if out, rc := d.tool(nobody, token, strings.Fields(c.line)...); rc != c.forged {
					t.Errorf("%s with token %q: status %d\n%s", c.line, token, rc, out)
				}
			}
		}
		e.runs.Delete(uint64(1 << 40))
		if out, rc := d.tool(nobody, run.token, "crm_node", "-n"); rc != 4 {
			t.Errorf("after the run: status %d\n%s", rc, out)
		}
	}
	if strings.Contains(d.log.String(), run.token) {
		t.Error("the token is in the log")
	}
}

// What many agents set at the same time is few writes, and each of them reads its own.
func TestAttributesAreCollected(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	e := d.engine.Load()
	before := strings.Count(d.log.String(), "attributes written")
	var wg sync.WaitGroup
	const agents = 100
	begin := time.Now()
	for i := range agents {
		wg.Go(func() {
			a := &api.Attribute{Name: fmt.Sprintf("a%d", i), Value: "1"}
			if existed, err := e.setAttribute(t.Context(), a); err != nil || existed {
				t.Errorf("%s: %v, %v", a.Name, existed, err)
			}
			if v, _, ok := lookUp(d.snapshot().Status.Attributes["n1"], a.Name); !ok || v != "1" {
				t.Errorf("%s is %q after it was set", a.Name, v)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	writes := strings.Count(d.log.String(), "attributes written") - before
	if most := 2 + int(took/attributeGap); writes > most || writes == 0 {
		t.Errorf("%d writes in %s for %d attributes", writes, took, agents)
	}
	// What is so already is not written.
	_, err := e.setAttribute(t.Context(), &api.Attribute{Name: "a1", Value: "1"})
	must(t, err)
	if n := strings.Count(d.log.String(), "attributes written") - before; n != writes {
		t.Errorf("%d writes for nothing", n-writes)
	}
}

// A dampened change is known here at once and written later, with what came
// meanwhile; one without dampening takes it along, and the end of the engine loses
// none.
func TestDampening(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	e := d.engine.Load()
	set := func(value string, dampen time.Duration) {
		t.Helper()
		_, err := e.setAttribute(t.Context(), &api.Attribute{Name: "pingd", Value: value, DampenMs: dampen.Milliseconds()})
		must(t, err)
	}
	stored := func(s *cib.Snapshot) string { v, _, _ := lookUp(s.Status.Attributes["n1"], "pingd"); return v }
	begin := time.Now()
	set("100", 400*time.Millisecond)
	set("200", 400*time.Millisecond)
	if got := stored(d.snapshot()); got != "" {
		t.Fatalf("%q is written already", got)
	}
	if v, _, _ := lookUp(e.ownAttributes(), "pingd"); v != "200" {
		t.Errorf("the node itself reads %q", v)
	}
	d.await("the dampened value", func(s *cib.Snapshot) bool {
		if v := stored(s); v == "100" {
			t.Fatal("a value in between was written")
		}
		return stored(s) == "200"
	})
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("written after %s", took)
	}
	set("300", time.Hour)
	set("400", 0)
	if got := stored(d.snapshot()); got != "400" {
		t.Errorf("%q after a change without dampening", got)
	}
	set("500", time.Hour)
	d.stop()
	again := startDaemon(t, filepath.Dir(d.opts.Socket))
	again.awaitEngineUp()
	again.await("the value that was dampened at the end", func(s *cib.Snapshot) bool { return stored(s) == "500" })
}

func TestAttributeRequests(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	long := strings.Repeat("x", attributeValueMax)
	for _, a := range []api.Attribute{
		{},
		{Name: "a\nb"},
		{Name: strings.Repeat("n", 256)},
		{Name: "a", Value: long + "x"},
		{Name: "a", Value: "\x00"},
		{Name: "a", DampenMs: -1},
		{Name: "a", DampenMs: 1 << 60},
		{Name: "a", Permanent: true, Private: true},
		{Name: "a", Permanent: true, DampenMs: 5},
	} {
		refused(t, d.post("/v1/attribute", a, nil), api.CodeBadRequest)
	}
	refused(t, d.post("/v1/attribute", []byte(`{"name": "a", "vlaue": "1"}`), nil), api.CodeBadRequest)
	refused(t, d.post("/v1/attribute", api.Attribute{Node: "n9", Name: "a"}, nil), api.CodeNotFound)
	refused(t, d.get("/v1/attribute/local/a", nil), api.CodeNotFound)
	for i := range attributesBytes / attributeValueMax {
		err := d.post("/v1/attribute", api.Attribute{Name: fmt.Sprintf("big%d", i), Value: long}, nil)
		if i < attributesBytes/attributeValueMax-1 {
			must(t, err)
		} else {
			refused(t, err, api.CodeTooLarge)
		}
	}
	must(t, d.post("/v1/attribute", api.Attribute{Name: "rack", Value: "perm", Permanent: true}, nil))
	must(t, d.post("/v1/attribute", api.Attribute{Name: "rack", Value: "now"}, nil))
	var got api.Attribute
	must(t, d.get("/v1/attribute/n1/rack", &got))
	if got != (api.Attribute{Node: "n1", Name: "rack", Value: "now"}) {
		t.Errorf("%+v: the transient value wins", got)
	}
	must(t, d.post("/v1/attribute", api.Attribute{Name: "rack", Delete: true}, nil))
	must(t, d.get("/v1/attribute/local/rack", &got))
	if !got.Permanent || got.Value != "perm" {
		t.Errorf("%+v", got)
	}
}

// Debian's own agents, run by the engine, leave their attributes in the cluster's
// state; they are gone after the agents have stopped.
func TestAgentsSetAttributes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"pacemaker/attribute", "pacemaker/HealthCPU", "pacemaker/Stateful"} {
		if _, err := os.Stat("/usr/lib/ocf/resource.d/" + path); err != nil {
			t.Fatalf("%v: run make setup", err)
		}
	}
	d := newTestCluster(t)
	d.online()
	state := filepath.Join(filepath.Dir(d.opts.Socket), "stateful")
	d.apply(`{"resources": {
		"pick": {"agent": "ocf:pacemaker:attribute", "parameters": {"name": "pick", "active_value": "up", "inactive_value": "down"}},
		"cpu": {"agent": "ocf:pacemaker:HealthCPU", "parameters": {"yellow_limit": "0", "red_limit": "0"}, "operations": [{"name": "monitor", "interval": "1s"}]},
		"st": {"agent": "ocf:pacemaker:Stateful", "parameters": {"state": ` + string(mustJSON(t, state)) + `}},
		"own": {"agent": "belay:stateful"}}}`)
	value := func(s *cib.Snapshot, name string) string {
		v, _, _ := lookUp(s.Status.Attributes["n1"], name)
		return v
	}
	d.await("the agents' attributes", func(s *cib.Snapshot) bool {
		return value(s, "pick") == "up" && value(s, "master-st") == "5" && value(s, cib.PromotionAttribute("own")) != ""
	})
	for _, id := range []string{"st", "own", "pick"} {
		d.change(&api.Change{Action: api.ActionStop, Object: "resource/" + id})
	}
	d.await("the attributes of stopped agents to go", func(s *cib.Snapshot) bool {
		return value(s, "pick") == "down" && value(s, "master-st") == "" && value(s, cib.PromotionAttribute("own")) == ""
	})
	// The health agent dampens for half a minute: it is known here before.
	d.awaitTrue("the health of the CPU", func() bool { v, _, _ := lookUp(d.engine.Load().ownAttributes(), "#health-cpu"); return v != "" })
}

func TestLinkShims(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shim")
	for range 2 { // a second start finds them
		got, err := linkShims(dir, "/opt/belay-shim")
		if err != nil || got != dir {
			t.Fatalf("%s, %v", got, err)
		}
	}
	must(t, os.Remove(filepath.Join(dir, "crm_mon")))
	must(t, os.Symlink("/gone", filepath.Join(dir, "crm_mon")))
	_, err := linkShims(dir, "/opt/belay-shim")
	must(t, err)
	for _, tool := range shim.Tools() {
		if to, err := os.Readlink(filepath.Join(dir, tool)); err != nil || to != "/opt/belay-shim" {
			t.Errorf("%s: %s, %v", tool, to, err)
		}
	}
}

// The state of the cluster as the tools show it, and as agents look for it: of
// clones one member an instance.
func TestToolsShowResources(t *testing.T) {
	t.Parallel()
	d := newTestCluster(t)
	d.online()
	d.apply(`{"resources": {
		"ip": {"agent": "belay:dummy"}, "www": {"agent": "belay:dummy"}, "web": {"group": ["ip", "www"]},
		"c": {"agent": "belay:dummy"}, "cs": {"clone": {"resource": "c"}},
		"u": {"agent": "belay:dummy"}, "us": {"clone": {"resource": "u", "globally-unique": true, "clone-max": 2, "clone-node-max": 2}},
		"m1": {"agent": "belay:dummy"}, "m2": {"agent": "belay:dummy"}, "g": {"group": ["m1", "m2"]}, "gs": {"clone": {"resource": "g"}},
		"off": {"agent": "belay:dummy", "meta": {"target-role": "Stopped", "is-managed": false}}}}`)
	me := uint32(os.Getuid())
	if out, rc := d.tool(me, "", "crm_resource", "--wait", "-T", "30"); rc != 0 {
		t.Fatalf("%d: %s", rc, out)
	}
	out, _ := d.tool(me, "", "crm_mon", "-1rD")
	want := `Node List:
  * Online: [ n1 ]

Full List of Resources:
  * Clone Set: cs [c]:
    * Started: [ n1 ]
  * Clone Set: gs [g]:
    * Started: [ n1 ]
  * off	(belay:dummy):	 Stopped (disabled, unmanaged)
  * Clone Set: us [u] (unique):
    * u:0	(belay:dummy):	 Started n1
    * u:1	(belay:dummy):	 Started n1
  * Resource Group: web:
    * ip	(belay:dummy):	 Started n1
    * www	(belay:dummy):	 Started n1`
	if out != want {
		t.Errorf("crm_mon shows\n%s\nwant\n%s", out, want)
	}
	for _, id := range []string{"c", "cs", "m2", "www", "us"} {
		if out, rc := d.tool(me, "", "crm_resource", "-r", id, "-W", "-Q"); rc != 0 || out != "n1" {
			t.Errorf("%s is on %q, %d", id, out, rc)
		}
	}
	xml, _ := d.tool(me, "", "crm_mon", "-1", "--output-as=xml")
	for _, want := range []string{
		`<node name="n1" id="1" online="true" standby="false"`,
		`<resource id="www" resource_agent="belay:dummy" role="Started" active="true" orphaned="false" blocked="false" managed="true" failed="false"`,
		`<clone id="us" multi_state="false" unique="true"`, `<resource id="u:1" `,
	} {
		if !strings.Contains(xml, want) {
			t.Errorf("%s is missing in\n%s", want, xml)
		}
	}
}

// A node that is in no cluster says so, and nothing looks like success.
func TestToolsWithoutCluster(t *testing.T) {
	t.Parallel()
	d := newTestDaemon(t)
	far := shim.Dial(d.opts.Socket, "")
	if _, err := far.Nodes(t.Context()); !errors.Is(err, shim.ErrUnavailable) {
		t.Errorf("a node without a cluster answers %v", err)
	}
	if err := far.SetAttribute(t.Context(), shim.Attribute{Scope: shim.ScopeReboot, Name: "a"}, 0); !errors.Is(err, shim.ErrUnavailable) {
		t.Errorf("a node without a cluster answers %v", err)
	}
}

func TestApplyAttributes(t *testing.T) {
	old := &cib.Attributes{BootID: "b1", Values: map[string]string{"a": "1", "b": "2"}, Private: map[string]string{"p": "3"}}
	of := func(c ...*attributeChange) map[string]*attributeChange {
		m := map[string]*attributeChange{}
		for _, c := range c {
			m[c.name] = c
		}
		return m
	}
	for _, x := range []struct {
		name    string
		boot    string
		changes []map[string]*attributeChange
		want    string
		differs bool
	}{
		{"nothing", "b1", nil, `{"bootId":"b1","values":{"a":"1","b":"2"},"private":{"p":"3"}}`, false},
		{"same", "b1", []map[string]*attributeChange{of(&attributeChange{name: "a", value: "1"}, &attributeChange{name: "x", remove: true})}, `{"bootId":"b1","values":{"a":"1","b":"2"},"private":{"p":"3"}}`, false},
		{"set, remove, hide", "b1", []map[string]*attributeChange{of(&attributeChange{name: "a", value: "9"}, &attributeChange{name: "p", remove: true}, &attributeChange{name: "b", value: "2", private: true})}, `{"bootId":"b1","values":{"a":"9"},"private":{"b":"2"}}`, true},
		{"later wins", "b1", []map[string]*attributeChange{of(&attributeChange{name: "a", value: "8"}), of(&attributeChange{name: "a", remove: true})}, `{"bootId":"b1","values":{"b":"2"},"private":{"p":"3"}}`, true},
		{"another boot", "b2", []map[string]*attributeChange{of(&attributeChange{name: "a", value: "1"})}, `{"bootId":"b2","values":{"a":"1"}}`, true},
	} {
		doc, differs := applyAttributes(old, x.boot, x.changes...)
		if got := string(mustJSON(t, doc)); got != x.want || differs != x.differs {
			t.Errorf("%s: %s, %v", x.name, got, differs)
		}
	}
	if len(old.Values) != 2 || len(old.Private) != 1 {
		t.Error("the old document was changed")
	}
}

// A change that comes while another one waits answers both, and is not written later
// than the first would have been.
func TestAttributeQueue(t *testing.T) {
	q, now := newAttributes(), time.Unix(1000, 0)
	ask := func(value string, after time.Duration, wait bool) chan error {
		_, done, err := q.request(&attributeChange{name: "a", value: value, due: now.Add(after)}, nil, "b", wait)
		must(t, err)
		return done
	}
	ask("1", 10*time.Second, false)
	ask("2", 20*time.Second, false)
	if at, ok := q.next(); !ok || !at.Equal(now.Add(10*time.Second)) {
		t.Errorf("next %s, %v", at, ok)
	}
	if len(q.take(now)) != 0 {
		t.Error("taken before its time")
	}
	first := ask("3", 0, true)
	second := ask("4", 0, true)
	batch := q.take(now)
	if len(batch) != 1 || batch[0].value != "4" {
		t.Fatalf("%+v", batch)
	}
	q.landed(batch, context.Canceled, now)
	for _, done := range []chan error{first, second} {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("answered %v", err)
		}
	}
	if _, ok := q.next(); ok {
		t.Error("who waited was told; nothing is tried again")
	}
	ask("5", 0, false)
	batch = q.take(now)
	q.landed(batch, context.Canceled, now)
	if at, ok := q.next(); !ok || !at.Equal(now.Add(attributeRetry)) {
		t.Errorf("what nobody waits for is tried again: %s, %v", at, ok)
	}
}

func mustJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}
