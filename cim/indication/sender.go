package indication

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/mgmtd/outbox"
)

// Config is what the targets of a node have in common.
type Config struct {
	// State is the newest state, to show events in.
	State func() (*model.State, error)
	// Tracker knows what became of instances.
	Tracker *Tracker
}

// RetryMax bounds the pause between two tries to deliver, which the indication service
// shows as DeliveryRetryInterval.
const RetryMax = model.RetryIntervalSeconds * time.Second

// Outbox is the target as package outbox serves it.
func (t *Target) Outbox(cfg *Config) *outbox.Target {
	out := &outbox.Target{Name: t.Name}
	if t.events {
		out.Event = func(ev *cib.Event) (outbox.Delivery, error) {
			state, err := cfg.State()
			if err != nil {
				return nil, err
			}
			i := state.Event(ev)
			if i == nil || !t.takes(i) {
				return nil, nil
			}
			return t.delivery(i), nil
		}
	}
	if t.Lifecycle() {
		out.Changes = &changes{cfg, t}
	}
	return out
}

// changes is what becomes of instances, as far as it is for a target.
type changes struct {
	*Config
	t *Target
}

// Revision is the newest that the tracker has seen.
func (c *changes) Revision() int64 { return c.Tracker.seen() }

// After returns the differences after a revision as indications.
func (c *changes) After(revision int64) (list []outbox.Change, upTo int64, lost bool, more <-chan struct{}, err error) {
	state, err := c.State()
	if err != nil {
		return nil, 0, false, nil, err
	}
	differences, upTo, lost, more := c.Tracker.after(revision)
	for k := range differences {
		if i := lifecycle(state, &differences[k]); c.t.takes(i) {
			list = append(list, outbox.Change{Revision: differences[k].revision, Deliver: c.t.delivery(i)})
		}
	}
	return list, upTo, lost, more, nil
}

// lifecycle is a difference as an indication.
func lifecycle(state *model.State, d *difference) *object.Instance {
	i := state.Class(d.class).New(model.Root)
	i.Set("IndicationTime", state.Summary.Time.UTC())
	i.Set("PerceivedSeverity", 2)
	source := d.now
	if source == nil {
		source = d.was
	}
	i.Set("SourceInstance", source)
	i.Set("SourceInstanceModelPath", source.Path().String())
	if d.class == "CIM_InstModification" {
		i.Set("PreviousInstance", d.was)
	}
	return i
}

// delivery sends an indication; what identifies it stands in it.
func (t *Target) delivery(i *object.Instance) outbox.Delivery {
	return func(ctx context.Context, id outbox.ID) error {
		i.Set("SequenceContext", id.Context)
		i.Set("SequenceNumber", int64(min(id.Sequence, 1<<63-1)))
		i.Set("IndicationIdentifier", id.String())
		i.Set("IndicationFilterName", t.FilterName)
		return t.post(ctx, cimxml.ExportIndication(strconv.FormatUint(id.Sequence, 10), i))
	}
}

// answerMaxBytes bounds a listener's answer.
const answerMaxBytes = 64 << 10

// post delivers once.
func (t *Target) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", `application/xml; charset="utf-8"`)
	req.Header.Set("CIMExport", "MethodRequest")
	req.Header.Set("CIMExportMethod", "ExportIndication")
	req.Header.Set("CIMProtocolVersion", "1.0")
	if t.User != "" {
		req.SetBasicAuth(t.User, t.Password)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMaxBytes))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the listener answers %s", res.Status)
	}
	return cimxml.ParseExportResponse(answer)
}
