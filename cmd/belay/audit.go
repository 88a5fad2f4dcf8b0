package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/api"
)

// auditDir is where a node's audit log lies.
const auditDir = "/var/lib/belay/audit"

func auditCmd(a *app) *cobra.Command {
	return group("audit", "The audit log: who did what, when, and that nobody changed it since", `  belay audit show --since 24h
  belay audit verify --cluster
  belay audit export --format csv --file audit.csv`,
		a.auditShow(), a.auditVerify(), a.auditExport(), a.auditState(), a.auditRotateKey())
}

// auditFilter are the flags that choose records.
type auditFilter struct {
	audit.Filter
	phase, since, until string
}

func (f *auditFilter) flags(c *cobra.Command) {
	x := c.Flags()
	x.StringVar(&f.User, "user", "", "only of this `person`, also behind sudo")
	x.StringVar(&f.Action, "action", "", "only this `action`: apply, fence, login, node-fenced, ...")
	x.StringVar(&f.Object, "object", "", "only this `object`: resource/web; or all of a kind: resource/")
	x.StringVar(&f.Result, "result", "", "only with this `result`: success, refused, failed, unknown")
	x.StringVar(&f.phase, "phase", "", "only this `phase`: intent, outcome or note")
	x.StringVar(&f.Via, "via", "", "only what came this `way`: socket, rest, gui, cim, engine")
	x.StringVar(&f.RequestID, "request", "", "only of this request `id`")
	x.StringVar(&f.ChangeRef, "change-ref", "", "only with this ticket `number`")
	x.StringVar(&f.since, "since", "", "only from this `time` on: 2026-01-31, 2026-01-31T10:00:00Z, or 24h for so long ago")
	x.StringVar(&f.until, "until", "", "only before this `time`")
}

func (f *auditFilter) read(now time.Time) error {
	f.Phase = audit.Phase(f.phase)
	for _, t := range []struct {
		name, text string
		to         *time.Time
	}{{"since", f.since, &f.From}, {"until", f.until, &f.To}} {
		if t.text == "" {
			continue
		}
		d, err := time.ParseDuration(t.text)
		if err == nil {
			*t.to = now.Add(-d).UTC()
			continue
		}
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if *t.to, err = time.Parse(layout, t.text); err == nil {
				break
			}
		}
		if err != nil {
			return usage("--%s %s: give a time such as 2026-01-31T10:00:00Z, a day, or 24h", t.name, t.text)
		}
	}
	return nil
}

func (f *auditFilter) query(node string, limit int) *api.AuditQuery {
	q := &api.AuditQuery{
		Node: node, User: f.User, Action: f.Action, Object: f.Object, Result: f.Result, Phase: string(f.Phase), Via: f.Via,
		RequestID: f.RequestID, ChangeRef: f.ChangeRef, After: f.After, Limit: limit,
	}
	if !f.From.IsZero() {
		q.From = f.From.Format(time.RFC3339)
	}
	if !f.To.IsZero() {
		q.To = f.To.Format(time.RFC3339)
	}
	return q
}

func (a *app) auditShow() *cobra.Command {
	var f auditFilter
	var node, dir string
	var last int
	c := command("show", "Show records of a node's audit log, newest last", `  belay audit show
  belay audit show --user anna --since 24h
  belay audit show --node n2 --action node-fenced -o json`, 0, func(c *cobra.Command, _ []string) error {
		if err := f.read(time.Now()); err != nil {
			return err
		}
		records := []*audit.Record{}
		keep := func(r *audit.Record) {
			if records = append(records, r); last > 0 && len(records) > 2*last {
				records = append([]*audit.Record{}, records[len(records)-last:]...)
			}
		}
		if err := a.auditRecords(c.Context(), &f, node, dir, keep); err != nil {
			return err
		}
		if last > 0 {
			records = records[max(0, len(records)-last):]
		}
		return a.print(records, func() string { return render.Audit(records, a.style) })
	})
	f.flags(c)
	c.Flags().StringVar(&node, "node", "", "the log of this `node` (default: this one)")
	c.Flags().StringVar(&dir, "dir", "", "read the log in this `directory`, without an engine")
	c.Flags().IntVarP(&last, "last", "n", 50, "the last `number` of them; 0 is all")
	return c
}

// auditRecords reads records through the engine, or from a directory.
func (a *app) auditRecords(ctx context.Context, f *auditFilter, node, dir string, each func(*audit.Record)) error {
	if dir != "" {
		if err := audit.Read(dir, f.Filter, func(r *audit.Record, _ []byte) error { each(r); return nil }); err != nil {
			return failure{err}
		}
		return nil
	}
	for q := f.query(node, 0); ; {
		page, err := a.engine.Audit(ctx, q)
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

// outside is what others say of a log: what it is verified against.
type outside struct {
	keys   string // file of public keys
	held   []string
	silent []string // nodes that did not answer
	asked  bool     // the engine was
}

func (o *outside) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.keys, "keys", "", "`file` with the public keys that count (default: those beside the log or in the export)")
	c.Flags().StringArrayVar(&o.held, "against", nil, "compare with what another node signed: its audit `directory`, or an export of this log; may be repeated")
}

// given says whether anything was named.
func (o *outside) given() bool { return o.keys != "" || len(o.held) > 0 }

// read collects keys and checkpoints for the log of a node. Where the log is this
// node's own, the engine asks the others.
func (o *outside) read(ctx context.Context, a *app, node string, own bool) (*audit.Keys, []audit.Checkpoint, error) {
	var keys *audit.Keys
	if o.keys != "" {
		b, err := os.ReadFile(o.keys)
		if err != nil {
			return nil, nil, failure{err}
		}
		if keys, err = audit.ParseKeys(string(b)); err != nil {
			return nil, nil, failure{err}
		}
	}
	var held []audit.Checkpoint
	for _, path := range o.held {
		list, err := audit.ReadHeld(path, node)
		if err != nil {
			return nil, nil, failure{err}
		}
		if len(list) == 0 {
			return nil, nil, failure{fmt.Errorf("%s holds nothing of the audit log of %s", path, node)}
		}
		held = append(held, list...)
	}
	if !own {
		return keys, held, nil
	}
	h, err := a.engine.AuditHeld(ctx)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code != api.CodeDefect {
		return keys, held, nil // no engine, or no right to ask it: the log stands for itself
	}
	if err != nil {
		return nil, nil, err
	}
	o.asked, o.silent = true, h.Silent
	for _, text := range h.Checkpoints {
		c, err := audit.ParseCheckpoint(text)
		if err != nil {
			return nil, nil, failure{err}
		}
		held = append(held, c)
	}
	return keys, held, nil
}

// nodeOf names the node whose log lies in a directory.
func nodeOf(dir string) (string, error) {
	node := ""
	err := audit.Read(dir, audit.Filter{}, func(r *audit.Record, _ []byte) error {
		node = r.Node
		return audit.ErrStop
	})
	return node, err
}

// elsewhere says whether a log is reached through its engine only: that of another machine,
// or of an engine whose socket was named.
func (a *app) elsewhere(c *cobra.Command) bool {
	return (a.remote != "" || a.socket != "") && !c.Flags().Changed("dir")
}

func (a *app) auditVerify() *cobra.Command {
	var dir string
	var cluster bool
	var o outside
	c := &cobra.Command{
		Use: "verify [EXPORT]", Short: "Verify that the audit log is whole, and name the first bad record", Args: atMost(1),
		Example: `  belay audit verify
  belay audit verify --cluster
  belay audit verify --dir /mnt/n1/var/lib/belay/audit --against /mnt/n2/var/lib/belay/audit
  belay audit verify audit-n1.json --keys auditor.keys`,
		Long: `verify checks the hashes of all records, the tree over them and the signed
checkpoints. On the node itself the engine asks the other nodes what they signed, so
that a log which was truncated, put back to an old copy or written anew shows. An
export is verified offline, and without Belay's help: who has the public keys needs
to trust nobody. --keys may name any of the keys that a node had: the notes about new
keys, which old and new key sign, lead to the others.

With --cluster the logs of all nodes are verified, each by its engine. The node that is
asked compares what each presents with what every other node signed of it.`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case cluster && (len(args) > 0 || c.Flags().Changed("dir") || o.given()):
				return usage("--cluster goes without EXPORT, --dir, --keys and --against")
			case cluster:
				return a.auditCluster(c.Context())
			case len(args) == 0 && a.elsewhere(c):
				if o.given() {
					return usage("--keys and --against are for a log that lies here: export it, and verify the export")
				}
				return a.auditVerifyThere(c.Context())
			}
			name := dir
			check := func(opts audit.Options) (*audit.Report, error) { return audit.Check(dir, opts) }
			node, own := "", dir == auditDir && len(args) == 0
			if len(args) == 1 {
				name = args[0]
				check = func(opts audit.Options) (*audit.Report, error) { return checkExport(args[0], opts) }
				node = exportNode(args[0])
			} else {
				if _, err := os.Stat(dir); err != nil {
					return failure{err}
				}
				var err error
				if node, err = nodeOf(dir); err != nil {
					return a.verdict(name, &audit.Report{}, err, &o)
				}
			}
			keys, held, err := o.read(c.Context(), a, node, own)
			if err != nil {
				return err
			}
			r, err := check(audit.Options{Keys: keys, Held: held})
			return a.verdict(name, r, err, &o)
		},
	}
	c.Flags().StringVar(&dir, "dir", auditDir, "`directory` of the log")
	c.Flags().BoolVar(&cluster, "cluster", false, "verify the logs of all nodes, and compare what the nodes signed of each other's")
	o.flags(c)
	return c
}

// auditVerifyThere lets the engine verify the log of its node.
func (a *app) auditVerifyThere(ctx context.Context) error {
	got, err := a.engine.AuditVerify(ctx)
	if err != nil {
		return err
	}
	v := &verified{
		Report: &audit.Report{First: got.First, Records: got.Records, Checkpoints: got.Checkpoints, Signed: got.Signed, Witnessed: got.Witnessed},
		Whole:  got.Whole, First: got.FirstBad, Reason: got.Reason, Silent: got.Silent,
	}
	if err := v.Root.UnmarshalJSON([]byte(strconv.Quote(got.Root))); err != nil {
		return api.NewProblem(api.CodeDefect, "the root of the log can't be read: "+err.Error())
	}
	for _, s := range got.ClockSteps {
		v.Steps = append(v.Steps, audit.Step{Seq: s.Record, Back: s.Back})
	}
	return a.tellVerdict("The audit log of "+got.Node, v)
}

// auditCluster lets the engines verify the logs of all nodes.
func (a *app) auditCluster(ctx context.Context) error {
	v, err := a.engine.AuditCluster(ctx)
	if err != nil {
		return err
	}
	if err := a.print(v, func() string { return render.AuditCluster(v, a.style) }); err != nil {
		return err
	}
	if !v.Whole || !v.Complete {
		return errFailed
	}
	return nil
}

func checkExport(file string, o audit.Options) (*audit.Report, error) {
	f, err := os.Open(file)
	if err != nil {
		return &audit.Report{}, err
	}
	defer func() { _ = f.Close() }()
	return audit.CheckExport(f, o)
}

// exportNode names the node of an export's records; "" where it has none that can be
// read.
func exportNode(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	node := ""
	_, _ = audit.CheckExport(f, audit.Options{Each: func(r *audit.Record) { // the verdict comes later
		if node == "" {
			node = r.Node
		}
	}})
	return node
}

// verified is what verify says to programs.
type verified struct {
	*audit.Report
	Whole  bool     `json:"whole"`
	First  uint64   `json:"firstBad,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Silent []string `json:"silent,omitempty"` // nodes that did not say what they hold
}

func (a *app) verdict(name string, r *audit.Report, err error, o *outside) error {
	bad, ok := audit.IsBad(err)
	if err != nil && !ok {
		return failure{err}
	}
	v := &verified{Report: r, Whole: err == nil, Silent: o.silent}
	if bad != nil {
		v.First, v.Reason = bad.Seq, bad.Error()
	}
	return a.tellVerdict(name, v)
}

func (a *app) tellVerdict(name string, v *verified) error {
	if err := a.print(v, func() string { return verdictText(name, v) }); err != nil {
		return err
	}
	if !v.Whole {
		return errFailed
	}
	return nil
}

func verdictText(name string, v *verified) string {
	var b strings.Builder
	if v.Whole {
		fmt.Fprintf(&b, "%s is whole: records %d to %d\n", name, v.Report.First, v.Records)
	} else {
		fmt.Fprintf(&b, "%s is NOT whole. The first bad record is %d: %s\n", name, v.First, v.Reason)
	}
	switch {
	case v.Signed == 0:
		b.WriteString("No checkpoint signs it yet: that the end is missing would not show.\n")
	case v.Signed < v.Records:
		fmt.Fprintf(&b, "Checkpoints sign it up to record %d", v.Signed)
	default:
		b.WriteString("Checkpoints sign all of it")
	}
	if v.Signed > 0 {
		others := "no other node does"
		if v.Witnessed > 0 {
			others = fmt.Sprintf("other nodes sign it up to record %d", v.Witnessed)
		}
		b.WriteString("; " + others + ".\n")
	}
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "The clock was set back by %s before record %d.\n", s.Back.Round(time.Millisecond), s.Seq)
	}
	if len(v.Silent) > 0 {
		fmt.Fprintf(&b, "Not asked, since they do not answer: %s.\n", strings.Join(v.Silent, ", "))
	}
	return b.String()
}

func (a *app) auditExport() *cobra.Command {
	var f auditFilter
	var o outside
	var dir, format, file string
	c := command("export", "Export the audit log: with what verifies it, or for other programs", `  belay audit export --file audit-n1.json
  belay audit export --user anna --since 2026-01-01 --file anna.json
  belay audit export --format cef`, 0, func(c *cobra.Command, _ []string) error {
		if err := f.read(time.Now()); err != nil {
			return err
		}
		form := audit.Format(format)
		if !slices.Contains(audit.Formats, form) {
			return usage("--format %s: choose json, csv, cef or cadf", format)
		}
		if a.elsewhere(c) {
			if o.given() {
				return usage("--keys and --against are for a log that lies here")
			}
			return a.auditExportThere(c.Context(), f.query("", 0), format, file)
		}
		if _, err := os.Stat(dir); err != nil {
			return failure{err}
		}
		node, err := nodeOf(dir)
		if err != nil {
			return failure{err}
		}
		keys, held, err := o.read(c.Context(), a, node, dir == auditDir && form == audit.FormatJSON)
		if err != nil {
			return err
		}
		out, done, err := a.outFile(file)
		if err != nil {
			return failure{err}
		}
		n, err := audit.Export(out, audit.Source{Dir: dir, Keys: keys, Held: held}, f.Filter, form, version)
		if err = errors.Join(err, done()); err != nil {
			if file != "" && file != "-" {
				err = errors.Join(err, os.Remove(file)) // half an export proves nothing
			}
			return failure{err}
		}
		if file != "" && file != "-" {
			a.say("%d records in %s", n, file)
		}
		return nil
	})
	c.Long = `export writes the log of this node. The format json has all that verifies it, for
"belay audit verify EXPORT": the whole log, or with flags that choose records an
excerpt, each record with a proof that it is in the log. csv, cef (Common Event
Format) and cadf (DMTF DSP0262) are for other programs and prove nothing.`
	f.flags(c)
	o.flags(c)
	c.Flags().StringVar(&format, "format", "json", "`format`: json, csv, cef or cadf")
	c.Flags().StringVarP(&file, "file", "f", "", "`file` to write (default: standard output)")
	c.Flags().StringVar(&dir, "dir", auditDir, "`directory` of the log")
	return c
}

// auditExportThere lets the engine export the log of its node.
func (a *app) auditExportThere(ctx context.Context, q *api.AuditQuery, format, file string) error {
	out, done, err := a.outFile(file)
	if err != nil {
		return failure{err}
	}
	err = a.engine.AuditExport(ctx, q, format, func(string) {}, out)
	if cerr := done(); err == nil && cerr != nil {
		err = failure{cerr}
	}
	if err != nil && file != "" && file != "-" {
		_ = os.Remove(file) // half an export proves nothing
	}
	return err
}

// outFile opens a file to write, or standard output.
func (a *app) outFile(name string) (io.Writer, func() error, error) {
	if name == "" || name == "-" {
		return a.out, func() error { return nil }, nil
	}
	f, err := os.OpenFile(filepath.Clean(name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

func (a *app) auditState() *cobra.Command {
	return command("state", "Show how this node's audit log stands, and who signs it", "  belay audit state", 0, func(c *cobra.Command, _ []string) error {
		s, err := a.engine.AuditState(c.Context())
		if err != nil {
			return err
		}
		return a.print(s, func() string { return render.AuditState(s, a.style) })
	})
}

func (a *app) auditRotateKey() *cobra.Command {
	c := command("rotate-key", "Replace the key that signs this node's audit log", "  belay audit rotate-key", 0, func(c *cobra.Command, _ []string) error {
		k, err := a.engine.RotateAuditKey(c.Context(), &api.AuditKeyRequest{})
		if err != nil {
			return err
		}
		return a.print(k, func() string {
			return fmt.Sprintf("Another key signs the audit log of %s after record %d.\nPublic key: %s\nBefore:     %s\n", k.Node, k.Replaced.Records, k.Key, k.Replaced.Key)
		})
	})
	c.Long = `rotate-key makes a new key for the audit log of this node. The old one signs all records
that there are, and is gone then. That the new one follows it is said by a note that both
keys sign: it lies beside the log, goes to the other nodes and is in every export, so
that who knows the old public key can go on verifying. A record of the log tells of it.`
	return c
}
