package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/belay-ha/belay/engine/cib"
)

var kindNames = map[NewsKind]string{
	PeerUp: "hears", PeerDown: "lost", PeerOneWay: "is not heard by", PeerRestarting: "waits for the restart of",
	PeerLeft: "sees the leave of", PeerRestarted: "sees the restart of", PeerRebooted: "sees the reboot of",
	LinkUp: "link up to", LinkDown: "link down to", GenerationHigher: "sees a higher generation of",
	GenerationConflict: "sees another history of", Stalled: "stalled",
}

// TestTraces plays the scenarios in testdata/traces. Commands:
//
//	cluster voters=(...) [others=(...)] [links=n] [detection=d] [validity=d]
//	start n... | kill n... | restart n... | reboot n...     engines and machines
//	announce n... [leaving] [restarting]
//	run d              time passes; prints what was noticed
//	pause n d          the machine stands still, packets wait
//	cut a b [link=n] [oneway] | heal
//	delay a            of every packet
//	view n... [unseen=(...)]      stored; read by all but some nodes
//	voters n... [unseen=(...)]    likewise the voter set
//	generation number nonce [unseen=(...)]
//	grant n d          the tie-breakers let it act
//	valid              for how long each node may act
//	choose at=n [dc=n] [tie-breaker=t] [exclude=(...)]
//	alive n | links n | offset | hears n | promised view | settled | silent n
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata/traces", func(t *testing.T, path string) {
		var w *world
		var log []string
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "cluster" {
				w = parseCluster(t, d)
				log = nil
				w.onHap = func(at time.Time, node string, it Item) {
					name, ok := kindNames[it.Kind]
					if !ok {
						return
					}
					line := fmt.Sprintf("%5d %s %s", at.Sub(w.start).Milliseconds(), node, name)
					switch it.Kind {
					case Stalled:
						line += " for " + it.For.Round(10*time.Millisecond).String()
					case LinkUp, LinkDown:
						line += fmt.Sprintf(" %s: %d", it.Node, it.Link)
					default:
						line += " " + it.Node
					}
					log = append(log, line)
				}
				return ""
			}
			out := play(t, w, d)
			if len(log) > 0 {
				slices.SortStableFunc(log, strings.Compare)
				out = strings.Join(log, "\n") + "\n" + out
				log = nil
			}
			if d.Cmd == "run" && out == "" {
				out = "quiet\n"
			}
			return out
		})
	})
}

func parseCluster(t *testing.T, d *datadriven.TestData) *world {
	s := Setup{VoterEpoch: 1, Detection: time.Second, Links: 1}
	for _, a := range d.CmdArgs {
		var err error
		switch a.Key {
		case "voters":
			s.Voters = a.Vals
		case "others":
			s.Nodes = slices.Clone(a.Vals)
		case "links":
			a.Scan(t, 0, &s.Links)
		case "detection":
			s.Detection, err = time.ParseDuration(a.Vals[0])
		case "validity":
			s.Validity, err = time.ParseDuration(a.Vals[0])
		default:
			d.Fatalf(t, "unknown argument %s", a.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Nodes = append(s.Nodes, s.Voters...)
	o := cib.Options{Detection: cib.Duration(s.Detection), Validity: cib.Duration(s.Validity)}
	s.Validity, s.Interval = o.ValidityTime(), o.HeartbeatInterval()
	w := newWorld(1, s)
	for _, n := range w.names {
		w.boot(n, false)
	}
	return w
}

func play(t *testing.T, w *world, d *datadriven.TestData) string {
	var args []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			args = append(args, a.Key)
		}
	}
	opt := func(name string) []string {
		for _, a := range d.CmdArgs {
			if a.Key == name {
				return a.Vals
			}
		}
		return nil
	}
	first := func(name string) string { return strings.Join(opt(name), "") }
	has := func(flag string) bool { return slices.Contains(args, flag) }
	names := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return w.nodes[a] == nil })
	dur := func() time.Duration {
		v, err := time.ParseDuration(args[len(args)-1])
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	seen := func() {
		w.sync(slices.DeleteFunc(w.running(), func(n string) bool { return slices.Contains(opt("unseen"), n) })...)
	}
	var b strings.Builder
	switch d.Cmd {
	case "run":
		w.run(dur())
	case "start", "restart":
		for _, n := range names {
			w.boot(n, true)
		}
	case "reboot":
		for _, n := range names {
			w.boot(n, false)
		}
	case "kill":
		for _, n := range names {
			w.nodes[n].t = nil
		}
	case "announce":
		for _, n := range names {
			w.nodes[n].flags = Knowledge{Leaving: has("leaving"), Restarting: has("restarting")}
			w.learn(w.nodes[n])
		}
	case "pause":
		w.nodes[names[0]].paused = w.now.Add(dur())
	case "cut":
		link := -1
		if first("link") != "" {
			fmt.Sscan(first("link"), &link)
		}
		w.cut(names[0], names[1], link)
		if !has("oneway") {
			w.cut(names[1], names[0], link)
		}
	case "heal":
		w.heal()
	case "delay":
		v := dur()
		w.delay = func() time.Duration { return v }
	case "view":
		w.newView(names...)
		seen()
	case "voters":
		w.setup.VoterEpoch++
		w.setup.Voters = names
		seen()
	case "generation":
		fmt.Sscan(args[0], &w.gen.Number)
		fmt.Sscan(args[1], &w.gen.Nonce)
		seen()
	case "grant":
		h := w.nodes[names[0]]
		h.t.SetGrant(w.local(h).Add(dur()))
	case "valid":
		for _, n := range w.running() {
			if w.valid(n) {
				fmt.Fprintf(&b, "%s for %s\n", n, w.validUntil(n).Sub(w.now).Round(time.Millisecond))
			} else {
				fmt.Fprintf(&b, "%s not\n", n)
			}
		}
	case "alive":
		for _, m := range w.nodes[names[0]].t.Alive(w.local(w.nodes[names[0]])) {
			fmt.Fprintf(&b, "%s incarnation %d, %s\n", m.Node, m.Incarnation, m.BootID)
		}
	case "choose":
		h := w.nodes[first("at")]
		members, reason := Choose(h.t.Hearing(w.local(h)), ChooseInput{
			Nodes: w.setup.Nodes, Voters: w.setup.Voters, Current: w.view, DC: first("dc"),
			TieBreaker: first("tie-breaker"), Exclude: opt("exclude"),
		})
		fmt.Fprintf(&b, "%s: %s\n", memberNames(members), reason)
	case "hears":
		h := w.nodes[names[0]]
		for _, r := range h.t.Hearing(w.local(h)).Reports {
			fmt.Fprintf(&b, "%s hears", r.Node)
			for _, x := range r.Hears {
				fmt.Fprintf(&b, " %s", x.Node)
				if x.OneWay {
					b.WriteString("(one way)")
				}
			}
			if r.Stalled > 0 {
				b.WriteString(", was stalled")
			}
			b.WriteString("\n")
		}
	case "links":
		h := w.nodes[names[0]]
		for _, l := range h.t.Links(w.local(h)) {
			fmt.Fprintf(&b, "%s link %d up=%t rtt=%s loss=%.2f\n", l.Peer, l.Link, l.Up, l.RTT.Round(time.Millisecond), l.Loss)
		}
	case "offset":
		for _, n := range w.running() {
			fmt.Fprintf(&b, "%s %s\n", n, w.nodes[n].t.ClockOffset().Round(time.Millisecond))
		}
	case "promised":
		var view uint64
		fmt.Sscan(args[0], &view)
		for _, n := range w.running() {
			fmt.Fprintf(&b, "%s %t\n", n, w.nodes[n].t.Promised(view))
		}
	case "settled":
		for _, n := range w.running() {
			fmt.Fprintf(&b, "%s %t\n", n, w.nodes[n].t.EpochSettled())
		}
	case "silent":
		h := w.nodes[names[0]]
		for _, n := range w.names {
			if at, ok := h.t.SilentSince(n); ok {
				fmt.Fprintf(&b, "%s since %d\n", n, at.Add(-h.skew).Sub(w.start).Milliseconds())
			}
		}
	case "state":
		h := w.nodes[names[0]]
		if g, ok := h.t.Higher(); ok {
			fmt.Fprintf(&b, "higher generation: %d\n", g.Number)
		}
		if p, ok := h.t.Conflict(); ok {
			fmt.Fprintf(&b, "conflict with %s\n", p)
		}
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return b.String()
}

func memberNames(members []cib.ViewMember) string {
	var out []string
	for _, m := range members {
		out = append(out, m.Node)
	}
	return strings.Join(out, " ")
}
