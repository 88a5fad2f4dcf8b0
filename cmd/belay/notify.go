package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

func notifyCmd(a *app) *cobra.Command {
	return group("notify", "Webhooks and mail: who is told of events", `  belay notify webhook add chat https://chat.example/hooks/ops --format text --min-severity major
  belay notify mail add ops --smtp mx.example:25 --from belay@example.org --to ops@example.org
  belay notify show
  belay events test`,
		a.notifyShow(),
		group("webhook", "Receivers over HTTPS", `  belay notify webhook add cmdb https://cmdb.example/events --secret
  belay notify webhook delete cmdb`, a.webhookAdd(), a.notifyDelete("webhook", "Delete a webhook")),
		group("mail", "Receivers by mail", `  belay notify mail add ops --smtp mx.example:25 --from belay@example.org --to ops@example.org
  belay notify mail delete ops`, a.mailAdd(), a.notifyDelete("mail-target", "Delete a receiver by mail")),
	)
}

func (a *app) notifyShow() *cobra.Command {
	return command("show", "Show webhooks and receivers by mail", "  belay notify show", 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		out := struct {
			Webhooks map[string]*cib.Webhook    `json:"webhooks"`
			Mail     map[string]*cib.MailTarget `json:"mailTargets"`
			Delivery []api.NotificationTarget   `json:"delivery,omitempty"`
		}{cfg.Config.Webhooks, cfg.Config.MailTargets, nil}
		if out.Delivery, err = a.deliveries(c.Context(), cfg.Config, "webhook", "mail-target"); err != nil {
			return err
		}
		return a.print(out, func() string { return render.Notifiers(cfg.Config, a.style) + render.Deliveries(out.Delivery, a.style) })
	})
}

// eventFilter is what both kinds of receivers filter by.
type eventFilter struct {
	severity, description, caFile string
	events                        []string
}

func (f *eventFilter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.severity, "min-severity", "", "least `severity`: "+strings.Join(cib.Severities.Names(), ", "))
	c.Flags().StringSliceVar(&f.events, "event", nil, "only events with these `codes`")
	c.Flags().StringVar(&f.caFile, "receiver-ca", "", "`file` with who vouches for the receiver; default: whom the node trusts")
	c.Flags().StringVar(&f.description, "description", "", "`text` for people")
}

func (f *eventFilter) fill(doc document) error {
	if f.caFile != "" {
		b, err := os.ReadFile(f.caFile)
		if err != nil {
			return failure{err}
		}
		doc["ca"] = string(b)
	}
	for k, v := range map[string]string{"min-severity": f.severity, "description": f.description} {
		if v != "" {
			doc[k] = v
		}
	}
	if len(f.events) > 0 {
		doc["events"] = f.events
	}
	return nil
}

func (a *app) webhookAdd() *cobra.Command {
	f, filter := &changing{}, &eventFilter{}
	var format string
	var secret, token bool
	c := &cobra.Command{
		Use: "add NAME URL", Short: "Add a webhook",
		Long: `add asks for the secret that signs the messages (--secret) and for the token that the
receiver wants (--token), or reads them from standard input, one a line, in this
order. They never stand on a command line. {token} in the URL stands for the token.`,
		Example: `  belay notify webhook add cmdb https://cmdb.example/events --secret
  belay notify webhook add chat 'https://chat.example/hooks/{token}' --token --format text --min-severity major`,
		Args: exactly(2), ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		doc := document{"url": args[1]}
		if format != "" {
			doc["format"] = format
		}
		var wanted []string
		if secret {
			wanted = append(wanted, "secret")
		}
		if token {
			wanted = append(wanted, "token")
		}
		return a.addNotifier(c, f, filter, "webhook/"+args[0], doc, wanted)
	}
	f.flags(c)
	filter.flags(c)
	c.Flags().StringVar(&format, "format", "", "json (default): the whole event; text: one text, as chats take it")
	c.Flags().BoolVar(&secret, "secret", false, "sign messages with a secret")
	c.Flags().BoolVar(&token, "token", false, "show the receiver a token")
	return c
}

func (a *app) mailAdd() *cobra.Command {
	f, filter := &changing{}, &eventFilter{}
	var server, security, user, from string
	var to []string
	c := &cobra.Command{
		Use: "add NAME", Short: "Add receivers by mail",
		Long: `With --user, add asks for the password, or reads it from standard input. Without
--min-severity, warnings and worse are sent.`,
		Example: `  belay notify mail add ops --smtp mx.example:25 --from belay@example.org --to ops@example.org
  belay notify mail add night --smtp mx.example:465 --security tls --user belay --from belay@example.org --to night@example.org --min-severity critical`,
		Args: exactly(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if server == "" || from == "" || len(to) == 0 {
			return usage("give --smtp HOST:PORT, --from ADDRESS and --to ADDRESS")
		}
		doc := document{"server": server, "from": from, "to": to}
		var wanted []string
		if user != "" {
			doc["user"], wanted = user, []string{"password"}
		}
		if security != "" {
			doc["security"] = security
		}
		return a.addNotifier(c, f, filter, "mail-target/"+args[0], doc, wanted)
	}
	f.flags(c)
	filter.flags(c)
	c.Flags().StringVar(&server, "smtp", "", "mail server, `HOST:PORT`")
	c.Flags().StringVar(&security, "security", "", cib.MailStartTLS+" (default), "+cib.MailTLS+" or "+cib.MailPlain)
	c.Flags().StringVar(&user, "user", "", "`name` to log in with at the mail server")
	c.Flags().StringVar(&from, "from", "", "`address` of the sender")
	c.Flags().StringSliceVar(&to, "to", nil, "`addresses` of the receivers")
	return c
}

// addNotifier asks for what is secret and creates the document.
func (a *app) addNotifier(c *cobra.Command, f *changing, filter *eventFilter, object string, doc document, wanted []string) error {
	if err := filter.fill(doc); err != nil {
		return err
	}
	secrets, err := a.secrets(wanted)
	if err != nil {
		return err
	}
	for i, name := range wanted {
		doc[name] = secrets[i]
	}
	return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: object, Value: encode(doc)}, nil)
}

// deliveries tells how far the targets of some kinds are. The management daemons know:
// one of them is asked, or what they keep is read, which at the engine's socket only root
// may do. Others get nothing.
func (a *app) deliveries(ctx context.Context, config *cib.Config, kinds ...string) ([]api.NotificationTarget, error) {
	var all []api.NotificationTarget
	var err error
	if a.remote != "" {
		all, err = a.engine.NotificationTargets(ctx)
	} else {
		all, err = a.localDeliveries(ctx, config)
	}
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeForbidden {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(t api.NotificationTarget) bool { return !slices.Contains(kinds, t.Kind) }), err
}

func (a *app) localDeliveries(ctx context.Context, config *cib.Config) ([]api.NotificationTarget, error) {
	docs, err := a.engine.Documents(ctx)
	if err != nil {
		return nil, err
	}
	var events []*cib.Event
	err = a.engine.Events(ctx, 0, false, func(ev *cib.Event) error {
		events = append(events, ev)
		return nil
	})
	if err != nil {
		return nil, err
	}
	cursors := &outbox.Cursors{}
	cursors.Update(docs)
	return cursors.Receivers(config, events, nil), nil
}

func (a *app) notifyDelete(kind, text string) *cobra.Command {
	word := strings.TrimSuffix(kind, "-target")
	c := a.simple("delete NAME", text, "  belay notify "+word+" delete NAME", kind, api.ActionDelete, nil)
	c.ValidArgsFunction = a.complete(kind)
	return c
}
