package arch

import "slices"

const module = "github.com/belay-ha/belay"

// A rule says what the packages that match pkg may import. Patterns are
// path.Match patterns below the module. The first rule that matches a package
// is the one in force, so special lines stand above general ones.
type rule struct {
	pkg     string
	may     []string // packages of this module, as patterns
	ban     []string // standard packages, exact; tests are free of it
	third   []string // import paths from outside, as prefixes
	planned bool     // no such package yet; the test fails when it appears, and this word goes
	why     string   // what breaks without the rule; shown with each violation
}

// impure is what a core must not reach: with it a run could not be replayed
// from a seed. Package time and math/rand/v2 stay, for their types; the linter
// bans their clocks and the global generator.
var impure = []string{
	"context", "crypto/rand", "log", "log/slog", "math/rand", "net", "net/http", "os", "os/exec",
	"os/signal", "sync", "sync/atomic", "syscall",
}

// noExec keeps programs from being started anywhere but in the few packages
// which know about time-outs and process groups.
var noExec = []string{"os/exec"}

var nouns = []string{"engine/cib", "engine/event", "engine/graph", "engine/status", "engine/api"}

var cores = []string{
	"engine/membership", "engine/quorum", "engine/fencing", "engine/policy", "engine/transition",
	"engine/lrm",
}

// frontEnd is what a program on the user's side of the engine's socket may know.
var frontEnd = slices.Concat(nouns, []string{
	"engine/client", "engine/policy", "engine/whatif", "engine/pacemaker", "engine/agent", "engine/agent/meta", "engine/agent/trial", "engine/pki", "audit", "mgmtd/access",
})

// Modules from outside, each in the hands of few packages.
const (
	casbin     = "github.com/casbin/casbin/"
	cbor       = "github.com/fxamacker/cbor/"
	cobra      = "github.com/spf13/"
	datadriven = "github.com/cockroachdb/datadriven"
	dbus       = "github.com/godbus/dbus/"
	echo       = "github.com/labstack/echo/"
	etcd       = "go.etcd.io/"
	grpc       = "google.golang.org/grpc"
	huma       = "github.com/danielgtaylor/huma/"
	jsonschema = "github.com/google/jsonschema-go/"
	prometheus = "github.com/prometheus/client_golang/"
	rapid      = "pgregory.net/rapid"
	semver     = "golang.org/x/mod/semver"
	systemd    = "github.com/coreos/go-systemd/"
	testscript = "github.com/rogpeppe/go-internal/"
	xnet       = "golang.org/x/net/"
	xsync      = "golang.org/x/sync/"
	xsys       = "golang.org/x/sys/"
	xterm      = "golang.org/x/term"
	xtime      = "golang.org/x/time/"
	yaml       = "sigs.k8s.io/yaml"
	zap        = "go.uber.org/zap"
)

// testThird may be imported by every _test.go file.
var testThird = []string{datadriven, rapid, testscript, "github.com/google/go-cmp/"}

// rules, from the bottom up. Data flows up, imports go down.
var rules = []rule{
	// Nouns: plain data that every layer shares.
	{pkg: "engine/cib", ban: impure, why: "the vocabulary imports nothing: everyone imports it"},
	{pkg: "engine/event", may: []string{"engine/cib"}, ban: impure, why: "GUI, log, SNMP, CIM and audit render the same definition"},
	{pkg: "engine/graph", may: []string{"engine/cib"}, ban: impure, why: "a plan talks about CIB objects only"},
	{pkg: "engine/status", may: []string{"engine/cib", "engine/event", "engine/graph"}, ban: impure, why: "every state and count is computed once, from a snapshot alone"},
	{pkg: "engine/api", may: []string{"engine/cib", "engine/event", "engine/graph", "engine/status"}, ban: slices.DeleteFunc(slices.Clone(impure), func(s string) bool { return s == "net/http" }), why: "requests and answers are data; net/http is there for its status codes"},

	// Cores: they decide. Pure, and strangers to each other.
	{pkg: "engine/membership", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/quorum", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/fencing", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/policy", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/transition", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/lrm", may: nouns, ban: impure, why: "cores are pure and do not know each other"},
	{pkg: "engine/pacemaker", may: []string{"engine/cib", "engine/graph"}, ban: impure, why: "reading another cluster's configuration decides nothing, and what is read comes from anywhere"},
	{pkg: "engine/whatif", may: append([]string{"engine/policy"}, nouns...), ban: impure, why: "what somebody supposes is decided by the policy itself, for every face"},
	{pkg: "engine/node", may: slices.Concat(cores, nouns), ban: impure, why: "the whole node runs in the simulator, from a seed"},

	// Adapters: they act. Each knows one thing of the outside world.
	{pkg: "engine/pki", may: []string{"engine/cib"}, ban: noExec, why: "certificates are made and checked in one place"},
	{pkg: "engine/store", may: slices.Concat(nouns, []string{"engine/idle", "engine/pki"}), third: []string{etcd, grpc, zap, semver, xsync, xsys}, why: "etcd is known in one place"},
	{pkg: "engine/comm", may: slices.Concat(nouns, []string{"engine/membership", "engine/pki"}), ban: noExec, third: []string{cbor, xnet, xsys}, why: "a transport carries bytes, it decides nothing; it knows the heartbeat only to encode it"},
	{pkg: "engine/agent/meta", may: []string{"engine/cib"}, ban: impure, why: "reads what agents say of themselves, runs none"},
	{pkg: "engine/agent", may: slices.Concat(nouns, []string{"engine/agent/meta"}), third: []string{systemd, dbus, xsys}, why: "runs programs, decides nothing; systemd is known in one place"},
	{pkg: "engine/remote", may: []string{"engine/cib", "engine/agent", "engine/agent/meta", "engine/pki"}, ban: noExec, why: "both ends of the connection to a remote node: it carries orders and results, and decides nothing"},
	{pkg: "engine/agent/trial", may: []string{"engine/cib", "engine/agent", "engine/agent/meta"}, third: []string{xsys}, why: "runs agents as the engine does, without an engine, in namespaces of its own"},
	{pkg: "engine/agent/shim", may: slices.Concat(nouns, []string{"engine/client"}), ban: noExec, why: "the crm_* tools that agents call only ask the engine's socket"},
	{pkg: "engine/idle", ban: noExec, why: "tunes the runtime of a process that sleeps nearly always, and knows nothing of it"},
	{pkg: "engine/tiebreak", may: []string{"engine/cib"}, third: []string{xsys}, why: "asks devices, and runs sg_persist; it does not know what is decided with the answers"},
	{pkg: "engine/watchdog", ban: noExec, third: []string{xsys}, why: "feeds the device, decides nothing"},
	{pkg: "engine/client", may: nouns, ban: noExec, why: "front ends reach the engine over its socket only"},

	// Shells: goroutines and clocks around the cores.
	{pkg: "engine/quorumd", ban: impure, why: "an arbitrator knows votes, not resources; it is a core, and other cluster stacks use it too"},
	{pkg: "engine/quorumd/client", may: []string{"engine/quorumd", "engine/pki"}, ban: noExec, why: "other cluster stacks use it: it knows the protocol and nothing of Belay"},
	{pkg: "engine/quorumd/server", may: []string{"engine/cib", "engine/quorumd", "engine/quorumd/client", "engine/pki", "audit"}, ban: noExec, third: []string{yaml, xsys}, why: "the shell around the arbitrator; only its tests know the client"},
	{pkg: "engine/daemon", may: []string{"engine/*", "engine/agent/meta", "engine/agent/shim", "engine/quorumd/*", "audit"}, third: []string{yaml, semver, xsync, xsys}, why: "the shell around the node"},
	{pkg: "audit", ban: noExec, third: []string{xsys, "golang.org/x/mod/sumdb/"}, why: "evidence depends on nothing that it reports on"},

	// The management daemon and its faces.
	{pkg: "mgmtd/authz", may: []string{"engine/cib"}, ban: impure, third: []string{casbin}, why: "who may do what is a table, not a process"},
	{pkg: "mgmtd/auth", may: []string{"engine/api"}, ban: noExec, why: "who somebody is, is found out without knowing what they may do"},
	{pkg: "mgmtd/auth/pamhelper", may: []string{"mgmtd/auth"}, ban: noExec, third: []string{"github.com/msteinert/pam/", xsys}, why: "PAM, and with it cgo, is known in one place"},
	{pkg: "mgmtd/access", may: append([]string{"audit"}, nouns...), ban: noExec, why: "the same review for REST and the command line"},
	{pkg: "mgmtd/view", may: nouns, ban: noExec, why: "one state, many readers"},
	{pkg: "mgmtd/change", may: slices.Concat(nouns, []string{"mgmtd/auth", "mgmtd/authz"}), ban: noExec, why: "one door for every change"},
	{pkg: "mgmtd/transitions", may: slices.Concat(nouns, []string{"mgmtd/view"}), ban: noExec, why: "what the cluster has done, for every face"},
	{pkg: "mgmtd/notify", may: slices.Concat(nouns, []string{"mgmtd/outbox", "mgmtd/outbox/outboxtest"}), ban: noExec, why: "what webhooks and mail say, and how they are sent; it changes nothing"},
	{pkg: "mgmtd/job", may: slices.Concat(nouns, []string{"mgmtd/view"}), ban: noExec, why: "how far an operation is, for every face"},
	{pkg: "mgmtd/wbem", may: slices.Concat(nouns, []string{"mgmtd/auth", "mgmtd/view", "mgmtd/change", "mgmtd/job", "cim/object", "cim/model", "cim/schema", "cim/mof"}), ban: noExec, why: "what one caller sees and changes as CIM: it knows no protocol"},
	{pkg: "mgmtd/api", may: slices.Concat(nouns, []string{"engine/whatif", "audit", "docs/reference", "mgmtd/access", "mgmtd/auth", "mgmtd/authz", "mgmtd/view", "mgmtd/change", "mgmtd/job", "mgmtd/outbox", "mgmtd/transitions"}), ban: noExec, third: []string{huma, echo, prometheus, xtime}, why: "HTTP handlers decode, ask, encode"},
	{pkg: "mgmtd/outbox", may: slices.Concat(nouns, []string{"mgmtd/outbox/outboxtest"}), ban: noExec, why: "how a message gets to a receiver, without what it says: SNMP, CIM and others share it"},
	{pkg: "mgmtd/outbox/outboxtest", may: nouns, ban: noExec, why: "an engine in memory, for tests"},
	{pkg: "snmp/mib", may: nouns, ban: impure, why: "a walk is a function of a snapshot"},
	{pkg: "snmp/snmpd", may: []string{"snmp/usm"}, third: []string{xsys}, why: "the private agent is a program of net-snmp: it is started and watched here only"},
	{pkg: "snmp/usm", ban: impure, why: "names and limits"},
	{pkg: "snmp/*", may: slices.Concat(nouns, []string{"mgmtd/outbox", "mgmtd/outbox/outboxtest", "snmp/mib", "snmp/usm"}), ban: noExec, third: []string{"github.com/gosnmp/", xsys}, why: "SNMP reads, it never changes the cluster"},
	{pkg: "cim/object", ban: impure, why: "the vocabulary of CIM: the model and the server share it, and it knows neither"},
	{pkg: "cim/model", may: slices.Concat(nouns, []string{"cim/object", "cim/query", "cim/mof", "cim/schema"}), ban: impure, why: "instances are a function of a snapshot"},
	{pkg: "cim/mof", may: []string{"cim/object"}, ban: impure, why: "a compiler: text in, classes out"},
	{pkg: "cim/schema", may: []string{"cim/object", "cim/mof"}, ban: noExec, why: "embeds MOF files and compiles them"},
	{pkg: "cim/query", may: []string{"cim/object", "cim/mof"}, ban: impure, why: "queries look at one instance at a time; the tests compile classes"},
	{pkg: "cim/cimtest", may: []string{"cim/object"}, ban: noExec, why: "looks at answers from outside, for tests: it shares no code with the codec"},
	{pkg: "cim/cimxml", may: []string{"cim/object", "cim/mof", "cim/cimtest"}, ban: impure, why: "a codec; the tests compile classes and look at it from outside"},
	{pkg: "cim/indication", may: slices.Concat(nouns, []string{"cim/object", "cim/model", "cim/query", "cim/cimxml", "cim/mof", "cim/schema", "mgmtd/outbox", "mgmtd/outbox/outboxtest"}), ban: noExec, why: "sends, and changes nothing; how far it is, is kept by mgmtd"},
	{pkg: "cim/server", may: []string{"cim/object", "cim/cimxml", "cim/query", "cim/mof", "cim/cimtest"}, ban: noExec, why: "a server of the protocol: the model, authentication and changes come in as functions from mgmtd; the tests compile classes"},
	{pkg: "gui", ban: noExec, why: "embeds files"},
	{pkg: "mgmtd", may: slices.Concat(nouns, []string{"mgmtd/*", "mgmtd/outbox", "mgmtd/outbox/outboxtest", "snmp/*", "cim/*", "gui", "audit", "engine/client", "engine/pki"}), ban: noExec, why: "the one place where the daemon is put together"},

	{pkg: "docs/reference", ban: impure, why: "embeds what is generated, so that the API can show it"},

	// Programs.
	{pkg: "cmd/belayd", may: slices.Concat(nouns, []string{"engine/daemon", "engine/idle", "engine/store", "engine/pki", "cim/model"}), third: []string{cobra, systemd + "v22/daemon"}, why: "mains are thin; what a query of a CIM filter may be is for CIM to say, and comes in here"},
	{pkg: "cmd/belay", may: slices.Concat(frontEnd, []string{"engine/quorum", "mgmtd/access", "mgmtd/authz", "mgmtd/outbox", "cmd/belay/*", "snmp/mib"}), third: []string{cobra, yaml, xterm, jsonschema}, why: "the CLI is a client; it shares the engine's vocabulary and its policy, not its daemon"},
	{pkg: "cmd/belay-shim", may: []string{"engine/agent/shim"}, ban: noExec, why: "mains are thin"},
	{pkg: "cmd/belay-quorumd", may: []string{"engine/quorumd", "engine/quorumd/*", "engine/pki"}, third: []string{cobra, systemd + "v22/daemon", xsys}, why: "mains are thin; lease run starts the command that a ticket is held for"},
	{pkg: "cmd/belay-mgmtd", may: []string{"mgmtd"}, third: []string{systemd + "v22/daemon"}, why: "mains are thin"},
	{pkg: "cmd/belay-mgmtd-pam", may: []string{"mgmtd/auth", "mgmtd/auth/pamhelper"}, ban: noExec, why: "the only program with cgo stays small"},
	{pkg: "cmd/*/*", may: frontEnd, third: []string{cobra, yaml, xterm, xsys}, why: "a part of a program knows what the program may know"},

	// Tests of the whole. Nothing outside test/ imports them.
	{pkg: "test/arch", why: "reads source files, knows no package"},
	{pkg: "test/docs", why: "reads documents, knows no package"},
	{pkg: "test/bench", may: []string{"engine/*", "engine/quorumd/client", "mgmtd/outbox", "mgmtd/outbox/outboxtest", "snmp/*", "cim/*", "audit", "test/lab", "test/cluster", "test/sim"}, third: []string{etcd, xsys, "github.com/gosnmp/"}, why: "measures any part"},
	{pkg: "test/bench/*", may: []string{"engine/*", "audit", "test/bench", "test/lab", "test/cluster", "test/sim"}, third: []string{etcd, xsys}, why: "measures any part"},
	{pkg: "test/sim", may: slices.Concat([]string{"engine/node", "engine/quorumd"}, cores, nouns), ban: []string{"os/exec", "net"}, why: "the simulator is the world: everything around the nodes is invented from the seed"},
	{pkg: "test/sim/cmd/*", may: slices.Concat([]string{"test/sim", "engine/node"}, cores, nouns), why: "tools of the simulator"},
	{pkg: "test/compat", may: slices.Concat(nouns, []string{"engine/policy", "engine/transition", "engine/pacemaker"}), third: []string{yaml}, why: "other clusters' scheduler cases, against the policy alone"},
	{pkg: "test/lab", third: []string{xsys}, why: "hosts know nothing of what runs on them"},
	{pkg: "test/lab/cmd/*", may: []string{"test/lab"}, third: []string{xsys}, why: "mains are thin"},
	{pkg: "test/cluster", may: slices.Concat(nouns, []string{"engine/client", "test/lab"}), third: []string{xsys}, why: "a cluster on hosts of the lab, as its clients see it"},
	{pkg: "test/vm", why: "machines know nothing of what runs on them"},
	{pkg: "test/vm/guest", may: []string{"engine/cib", "engine/tiebreak", "test/vm"}, third: []string{xsys}, why: "what scripts in a virtual machine need"},
	{pkg: "test/e2e", may: slices.Concat(nouns, []string{"engine/client", "engine/pki", "audit", "snmp/mib", "cim/cimtest", "cim/object", "cim/schema", "test/lab", "test/cluster"}), third: []string{etcd, yaml, xsys}, why: "looks at the product from outside"},
}
