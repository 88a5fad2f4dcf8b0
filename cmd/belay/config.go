package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
)

// readDocument reads a file, or standard input for "-", as YAML or JSON, and
// returns it as JSON. A key that stands twice is refused.
func (a *app) readDocument(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, usage("name a file: -f cluster.yaml, or -f - for standard input")
	}
	var b []byte
	var err error
	if file == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, api.BodyMaxBytes+1))
	} else {
		b, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return nil, failure{fmt.Errorf("read the configuration: %w", err)}
	case len(b) > api.BodyMaxBytes:
		return nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("%s has more than %d bytes", file, api.BodyMaxBytes))
	case len(bytes.TrimSpace(b)) == 0:
		return nil, api.NewProblem(api.CodeInvalid, file+" is empty")
	}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) && json.Valid(b) {
		return b, nil // the engine sees keys that stand twice
	}
	doc, err := yaml.YAMLToJSONStrict(b)
	if err != nil {
		return nil, api.NewProblem(api.CodeInvalid, file+" is no YAML: "+oneLine(err))
	}
	return doc, nil
}

// oneLine tidies an error of the YAML library, which is several lines.
func oneLine(err error) string {
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n", "")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), ";")
}

func applyCmd(a *app) *cobra.Command {
	f := &changing{}
	var file string
	var merge bool
	c := f.flags(command("apply -f FILE", "Make the configuration what a file says", `  belay apply -f cluster.yaml --dry-run     the differences, and what the cluster would do
  belay apply -f cluster.yaml --wait
  belay apply -f part.yaml --merge          keep what the file does not name; null removes
  belay get | sed s/10.0.0.100/10.0.0.101/ | belay apply -f -`, 0, func(c *cobra.Command, _ []string) error {
		doc, err := a.readDocument(file)
		if err != nil {
			return err
		}
		return a.change(c, f, &api.Change{Action: api.ActionApply, Object: "cluster", Value: doc, Merge: merge}, nil)
	}))
	c.Long = `apply replaces the whole configuration, or with --merge the parts that the file
names (RFC 7396). It is applied whole or not at all. Nodes are neither added nor
removed: belay cluster join and belay node remove do that. A secret that the file
shows as ******** stays as it is.`
	c.Flags().StringVarP(&file, "file", "f", "", "YAML or JSON `file`; - is standard input")
	c.Flags().BoolVar(&merge, "merge", false, "keep what the file does not name")
	_ = c.MarkFlagFilename("file", "yaml", "yml", "json") // the flag exists
	return c
}

// kinds are the objects of the configuration with the section they are in.
var kinds = map[string]string{
	"node": "nodes", "resource": "resources", "constraint": "constraints", "fence-device": "fence-devices",
	"fence-topology": "fence-topology", "quorum-device": "quorum-devices", "ticket": "tickets",
	"audit-rule": "audit-rules",
	"role":       "roles", "role-binding": "role-bindings", "remote-node": "remote-nodes", "snmp-user": "snmp-users", "snmp-target": "snmp-targets",
	"webhook": "webhooks", "mail-target": "mail-targets", "cim-filter": "cim-filters", "cim-destination": "cim-destinations", "cim-subscription": "cim-subscriptions",
}

// section finds the section for what a person typed: resource or resources.
func section(word string) (string, error) {
	if word == "cluster" {
		return word, nil
	}
	for kind, field := range kinds {
		if word == kind || word == field {
			return field, nil
		}
	}
	return "", usage("%q is no kind of object: cluster, %s", word, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
}

func getCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "get [KIND [NAME]]",
		Short: "Print the configuration, or a part of it",
		Example: `  belay get > cluster.yaml
  belay get resource
  belay get resource web -o json`,
		Args:              atMost(2),
		ValidArgsFunction: a.completeObjects,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := a.engine.Config(c.Context())
		if err != nil {
			return err
		}
		doc, err := part(cfg.Config, args)
		if err != nil {
			return err
		}
		if a.output == "table" {
			a.output = "yaml" // a configuration has no better form
		}
		return a.print(doc, nil)
	}
	return c
}

// part picks a section or an object.
func part(c *cib.Config, args []string) (any, error) {
	if len(args) == 0 {
		return c, nil
	}
	field, err := section(args[0])
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(encode(c), &all); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(args) == 1 || field == "cluster" {
		if all[field] == nil {
			return map[string]any{}, nil
		}
		return all[field], nil
	}
	var objects map[string]json.RawMessage
	if all[field] != nil {
		if err := json.Unmarshal(all[field], &objects); err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	doc, ok := objects[args[1]]
	if !ok {
		return nil, api.NewProblem(api.CodeNotFound, fmt.Sprintf("there is no %s %q", args[0], args[1]))
	}
	return doc, nil
}

func diffCmd(a *app) *cobra.Command {
	var file string
	var merge bool
	c := &cobra.Command{
		Use:   "diff [-f FILE | FROM [TO]]",
		Short: "Compare a file with the configuration, or generations with each other",
		Example: `  belay diff -f cluster.yaml    what applying it would change
  belay diff 12                 what has changed since generation 12
  belay diff 12 14              what changed from generation 12 to 14`,
		Args: atMost(2),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		var changes []cib.Changed
		switch {
		case file != "" && len(args) > 0, file == "" && len(args) == 0:
			return usage("name a file with -f, or the generations to compare")
		case file != "":
			doc, err := a.readDocument(file)
			if err != nil {
				return err
			}
			r, err := a.engine.Change(c.Context(), &api.Change{Action: api.ActionApply, Object: "cluster", Value: doc, Merge: merge, DryRun: true})
			if err != nil {
				return err
			}
			changes = r.Changes
		default:
			var err error
			if changes, err = a.between(c, args); err != nil {
				return err
			}
		}
		if changes == nil {
			changes = []cib.Changed{}
		}
		return a.print(changes, func() string {
			if len(changes) == 0 {
				return "no difference\n"
			}
			return render.Changes(changes, a.style)
		})
	}
	c.Flags().StringVarP(&file, "file", "f", "", "YAML or JSON `file`; - is standard input")
	c.Flags().BoolVar(&merge, "merge", false, "keep what the file does not name")
	return c
}

// between joins the changes of the generations after the first, up to the second
// or the newest.
func (a *app) between(c *cobra.Command, args []string) ([]cib.Changed, error) {
	from, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return nil, usage("%q is no generation: belay history lists them", args[0])
	}
	history, err := a.engine.History(c.Context())
	if err != nil {
		return nil, err
	}
	newest := from
	for _, g := range history {
		newest = max(newest, g.Generation)
	}
	to := newest
	if len(args) == 2 {
		if to, err = strconv.ParseUint(args[1], 10, 64); err != nil {
			return nil, usage("%q is no generation: belay history lists them", args[1])
		}
	}
	back := to < from
	if back {
		from, to = to, from
	}
	first, last := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for n := from + 1; n <= to; n++ {
		record, err := a.engine.Generation(c.Context(), n)
		if err != nil {
			return nil, err
		}
		for _, ch := range record.Changes {
			if _, seen := first[ch.Key]; !seen {
				first[ch.Key] = ch.Before
			}
			last[ch.Key] = ch.After
		}
	}
	var out []cib.Changed
	for _, key := range slices.Sorted(maps.Keys(first)) {
		ch := cib.Changed{Key: key, Before: first[key], After: last[key]}
		if back {
			ch.Before, ch.After = ch.After, ch.Before
		}
		if !bytes.Equal(ch.Before, ch.After) {
			out = append(out, ch)
		}
	}
	return out, nil
}

func historyCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "history [GENERATION]",
		Short: "Show who changed the configuration, when, and what",
		Example: `  belay history
  belay history 12`,
		Args: atMost(1),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			h, err := a.engine.History(c.Context())
			if err != nil {
				return err
			}
			return a.print(h, func() string { return render.History(h, a.style) })
		}
		n, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return usage("%q is no generation: belay history lists them", args[0])
		}
		g, err := a.engine.Generation(c.Context(), n)
		if err != nil {
			return err
		}
		return a.print(g, func() string {
			info := api.GenerationInfo{Generation: g.Generation, Time: g.Time, Actor: g.Actor, Action: g.Action, Object: g.Object}
			return render.History([]api.GenerationInfo{info}, a.style) + "\n" + render.Changes(g.Changes, a.style)
		})
	}
	return c
}

func rollbackCmd(a *app) *cobra.Command {
	f := &changing{}
	return f.flags(command("rollback GENERATION", "Return to an earlier configuration", `  belay rollback 12 --dry-run
  belay rollback 12 --wait`, 1, func(c *cobra.Command, args []string) error {
		if _, err := strconv.ParseUint(args[0], 10, 64); err != nil {
			return usage("%q is no generation: belay history lists them", args[0])
		}
		return a.change(c, f, &api.Change{Action: api.ActionRollback, Object: "generation/" + args[0]}, nil)
	}))
}

// completeObjects completes kinds, then names of that kind.
func (a *app) completeObjects(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return append(slices.Sorted(maps.Keys(kinds)), "cluster"), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return a.names(c, args[0]), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// complete completes the first argument with the names of a kind.
func (a *app) complete(kind string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.names(c, kind), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) names(c *cobra.Command, kind string) []string {
	if a.prepare() != nil {
		return nil
	}
	cfg, err := a.engine.Config(c.Context())
	if err != nil {
		return nil
	}
	field, err := section(kind)
	if err != nil {
		return nil
	}
	var all map[string]map[string]json.RawMessage
	doc := map[string]json.RawMessage{}
	if json.Unmarshal(encode(cfg.Config), &doc) != nil || doc[field] == nil {
		return nil
	}
	if json.Unmarshal([]byte(`{"x":`+string(doc[field])+`}`), &all) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(all["x"]))
}
