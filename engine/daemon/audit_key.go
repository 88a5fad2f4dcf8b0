package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// The key that signs this node's audit log is replaced in four steps, each durable before
// the next: the new key stands beside the old one; the note that both keys sign stands
// beside the log, which is what counts; a record tells of it; the new key takes the place
// of the old one. After a crash the rest is done, or what was begun is dropped.

// signer returns this node's key, making it at first; nil while the node does not
// know its own id.
func (e *engine) signer() (*audit.Signer, error) {
	e.trail.mu.Lock()
	defer e.trail.mu.Unlock()
	s := e.snap.Load()
	if s == nil || s.Config.Nodes[e.local.Node] == nil {
		return nil, nil
	}
	origin := audit.Origin(e.local.Cluster, e.local.Node, s.Config.Nodes[e.local.Node].ID)
	if e.trail.signer != nil && e.trail.signer.Origin() == origin {
		return e.trail.signer, nil
	}
	if err := e.finishRotation(origin); err != nil {
		return nil, err
	}
	secret, public, err := pki.LoadAuditKey(e.d.path(dirPKI))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(public, origin+"+") {
		if secret, public, err = audit.NewKey(origin); err != nil {
			return nil, err
		}
		if err := pki.SaveAuditKey(e.d.path(dirPKI), secret, public); err != nil {
			return nil, err
		}
	}
	signer, err := audit.NewSigner(secret, public)
	if err != nil {
		return nil, err
	}
	if e.trail.witness == nil {
		if e.trail.witness, err = audit.NewWitness(e.d.path(dirAudit), signer); err != nil {
			return nil, err
		}
	}
	e.trail.witness.Use(signer)
	if err := e.trail.log.Learn(public); err != nil {
		return nil, err
	}
	e.trail.signer = signer
	return signer, nil
}

// finishRotation does what is left of a rotation that was begun. The caller holds the
// trail's lock.
func (e *engine) finishRotation(origin string) error {
	dir := e.d.path(dirPKI)
	_, public, err := pki.LoadNextAuditKey(dir)
	if public == "" || err != nil {
		return err
	}
	list := e.trail.log.Rotations(origin)
	n := slices.IndexFunc(list, func(r audit.Rotation) bool { return r.New == public })
	if n < 0 {
		return pki.DropNextAuditKey(dir)
	}
	r := &list[n]
	told, err := audit.Recorded(e.trail.log.Dir(), r)
	if err != nil {
		return err
	}
	if !told {
		x := e.newRecord(audit.Note, api.Actor{User: "belayd", Via: "engine"})
		x.Action, x.Object, x.RequestID, x.Result = audit.ActionKeyRotated, "audit-key/"+e.local.Node, newID(), audit.ResultSuccess
		x.Reason = fmt.Sprintf("another key signs the audit log after record %d", r.Size)
		if x.Changes, err = keyChange(x.Object, r.Old, r.New); err != nil {
			return err
		}
		if err := e.trail.log.Append(x); err != nil {
			return err
		}
	}
	return pki.InstallNextAuditKey(dir)
}

// keyChange is a new key as the audit log shows a change.
func keyChange(object, old, next string) (json.RawMessage, error) {
	var c [1]cib.Changed
	c[0].Key = object
	for _, x := range []struct {
		text string
		to   *json.RawMessage
	}{{old, &c[0].Before}, {next, &c[0].After}} {
		b, err := json.Marshal(x.text)
		if err != nil {
			return nil, fmt.Errorf("encode a public key: %w", err)
		}
		*x.to = b
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a new key of the audit log: %w", err)
	}
	return b, nil
}

// postAuditKey replaces the key that signs this node's audit log.
func postAuditKey(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	if !c.names {
		return nil, api.NewProblem(api.CodeForbidden, "only root and the management daemon replace the key of the audit log")
	}
	var in api.AuditKeyRequest
	if err := body(r, &in); err != nil {
		return nil, err
	}
	if in.Node != "" && in.Node != e.local.Node {
		return nil, api.NewProblem(api.CodeBadRequest, "node: a key is replaced by the management daemon of its own node")
	}
	var out *api.AuditKey
	err := e.audited(c.Actor, "rotate-key", "audit-key/"+e.local.Node, nil, func() (err error) {
		out, err = e.rotateKey()
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := e.checkpoint(ctx); err != nil {
		e.log.Warn("the audit log has no checkpoint with the new key yet", "err", err)
	}
	return out, nil
}

// rotateKey replaces the key.
func (e *engine) rotateKey() (*api.AuditKey, error) {
	e.trail.rotating.Lock()
	defer e.trail.rotating.Unlock()
	old, err := e.signer()
	switch {
	case e.trail.problem != nil:
		return nil, api.NewProblem(api.CodeAudit, e.trail.problem.Error())
	case err != nil:
		return nil, err
	case old == nil:
		return nil, api.NewProblem(api.CodeStore, "this node does not know its own id yet")
	}
	secret, public, err := audit.NewKey(old.Origin())
	if err != nil {
		return nil, err
	}
	next, err := audit.NewSigner(secret, public)
	if err != nil {
		return nil, err
	}
	dir := e.d.path(dirPKI)
	if err := pki.SaveNextAuditKey(dir, secret, public); err != nil {
		return nil, err
	}
	rotation, err := e.trail.log.Rotate(old, next)
	// From here on the old key is not used: what is left is done now, or when a signature is
	// wanted the next time.
	e.trail.mu.Lock()
	e.trail.signer = nil
	e.trail.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("replace the key of the audit log: %w", err)
	}
	now, err := e.signer()
	if err != nil {
		return nil, fmt.Errorf("the new key of the audit log counts, but is not in its place yet: %w", err)
	}
	if now == nil || now.Public != public {
		return nil, errors.New("the new key of the audit log is not in its place")
	}
	return &api.AuditKey{Node: e.local.Node, Key: public, Replaced: *replacedKey(&rotation)}, nil
}

func replacedKey(r *audit.Rotation) *api.AuditKeyReplaced {
	return &api.AuditKeyReplaced{Key: r.Old, Records: r.Size, Time: r.Time, Note: r.Note}
}
