package pacemaker

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// section is one section of corosync.conf: "nodelist { node { name: n1 } }".
type section struct {
	name     string
	line     int // where it begins
	settings []setting
	children []*section
}

type setting struct {
	key, value string
	line       int
}

// get returns the last value of a key, as corosync does; "" if there is none.
func (s *section) get(key string) string {
	if s != nil {
		for _, x := range slices.Backward(s.settings) {
			if x.key == key {
				return x.value
			}
		}
	}
	return ""
}

// all returns the sections of a name.
func (s *section) all(name string) []*section {
	var out []*section
	if s != nil {
		for _, c := range s.children {
			if c.name == name {
				out = append(out, c)
			}
		}
	}
	return out
}

// one returns the first section of a name; nil if there is none.
func (s *section) one(name string) *section {
	if list := s.all(name); len(list) > 0 {
		return list[0]
	}
	return nil
}

// Corosync is a corosync.conf that was read.
type Corosync struct{ root *section }

// corosyncMaxBytes bounds a corosync.conf; 1000 nodes with 8 links need 300 KiB.
const corosyncMaxBytes = 4 << 20

// ReadCorosync reads a corosync.conf (corosync.conf(5)). An error names the line.
func ReadCorosync(doc []byte) (*Corosync, error) {
	if len(doc) > corosyncMaxBytes {
		return nil, fmt.Errorf("the file has more than %d bytes", corosyncMaxBytes)
	}
	root := &section{}
	stack := []*section{root}
	in := bufio.NewScanner(bytes.NewReader(doc))
	in.Buffer(nil, corosyncMaxBytes)
	line := 0
	for in.Scan() {
		line++
		text := strings.TrimSpace(in.Text())
		top := stack[len(stack)-1]
		switch {
		case text == "" || text[0] == '#':
		case text == "}":
			if len(stack) == 1 {
				return nil, fmt.Errorf("line %d: a section ends that did not begin", line)
			}
			stack = stack[:len(stack)-1]
		case strings.HasSuffix(text, "{"):
			if len(stack) > depthMax {
				return nil, fmt.Errorf("line %d: sections nested deeper than %d", line, depthMax)
			}
			s := &section{name: strings.TrimSpace(strings.TrimSuffix(text, "{")), line: line}
			top.children, stack = append(top.children, s), append(stack, s)
		default:
			key, value, ok := strings.Cut(text, ":")
			if !ok {
				return nil, fmt.Errorf("line %d: %q is no \"key: value\" and no section", line, shorten(text))
			}
			top.settings = append(top.settings, setting{strings.TrimSpace(key), strings.TrimSpace(value), line})
		}
	}
	switch {
	case in.Err() != nil:
		return nil, fmt.Errorf("line %d: %w", line+1, in.Err())
	case len(stack) > 1:
		return nil, fmt.Errorf("line %d: section %s does not end", stack[len(stack)-1].line, shorten(stack[len(stack)-1].name))
	case len(root.children) == 0:
		return nil, errors.New("there is no section in it: is it a corosync.conf?")
	}
	return &Corosync{root}, nil
}

// corosyncImport adds a corosync.conf to a configuration.
type corosyncImport struct {
	c     *cib.Config
	notes []Note
}

func (im *corosyncImport) note(element, id, name, format string, args ...any) {
	if len(im.notes) < notesMax {
		im.notes = append(im.notes, Note{Element: element, ID: shorten(id), Name: shorten(name), Reason: fmt.Sprintf(format, args...)})
	}
}

// AddTo adds to a configuration what corosync.conf says: the cluster's name, the
// nodes with their ids and addresses, who votes, how fast a lost node is noticed.
// It returns what was not carried over.
func (f *Corosync) AddTo(c *cib.Config) []Note {
	im := &corosyncImport{c: c}
	totem := f.root.one("totem")
	if name := totem.get("cluster_name"); name != "" {
		c.Cluster.Name = name
	}
	im.nodes(f.root.one("nodelist"))
	im.totem(totem)
	im.quorum(f.root.one("quorum"))
	for _, s := range f.root.children {
		switch s.name {
		case "totem", "nodelist", "quorum":
		case "logging":
			im.note(s.name, "", "", "belayd logs to the journal; see belay log-level")
		default:
			im.note(s.name, "", "", "there is no such part here")
		}
	}
	return im.notes
}

// linksMax is how many links corosync can have.
const linksMax = 8

func (im *corosyncImport) nodes(list *section) {
	if list == nil {
		im.note("nodelist", "", "", "there is none: the addresses of the nodes are to be set by hand")
		return
	}
	for _, s := range list.all("node") { // their ids are those of the file
		if n := im.c.Nodes[nodeName(s)]; n != nil {
			n.ID = 0
		}
	}
	seen := map[string]bool{}
	var voters []string
	for _, s := range list.all("node") {
		name := nodeName(s)
		switch {
		case name == "":
			im.note("node", "line "+strconv.Itoa(s.line), "", "it has neither a name nor an address")
			continue
		case seen[name]:
			im.note("node", name, "", "a second node of that name, in line %d", s.line)
			continue
		}
		seen[name] = true
		n := im.c.Nodes[name]
		if n == nil {
			if im.c.Nodes == nil {
				im.c.Nodes = map[string]*cib.Node{}
			}
			n = &cib.Node{}
			im.c.Nodes[name] = n
			im.note("node", name, "", "it is in corosync.conf only, not in the CIB; it becomes a node all the same")
		}
		im.node(s, name, n)
		if votes := s.get("quorum_votes"); votes != "0" {
			voters = append(voters, name)
			if votes != "" && votes != "1" {
				im.note("node", name, "quorum_votes", "a voter has one vote here")
			}
		}
	}
	for name, n := range im.c.Nodes {
		if n != nil && !seen[name] {
			im.note("node", name, "", "it is not in corosync.conf; its addresses are to be set by hand")
		}
	}
	slices.SortFunc(im.notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Element, b.Element), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	im.vote(voters)
}

// nodeName is the name of a node, as Pacemaker takes it from corosync.conf.
func nodeName(s *section) string { return cmp.Or(s.get("name"), s.get("ring0_addr")) }

func (im *corosyncImport) node(s *section, name string, n *cib.Node) {
	if id, err := strconv.ParseUint(s.get("nodeid"), 10, 32); err == nil && id > 0 {
		if other := im.idTaken(name, uint32(id)); other != "" {
			im.note("node", name, "nodeid", "%d is the id of %s", id, other)
		} else {
			n.ID = uint32(id)
		}
	} else if s.get("nodeid") != "" {
		im.note("node", name, "nodeid", "%q is no id: a whole number from 1 on", shorten(s.get("nodeid")))
	}
	if n.ID == 0 {
		for n.ID = 1; im.idTaken(name, n.ID) != ""; {
			n.ID++
		}
	}
	for _, x := range s.settings {
		if known := x.key == "name" || x.key == "nodeid" || x.key == "quorum_votes" || strings.HasPrefix(x.key, "ring") && strings.HasSuffix(x.key, "_addr"); !known {
			im.note("node", name, x.key, "there is no such setting here")
		}
	}
	n.Addresses = nil
	for link := range linksMax {
		text := s.get(fmt.Sprintf("ring%d_addr", link))
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			im.note("node", name, fmt.Sprintf("ring%d_addr", link), "%q is a name: links need IP addresses, so that they work without a name service. Set nodes.%s.addresses", shorten(text), shorten(name))
			continue
		}
		n.Addresses = append(n.Addresses, a.String())
	}
}

func (im *corosyncImport) idTaken(name string, id uint32) string {
	for other, n := range im.c.Nodes {
		if n != nil && other != name && n.ID == id {
			return other
		}
	}
	return ""
}

// vote says who votes: the votes are those of the store's members, of which there
// is an odd number from three nodes on, and five are enough.
func (im *corosyncImport) vote(names []string) {
	slices.Sort(names)
	n := len(names)
	switch {
	case n > 5:
		n = 5
	case n == 4:
		n = 3
	}
	for i, name := range names {
		im.c.Nodes[name].Voter = i < n
	}
	if n < len(names) {
		im.note("nodelist", "", "quorum_votes", "%d of %d nodes vote, %s: the votes are those of the store's members. Spread them over the sites", n, len(names), strings.Join(names[:n], ", "))
	}
}

// Detection times that make sense here, see the option detection.
const (
	detectionMin = 200 * time.Millisecond
	detectionMax = 30 * time.Second
)

func (im *corosyncImport) totem(s *section) {
	if s == nil {
		return
	}
	for _, x := range s.settings {
		switch x.key {
		case "version", "cluster_name", "config_version":
		case "transport":
			if x.value != "knet" {
				im.note("totem", "", x.key, "nodes talk to each other by UDP without multicast, on all links; %q has no effect", shorten(x.value))
			}
		case "link_mode":
			im.note("totem", "", x.key, "all links are always in use")
		case "ip_version":
			im.note("totem", "", x.key, "it follows from the addresses of the nodes")
		case "token":
			ms, err := strconv.Atoi(x.value)
			d := time.Duration(ms) * time.Millisecond
			if err != nil || d < detectionMin || d > detectionMax {
				im.note("totem", "", x.key, "%q: the time until a lost node is noticed can be %s to %s here; the default holds", shorten(x.value), detectionMin, detectionMax)
				continue
			}
			im.c.Cluster.Options.Detection = cib.Duration(d)
		case "crypto_cipher", "crypto_hash", "crypto_model", "secauth", "keyfile", "key":
			im.note("totem", "", x.key, "links are always authenticated and encrypted, with a key of each node")
		case "rrp_mode":
			im.note("totem", "", x.key, "all links are always in use")
		default:
			im.note("totem", "", x.key, "there is no such setting here")
		}
	}
	for _, c := range s.children {
		switch c.name {
		case "interface":
			if port := c.get("mcastport"); port != "" && port != "5405" {
				im.note("interface", c.get("linknumber"), "mcastport", "the port is that of Belay, %d; see nodes.*.ports", cib.PortHeartbeat)
			}
			for _, x := range c.settings {
				switch x.key {
				case "linknumber", "ringnumber", "mcastport":
				case "bindnetaddr":
					im.note("interface", c.get("linknumber"), x.key, "the addresses of a link are those that the nodes have on it")
				case "mcastaddr", "broadcast", "ttl":
					im.note("interface", c.get("linknumber"), x.key, "nodes talk to each other directly, without multicast")
				default:
					im.note("interface", c.get("linknumber"), x.key, "there is no such setting of a link here")
				}
			}
		default:
			im.note(c.name, "", "", "there is no such part of totem here")
		}
	}
}

func (im *corosyncImport) quorum(s *section) {
	if s == nil {
		return
	}
	two := isTrue(s.get("two_node"))
	for _, x := range s.settings {
		switch x.key {
		case "provider":
		case "expected_votes":
			im.note("quorum", "", x.key, "it follows from the nodes that vote")
		case "two_node":
			if two {
				im.note("quorum", "", x.key, "of two voters, one may go on alone only if the other is proven to be off; see Quorum in the operator guide")
			}
		case "wait_for_all":
			im.c.Cluster.Options.WaitForAll = isTrue(x.value)
		case "last_man_standing", "last_man_standing_window":
			im.note("quorum", "", x.key, "a voter that is proven to be off is replaced, see voter-replace-wait")
		case "auto_tie_breaker":
			if isTrue(x.value) {
				im.device("auto-tie-breaker", &cib.QuorumDevice{Kind: cib.QuorumDeviceNode, Order: 2})
			}
		case "auto_tie_breaker_node":
			if x.value != "lowest" {
				im.note("quorum", "", x.key, "it is always the lowest id here")
			}
		default:
			im.note("quorum", "", x.key, "there is no such setting here")
		}
	}
	if two && s.get("wait_for_all") == "" {
		im.c.Cluster.Options.WaitForAll = true // what two_node means
	}
	if d := s.one("device"); d != nil {
		im.note("device", d.get("model"), "", "corosync-qnetd %s cannot arbitrate here: set up belay-quorumd, and a quorum device for it", shorten(d.one("net").get("host")))
		for _, h := range d.all("heuristics") {
			im.note("heuristics", "", "", "line %d: programs do not vote here; a quorum device of kind ping looks at an address", h.line)
		}
	}
}

func (im *corosyncImport) device(id string, d *cib.QuorumDevice) {
	if im.c.QuorumDevices == nil {
		im.c.QuorumDevices = map[string]*cib.QuorumDevice{}
	}
	im.c.QuorumDevices[id] = d
}
