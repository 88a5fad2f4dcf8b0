package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/belay-ha/belay/audit"
	"github.com/belay-ha/belay/engine/api"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
)

// What the audit rules of the configuration ask of each node: to forward its audit
// log, and to remove old records of it.

const (
	forwardCheck = 5 * time.Second     // between looks at the forwarders
	segmentAge   = 30 * 24 * time.Hour // of a file of records, where they are not kept for ever
	forwardGrace = time.Minute         // a problem that lasts longer is an alarm
)

// forwarding is one forwarder at work.
type forwarding struct {
	rule   []byte // as it was when it began
	f      *audit.Forwarder
	stop   func()
	failed bool // an alarm tells of it
}

// forwardAudit runs a forwarder for each rule until ctx ends.
func (e *engine) forwardAudit(ctx context.Context) {
	if e.trail.problem != nil {
		return
	}
	running := map[string]*forwarding{}
	defer func() {
		for _, f := range running {
			f.stop()
		}
	}()
	tick := time.NewTicker(forwardCheck)
	defer tick.Stop()
	for {
		next := e.changed.wait()
		if s := e.snap.Load(); s != nil {
			e.matchForwarders(ctx, s.Config.AuditRules, running)
		}
		for _, name := range sortedKeys(running) {
			e.tellForwarding(name, running[name])
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-tick.C:
		}
	}
}

// matchForwarders starts and ends forwarders as the rules say.
func (e *engine) matchForwarders(ctx context.Context, rules map[string]*cib.AuditRule, running map[string]*forwarding) {
	for id, f := range running {
		if r := rules[id]; r == nil || r.Forward == nil || !bytes.Equal(f.rule, encodeRule(r.Forward)) {
			f.stop()
			delete(running, id)
			e.trail.forwards.Delete(id)
		}
	}
	for _, id := range sortedKeys(rules) {
		r := rules[id].Forward
		if r == nil || running[id] != nil {
			continue
		}
		f := &forwarding{rule: encodeRule(r), stop: func() {}}
		running[id] = f
		target, err := e.forwardTarget(id, r)
		if err == nil {
			f.f, err = audit.NewForwarder(e.d.path(dirAudit), target)
		}
		if err != nil {
			f.failed = true
			e.emit(event.New(event.AuditForwardFailed, "node", e.local.Node, "device", id, "reason", err.Error()))
			e.trail.forwards.Store(id, api.AuditForward{Name: id, Problem: err.Error(), Delivery: api.Delivery{LastError: err.Error(), LastErrorAt: time.Now().UTC()}})
			continue
		}
		run, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); f.f.Run(run) }()
		f.stop = func() { cancel(); <-done }
	}
}

func encodeRule(r *cib.AuditForward) []byte {
	b, _ := json.Marshal(r) // texts always marshal
	return b
}

// forwardTarget reads what a rule names.
func (e *engine) forwardTarget(id string, r *cib.AuditForward) (audit.Target, error) {
	host, _, err := net.SplitHostPort(r.Address)
	if err != nil {
		return audit.Target{}, err
	}
	t := audit.Target{Name: id, Address: r.Address, Format: audit.FormatJSON, Product: e.d.opts.Version, TLS: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}}
	if r.Format != "" {
		t.Format = audit.Format(r.Format)
	}
	if r.ServerName != "" {
		t.TLS.ServerName = r.ServerName
	}
	if r.CA != "" {
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM([]byte(r.CA)) {
			return t, errors.New("no certificate in ca can be read")
		}
	}
	if r.CertFile != "" {
		// Read at each connection, so that a renewed one is used.
		load := func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
			return &c, err
		}
		if _, err := load(); err != nil {
			return t, fmt.Errorf("read the certificate: %w", err)
		}
		t.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}

// tellForwarding tells when forwarding fails for long, and when it works again.
func (e *engine) tellForwarding(id string, f *forwarding) {
	if f.f == nil {
		return
	}
	s := f.f.Status()
	e.trail.forwards.Store(id, api.AuditForward{
		Name: id, Delivered: s.Delivered, Connected: s.Connected, Problem: s.Problem,
		Delivery: api.Delivery{LastSentAt: s.DeliveredAt, LastError: s.Error, LastErrorAt: s.ErrorAt},
	})
	switch {
	case s.Problem != "" && !f.failed && time.Since(s.Since) > forwardGrace:
		f.failed = true
		e.emit(event.New(event.AuditForwardFailed, "node", e.local.Node, "device", id, "reason", s.Problem))
	case s.Problem == "" && s.Connected && f.failed:
		f.failed = false
		e.emit(event.New(event.AuditForwarded, "node", e.local.Node, "device", id))
	}
}

// removeOldRecords removes what no rule keeps any longer. That is recorded first.
func (e *engine) removeOldRecords(now time.Time) error {
	s := e.snap.Load()
	signer, err := e.signer()
	if s == nil || signer == nil || err != nil || e.trail.problem != nil {
		return err
	}
	days := 0
	var holds []audit.Hold
	for _, id := range sortedKeys(s.Config.AuditRules) {
		switch r := s.Config.AuditRules[id]; {
		case r.Keep != nil:
			days = max(days, r.Keep.Days)
		case r.Hold != nil:
			from, to := r.Hold.Range()
			holds = append(holds, audit.Hold{From: from, To: to})
		}
	}
	if days == 0 {
		return nil
	}
	if err := e.trail.log.RotateAfter(segmentAge); err != nil {
		return err
	}
	id := newID()
	rec := func(phase audit.Phase, result, reason string) *audit.Record {
		r := e.newRecord(phase, api.Actor{User: "belayd", Via: "engine"})
		r.Action, r.Object, r.RequestID, r.Result, r.Reason = "audit-remove", "audit", id, result, reason
		return r
	}
	intended := false
	text := ""
	done, err := e.trail.log.Remove(now.Add(-time.Duration(days)*24*time.Hour), holds, signer, func(r audit.Removed) error {
		text = fmt.Sprintf("records %d to %d, older than %d days", r.First, r.Last, days)
		err := e.record(rec(audit.Intent, "", text))
		intended = err == nil
		return err
	})
	if !intended {
		return err
	}
	if err != nil {
		return errors.Join(err, e.record(rec(audit.Outcome, audit.ResultFailed, err.Error())))
	}
	e.log.Info("old records of the audit log were removed", "first", done.First, "last", done.Last)
	return e.record(rec(audit.Outcome, audit.ResultSuccess, text))
}
