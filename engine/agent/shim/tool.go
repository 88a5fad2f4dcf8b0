package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Exit statuses of Pacemaker's tools (crm_exit_e).
const (
	exitOK          = 0
	exitError       = 1
	exitDenied      = 4
	exitUsage       = 64
	exitNoHost      = 68
	exitProtocol    = 76
	exitConfig      = 78
	exitUnreachable = 102
	exitNoSuch      = 105
	exitNoQuorum    = 106
	exitExists      = 108
	exitTimeout     = 124
)

// version is what the tools call themselves: agents compare it.
const version = "2.1.5"

const versionText = "Pacemaker " + version + "\nWritten by Andrew Beekhof and the Pacemaker project contributors\n"

// call is one run of a tool.
type call struct {
	tool   string
	args   []string
	env    func(string) string
	engine Backend
	out    io.Writer
	err    io.Writer
}

// tools is the table of what there is.
var tools = map[string]func(context.Context, *call) int{
	"attrd_updater": attrdUpdater,
	"cibadmin":      cibadmin,
	"crm_attribute": crmAttribute,
	"crm_master":    crmMaster,
	"crm_mon":       crmMon,
	"crm_node":      crmNode,
	"crm_resource":  crmResource,
	"pacemakerd":    pacemakerd,
}

// Tools names the tools: what the links in HA_SBIN_DIR are to be called.
func Tools() []string { return slices.Sorted(maps.Keys(tools)) }

// Main runs one tool and gives its exit status. args[0] names the tool, with
// any path in front; if that is the program's own name, args[1] does.
func Main(ctx context.Context, args []string, env func(string) string, engine Backend, stdout, stderr io.Writer) int {
	for len(args) > 0 {
		name := filepath.Base(args[0])
		if run, ok := tools[name]; ok {
			return run(ctx, &call{name, args[1:], env, engine, stdout, stderr})
		}
		if name != "belay-shim" {
			break
		}
		args = args[1:]
	}
	fmt.Fprintf(stderr, "usage: belay-shim TOOL [OPTION...]\nTools: %s\n", strings.Join(Tools(), " "))
	return exitUsage
}

// fail says what is wrong as most tools do, and gives the exit status.
func (c *call) fail(status int, text string) int {
	fmt.Fprintf(c.err, "%s: %s\n", c.tool, text)
	return status
}

func (c *call) printf(format string, a ...any) { fmt.Fprintf(c.out, format, a...) }

// status gives the exit status for an error of the engine.
func status(err error) int {
	for _, m := range []struct {
		err    error
		status int
	}{
		{ErrUnavailable, exitUnreachable},
		{ErrNoNode, exitNoSuch},
		{ErrNoResource, exitNoSuch},
		{ErrExists, exitExists},
		{ErrNoQuorum, exitNoQuorum},
		{ErrTimeout, exitTimeout},
		{ErrDenied, exitDenied},
		{context.DeadlineExceeded, exitTimeout},
	} {
		if errors.Is(err, m.err) {
			return m.status
		}
	}
	return exitError
}

// target is the node whose attributes an agent means when it names none: the
// one the action is for, which for a container may be its host.
func (c *call) target() string {
	if c.env("OCF_RESKEY_CRM_meta_container_attribute_target") == "host" {
		if host := c.env("OCF_RESKEY_CRM_meta_physical_host"); host != "" {
			return host
		}
	}
	return c.env("OCF_RESKEY_CRM_meta_on_node")
}

// node gives the target, or this node.
func (c *call) node(ctx context.Context) (string, error) {
	if n := c.target(); n != "" {
		return n, nil
	}
	local, err := c.engine.Local(ctx)
	return local.Node, err
}

// lookup finds a configured node.
func (c *call) lookup(ctx context.Context, name string) (Node, error) {
	nodes, err := c.engine.Nodes(ctx)
	if err != nil {
		return Node{}, err
	}
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, ErrNoNode
	}
	return nodes[i], nil
}

// expand computes "value++" and "value+=N" from the value that is there. The
// engine is asked and told in two steps: an attribute has one writer at a time.
func (c *call) expand(ctx context.Context, a Attribute) (string, error) {
	by := 0
	switch rest, ok := strings.CutPrefix(a.Value, "value"); {
	case !ok:
		return a.Value, nil
	case rest == "++":
		by = 1
	case strings.HasPrefix(rest, "+="):
		n, err := strconv.Atoi(rest[2:])
		if err != nil {
			return a.Value, nil //nolint:nilerr // then it is a text like any other
		}
		by = n
	default:
		return a.Value, nil
	}
	found, err := c.engine.QueryAttribute(ctx, a)
	if err != nil || len(found) == 0 {
		return strconv.Itoa(by), err
	}
	old, _ := strconv.Atoi(found[0].Value)
	return strconv.Itoa(clamp(old + by)), nil
}

// infinity is the largest score; sums stop there.
const infinity = 1_000_000

func clamp(n int) int { return max(-infinity, min(infinity, n)) }

// document writes the answer of a tool that was asked for XML.
func (c *call) document(body string) {
	c.printf("<pacemaker-result api-version=\"2.25\"%s>\n%s  <status code=\"0\" message=\"OK\"/>\n</pacemaker-result>\n",
		attribute("request", strings.Join(append([]string{c.tool}, c.args...), " ")), body)
}

// The options that every tool has.
var (
	optVersion = opt(none, "version", "$")
	optVerbose = opt(none, "verbose", "V")
	optOutput  = opt(required, "output-as")
	optTo      = opt(required, "output-to")
	optHelp    = opt(none, "help", "h", "?")
)

func pacemakerd(_ context.Context, c *call) int {
	given, err := parse([]option{optVersion, optVerbose, optHelp, opt(none, "features", "F")}, c.args)
	if err != nil {
		return c.fail(exitUsage, err.Error())
	}
	for _, g := range given {
		if g.name == "version" || g.name == "features" {
			c.printf("%s", versionText)
			return exitOK
		}
	}
	return c.fail(exitUsage, "only --version is answered here: belayd runs this cluster")
}
