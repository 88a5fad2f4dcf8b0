package bench

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/belay-ha/belay/audit"
)

// auditing measures the audit log: appending by many callers and by one, and
// verification with the signatures of checkpoints.
func auditing(ctx context.Context, r *Report) error {
	dir, err := os.MkdirTemp("", "belay-bench-audit")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	log, _, err := audit.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	one, err := appendFor(ctx, log, 1)
	if err != nil {
		return err
	}
	many, err := appendFor(ctx, log, 50)
	if err != nil {
		return err
	}
	r.Add(Figure{Name: "audit: append, 50 callers", Value: many, Unit: "1/s", Goal: AtLeast(2000), Note: "each waits until its record is on the disk"})
	r.Add(Figure{Name: "audit: append, one caller", Value: one, Unit: "1/s"})

	secret, public, err := audit.NewKey(audit.Origin("bench", "n1", 1))
	if err != nil {
		return err
	}
	signer, err := audit.NewSigner(secret, public)
	if err != nil {
		return err
	}
	keys := &audit.Keys{}
	if err := keys.Add(public); err != nil {
		return err
	}
	const batch = 1000
	for log.Size() < 200*batch && ctx.Err() == nil {
		if err := log.Append(auditRecords(batch)...); err != nil {
			return err
		}
		if _, err := log.Checkpoint(signer); err != nil {
			return err
		}
	}
	began := time.Now()
	report, err := audit.Check(dir, audit.Options{Keys: keys})
	if err != nil {
		return err
	}
	took := time.Since(began)
	r.Add(Figure{
		Name: "audit: verify", Value: float64(report.Records) / took.Seconds(), Unit: "1/s", Goal: AtLeast(100_000),
		Note: fmt.Sprintf("%d records, %d checkpoints", report.Records, report.Checkpoints),
	})
	return ctx.Err()
}

// appendFor lets callers append one record after the other for two seconds, and
// returns how many that are a second.
func appendFor(ctx context.Context, log *audit.Log, callers int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before, began := log.Size(), time.Now()
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				errs[i] = log.Append(auditRecords(1)...)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(log.Size()-before) / time.Since(began).Seconds(), nil
}

func auditRecords(n int) []*audit.Record {
	out := make([]*audit.Record, n)
	for i := range out {
		out[i] = &audit.Record{
			Cluster: "bench", Node: "n1", Phase: audit.Intent, Actor: audit.Actor{User: "anna", UID: 1000, LoginUID: "anna", Via: "rest", Address: "192.0.2.1"},
			Action: "update", Object: "resource/web", RequestID: "0123456789abcdef", Before: 41, After: 42, Rule: "admin: operate, configure on *",
			Changes: []byte(`[{"key":"config/resource/web","before":{"agent":"ocf:heartbeat:IPaddr2","parameters":{"ip":"192.0.2.10"}},"after":{"agent":"ocf:heartbeat:IPaddr2","parameters":{"ip":"192.0.2.11"}}}]`),
		}
	}
	return out
}
