package quorumd

import (
	"maps"
	"slices"
	"time"
)

// View is the state of everything, for the status page and programs.
type View struct {
	Server   string        `json:"server"`
	Clusters []ClusterView `json:"clusters"` // by name
	Tickets  []TicketView  `json:"tickets"`  // by name
}

// ClusterView is the state of one cluster.
type ClusterView struct {
	Name       string     `json:"name"`
	Configured bool       `json:"configured"`
	Generation Generation `json:"generation,omitzero"`
	OpenedBy   string     `json:"openedBy,omitempty"`
	Epoch      uint64     `json:"epoch,omitempty"`
	Voters     []string   `json:"voters,omitempty"`
	Holder     []string   `json:"holder,omitempty"`
	Settled    bool       `json:"settled,omitempty"`
	FreeInMs   int64      `json:"freeInMs,omitempty"` // until another half could have the grant
	Grants     uint64     `json:"grants"`
	Nodes      []NodeView `json:"nodes"` // configured ones, by name
}

// NodeView is the state of one node.
type NodeView struct {
	Name      string   `json:"name"`
	Connected bool     `json:"connected"`
	SilentMs  int64    `json:"silentMs,omitempty"` // since its last beat; 0: it never sent one
	Present   []string `json:"present,omitempty"`  // whom it hears
	Wants     bool     `json:"wants,omitempty"`
	Answer    Answer   `json:"answer,omitempty"`
	Refusal   string   `json:"refusal,omitempty"`
}

// TicketView is the state of one ticket.
type TicketView struct {
	Name      string         `json:"name"`
	Holder    string         `json:"holder,omitempty"`
	Term      uint64         `json:"term,omitempty"`
	Revoked   bool           `json:"revoked,omitempty"`
	Assigned  string         `json:"assigned,omitempty"`
	ExpiresMs int64          `json:"expiresInMs,omitempty"`
	FreeInMs  int64          `json:"freeInMs,omitempty"`
	Weights   map[string]int `json:"weights,omitempty"`
}

// View returns the state of everything.
func (a *Arbiter) View(now time.Time) View {
	v := View{Server: a.name, Clusters: []ClusterView{}, Tickets: []TicketView{}}
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		cl := a.clusters[name]
		_, configured := a.config.Clusters[name]
		c := ClusterView{
			Name: name, Configured: configured, Generation: cl.Generation, OpenedBy: cl.OpenedBy, Epoch: cl.Epoch, Grants: cl.Grants,
			Voters: slices.Clone(cl.voters), Holder: slices.Clone(cl.Holder), Nodes: []NodeView{},
		}
		if cl.Holder != nil {
			at, ok := cl.settled()
			c.Settled, c.FreeInMs = ok && !now.Before(at), remaining(now, cl.freeAt(0))
		}
		for _, node := range slices.Sorted(maps.Keys(cl.config.Nodes)) {
			n := NodeView{Name: node}
			if p := cl.peers[node]; p != nil {
				n.Connected, n.Answer, n.Refusal = p.conn != nil, p.answer, p.told
				if p.beat != nil {
					n.SilentMs, n.Present, n.Wants = max(1, now.Sub(p.heard).Milliseconds()), slices.Clone(p.beat.Present), p.beat.Want
				}
			}
			c.Nodes = append(c.Nodes, n)
		}
		v.Clusters = append(v.Clusters, c)
	}
	for _, name := range slices.Sorted(maps.Keys(a.tickets)) {
		t := a.tickets[name]
		tv := TicketView{Name: name, Holder: t.Holder, Term: t.Term, Revoked: t.Revoked, Assigned: t.Assigned, Weights: maps.Clone(t.config.Clusters)}
		if t.Holder != "" {
			tv.ExpiresMs, tv.FreeInMs = remaining(now, t.renewed.Add(ms(t.ExpiryMs))), remaining(now, t.freeAt())
		}
		v.Tickets = append(v.Tickets, tv)
	}
	return v
}

func remaining(now, at time.Time) int64 { return max(0, at.Sub(now).Milliseconds()) }
