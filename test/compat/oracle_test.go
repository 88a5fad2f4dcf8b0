package compat

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Where Pacemaker's crm_simulate is installed (Debian: pacemaker-cli-utils), it decides
// on random clusters, and Belay on the same:
//
//	BELAY_CRM_SIMULATE=/usr/sbin/crm_simulate go test ./test/compat -run Oracle -v -oracle-worlds 500 -oracle-dir /tmp/differences
//
// It is a tool to find differences, which a person has to judge: releases of Pacemaker
// differ from each other, and Belay differs on purpose (see engine/policy/doc.go). What
// it fails for are CIBs that cannot be decided, and plans that are not correct.
var (
	oracleWorlds = flag.Int("oracle-worlds", 100, "how many random clusters to compare with crm_simulate")
	oracleFrom   = flag.Uint64("oracle-from", 1, "the seed of the first of them")
	oracleDir    = flag.String("oracle-dir", "", "write each cluster that is decided differently, made as small as possible, here")
)

// TestOracle compares decisions on random clusters with those of crm_simulate.
func TestOracle(t *testing.T) {
	program := os.Getenv("BELAY_CRM_SIMULATE")
	if program == "" {
		fmt.Fprintln(os.Stderr, "*** test/compat: NOTHING WAS COMPARED WITH crm_simulate; set BELAY_CRM_SIMULATE ***")
		return
	}
	o := &oracle{t: t, program: program, dir: t.TempDir()}
	same, all := 0, 0
	for seed := *oracleFrom; seed < *oracleFrom+uint64(*oracleWorlds); seed++ {
		root := randomCIB(rand.New(rand.NewPCG(seed, 0)))
		what, ok := o.differs(root)
		if !ok {
			continue
		}
		all++
		if what == "" {
			same++
			continue
		}
		if *oracleDir == "" {
			t.Logf("seed %d: %s", seed, what)
			continue
		}
		o.shrink(root, what)
		what, _ = o.differs(root)
		t.Logf("%s: %s", o.keep(fmt.Sprintf("seed-%d", seed), root.bytes()), what)
	}
	t.Logf("decided as crm_simulate does: %d of %d", same, all)
}

// oracle asks crm_simulate.
type oracle struct {
	t            *testing.T
	program, dir string
	wrong        int // plans that are not correct
}

// keep writes a CIB where it can be looked at, and says where that is.
func (o *oracle) keep(name string, doc []byte) string {
	if *oracleDir == "" {
		return name
	}
	file := filepath.Join(*oracleDir, name+".xml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

// differs says how the two decisions on a CIB differ; "" if they do not. It is false
// where crm_simulate does not take the CIB.
func (o *oracle) differs(root *node) (string, bool) {
	doc := root.bytes()
	expected, err := o.ask(doc)
	if err != nil {
		return "", false
	}
	actual, err := decide(doc, "")
	if err != nil {
		o.wrong++
		o.t.Errorf("%v: %s", err, o.keep(fmt.Sprintf("wrong-%d", o.wrong), doc))
		return "", false
	}
	want, got := actionsOf(expected), actionsOf(actual)
	var out []string
	for k, n := range want {
		if n > got[k] {
			out = append(out, fmt.Sprintf("-%s %s %s", k.op, k.resource, k.node))
		}
	}
	for k, n := range got {
		if n > want[k] {
			out = append(out, fmt.Sprintf("+%s %s %s", k.op, k.resource, k.node))
		}
	}
	if len(out) == 0 && conflict(closureOf(expected), closureOf(actual)) {
		out = append(out, "order")
	}
	slices.Sort(out)
	return strings.Join(out, ", "), true
}

// ask runs crm_simulate and reads the graph that it writes.
func (o *oracle) ask(doc []byte) (*Decision, error) {
	in, out := filepath.Join(o.dir, "cib.xml"), filepath.Join(o.dir, "graph.xml")
	if err := os.WriteFile(in, doc, 0o600); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(o.t.Context(), o.program, "-R", "-x", in, "-G", out, "-t", strconv.FormatInt(anyTime.Unix(), 10))
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return readGraph(b)
}

// readGraph reads a transition graph of Pacemaker.
func readGraph(b []byte) (*Decision, error) {
	type operation struct {
		ID        int    `xml:"id,attr"`
		Operation string `xml:"operation,attr"`
		Node      string `xml:"on_node,attr"`
		Primitive struct {
			ID string `xml:"id,attr"`
			As string `xml:"long-id,attr"`
		} `xml:"primitive"`
		Attributes struct {
			Interval int64 `xml:"CRM_meta_interval,attr"`
		} `xml:"attributes"`
	}
	type event struct {
		ID int `xml:"id,attr"`
	}
	var g struct {
		Synapses []struct {
			Set struct {
				Ops    []operation `xml:"rsc_op"`
				Events []operation `xml:"crm_event"`
				Pseudo []event     `xml:"pseudo_event"`
			} `xml:"action_set"`
			Triggers []struct {
				Ops    []event `xml:"rsc_op"`
				Events []event `xml:"crm_event"`
				Pseudo []event `xml:"pseudo_event"`
			} `xml:"inputs>trigger"`
		} `xml:"synapse"`
	}
	if err := xml.Unmarshal(b, &g); err != nil {
		return nil, err
	}
	d := &Decision{}
	for _, s := range g.Synapses {
		var id int
		for _, x := range s.Set.Ops {
			base, _, _ := strings.Cut(x.Primitive.ID, ":")
			id = x.ID
			d.Actions = append(d.Actions, Action{ID: id, Kind: "resource", Resource: base, Op: x.Operation, Node: x.Node, Interval: x.Attributes.Interval})
		}
		for _, x := range s.Set.Events {
			if id = x.ID; x.Operation == "stonith" {
				d.Actions = append(d.Actions, Action{ID: id, Kind: "fence", Op: "fence", Node: x.Node})
			}
		}
		for _, x := range s.Set.Pseudo {
			id = x.ID
		}
		for _, trigger := range s.Triggers {
			for _, x := range slices.Concat(trigger.Ops, trigger.Events, trigger.Pseudo) {
				d.Order = append(d.Order, [2]int{x.ID, id})
			}
		}
	}
	return d, nil
}

// shrink leaves out of a CIB whatever the first of its differences does not need, as
// long as no others come up.
func (o *oracle) shrink(root *node, what string) {
	all := strings.Split(what, ", ")
	still := func() bool {
		what, ok := o.differs(root)
		if !ok || !strings.Contains(what+",", all[0]+",") {
			return false
		}
		for x := range strings.SplitSeq(what, ", ") {
			if !slices.Contains(all, x) {
				return false
			}
		}
		return true
	}
	for again := true; again; {
		again = false
		root.walk(func(n *node) {
			for i, c := range slices.Backward(n.children) {
				if c.needed {
					continue
				}
				whole := n.children
				n.children = slices.Delete(slices.Clone(whole), i, i+1)
				if still() {
					again = true
				} else {
					n.children = whole
				}
			}
		})
	}
}

// node is an element of a CIB.
type node struct {
	name     string
	attrs    []string // name, value, ...
	children []*node
	needed   bool // nothing is a CIB without it
}

func elem(name string, attrs ...string) *node { return &node{name: name, attrs: attrs} }

func (n *node) add(children ...*node) *node {
	n.children = append(n.children, children...)
	return n
}

func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range slices.Clone(n.children) {
		c.walk(f)
	}
}

func (n *node) bytes() []byte {
	var b bytes.Buffer
	n.write(&b, "")
	return b.Bytes()
}

func (n *node) write(b *bytes.Buffer, indent string) {
	b.WriteString(indent + "<" + n.name)
	for i := 0; i+1 < len(n.attrs); i += 2 {
		b.WriteString(" " + n.attrs[i] + `="`)
		_ = xml.EscapeText(b, []byte(n.attrs[i+1]))
		b.WriteString(`"`)
	}
	if len(n.children) == 0 {
		b.WriteString("/>\n")
		return
	}
	b.WriteString(">\n")
	for _, c := range n.children {
		c.write(b, indent+" ")
	}
	b.WriteString(indent + "</" + n.name + ">\n")
}
