package dev

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/status"
)

// screen shows lines that stay, and on a terminal below them a block that is drawn
// anew whenever it changes.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal int // file number; -1: lines only
	block    []string
	drawn    int // lines of the block that are on the terminal
	broken   chan struct{}
	once     sync.Once
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out, terminal: -1, broken: make(chan struct{})}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.terminal = int(f.Fd())
	}
	return s
}

// howItEnds says how a cluster in the foreground is ended. Where no terminal is, the
// process may run in the background, where Ctrl-C does not come.
func (s *screen) howItEnds() string {
	if s.terminal >= 0 {
		return "Ctrl-C ends the cluster."
	}
	return fmt.Sprintf("Ctrl-C, or kill %d, ends the cluster.", os.Getpid())
}

// say shows lines that stay.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(s.erase() + fmt.Sprintf(format, args...) + "\n" + s.paint())
}

// note is say with the time of day: something happened.
func (s *screen) note(text string) { s.noteAt(time.Now(), text) }

func (s *screen) noteAt(t time.Time, text string) {
	s.say("%s  %s", t.Local().Format("15:04:05.000"), text)
}

// draw replaces the block.
func (s *screen) draw(block []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal < 0 {
		return
	}
	s.block = block
	s.write(s.erase() + s.paint())
}

func (s *screen) erase() string {
	if s.drawn == 0 {
		return ""
	}
	n := s.drawn
	s.drawn = 0
	return fmt.Sprintf("\x1b[%dA\x1b[J", n)
}

func (s *screen) paint() string {
	width, height := 80, 24
	if s.terminal < 0 || len(s.block) == 0 {
		return ""
	}
	if w, h, err := term.GetSize(s.terminal); err == nil && w > 0 {
		width, height = w, h
	}
	var b strings.Builder
	// A line that wraps, or a block that scrolls, could not be erased again.
	lines := s.block[:min(len(s.block), max(1, height-1))]
	for _, l := range lines {
		r := []rune(l)
		b.WriteString(string(r[:min(len(r), width-1)]) + "\n")
	}
	s.drawn = len(lines)
	return b.String()
}

func (s *screen) write(text string) {
	if _, err := io.WriteString(s.out, text); err != nil {
		s.once.Do(func() { close(s.broken) }) // nobody reads any more
	}
}

// follow shows what happens until ctx ends: events as lines, and on a terminal the state
// of all as the block. Without one nobody would see it, and to ask four times a second
// is twice the work of an idle engine.
func (c *cluster) follow(ctx context.Context, s *screen) {
	var work sync.WaitGroup
	work.Go(func() { c.followEvents(ctx, s) })
	if s.terminal >= 0 {
		work.Go(func() { c.followState(ctx, s) })
	}
	work.Wait()
	s.draw(nil)
}

const (
	drawPause  = 250 * time.Millisecond
	retryPause = 200 * time.Millisecond
)

// followEvents shows the events of the cluster, from any node that answers.
func (c *cluster) followEvents(ctx context.Context, s *screen) {
	var last uint64
	for i := 0; ctx.Err() == nil; i++ {
		_ = c.client[i%len(c.client)].Events(ctx, last, true, func(e *cib.Event) error {
			if e.Seq > last {
				last = e.Seq
				s.noteAt(e.Time, e.Text)
			}
			return nil
		})
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// followState draws the state of the cluster.
func (c *cluster) followState(ctx context.Context, s *screen) {
	for ctx.Err() == nil {
		sum, _ := c.anyStatus(ctx, "")
		actx, cancel := context.WithTimeout(ctx, drawPause)
		service, err := askService(actx, c.web, c.url())
		cancel()
		s.draw(c.block(sum, service, err))
		select {
		case <-ctx.Done():
		case <-time.After(drawPause):
		}
	}
}

// anyStatus asks the nodes one after another for the state of the cluster, one of them
// left out. An answer of a node with quorum is preferred.
func (c *cluster) anyStatus(ctx context.Context, except string) (*status.Summary, error) {
	var found *status.Summary
	err := fmt.Errorf("no engine answers")
	for i, cl := range c.client {
		if nodeName(i+1) == except {
			continue
		}
		actx, cancel := context.WithTimeout(ctx, askMax)
		sum, aerr := cl.Status(actx, true)
		cancel()
		if aerr != nil {
			err = aerr
			continue
		}
		if sum.Quorum.State == status.QuorumQuorate {
			return sum, nil
		}
		found = sum
	}
	if found != nil {
		return found, nil
	}
	return nil, err
}

// block is the state of the cluster for people.
func (c *cluster) block(sum *status.Summary, service *serviceAnswer, serviceErr error) []string {
	out := []string{""}
	if sum == nil {
		out = append(out, "no engine answers")
	} else {
		k := sum.Cluster.Counts
		out = append(out, fmt.Sprintf("cluster %s: %s, %d of %d nodes online, %s", sum.Cluster.Name, sum.Cluster.State, k.NodesOnline, k.Nodes, sum.Quorum.State))
	}
	out = append(out, fmt.Sprintf("  %-5s %-11s %-8s %-8s %s", "NODE", "STATE", "MACHINE", "ENGINE", "RUNS"))
	for _, v := range c.super.views() {
		state, runs := "", ""
		if sum != nil {
			if n := sum.Node(v.name); n != nil {
				state = n.State.String()
				if n.Role == status.RoleDC {
					runs = "DC "
				}
			}
			for i := range sum.Resources {
				r := &sum.Resources[i]
				for _, in := range r.Instances {
					if in.Node == v.name && in.State == status.InstanceRunning {
						runs += in.Instance + " "
					}
				}
			}
		}
		out = append(out, fmt.Sprintf("  %-5s %-11s %-8s %-8s %s", v.name, state, number(v.machine), number(v.engine), strings.TrimRight(runs, " ")))
	}
	if serviceErr != nil {
		out = append(out, "service "+c.url()+" does not answer")
	} else {
		out = append(out, fmt.Sprintf("service %s is served by %s, process %d, for %s", c.url(), service.Node, service.PID, time.Since(service.Started).Round(time.Second)))
	}
	if sum != nil {
		const alarmsMax = 3
		for _, a := range sum.Alarms[:min(len(sum.Alarms), alarmsMax)] {
			out = append(out, fmt.Sprintf("alarm: %s (%s)", a.Text, a.Severity))
		}
		if n := len(sum.Alarms) - alarmsMax; n > 0 {
			out = append(out, fmt.Sprintf("and %d more alarms: belay alarms", n))
		}
	}
	return out
}

func number(pid int) string {
	if pid == 0 {
		return "off"
	}
	return fmt.Sprint(pid)
}

// hints says what to try.
func (c *cluster) hints(stop string) string {
	v := c.super.views()
	where := "n1"
	if len(v) > 1 {
		where = "n2"
	}
	var b strings.Builder
	belay := os.Args[0] // as it was called
	fmt.Fprintf(&b, "\nTry, in another terminal:\n")
	for _, l := range [][2]string{
		{"curl " + c.url(), "the service says where it runs"},
		{"export BELAY_SOCKET=" + v[0].socket, "then the commands ask n1:"},
		{belay + " status", "what runs where"},
		{belay + " move " + resourceGroup + " --to " + where, "the service moves"},
		{fmt.Sprintf("kill -9 %d", v[0].machine), "n1 loses its power: it is fenced, what ran there moves"},
		{fmt.Sprintf("kill -9 %d", v[0].engine), "only the engine of n1 dies: nothing stops"},
		{belay + " dev power off n1 --dir " + c.work.path, "the power switch itself; on turns it on again"},
	} {
		fmt.Fprintf(&b, "  %-62s # %s\n", l[0], l[1])
	}
	if c.opts.mgmtd != "" {
		fmt.Fprintf(&b, "\nIn a browser: https://%s (web GUI and REST, of every node; its authority's certificate: %s)\n", v[0].rest, c.work.path+"/"+fileCA)
		for _, u := range c.users {
			fmt.Fprintf(&b, "  user %-15s password %s\n", u.Name, u.Password)
		}
		fmt.Fprintf(&b, "  wbemcli ei -nl -noverify https://%s:%s@%s/root/cimv2:Belay_Node\n", c.users[0].Name, c.users[0].Password, c.super.nodes[0].cim)
		if c.snmp != nil && c.snmp.Address != "" {
			fmt.Fprintf(&b, "  %s\n", c.snmp.walk())
		}
	}
	fmt.Fprintf(&b, "Everything that runs stands in %s. %s\n", c.work.path+"/"+fileDev, stop)
	return b.String()
}
