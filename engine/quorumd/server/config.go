package server

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd"
)

// Limits of a configuration.
const (
	configMaxBytes = 16 << 20
	clustersMax    = 5000
	nodesMax       = 64 // of one cluster
	pinsMax        = 4  // of one node
	ticketsMax     = 1000
)

// configFile is quorumd.yaml.
type configFile struct {
	Clusters map[string]clusterFile `json:"clusters,omitempty"`
	Tickets  map[string]ticketFile  `json:"tickets,omitempty"`
}

type clusterFile struct {
	Handover cib.Duration        `json:"hand-over-delay,omitzero"` // at least, whatever the cluster asks for
	Nodes    map[string][]string `json:"nodes"`                    // pins or public keys, by node
}

type ticketFile struct {
	Expiry   cib.Duration   `json:"expiry,omitzero"`        // default 1m
	After    cib.Duration   `json:"acquire-after,omitzero"` // default: the expiry
	Clusters map[string]int `json:"clusters"`               // weights
}

// loadConfig reads what the administrator says. Nothing of a file with a fault in
// it is used.
func loadConfig(path string) (quorumd.Config, error) {
	out := quorumd.Config{Clusters: map[string]quorumd.ClusterConfig{}, Tickets: map[string]quorumd.TicketConfig{}}
	st, err := os.Stat(path)
	if err != nil {
		return out, fmt.Errorf("read the configuration: %w", err)
	}
	if st.Size() > configMaxBytes {
		return out, fmt.Errorf("read %s: larger than %d bytes", path, configMaxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return out, fmt.Errorf("read the configuration: %w", err)
	}
	var f configFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		return out, fmt.Errorf("read %s: %w", path, err)
	}
	if len(f.Clusters) > clustersMax || len(f.Tickets) > ticketsMax {
		return out, fmt.Errorf("read %s: at most %d clusters and %d tickets", path, clustersMax, ticketsMax)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Clusters)) {
		c, err := f.Clusters[name].load(name)
		if err != nil {
			return out, fmt.Errorf("read %s: cluster %s: %w", path, name, err)
		}
		out.Clusters[name] = c
	}
	for _, name := range slices.Sorted(maps.Keys(f.Tickets)) {
		t, err := f.Tickets[name].load(name, &f)
		if err != nil {
			return out, fmt.Errorf("read %s: ticket %s: %w", path, name, err)
		}
		out.Tickets[name] = t
	}
	return out, nil
}

func (c clusterFile) load(name string) (quorumd.ClusterConfig, error) {
	out := quorumd.ClusterConfig{Nodes: map[string][]string{}, Handover: c.Handover.D()}
	switch {
	case !quorumd.ValidName(name):
		return out, fmt.Errorf("its name must be at most %d letters, digits, dots, dashes and underscores", quorumd.NameMax)
	case len(c.Nodes) == 0 || len(c.Nodes) > nodesMax:
		return out, fmt.Errorf("it has %d nodes; 1 to %d are possible", len(c.Nodes), nodesMax)
	case c.Handover < 0 || c.Handover.D() > quorumd.HandoverMax:
		return out, fmt.Errorf("hand-over-delay is at most %s", quorumd.HandoverMax)
	}
	for _, node := range slices.Sorted(maps.Keys(c.Nodes)) {
		keys := c.Nodes[node]
		if !quorumd.ValidName(node) || len(keys) == 0 || len(keys) > pinsMax {
			return out, fmt.Errorf("node %.80q has %d keys; 1 to %d are possible", node, len(keys), pinsMax)
		}
		for _, text := range keys {
			pin, err := pki.ParsePin(text)
			if err != nil {
				return out, fmt.Errorf("node %s: %w", node, err)
			}
			for other, pins := range out.Nodes { // their order does not matter
				if other != node && slices.Contains(pins, pin) {
					return out, fmt.Errorf("nodes %s and %s have the same key", other, node)
				}
			}
			out.Nodes[node] = append(out.Nodes[node], pin)
		}
	}
	return out, nil
}

func (t ticketFile) load(name string, f *configFile) (quorumd.TicketConfig, error) {
	out := quorumd.TicketConfig{Clusters: t.Clusters, Expiry: t.Expiry.D(), After: t.After.D()}
	if out.Expiry == 0 {
		out.Expiry = time.Minute
	}
	if out.After == 0 {
		out.After = out.Expiry
	}
	switch {
	case !quorumd.ValidName(name):
		return out, fmt.Errorf("its name must be at most %d letters, digits, dots, dashes and underscores", quorumd.NameMax)
	case out.Expiry < quorumd.LeaseMin || out.Expiry > 24*time.Hour || out.After < 0 || out.After > 24*time.Hour:
		return out, fmt.Errorf("expiry is %s to 24h, acquire-after at most 24h", quorumd.LeaseMin)
	}
	for _, c := range slices.Sorted(maps.Keys(t.Clusters)) {
		if _, ok := f.Clusters[c]; !ok {
			return out, fmt.Errorf("there is no cluster %s", c)
		}
	}
	return out, nil
}
