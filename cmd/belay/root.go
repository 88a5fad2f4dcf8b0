package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/client"
)

// app is what every command needs.
type app struct {
	in       io.Reader
	out, err io.Writer
	socket   string
	remote   string // address of a management daemon; "": the engine's socket
	caFile   string // whom to trust with it
	output   string // table, json or yaml
	color    string // auto, always or never
	style    render.Style
	terminal bool // what is written goes to a person
	answers  bool // what is read comes from a person
	engine   *client.Client
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run runs one command and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if a.engine != nil {
		a.engine.Close()
	}
	return a.explain(err)
}

// explain prints what went wrong and returns the exit code for it.
func (a *app) explain(err error) int {
	if err == nil {
		return api.ExitDone
	}
	p, ok := errors.AsType[*api.Problem](err)
	switch {
	case ok && a.output == "json":
		b, _ := json.MarshalIndent(p, "", "  ") // a problem always marshals
		_, _ = fmt.Fprintln(a.err, string(b))
		return api.ExitCode(p.Code)
	case ok:
		_, _ = fmt.Fprint(a.err, render.Problem(p, a.style))
		return api.ExitCode(p.Code)
	case errors.Is(err, context.Canceled):
		return api.ExitFailed
	case errors.Is(err, errFailed):
		return api.ExitFailed
	}
	_, _ = fmt.Fprintf(a.err, "belay: %s\n", err)
	if _, ok := errors.AsType[failure](err); ok {
		return api.ExitFailed
	}
	return api.ExitUsage // of the command line itself
}

// errFailed ends a command that has said by itself what failed.
var errFailed = errors.New("failed")

// failure is an error of the machine the command runs on, not of how it was
// called: a file that is not there.
type failure struct{ error }

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "belay",
		Short: "High availability for Linux services",
		Long: `belay shows and changes a Belay cluster. It talks to the engine on this node,
belayd, over a unix socket: root may change, members of the group belay may look.
With --server it asks a management daemon over the network, with the same commands
and answers: belay login comes first.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no quorum or the engine
does not answer, 4 conflict with somebody else's change.`,
		Example: `  belay status                       what runs where, and what is wrong
  belay apply -f cluster.yaml --dry-run
  belay move web --to n2 --wait
  belay explain resource web`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.prepare() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.socket, "socket", "", "`path` of the engine's socket (default $BELAY_SOCKET, else "+api.SocketPath+")")
	f.StringVar(&a.remote, "server", "", "`address` of a management daemon to ask instead, https://HOST:PORT (default $BELAY_SERVER); see belay login")
	f.StringVar(&a.caFile, "ca-file", "", "`file` with the certificate of the server's authority, PEM (default: as at the log-in)")
	f.StringVarP(&a.output, "output", "o", "table", "`format`: table for people, json, jsonl (a line each) or yaml for programs")
	f.StringVar(&a.color, "color", "auto", "`when` to use colours: auto, always or never; NO_COLOR is respected")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddGroup(&cobra.Group{ID: "see", Title: "See:"}, &cobra.Group{ID: "change", Title: "Change:"}, &cobra.Group{ID: "run", Title: "Run:"})
	for id, list := range map[string][]*cobra.Command{
		"see":    {statusCmd(a), eventsCmd(a), alarmsCmd(a), explainCmd(a), impactCmd(a), checkCmd(a), locateCmd(a), planCmd(a), auditCmd(a), getCmd(a), diffCmd(a), historyCmd(a), agentsCmd(a), simulateCmd(a)},
		"change": {applyCmd(a), rollbackCmd(a), resourceCmd(a), moveCmd(a), constraintCmd(a), nodeCmd(a), fenceCmd(a), attributeCmd(a), ticketCmd(a), quorumCmd(a), snmpCmd(a), notifyCmd(a), authCmd(a), importCmd(a)},
		"run":    {clusterCmd(a), logCmd(a), reportCmd(a), loginCmd(a), logoutCmd(a), devCmd()},
	} {
		for _, c := range list {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	root.AddCommand(versionCmd(a), docsCmd(a), hidden(logLevelCmd(a, "log-level")))
	return root
}

func hidden(c *cobra.Command) *cobra.Command {
	c.Hidden = true
	return c
}

// prepare reads the flags that all commands have.
func (a *app) prepare() error {
	if a.socket == "" {
		a.socket = os.Getenv("BELAY_SOCKET")
	}
	if a.remote == "" && a.socket == "" {
		a.remote = os.Getenv("BELAY_SERVER")
	}
	a.engine = client.New(a.socket)
	if a.remote != "" {
		if err := a.connect(); err != nil {
			return err
		}
	}
	switch a.output {
	case "table", "json", "yaml", "jsonl":
	default:
		return usage("--output %s: choose table, json, jsonl or yaml", a.output)
	}
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.terminal = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			a.style.Width = w
		}
	}
	if f, ok := a.in.(*os.File); ok {
		a.answers = term.IsTerminal(int(f.Fd()))
	}
	a.style.Zone = time.Local
	a.style.Unicode = a.terminal && strings.Contains(strings.ToUpper(os.Getenv("LC_ALL")+os.Getenv("LC_CTYPE")+os.Getenv("LANG")), "UTF")
	switch a.color {
	case "always":
		a.style.Color = true
	case "never":
	case "auto":
		a.style.Color = a.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	default:
		return usage("--color %s: choose auto, always or never", a.color)
	}
	return nil
}

// print writes a value as the user wants it: text is called for people only.
func (a *app) print(v any, text func() string) error {
	var b []byte
	var err error
	switch a.output {
	case "json":
		b, err = json.MarshalIndent(v, "", "  ")
		b = append(b, '\n')
	case "jsonl":
		b, err = json.Marshal(v)
		b = append(b, '\n')
	case "yaml":
		b, err = yaml.Marshal(v)
	default:
		b = []byte(text())
	}
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	_, err = a.out.Write(b)
	return err
}

func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format+"\n", args...) }

// group is a command that only holds others: alone it shows them.
func group(use, short, example string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(sub...)
	return c
}

// command makes a command that takes the arguments that its use line names.
func command(use, short, example string, n int, do func(c *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Example: example, Args: exactly(n), RunE: do, ValidArgsFunction: cobra.NoFileCompletions}
}

func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("usage: belay %s", strings.TrimPrefix(c.UseLine(), "belay "))
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("usage: belay %s", strings.TrimPrefix(c.UseLine(), "belay "))
		}
		return nil
	}
}

func atLeast(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("usage: belay %s", strings.TrimPrefix(c.UseLine(), "belay "))
		}
		return nil
	}
}

func versionCmd(a *app) *cobra.Command {
	return command("version", "Print the version", "  belay version", 0, func(*cobra.Command, []string) error {
		return a.print(map[string]string{"version": version}, func() string { return "belay " + version + "\n" })
	})
}
