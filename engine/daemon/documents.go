package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/pki"
)

// What the management daemons of a cluster share lies in the store beside the
// configuration. The engine keeps it, guards who sees it, and records changes of it;
// what it means is theirs.

// Limits of documents.
const (
	documentsMax      = 20000
	documentMaxBytes  = 256 << 10
	documentsInTxnMax = 64
)

var documentName = regexp.MustCompile(`^[a-z][a-z0-9-]*/[A-Za-z0-9_.@:=/+-]{1,200}$`)

// listDocuments lists the documents of a snapshot by name.
func listDocuments(s *cib.Snapshot) *api.Documents {
	out := &api.Documents{Revision: s.Revision, Documents: []api.Document{}}
	for _, name := range sortedKeys(s.Access) {
		d := s.Access[name]
		out.Documents = append(out.Documents, api.Document{Name: name, Rev: d.Rev, Value: d.Value})
	}
	return out
}

func getDocuments(_ context.Context, e *engine, _ *caller, _ *http.Request) (any, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return listDocuments(s), nil
}

func watchDocuments(ctx context.Context, e *engine, _ *http.Request, send func(any) error) error {
	var last map[string]*cib.AccessDocument
	for {
		next := e.changed.wait()
		// Status.Voters is there once the store was read: before that nothing is known.
		if s := e.snap.Load(); s != nil && s.Status.Voters != nil && (last == nil || !sameDocuments(last, s.Access)) {
			last = s.Access
			if err := send(listDocuments(s)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

func sameDocuments(a, b map[string]*cib.AccessDocument) bool {
	if len(a) != len(b) {
		return false
	}
	for name, d := range a {
		if x := b[name]; x == nil || x.Rev != d.Rev {
			return false
		}
	}
	return true
}

// postDocuments changes documents in one transaction. A change that has an action
// is recorded as every change is: intent before, outcome after.
func postDocuments(ctx context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var in api.DocumentChange
	if err := body(r, &in); err != nil {
		return nil, err
	}
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	txn, err := documentTxn(&in, len(s.Access))
	if err != nil {
		return nil, err
	}
	actor := c.Actor
	if in.Actor != nil {
		actor = *in.Actor
	}
	if in.RequestID == "" {
		in.RequestID = newID()
	}
	record := func(phase audit.Phase, err error) *audit.Record {
		out := e.auditRecord(actor, phase, &api.Note{Action: in.Action, Object: in.Object, RequestID: in.RequestID})
		out.ChangeRef = in.ChangeRef
		switch {
		case phase == audit.Intent:
			out.Changes = in.Details
		case err != nil:
			out.Result, out.Reason = audit.ResultFailed, err.Error()
			if doubt, ok := errors.AsType[*inDoubt](err); ok && doubt.happened {
				out.Result = audit.ResultSuccess
			} else if ok {
				out.Result = audit.ResultUnknown
			}
		default:
			out.Result = "success"
		}
		return out
	}
	if _, err := e.quorate(ctx); err != nil {
		return nil, err
	}
	if in.Action != "" {
		if err := e.recordIntent(record(audit.Intent, nil)); err != nil {
			return nil, err
		}
	}
	tctx, cancel := context.WithTimeout(ctx, 2*commitTimeout)
	defer cancel()
	ok, rev, err := e.store.Commit(tctx, *txn)
	switch {
	case err != nil:
		err = &inDoubt{Problem: api.NewProblem(api.CodeStore, err.Error())}
	case !ok:
		err = api.NewProblem(api.CodeConflict, "somebody else changed it in between")
	default:
		err = written(e.await(tctx, rev))
	}
	if in.Action != "" {
		e.recordOutcome(record(audit.Outcome, err))
	}
	if err != nil {
		return nil, err
	}
	return api.DocumentsChanged{Revision: rev}, nil
}

// documentTxn checks a request and turns it into a transaction. have is the number of
// documents that there are.
func documentTxn(in *api.DocumentChange, have int) (*cib.Txn, error) {
	txn := &cib.Txn{}
	bad := func(format string, args ...any) error {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf(format, args...))
	}
	names := slices.Clone(in.Delete)
	for _, d := range in.Put {
		names = append(names, d.Name)
		if len(d.Value) > documentMaxBytes || !json.Valid(d.Value) {
			return nil, bad("document %s is not JSON of at most %d bytes", d.Name, documentMaxBytes)
		}
		txn.Put = append(txn.Put, cib.Put{Key: cib.KeyAccess + d.Name, Value: d.Value})
	}
	for _, i := range in.If {
		names = append(names, i.Name)
		txn.If = append(txn.If, cib.Compare{Key: cib.KeyAccess + i.Name, ModRev: i.Rev})
	}
	for _, name := range in.Delete {
		txn.Delete = append(txn.Delete, cib.KeyAccess+name)
	}
	for _, name := range names {
		if !documentName.MatchString(name) {
			return nil, bad("%q is no name of a document: KIND/ID", name)
		}
	}
	switch {
	case len(in.Put)+len(in.Delete) == 0:
		return nil, bad("nothing is to be changed")
	case len(names) > documentsInTxnMax:
		return nil, bad("at most %d documents can be changed at once", documentsInTxnMax)
	case have+len(in.Put) > documentsMax && len(in.Put) > 0:
		return nil, api.NewProblem(api.CodeTooMany, fmt.Sprintf("there are %d documents of the management daemons; %d are possible", have, documentsMax))
	}
	return txn, nil
}

// postNote records what changes nothing.
func postNote(_ context.Context, e *engine, c *caller, r *http.Request) (any, error) {
	var in api.Note
	if err := body(r, &in); err != nil {
		return nil, err
	}
	actor := c.Actor
	if in.Actor != nil {
		actor = *in.Actor
	}
	if in.Action == "" || !slices.Contains([]string{audit.ResultSuccess, audit.ResultRefused, audit.ResultFailed}, in.Result) {
		return nil, api.NewProblem(api.CodeBadRequest, "a note names an action and its result: success, refused or failed")
	}
	if err := e.record(e.auditRecord(actor, audit.Note, &in)); err != nil {
		return nil, api.NewProblem(api.CodeAudit, err.Error())
	}
	return struct{}{}, nil
}

// auditRecord fills in what all records have.
func (e *engine) auditRecord(actor api.Actor, phase audit.Phase, n *api.Note) *audit.Record {
	r := e.newRecord(phase, actor)
	r.Action, r.Object, r.RequestID, r.ChangeRef, r.Result, r.Reason = n.Action, n.Object, n.RequestID, n.ChangeRef, n.Result, n.Reason
	r.Rule = cmp.Or(n.Rule, r.Rule)
	return r
}

// recordIntent records an intent; what can't be recorded does not happen.
func (e *engine) recordIntent(r *audit.Record) error {
	if err := e.record(r); err != nil {
		return api.NewProblem(api.CodeAudit, err.Error())
	}
	return nil
}

func (e *engine) recordOutcome(r *audit.Record) {
	if err := e.record(r); err != nil {
		e.log.Error("an outcome can't be recorded", "request", r.RequestID, "err", err)
	}
}

// postCertificate signs the certificate that this node's management daemon shows to
// its clients. The names are the node's own, whatever the request says.
func postCertificate(ctx context.Context, e *engine, _ *caller, r *http.Request) (any, error) {
	var in api.CertificateRequest
	if err := body(r, &in); err != nil {
		return nil, err
	}
	if _, err := pki.ParseRequest([]byte(in.Request)); err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	ca, err := e.authority(ctx)
	if err != nil {
		return nil, err
	}
	names := pki.Names{Node: e.local.Node, Addresses: append([]string{"localhost", "127.0.0.1", "::1"}, e.local.Config.Addresses...), ServerOnly: true}
	if host, err := os.Hostname(); err == nil {
		names.Addresses = append(names.Addresses, host)
	}
	cert, err := ca.Sign([]byte(in.Request), names, time.Now())
	if err != nil {
		return nil, api.NewProblem(api.CodeBadRequest, err.Error())
	}
	return api.Certificate{Cert: string(pki.EncodeCert(cert)), CA: string(pki.EncodeCert(e.id.CA().Cert))}, nil
}
