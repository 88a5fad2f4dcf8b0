package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/authz"
)

func authCmd(a *app) *cobra.Command {
	return group("auth", "Who may do what: roles, and who holds them", `  belay auth bind operator --group dba --resource db
  belay auth can-i stop resource/web --as anna --groups staff,dba
  belay auth report`,
		a.authCan(), a.authTable(), a.authReport(), a.authRole(), a.authBind(), a.authUnbind())
}

// canAnswer is what can-i says to programs.
type canAnswer struct {
	Allowed bool     `json:"allowed"`
	Reason  string   `json:"reason"`
	Rule    string   `json:"rule,omitempty"`
	Roles   []string `json:"roles"`
}

func (a *app) authCan() *cobra.Command {
	var as string
	var groups []string
	c := command("can-i ACTION OBJECT", "Say whether somebody may do something, and why", `  belay auth can-i stop resource/web
  belay auth can-i fence node/n1 --as anna --groups belay-operator
  belay auth can-i apply cluster --as anna`, 2, func(c *cobra.Command, args []string) error {
		action, object := args[0], args[1]
		if !slices.ContainsFunc(cib.AccessActions, func(x cib.AccessAction) bool { return x.Name == action }) {
			return usage("there is no action %q: %s", action, actionNames())
		}
		if kind, _, _ := strings.Cut(object, "/"); !slices.Contains(cib.AccessKinds(), kind) {
			return usage("there is no kind of object %q: %s", kind, strings.Join(cib.AccessKinds(), ", "))
		}
		d, err := a.can(c.Context(), as, groups, action, object)
		if err != nil {
			return err
		}
		if err := a.print(d, func() string {
			word := "no"
			if d.Allowed {
				word = "yes"
			}
			return word + ": " + d.Reason + "\n"
		}); err != nil {
			return err
		}
		if !d.Allowed {
			return errFailed
		}
		return nil
	})
	c.Long = `can-i answers yes or no with the reason, and exits with 0 or 1. Without --as it is
about you: root at the engine's socket needs no role; with --server you are who is
logged in. The groups of another person
are those that this node knows, unless --groups names them.`
	c.Flags().StringVar(&as, "as", "", "`user` to ask for")
	c.Flags().StringSliceVar(&groups, "groups", nil, "`groups` of that user, instead of those that this node knows")
	return c
}

// can decides here, by the configuration; with --server the management daemon does, which
// knows who is logged in.
func (a *app) can(ctx context.Context, as string, groups []string, action, object string) (*canAnswer, error) {
	if a.remote != "" {
		v, d := rightsOf(as, groups), &canAnswer{}
		v.Set("action", action)
		v.Set("object", object)
		if err := a.restGet(ctx, "/v1/can-i?"+v.Encode(), d); err != nil {
			return nil, err
		}
		var held rightsThere
		if err := a.restGet(ctx, "/v1/access/table?"+rightsOf(as, groups).Encode(), &held); err != nil {
			return nil, err
		}
		d.Roles = held.Roles
		return d, nil
	}
	s, err := whoAsks(as, groups)
	if err != nil {
		return nil, err
	}
	e, err := a.enforcer(ctx)
	if err != nil {
		return nil, err
	}
	d := e.Can(s, action, object)
	return &canAnswer{d.Allowed, d.Reason, d.Rule, e.Held(s).Roles}, nil
}

// rightsThere is what the management daemon says of somebody's rights.
type rightsThere struct {
	Roles []string    `json:"roles"`
	Rows  []rightsRow `json:"rows"`
}

// rightsOf names whose rights are asked for; nobody is who is logged in.
func rightsOf(as string, groups []string) url.Values {
	v := url.Values{}
	if as != "" {
		v.Set("user", as)
		v.Set("group", strings.Join(groups, ","))
	}
	return v
}

// rights lists what somebody may do, by kind of object.
func (a *app) rights(ctx context.Context, as string, groups []string) ([]rightsRow, error) {
	if a.remote != "" {
		var there rightsThere
		err := a.restGet(ctx, "/v1/access/table?"+rightsOf(as, groups).Encode(), &there)
		return there.Rows, err
	}
	s, err := whoAsks(as, groups)
	if err != nil {
		return nil, err
	}
	e, err := a.enforcer(ctx)
	if err != nil {
		return nil, err
	}
	rows := []rightsRow{}
	for _, kind := range cib.AccessKinds() {
		row := rightsRow{Kind: kind, Object: kind, Actions: []string{}}
		if kind != "cluster" && kind != "audit" {
			row.Object += "/*"
		}
		for _, x := range cib.AccessActions {
			if e.Can(s, x.Name, row.Object).Allowed {
				row.Actions = append(row.Actions, x.Name)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// rightsRow is what somebody may do with objects of a kind.
type rightsRow struct {
	Kind    string   `json:"kind"`
	Object  string   `json:"object"` // that was asked about: of its kind, any
	Actions []string `json:"actions"`
}

func (a *app) authTable() *cobra.Command {
	var as string
	var groups []string
	c := command("table", "List every action that somebody may do, by kind of object", `  belay auth table
  belay auth table --as anna --groups belay-operator`, 0, func(c *cobra.Command, _ []string) error {
		rows, err := a.rights(c.Context(), as, groups)
		if err != nil {
			return err
		}
		return a.print(rows, func() string {
			var b strings.Builder
			for _, r := range rows {
				fmt.Fprintf(&b, "%-20s %s\n", r.Kind, strings.Join(r.Actions, " "))
			}
			return b.String()
		})
	})
	c.Flags().StringVar(&as, "as", "", "`user` to ask for")
	c.Flags().StringSliceVar(&groups, "groups", nil, "`groups` of that user, instead of those that this node knows")
	return c
}

func actionNames() string {
	var out []string
	for _, x := range cib.AccessActions {
		out = append(out, x.Name)
	}
	return strings.Join(out, ", ")
}

// whoAsks is the subject that can-i is about.
func whoAsks(name string, groups []string) (authz.Subject, error) {
	if name == "" {
		if os.Geteuid() == 0 {
			return authz.Subject{User: "root", BreakGlass: true}, nil
		}
		u, err := user.Current()
		if err != nil {
			return authz.Subject{}, failure{err}
		}
		name = u.Username
	}
	if groups == nil {
		groups = groupsOf(name)
	}
	return authz.Subject{User: name, Groups: groups}, nil
}

// groupsOf lists the groups of a user as this node knows them.
func groupsOf(name string) []string {
	u, err := user.Lookup(name)
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var out []string
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			out = append(out, g.Name)
		}
	}
	return out
}

func (a *app) enforcer(ctx context.Context) (*authz.Enforcer, error) {
	cfg, err := a.engine.Config(ctx)
	if err != nil {
		return nil, err
	}
	e, err := authz.New(cfg.Config)
	if err != nil {
		return nil, api.NewProblem(api.CodeDefect, err.Error())
	}
	return e, nil
}

func (a *app) authRole() *cobra.Command {
	list := command("list", "List the roles, built in and configured", "  belay auth role list", 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		all := map[string]*cib.AccessRole{}
		maps.Copy(all, cfg.Config.Roles)
		maps.Copy(all, cib.BuiltinRoles)
		return a.print(all, func() string { return render.Roles(all) })
	})
	show := command("show NAME", "Show what a role allows and denies", "  belay auth role show operator", 1, func(c *cobra.Command, args []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		r := cfg.Config.AccessRoleOf(args[0])
		if r == nil {
			return api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no role %q", args[0]))
		}
		rules, from := cfg.Config.AccessRules(args[0])
		return a.print(r, func() string { return render.Role(args[0], r, rules, from) })
	})
	del := a.simple("delete NAME", "Delete a role that nobody holds", "  belay auth role delete db-operator", "role", api.ActionDelete, nil)
	del.ValidArgsFunction = a.complete("role")
	return group("role", "Roles: what may be done", `  belay auth role list
  belay auth role show operator
  belay auth role create db-operator --include viewer --allow start,stop,cleanup:resource/db-*`, list, show, a.roleCreate(), del)
}

func (a *app) roleCreate() *cobra.Command {
	f := &changing{}
	var allow, deny, include []string
	var description string
	c := f.flags(command("create NAME", "Create a role beside the built-in ones", `  belay auth role create db-operator --include viewer --allow start,stop,cleanup:resource/db-*
  belay auth role create no-fencing --deny fence,fence-confirm:*`, 1, func(c *cobra.Command, args []string) error {
		role := &cib.AccessRole{Description: description, Includes: include}
		for _, x := range []struct {
			flag  string
			rules []string
			deny  bool
		}{{"allow", allow, false}, {"deny", deny, true}} {
			for _, text := range x.rules {
				actions, objects, ok := strings.Cut(text, ":")
				if !ok || actions == "" || objects == "" {
					return usage("--%s %s: write ACTIONS:OBJECTS, such as start,stop:resource/db-*", x.flag, text)
				}
				role.Rules = append(role.Rules, cib.AccessRule{Actions: strings.Split(actions, ","), Objects: strings.Split(objects, ","), Deny: x.deny})
			}
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "role/" + args[0], Value: encode(role)}, nil)
	}))
	c.Flags().StringArrayVar(&allow, "allow", nil, "allow `actions:objects`, each a list with commas; may be repeated")
	c.Flags().StringArrayVar(&deny, "deny", nil, "deny `actions:objects`, whatever other roles allow; may be repeated")
	c.Flags().StringSliceVar(&include, "include", nil, "all that these `roles` allow and deny, too")
	c.Flags().StringVar(&description, "description", "", "`text` for people")
	return c
}

func (a *app) authBind() *cobra.Command {
	f := &changing{}
	b := &cib.RoleBinding{}
	var id string
	c := f.flags(command("bind ROLE", "Give a role to users or groups", `  belay auth bind operator --group dba --resource db --node n1
  belay auth bind auditor --user anna
  belay auth bind admin --user anna --exception "team of one, signed by the board"`, 1, func(c *cobra.Command, args []string) error {
		b.Role = args[0]
		if len(b.Users)+len(b.Groups) == 0 {
			return usage("name who gets it: --user or --group")
		}
		name := id
		if name == "" {
			cfg, err := a.engine.Config(c.Context())
			if err != nil {
				return err
			}
			name = bindingID(cfg.Config, b)
		}
		return a.change(c, f, &api.Change{Action: api.ActionCreate, Object: "role-binding/" + name, Value: encode(b)}, nil)
	}))
	x := c.Flags()
	x.StringSliceVar(&b.Users, "user", nil, "`users` who get it")
	x.StringSliceVar(&b.Groups, "group", nil, "`groups` whose members get it")
	x.StringSliceVar(&b.Resources, "resource", nil, "only to change these `resources`; a group stands for what is in it, * for any text")
	x.StringSliceVar(&b.Nodes, "node", nil, "only to change these `nodes`")
	x.StringVar(&b.Exception, "exception", "", "`why` who holds it may hold what separation of duties forbids")
	x.StringVar(&b.Description, "description", "", "`text` for people")
	x.StringVar(&id, "id", "", "`name` of the binding (default: made from the role and who gets it)")
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return append(slices.Sorted(maps.Keys(cib.BuiltinRoles)), a.names(c, "role")...), cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// bindingID makes a name that is free.
func bindingID(c *cib.Config, b *cib.RoleBinding) string {
	who := slices.Concat(b.Users, b.Groups)[0]
	base := b.Role + "-" + strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, who)
	name := base[:min(len(base), cib.IDMax-4)]
	for n := 2; c.RoleBindings[name] != nil; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

func (a *app) authUnbind() *cobra.Command {
	c := a.simple("unbind NAME", "Take a role away: delete a binding", "  belay auth unbind operator-dba", "role-binding", api.ActionDelete, nil)
	c.ValidArgsFunction = a.complete("role-binding")
	return c
}
