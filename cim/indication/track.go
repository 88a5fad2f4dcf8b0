package indication

import (
	"slices"
	"sync"

	"github.com/belay-ha/belay/cim/model"
	"github.com/belay-ha/belay/cim/object"
)

// tracked are the classes whose instances are looked after for lifecycle indications.
// Links, jobs and the audit log are not among them: they change all the time.
var tracked = []string{
	"Belay_Cluster", "Belay_Node", "Belay_RemoteNode", "Belay_Resource", "Belay_ResourceSetting", "Belay_Constraint", "Belay_FenceDevice", "Belay_QuorumDevice", "Belay_Ticket",
	"Belay_RunningOn", "Belay_ParticipatingNode", "Belay_SubResource", "CIM_SoftwareIdentity", "CIM_IPProtocolEndpoint",
}

// volatile are properties whose change is no news: figures, and the generation that
// every object shows.
var volatile = map[string]bool{"ConfigGeneration": true, "ClockOffset": true, "ActionsInFlight": true, "LastCheck": true}

// difference is what became of one instance.
type difference struct {
	revision int64
	class    string           // of the indication
	now, was *object.Instance // nil: there is none
}

// differencesMax bounds what is kept for a sender that is behind.
const differencesMax = 20000

// Tracker compares each state with the one before and keeps the differences, so that
// every node can go on where another one ended. It is safe for concurrent use.
type Tracker struct {
	mu       sync.Mutex
	revision int64
	before   map[string]*object.Instance // nil: nothing was seen yet
	recent   []difference
	lost     int64 // differences up to this revision are kept no longer
	next     chan struct{}
}

// NewTracker returns a tracker that has seen nothing.
func NewTracker() *Tracker { return &Tracker{next: make(chan struct{})} }

// Update takes the newest state. Revisions only rise; the same one again is not looked
// at.
func (t *Tracker) Update(s *model.State) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	revision := s.Summary.Revision
	if t.before != nil && revision <= t.revision {
		return nil
	}
	now, keys, err := instances(s)
	if err != nil {
		return err
	}
	if t.before == nil {
		t.lost = revision
	} else {
		t.compare(revision, now, keys)
	}
	t.before, t.revision = now, revision
	if n := len(t.recent) - differencesMax; n > 0 {
		t.lost = t.recent[n-1].revision
		t.recent = slices.Delete(t.recent, 0, n)
	}
	close(t.next)
	t.next = make(chan struct{})
	return nil
}

func instances(s *model.State) (out map[string]*object.Instance, keys []string, err error) {
	source := s.Source(model.Access{})
	out = map[string]*object.Instance{}
	for _, name := range tracked {
		for i, err := range source.Instances(model.Root, s.Class(name)) {
			if err != nil {
				return nil, nil, err
			}
			key := i.Path().Key()
			out[key], keys = i, append(keys, key)
		}
	}
	return out, keys, nil
}

func (t *Tracker) compare(revision int64, now map[string]*object.Instance, keys []string) {
	var gone []string
	for key := range t.before {
		if now[key] == nil {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	for _, key := range gone {
		t.recent = append(t.recent, difference{revision, "CIM_InstDeletion", nil, t.before[key]})
	}
	for _, key := range keys {
		switch was := t.before[key]; {
		case was == nil:
			t.recent = append(t.recent, difference{revision, "CIM_InstCreation", now[key], nil})
		case changed(was, now[key]):
			t.recent = append(t.recent, difference{revision, "CIM_InstModification", now[key], was})
		}
	}
}

// changed reports whether two instances of one class differ in what is news.
func changed(a, b *object.Instance) bool {
	for n, p := range a.Class().Properties {
		if !volatile[p.Name] && !equal(a.At(n), b.At(n)) {
			return true
		}
	}
	return false
}

func equal(a, b any) bool {
	x, ok := a.([]any)
	if !ok {
		if p, ok := a.(*object.Path); ok {
			q, ok := b.(*object.Path)
			return ok && p.Equal(q)
		}
		if _, ok := b.([]any); ok {
			return false
		}
		return a == b
	}
	y, ok := b.([]any)
	return ok && slices.Equal(x, y)
}

// seen is the revision of the newest state.
func (t *Tracker) seen() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.revision
}

// after returns the differences after a revision, with the revision that they lead to,
// whether some are kept no longer, and a channel that is closed when there are more.
func (t *Tracker) after(revision int64) (list []difference, upTo int64, lost bool, next <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.recent, revision, func(d difference, r int64) int {
		if d.revision <= r {
			return -1
		}
		return 1
	})
	return slices.Clone(t.recent[i:]), max(t.revision, revision), revision < t.lost, t.next
}
