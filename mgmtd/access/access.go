// Package access reviews who may do what in a cluster: since when, by whose hand, and
// when they last used it.
package access

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// Engine is what the engine's socket, or a management daemon, is asked for.
type Engine interface {
	History(ctx context.Context) ([]api.GenerationInfo, error)
	Generation(ctx context.Context, n uint64) (*cib.GenerationRecord, error)
	Audit(ctx context.Context, q *api.AuditQuery) (*api.AuditPage, error)
}

// Row is one line of an access review: somebody and a role.
type Row struct {
	Kind       string     `json:"kind"` // user, group, or snmp-user: who reads over SNMP without a log-in
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Duties     []string   `json:"duties"`
	Binding    string     `json:"binding"`
	Resources  []string   `json:"resources,omitempty"` // limited to these
	Nodes      []string   `json:"nodes,omitempty"`
	Exception  string     `json:"exception,omitempty"`
	Since      *time.Time `json:"since,omitempty"` // none: longer than the history is kept
	By         string     `json:"by,omitempty"`
	Generation uint64     `json:"generation,omitempty"`
	LastUsed   *time.Time `json:"lastUsed,omitempty"`
}

// Use is somebody who used something without a binding of their own.
type Use struct {
	User     string    `json:"user"`
	LastUsed time.Time `json:"lastUsed"`
}

// Report is an access review.
type Report struct {
	Time       time.Time `json:"time"`
	Generation uint64    `json:"generation"`
	Access     []*Row    `json:"access"`
	Others     []Use     `json:"others,omitempty"`
	Unread     []string  `json:"unread,omitempty"` // nodes whose audit log was not read
}

// Review makes the report of a configuration. Without use, the audit logs are not read.
func Review(ctx context.Context, e Engine, cfg *api.Config, use bool, now time.Time) (*Report, error) {
	out := &Report{Time: now.UTC(), Generation: cfg.Generation, Access: accessRows(cfg.Config)}
	if err := addSince(ctx, e, out.Access); err != nil {
		return nil, err
	}
	if use {
		if err := addUse(ctx, e, cfg.Config, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// records reads the whole audit log of a node.
func records(ctx context.Context, e Engine, node string, each func(*audit.Record)) error {
	for q := (&api.AuditQuery{Node: node}); ; {
		page, err := e.Audit(ctx, q)
		if err != nil {
			return err
		}
		for _, b := range page.Records {
			r := &audit.Record{}
			if err := json.Unmarshal(b, r); err != nil {
				return api.NewProblem(api.CodeDefect, "a record can't be read: "+err.Error())
			}
			each(r)
		}
		if page.Next == 0 {
			return nil
		}
		q.After = page.Next
	}
}

// accessRows makes a line for every user and group of every binding.
func accessRows(c *cib.Config) []*Row {
	rows := []*Row{}
	ids := make([]string, 0, len(c.RoleBindings))
	for id := range c.RoleBindings {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b := c.RoleBindings[id]
		row := func(kind, name string) {
			r := &Row{
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
	for _, name := range slices.Sorted(maps.Keys(c.SNMPUsers)) {
		if c.SNMPUsers[name].Agent {
			rows = append(rows, &Row{Kind: "snmp-user", Name: name, Role: "SNMP", Duties: []string{string(cib.DutyRead)}})
		}
	}
	return rows
}

// addSince finds the generation that gave each its role: the newest one before which
// the binding did not name it so.
func addSince(ctx context.Context, e Engine, rows []*Row) error {
	history, err := e.History(ctx)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(slices.Clone(rows), func(r *Row) bool { return r.Binding == "" })
	for _, g := range slices.Backward(history) {
		open = slices.DeleteFunc(open, func(r *Row) bool { return r.Since != nil })
		if !slices.ContainsFunc(open, func(r *Row) bool { return slices.Contains(g.Keys, "role-binding/"+r.Binding) }) {
			continue
		}
		rec, err := e.Generation(ctx, g.Generation)
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
func names(doc json.RawMessage, r *Row) bool {
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
func addUse(ctx context.Context, e Engine, c *cib.Config, report *Report) error {
	last := map[string]time.Time{}
	var nodes []string
	for n := range c.Nodes {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		err := records(ctx, e, node, func(r *audit.Record) {
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
			report.Others = append(report.Others, Use{User: who, LastUsed: t})
		}
	}
	slices.SortFunc(report.Others, func(a, b Use) int { return strings.Compare(a.User, b.User) })
	return nil
}
