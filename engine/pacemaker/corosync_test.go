package pacemaker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-ha/belay/engine/cib"
)

const corosyncConf = `# two rings
totem {
	version: 2
	cluster_name: production
	transport: knet
	crypto_cipher: aes256
	token: 3000
	interface {
		linknumber: 0
		mcastport: 5500
	}
}
nodelist {
	node {
		ring0_addr: 10.0.0.1
		ring1_addr: fd00::1
		name: n1
		nodeid: 2
	}
	node {
		ring0_addr: 10.0.0.2
		ring1_addr: fd00::2
		name: n2
		nodeid: 1
	}
	node {
		ring0_addr: db.example
		name: n3
		nodeid: 2
		quorum_votes: 0
	}
}
quorum {
	provider: corosync_votequorum
	two_node: 1
	auto_tie_breaker: 1
	device {
		model: net
		net {
			host: q.example
		}
	}
}
logging {
	to_syslog: yes
}
`

func TestCorosync(t *testing.T) {
	f, err := ReadCorosync([]byte(corosyncConf))
	if err != nil {
		t.Fatal(err)
	}
	c := imported(t, wrap("", web, "", "")).Snapshot.Config
	notes := f.AddTo(c)
	if c.Cluster.Name != "production" || c.Cluster.Options.Detection != cib.Duration(3*time.Second) || !c.Cluster.Options.WaitForAll {
		t.Errorf("cluster %+v", c.Cluster)
	}
	type node struct {
		id        uint32
		addresses string
		voter     bool
	}
	got := map[string]node{}
	for name, n := range c.Nodes {
		got[name] = node{n.ID, strings.Join(n.Addresses, " "), n.Voter}
	}
	want := map[string]node{"n1": {2, "10.0.0.1 fd00::1", true}, "n2": {1, "10.0.0.2 fd00::2", true}, "n3": {3, "", false}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(node{})); diff != "" {
		t.Error(diff)
	}
	if d := c.QuorumDevices["auto-tie-breaker"]; d == nil || d.Kind != cib.QuorumDeviceNode {
		t.Errorf("quorum devices %+v", c.QuorumDevices)
	}
	for _, n := range []struct{ element, id, word string }{
		{"node", "n3", "not in the CIB"},
		{"node", "n3", "2 is the id of n1"},
		{"node", "n3", "is a name: links need IP addresses"},
		{"totem", "", "crypto_cipher: links are always"},
		{"interface", "0", "mcastport"},
		{"quorum", "", "two_node"},
		{"device", "net", "q.example cannot arbitrate here"},
		{"logging", "", "journal"},
	} {
		if !has(notes, n.element, n.id, n.word) {
			t.Errorf("no note about %s %s with %q in %v", n.element, n.id, n.word, notes)
		}
	}
}

func TestCorosyncVotes(t *testing.T) {
	for nodes, voters := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 5, 9: 5} {
		var b strings.Builder
		b.WriteString("nodelist {\n")
		for i := range nodes {
			b.WriteString("node {\nname: n" + string(rune('a'+i)) + "\n}\n")
		}
		b.WriteString("}\n")
		f, err := ReadCorosync([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		c := &cib.Config{}
		f.AddTo(c)
		got := 0
		for _, n := range c.Nodes {
			if n.Voter {
				got++
			}
		}
		if len(c.Nodes) != nodes || got != voters {
			t.Errorf("%d nodes: %d nodes and %d voters, want %d", nodes, len(c.Nodes), got, voters)
		}
	}
}

func TestReadCorosync(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"", "no section"},
		{"totem {\n", "line 1: section totem does not end"},
		{"}\n", "line 1: a section ends"},
		{"totem {\nversion 2\n}\n", "line 2"},
		{strings.Repeat("a {\n", depthMax+2), "nested deeper"},
	} {
		if _, err := ReadCorosync([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: error %v, want one with %q", c.doc, err, c.want)
		}
	}
}

// FuzzCorosync: any file leads to a configuration or an error.
func FuzzCorosync(f *testing.F) {
	f.Add([]byte(corosyncConf))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		if c, err := ReadCorosync(doc); err == nil {
			c.AddTo(&cib.Config{})
		}
	})
}

// TestCorosyncListsTheRest: a setting that has no place is listed with where it stands.
func TestCorosyncListsTheRest(t *testing.T) {
	f, err := ReadCorosync([]byte(`totem {
	transport: udp
	link_mode: passive
	interface {
		linknumber: 1
		bindnetaddr: 10.0.0.0
		knet_link_priority: 5
	}
}
nodelist {
	node {
		name: n1
		ring0_addr: 10.0.0.1
		colour: red
	}
}
quorum {
	expected_votes: 3
	device {
		model: disk
	}
}
nozzle {
	name: x
}
`))
	if err != nil {
		t.Fatal(err)
	}
	notes := f.AddTo(cib.Empty().Config)
	for _, w := range [][3]string{
		{"totem", "", "transport"},
		{"totem", "", "link_mode"},
		{"interface", "1", "bindnetaddr"},
		{"interface", "1", "knet_link_priority"},
		{"node", "n1", "colour"},
		{"quorum", "", "expected_votes"},
		{"device", "disk", "belay-quorumd"},
		{"nozzle", "", "no such part"},
	} {
		if !has(notes, w[0], w[1], w[2]) {
			t.Errorf("no note %v in %v", w, notes)
		}
	}
}
