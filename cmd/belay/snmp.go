package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/snmp/mib"
)

func snmpCmd(a *app) *cobra.Command {
	return group("snmp", "SNMP: the agent, its users, and who gets notifications", `  belay snmp mib > BELAY-MIB
  belay snmp user add ops --agent
  belay snmp target add nms 10.9.0.1:162 --user ops --inform --min-severity major
  belay snmp set --listen udp:0.0.0.0:1161`,
		a.snmpMIB(), a.snmpExporter(), a.snmpShow(), a.snmpSet(),
		group("user", "Users of SNMPv3 and communities of version 2c", `  belay snmp user add ops --agent
  belay snmp user delete ops`, a.snmpUserAdd(), a.snmpDelete("user")),
		group("target", "Receivers of notifications", `  belay snmp target add nms 10.9.0.1:162 --user ops --inform
  belay snmp target delete nms`, a.snmpTargetAdd(), a.snmpDelete("target")),
	)
}

func (a *app) snmpMIB() *cobra.Command {
	pen := uint32(mib.DocumentationPEN)
	c := command("mib", "Print BELAY-MIB, for management stations", `  belay snmp mib > /usr/share/snmp/mibs/BELAY-MIB
  belay snmp mib --pen 99999`, 0, func(*cobra.Command, []string) error {
		_, err := io.WriteString(a.out, mib.Text(pen))
		return err
	})
	c.Flags().Uint32Var(&pen, "pen", pen, "private enterprise `number` that the module hangs from")
	return c
}

func (a *app) snmpExporter() *cobra.Command {
	pen := uint32(mib.DocumentationPEN)
	c := command("exporter", "Print a module for Prometheus' snmp_exporter", "  belay snmp exporter > belay.yml", 0, func(*cobra.Command, []string) error {
		_, err := io.WriteString(a.out, mib.ExporterModule(pen))
		return err
	})
	c.Flags().Uint32Var(&pen, "pen", pen, "private enterprise `number` that the module hangs from")
	return c
}

func (a *app) snmpShow() *cobra.Command {
	return command("show", "Show the agent's settings, users and targets", "  belay snmp show", 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		out := struct {
			Settings cib.SNMP                   `json:"settings"`
			Users    map[string]*cib.SNMPUser   `json:"users"`
			Targets  map[string]*cib.SNMPTarget `json:"targets"`
			Delivery []api.NotificationTarget   `json:"delivery,omitempty"`
		}{cfg.Config.Cluster.SNMP, cfg.Config.SNMPUsers, cfg.Config.SNMPTargets, nil}
		if out.Delivery, err = a.deliveries(c.Context(), cfg.Config, "snmp-target"); err != nil {
			return err
		}
		return a.print(out, func() string { return render.SNMP(cfg.Config, a.style) + render.Deliveries(out.Delivery, a.style) })
	})
}

func (a *app) snmpSet() *cobra.Command {
	f := &changing{}
	var listen, agentx, heartbeat string
	var pen uint32
	c := command("set", "Set where the agent answers", `  belay snmp set --listen udp:0.0.0.0:1161
  belay snmp set --agentx unix:/var/agentx/master
  belay snmp set --listen ""`, 0, nil)
	c.RunE = func(c *cobra.Command, _ []string) error {
		doc := document{}
		for flag, v := range map[string]any{"listen": listen, "agentx": agentx, "heartbeat": heartbeat, "enterprise-number": pen} {
			if !c.Flags().Changed(flag) {
				continue
			}
			doc[flag] = v
			if v == "" || v == uint32(0) {
				doc[flag] = nil // back to the default
			}
		}
		if len(doc) == 0 {
			return usage("nothing to set: give --listen, --agentx, --heartbeat or --enterprise-number")
		}
		return a.change(c, f, &api.Change{Action: api.ActionPatch, Object: "cluster", Value: encode(document{"snmp": doc})}, nil)
	}
	f.flags(c)
	c.Flags().StringVar(&listen, "listen", "", "`address` at which a private agent answers on every node: udp:ADDRESS:PORT")
	c.Flags().StringVar(&agentx, "agentx", "", "`address` of the master agent of a node's own snmpd: unix:PATH or tcp:HOST:PORT")
	c.Flags().StringVar(&heartbeat, "heartbeat", "", "`time` between notifications which only say that the sender lives")
	c.Flags().Uint32Var(&pen, "enterprise-number", 0, "private enterprise `number` that the MIB hangs from")
	return c
}

func (a *app) snmpUserAdd() *cobra.Command {
	f := &changing{}
	var auth, priv string
	var agent, v2c bool
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a user of SNMPv3, or a community",
		Long: `add asks for both pass phrases, or reads them from standard input, one a line:
first the one that authenticates, then the one that encrypts. With --v2c it reads
one line, the community. They never stand on a command line.`,
		Example: `  belay snmp user add ops --agent
  printf '%s\n' "$AUTH" "$PRIV" | belay snmp user add ops
  belay snmp user add legacy --v2c`,
		Args: exactly(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		doc := document{}
		wanted := []string{"auth-passphrase", "priv-passphrase"}
		if v2c {
			wanted = []string{"community"}
		}
		secrets, err := a.secrets(wanted)
		if err != nil {
			return err
		}
		for i, name := range wanted {
			doc[name] = secrets[i]
		}
		for k, v := range map[string]string{"auth": auth, "priv": priv} {
			if v != "" {
				doc[k] = v
			}
		}
		if agent {
			doc["agent"] = true
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "snmp-user/" + args[0], Value: encode(doc)}, nil)
	}
	f.flags(c)
	c.Flags().StringVar(&auth, "auth", "", "`protocol` that authenticates: SHA-256 (default), SHA-512 or SHA")
	c.Flags().StringVar(&priv, "priv", "", "`protocol` that encrypts: AES (default) or AES-256")
	c.Flags().BoolVar(&agent, "agent", false, "may read from the private agent")
	c.Flags().BoolVar(&v2c, "v2c", false, "a community of version 2c, which is sent in the clear")
	return c
}

// secrets reads one line for each name: at a terminal it asks and does not show what is
// typed.
func (a *app) secrets(names []string) ([]string, error) {
	f, _ := a.in.(*os.File)
	asking := f != nil && term.IsTerminal(int(f.Fd()))
	r := bufio.NewReader(io.LimitReader(a.in, api.BodyMaxBytes))
	var out []string
	for _, name := range names {
		var line string
		var err error
		if asking {
			a.ask(name)
			var b []byte
			b, err = term.ReadPassword(int(f.Fd()))
			line = string(b)
			a.say("")
		} else if line, err = r.ReadString('\n'); errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		if line = strings.TrimRight(line, "\r\n"); err != nil || line == "" {
			return nil, usage("no %s: give %s on standard input, one a line", name, strings.Join(names, " and "))
		}
		out = append(out, line)
	}
	return out, nil
}

func (a *app) ask(name string) { _, _ = fmt.Fprintf(a.err, "%s: ", name) }

func (a *app) snmpTargetAdd() *cobra.Command {
	f := &changing{}
	var user, severity, timeout string
	var events []string
	var inform bool
	retries := -1
	c := &cobra.Command{
		Use: "add NAME HOST:PORT", Short: "Add a receiver of notifications",
		Example: `  belay snmp target add nms 10.9.0.1:162 --user ops --inform
  belay snmp target add pager 10.9.0.2:162 --user ops --min-severity critical`,
		Args: exactly(2), ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if user == "" {
			return usage("name the SNMP user with --user; belay snmp user add makes one")
		}
		doc := document{"address": args[1], "user": user}
		if inform {
			doc["inform"] = true
		}
		for k, v := range map[string]string{"min-severity": severity, "timeout": timeout} {
			if v != "" {
				doc[k] = v
			}
		}
		if len(events) > 0 {
			doc["events"] = events
		}
		if retries >= 0 {
			doc["retries"] = retries
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "snmp-target/" + args[0], Value: encode(doc)}, nil)
	}
	f.flags(c)
	c.Flags().StringVar(&user, "user", "", "SNMP `user` or community to send as")
	c.Flags().BoolVar(&inform, "inform", false, "wait for the answer, and send again without it")
	c.Flags().StringVar(&severity, "min-severity", "", "least `severity`: "+strings.Join(cib.Severities.Names(), ", "))
	c.Flags().StringSliceVar(&events, "event", nil, "only events with these `codes`")
	c.Flags().StringVar(&timeout, "answer-timeout", "", "`time` for the answer to an inform")
	c.Flags().IntVar(&retries, "retries", retries, "`times` that an inform is sent again at once")
	_ = c.RegisterFlagCompletionFunc("user", a.complete("snmp-user"))
	return c
}

func (a *app) snmpDelete(what string) *cobra.Command {
	kind := "snmp-" + what
	text := map[string]string{"user": "Delete an SNMP user", "target": "Delete a receiver of notifications"}[what]
	c := a.simple("delete NAME", text, "  belay snmp "+what+" delete NAME", kind, api.ActionDelete, nil)
	c.ValidArgsFunction = a.complete(kind)
	return c
}
