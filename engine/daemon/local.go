package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// Files below the state directory.
const (
	fileLocal    = "node.json"
	fileSnapshot = "snapshot.json"
	fileJournal  = "journal.log"
	fileMember   = "etcd.json"
	dirPKI       = "pki"
	dirStore     = "etcd"
	dirAudit     = "audit"
	dirBackup    = "backup"
)

// local is what a node knows of itself without the store: enough to find it.
type local struct {
	Version   int      `json:"version"` // of this file, 1
	Cluster   string   `json:"cluster"`
	Token     string   `json:"token"` // of the store: members with another are refused
	Node      string   `json:"node"`
	Config    cib.Node `json:"config"`    // addresses and ports
	Endpoints []string `json:"endpoints"` // of the store, as known last
	// External are the endpoints of a store that somebody else runs; empty: the
	// voters run it.
	External []string `json:"external,omitempty"`
	// Initial is the set of store members that this node's member is to join;
	// empty once it has data.
	Initial map[string][]string `json:"initial,omitempty"`
	// Restored: the store was made from a backup, and is not yet the cluster's.
	Restored bool `json:"restored,omitempty"`
}

// readJSON reads a file of the state directory. A file that can't be read is
// moved aside, so that the node starts and the operator sees it; the error then
// wraps errCorrupt. A file that does not exist is fs.ErrNotExist.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		aside := fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
		if rerr := os.Rename(path, aside); rerr != nil {
			return fmt.Errorf("read %s: %w, and it can't be moved aside: %w", path, err, rerr)
		}
		return &corruptError{path, aside, err}
	}
	return nil
}

// corruptError says that a file was moved aside because it could not be read.
type corruptError struct {
	file, aside string
	err         error
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("%s can't be read (%v) and was moved aside to %s", e.file, e.err, e.aside)
}

func (e *corruptError) Unwrap() error { return e.err }

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	return pki.WriteFile(path, append(data, '\n'), 0o600)
}

// fileVoters is below the run directory: what an engine knew of the voters, for the next
// one in this boot.
const fileVoters = "voters.json"

// epochKnown is the file.
type epochKnown struct {
	Boot  string `json:"boot"`
	Epoch uint64 `json:"epoch"` // of the newest set of voters that a majority of it was heard to know
}

// knownEpoch reads it; 0 where there is none of this boot.
func (d *Daemon) knownEpoch() uint64 {
	var k epochKnown
	if err := readJSON(d.runPath(fileVoters), &k); err != nil || k.Boot != d.bootID {
		return 0
	}
	return k.Epoch
}

func (d *Daemon) runPath(name string) string { return filepath.Join(d.opts.RunDir, name) }

// kept is one document of the snapshot kept on disk.
type kept struct {
	Key   string          `json:"k"`
	Rev   int64           `json:"r"`
	Value json.RawMessage `json:"v"`
}

// keptSnapshot is what a node needs to act without the store: the configuration,
// membership, and its own histories.
type keptSnapshot struct {
	Revision int64  `json:"revision"`
	Docs     []kept `json:"docs"`
}

// keeps reports whether a document belongs to the snapshot kept on disk.
func keeps(key, node string) bool {
	for _, p := range []string{cib.KeyConfig, cib.KeyDataGen, cib.KeyVoters, cib.KeyRevoked, cib.KeyView, cib.KeyMember, cib.KeyNodeStatus, cib.KeyHistory + node + "/"} {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// loadSnapshot reads the last snapshot kept on disk; nil where there is none.
func loadSnapshot(dir string, log *slog.Logger) (*cib.Snapshot, error) {
	var k keptSnapshot
	err := readJSON(filepath.Join(dir, fileSnapshot), &k)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		log.Warn("the last snapshot cannot be used", "err", err)
		return nil, err
	}
	kvs := make([]cib.KV, len(k.Docs))
	for i, d := range k.Docs {
		kvs[i] = cib.KV{Key: d.Key, Value: d.Value, ModRev: d.Rev}
	}
	return cib.Empty().Apply(kvs, k.Revision), nil
}

// documents lists what is kept of a snapshot.
func documents(s *cib.Snapshot, node string) ([]kept, error) {
	var out []kept
	var err error
	add := func(key string, rev int64, v any) {
		if !keeps(key, node) {
			return
		}
		b, e := json.Marshal(v)
		err = errors.Join(err, e)
		out = append(out, kept{key, rev, b})
	}
	c, st := s.Config, &s.Status
	add(cib.KeyCluster, 0, c.Cluster)
	add(cib.KeyConfigGen, s.ConfigGen.Rev, s.ConfigGen)
	add(cib.KeyDataGen, 0, st.Generation)
	for id, v := range c.Nodes {
		add(cib.KeyNode+id, 0, v)
	}
	for id, v := range c.Resources {
		add(cib.KeyResource+id, 0, v)
	}
	for id, v := range c.Constraints {
		add(cib.KeyConstraint+id, 0, v)
	}
	for id, v := range c.FenceDevices {
		add(cib.KeyFenceDevice+id, 0, v)
	}
	for id, v := range c.FenceTopology {
		add(cib.KeyFenceTopology+id, 0, v)
	}
	for id, v := range c.QuorumDevices {
		add(cib.KeyQuorumDevice+id, 0, v)
	}
	for id, v := range c.Tickets {
		add(cib.KeyTicket+id, 0, v)
	}
	for id, v := range c.AuditRules {
		add(cib.KeyAuditRule+id, 0, v)
	}
	for id, v := range c.Roles {
		add(cib.KeyRole+id, 0, v)
	}
	for id, v := range c.SNMPUsers {
		add(cib.KeySNMPUser+id, 0, v)
	}
	for id, v := range c.SNMPTargets {
		add(cib.KeySNMPTarget+id, 0, v)
	}
	for id, v := range c.CIMFilters {
		add(cib.KeyCIMFilter+id, 0, v)
	}
	for id, v := range c.CIMDestinations {
		add(cib.KeyCIMDestination+id, 0, v)
	}
	for id, v := range c.CIMSubscriptions {
		add(cib.KeyCIMSubscription+id, 0, v)
	}
	for id, v := range c.Webhooks {
		add(cib.KeyWebhook+id, 0, v)
	}
	for id, v := range c.MailTargets {
		add(cib.KeyMailTarget+id, 0, v)
	}
	for id, v := range c.RoleBindings {
		add(cib.KeyRoleBinding+id, 0, v)
	}
	for name, v := range c.RemoteNodes {
		add(cib.KeyRemoteNode+name, 0, v)
	}
	if st.Voters != nil {
		add(cib.KeyVoters, st.Voters.Rev, st.Voters)
	}
	if st.Revoked != nil {
		add(cib.KeyRevoked, st.Revoked.Rev, st.Revoked)
	}
	if st.View != nil {
		add(cib.KeyView, st.View.Rev, st.View)
	}
	for id, v := range st.Members {
		add(cib.KeyMember+id, v.Rev, v)
	}
	for id, v := range st.Nodes {
		add(cib.KeyNodeStatus+id, v.Rev, v)
	}
	for id, v := range st.Histories[node] {
		add(cib.HistoryKey(node, id), v.Rev, v)
	}
	return out, err
}

// journal is the node's own fsynced record of what it did without the store.
type journal struct{ f *os.File }

func openJournal(dir string) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileJournal), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &journal{f}, nil
}

func (j *journal) write(text string) error {
	_, err := fmt.Fprintf(j.f, "%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), text)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// bootID reads the machine's boot id.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
