package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

func (a *app) authReport() *cobra.Command {
	var noUse bool
	c := command("report", "Review access: who can do what, since when and by whose hand, and when they last used it", `  belay auth report
  belay auth report -o json`, 0, func(c *cobra.Command, _ []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		rows := accessRows(cfg.Config)
		if err := a.addSince(c.Context(), rows); err != nil {
			return err
		}
		report := &render.AccessReport{Time: time.Now().UTC(), Generation: cfg.Generation, Access: rows}
		if !noUse {
			if err := a.addUse(c.Context(), cfg.Config, report); err != nil {
				return err
			}
		}
		return a.print(report, func() string { return render.Access(report, a.style) })
	})
	c.Long = `report lists every user and group that holds a role. Since when is read from the
history of the configuration, the last use from the audit logs of all nodes: the
last log-in, change or refused try of a user. Who is in a group is known to the
name service, so that a group has no last use of its own; those who used something
without a binding of their own are listed, too.`
	c.Flags().BoolVar(&noUse, "no-use", false, "do not read the audit logs")
	return c
}

// accessRows makes a line for every user and group of every binding.
func accessRows(c *cib.Config) []*render.AccessRow {
	rows := []*render.AccessRow{}
	ids := make([]string, 0, len(c.RoleBindings))
	for id := range c.RoleBindings {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b := c.RoleBindings[id]
		row := func(kind, name string) {
			r := &render.AccessRow{
				Kind: kind, Name: name, Role: b.Role, Binding: id, Resources: b.Resources, Nodes: b.Nodes, Exception: b.Exception,
			}
			for _, d := range c.Duties(b.Role) {
				r.Duties = append(r.Duties, string(d))
			}
			rows = append(rows, r)
		}
		for _, u := range b.Users {
			row("user", u)
		}
		for _, g := range b.Groups {
			row("group", g)
		}
	}
	return rows
}

// addSince finds the generation that gave each its role: the newest one before which
// the binding did not name it so.
func (a *app) addSince(ctx context.Context, rows []*render.AccessRow) error {
	history, err := a.engine.History(ctx)
	if err != nil {
		return err
	}
	open := slices.Clone(rows)
	for _, g := range slices.Backward(history) {
		open = slices.DeleteFunc(open, func(r *render.AccessRow) bool { return r.Since != nil })
		if !slices.ContainsFunc(open, func(r *render.AccessRow) bool { return slices.Contains(g.Keys, "role-binding/"+r.Binding) }) {
			continue
		}
		rec, err := a.engine.Generation(ctx, g.Generation)
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNotFound {
			continue // it is no longer kept
		}
		if err != nil {
			return err
		}
		for _, ch := range rec.Changes {
			for _, r := range open {
				if ch.Key == cib.KeyRoleBinding+r.Binding && !names(ch.Before, r) {
					r.Since, r.By, r.Generation = &rec.Time, rec.Actor, rec.Generation
				}
			}
		}
	}
	return nil
}

// names says whether a binding, as it was, gave the role of a row to whom it is
// about.
func names(doc json.RawMessage, r *render.AccessRow) bool {
	var b cib.RoleBinding
	if doc == nil || json.Unmarshal(doc, &b) != nil || b.Role != r.Role {
		return false
	}
	if r.Kind == "user" {
		return slices.Contains(b.Users, r.Name)
	}
	return slices.Contains(b.Groups, r.Name)
}

// addUse reads the audit logs of all nodes.
func (a *app) addUse(ctx context.Context, c *cib.Config, report *render.AccessReport) error {
	last := map[string]time.Time{}
	var nodes []string
	for n := range c.Nodes {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		err := a.auditRecords(ctx, &auditFilter{}, node, "", func(r *audit.Record) {
			for _, who := range []string{r.Actor.User, r.Actor.LoginUID} {
				if who != "" && r.Actor.Via != "engine" && r.Time.After(last[who]) {
					last[who] = r.Time
				}
			}
		})
		if p, ok := errors.AsType[*api.Problem](err); ok && (p.Code == api.CodeStore || p.Code == api.CodeForbidden) {
			report.Unread = append(report.Unread, node)
			continue
		}
		if err != nil {
			return err
		}
	}
	for _, r := range report.Access {
		if t, ok := last[r.Name]; ok && r.Kind == "user" {
			r.LastUsed = &t
			delete(last, r.Name)
		}
	}
	for who, t := range last {
		if !strings.HasPrefix(who, "join-token ") {
			report.Others = append(report.Others, render.AccessUse{User: who, LastUsed: t})
		}
	}
	slices.SortFunc(report.Others, func(a, b render.AccessUse) int { return strings.Compare(a.User, b.User) })
	return nil
}
