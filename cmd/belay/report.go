package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/cmd/belay/render"
	"github.com/belay-ha/belay/engine/cib"
)

// Limits of a report. A part that is longer keeps its end, which is the newest.
const (
	reportPartMaxBytes = 8 << 20
	reportPartsMax     = 64
	reportLines        = "10000" // of the journal
	reportGenerations  = 20
	reportFilesMax     = 5000
	reportCommandTime  = 15 * time.Second
)

func reportCmd(a *app) *cobra.Command {
	var file, dir string
	c := command("report", "Collect state, configuration and logs of this node for support, without secrets", `  belay report
  belay report --file /tmp/n1.tar.gz`, 0, func(c *cobra.Command, _ []string) error {
		var generation uint64
		if cfg, err := a.engine.Config(c.Context()); err == nil {
			generation = cfg.Generation
		}
		r := &report{app: a, stateDir: dir, now: time.Now(), scrub: newScrubber(c.Context(), dir, generation)}
		r.collect(c.Context())
		name := file
		if name == "" {
			name = r.name() + ".tar.gz"
		}
		if err := r.write(name); err != nil {
			return failure{err}
		}
		path, err := filepath.Abs(name)
		if err != nil {
			path = name
		}
		out := map[string]any{"file": path, "parts": len(r.parts), "missing": r.missing}
		return a.print(out, func() string {
			var b strings.Builder
			fmt.Fprintf(&b, "%s: %d parts\n", path, len(r.parts))
			for _, m := range r.missing {
				fmt.Fprintf(&b, "  not collected: %s\n", m)
			}
			b.WriteString("Secret parameters, keys and tokens were taken out. Addresses, host names and user names are in it.\n")
			return b.String()
		})
	})
	c.Long = `report writes a file with what is needed to understand a problem: the cluster's
state, configuration and events as this node sees them, its logs, and facts about
the host. Make one on each node. It works without an engine, too; as root it finds
more. Secrets are replaced by ` + cib.Redacted + `.`
	c.Flags().StringVar(&file, "file", "", "`file` to write (default: belay-report-NODE-TIME.tar.gz here)")
	c.Flags().StringVar(&dir, "state-dir", "/var/lib/belay", "`directory` of the engine's state")
	return c
}

// report is a support bundle in the making.
type report struct {
	*app
	stateDir string
	now      time.Time
	node     string
	scrub    *scrubber
	parts    []reportPart
	missing  []string // parts that could not be collected, with the reason
}

type reportPart struct {
	name string
	data []byte
}

func (r *report) name() string {
	return "belay-report-" + cmp.Or(r.node, "host") + "-" + r.now.UTC().Format("20060102T150405Z")
}

// add keeps a part, or the reason why it is missing.
func (r *report) add(name string, data []byte, err error) {
	if err != nil {
		r.missing = append(r.missing, fmt.Sprintf("%s: %s", name, r.scrub.text([]byte(err.Error()))))
	}
	if len(data) == 0 || len(r.parts) >= reportPartsMax {
		return
	}
	r.parts = append(r.parts, reportPart{name, last(r.scrub.text(data), reportPartMaxBytes)})
}

// last returns the end of a text, from the start of a line.
func last(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	b = b[len(b)-limit:]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[i+1:]
	}
	return append([]byte("(the beginning was left out)\n"), b...)
}

func (r *report) json(name string, v any, err error) {
	if err != nil {
		r.add(name, nil, err)
		return
	}
	b, err := json.MarshalIndent(v, "", "  ")
	r.add(name, b, err)
}

func (r *report) collect(ctx context.Context) {
	r.fromEngine(ctx)
	r.fromDisk()
	r.fromHost(ctx)
	r.json("report.json", map[string]any{"version": version, "time": r.now.UTC(), "node": r.node, "uid": os.Getuid(), "missing": r.missing}, nil)
}

// fromEngine asks the engine, which leaves secrets out by itself.
func (r *report) fromEngine(ctx context.Context) {
	l, err := r.engine.Local(ctx)
	if err == nil {
		r.node = l.Node
	} else if host, herr := os.Hostname(); herr == nil {
		r.node = host
	}
	r.json("local.json", l, err)
	s, err := r.engine.Status(ctx, true)
	r.json("status.json", s, err)
	if err == nil {
		utc := render.Style{Zone: time.UTC}
		r.add("status.txt", []byte(render.Status(s, utc)+"\n"+render.Links(s, utc)+"\n"+render.Store(s, utc)), nil)
	}
	snap, err := r.engine.Snapshot(ctx)
	r.json("snapshot.json", snap, err)
	cfg, err := r.engine.Config(ctx)
	if err == nil {
		b, yerr := yaml.Marshal(cfg.Config)
		r.add("cluster.yaml", b, yerr)
	}
	plan, err := r.engine.Plan(ctx)
	r.json("plan.json", plan, err)
	events := []cib.Event{}
	err = r.engine.Events(ctx, 0, false, func(e *cib.Event) error { events = append(events, *e); return nil })
	r.json("events.json", events, err)
	agents, err := r.engine.Agents(ctx)
	r.json("agents.json", agents, err)
	history, err := r.engine.History(ctx)
	r.json("history.json", history, err)
	for _, g := range history[max(0, len(history)-reportGenerations):] {
		rec, err := r.engine.Generation(ctx, g.Generation)
		r.json(fmt.Sprintf("history/%d.json", g.Generation), rec, err)
	}
}

// fromDisk looks at the state directory. No file with a secret in it is taken.
func (r *report) fromDisk() {
	var list bytes.Buffer
	files := 0
	err := filepath.WalkDir(r.stateDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintf(&list, "%s: %v\n", path, err)
			return nil // one directory that can't be read hides no other
		}
		if files++; files > reportFilesMax {
			fmt.Fprintf(&list, "more than %d files\n", reportFilesMax)
			return fs.SkipAll
		}
		if i, err := d.Info(); err == nil {
			fmt.Fprintf(&list, "%s %12d %s %s\n", i.Mode(), i.Size(), i.ModTime().UTC().Format(time.RFC3339), path)
		}
		return nil
	})
	r.add("files.txt", list.Bytes(), err)
	r.add("journal.log", readEnd(filepath.Join(r.stateDir, "journal.log")), nil)
	records, err := audit.Verify(filepath.Join(r.stateDir, "audit"), nil)
	verdict := fmt.Sprintf("%d records, the chain is whole\n", records)
	if err != nil {
		verdict = fmt.Sprintf("%d good records, then: %v\n", records, err)
	}
	r.add("audit.txt", []byte(verdict), nil)
	for _, name := range []string{"/etc/os-release", "/etc/default/belay", "/proc/version", "/proc/cmdline", "/proc/uptime", "/proc/loadavg", "/proc/meminfo"} {
		r.add("host/"+strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", "-"), readEnd(name), nil)
	}
}

// readEnd returns the end of a file, nothing where there is none.
func readEnd(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.Size() > reportPartMaxBytes {
		if _, err := f.Seek(-reportPartMaxBytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, _ := io.ReadAll(io.LimitReader(f, reportPartMaxBytes)) // what could be read is better than nothing
	return b
}

// fromHost runs programs of the distribution; those that are not there are left
// out.
func (r *report) fromHost(ctx context.Context) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"journal-belayd.txt", []string{"journalctl", "-u", "belayd", "-u", "belay-drain", "-n", reportLines, "--no-pager", "-o", "short-iso-precise"}},
		{"host/units.txt", []string{"systemctl", "show", "belayd.service", "belay-drain.service"}},
		{"host/failed-units.txt", []string{"systemctl", "--failed", "--no-pager"}},
		{"host/uname.txt", []string{"uname", "-a"}},
		{"host/packages.txt", []string{"dpkg-query", "-W", "belay", "resource-agents*", "fence-agents*", "systemd", "chrony"}},
		{"host/time.txt", []string{"timedatectl", "show"}},
		{"host/disk.txt", []string{"df", "-h", r.stateDir}},
		{"host/addresses.txt", []string{"ip", "-s", "addr"}},
		{"host/routes.txt", []string{"ip", "route"}},
		{"host/sockets.txt", []string{"ss", "-tuanp"}},
		{"host/processes.txt", []string{"ps", "-eo", "pid,ppid,etime,rss,stat,comm"}},
	} {
		if _, err := exec.LookPath(c.args[0]); err != nil {
			continue
		}
		out, err := output(ctx, c.args...)
		if len(out) > 0 {
			err = nil // what it said is more than its exit code
		}
		r.add(c.name, out, err)
	}
}

// output runs a program for a bounded time and keeps the end of its output.
func output(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, reportCommandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return out.b, err
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 2*reportPartMaxBytes {
		t.b = append(t.b[:0], t.b[len(t.b)-reportPartMaxBytes:]...)
	}
	return len(p), nil
}

// write writes the report whole or not at all.
func (r *report) write(name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for _, p := range r.parts {
		h := &tar.Header{Name: r.name() + "/" + p.name, Mode: 0o600, Size: int64(len(p.data)), ModTime: r.now}
		if err = w.WriteHeader(h); err == nil {
			_, err = w.Write(p.data)
		}
		if err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Close(), z.Close(), f.Close()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
