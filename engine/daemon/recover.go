package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/belay-ha/belay/engine/cib"
	"github.com/belay-ha/belay/engine/event"
	"github.com/belay-ha/belay/engine/node"
	"github.com/belay-ha/belay/engine/pki"
	"github.com/belay-ha/belay/engine/quorumd/client"
	"github.com/belay-ha/belay/engine/store"
)

// Forced recovery of the store with one of two voters, in steps. What is done at each
// stands in a file, so that an engine that ends in between goes on, or takes back
// what no arbitrator knows of.
//
//  1. The next data generation is drawn, and written down.
//  2. The member stops, its data are copied, and a member of its own is made of the
//     copy, with all of the log. Nobody but this engine reaches it.
//  3. It is looked at: it has everything that this node has ever seen.
//  4. The arbitrator opens the generation. Up to here everything can be taken back;
//     from here on the other voter can never go on from what it has, and this one
//     alone can, after a reboot, too. Where the other one's vote was never recorded,
//     in all of the log, nobody need be asked: it has quorum nowhere. Nor where it
//     says that it has no data any more, and no arbitrator knows of newer ones.
//  5. Generation, voters and the end of the DC's term are written in one transaction.
//  6. The copy takes the place of the data, which are kept aside, and serves everybody.

// recovery is the file.
type recovery struct {
	From     cib.DataGeneration `json:"from"`
	Next     cib.DataGeneration `json:"next"`
	Device   string             `json:"device"`          // of the arbitrator; "": Lost has no vote, or no data
	Empty    bool               `json:"empty,omitempty"` // Lost has no data
	Lost     string             `json:"lost"`            // the other voter
	Revision int64              `json:"revision"`        // the newest of From that this node has seen
	Asked    bool               `json:"asked"`           // the arbitrator may have opened Next
	Opened   bool               `json:"opened"`          // it has, or need not
	Began    time.Time          `json:"began"`
}

const (
	fileRecovery = "recovery.json"
	dirForced    = "etcd.forced" // the copy
)

// Limits of the steps.
const (
	forcedReadyMax = 30 * time.Second // until the member of one has read its data
	openMax        = 5 * time.Second
)

// force asks the keeper for the forced recovery of the store.
func (k *keeper) force(r node.Recover) {
	replace(k.forced, r)
	k.lookAgain()
}

// lookAgain ends the present look, which waits for a store that can't answer.
func (k *keeper) lookAgain() {
	k.lookMu.Lock()
	if k.stopLook != nil {
		k.stopLook()
	}
	k.lookMu.Unlock()
	replace(k.poke, struct{}{})
}

// readRecovery returns what an earlier engine, or this one, has begun; nil: nothing.
func (k *keeper) readRecovery() (*recovery, error) {
	var r recovery
	err := readJSON(k.d.path(fileRecovery), &r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &r, nil
}

// recover does what the node asked for.
func (k *keeper) recover(ctx context.Context, ask node.Recover) error {
	r, err := k.readRecovery()
	if err != nil {
		return err
	}
	if r == nil || r.From != ask.Generation {
		r = &recovery{From: ask.Generation, Next: cib.DataGeneration{Number: ask.Generation.Number + 1, Nonce: drawNonce()}}
	}
	// One that was asked for before keeps its generation: the arbitrator may have
	// opened it, and the answer was lost.
	r.Device, r.Lost, r.Empty, r.Revision, r.Began = ask.Device, ask.Lost, ask.Empty, max(r.Revision, ask.Revision), time.Now().UTC()
	if err := writeJSON(k.d.path(fileRecovery), r); err != nil {
		return err
	}
	k.log.Warn("the store is to go on at this node alone", "lost", r.Lost, "device", r.Device, "generation", r.Next.Number)
	err = k.stepsOf(ctx, r)
	if err == nil || r.Opened {
		return err
	}
	if _, refused := errors.AsType[*client.Refusal](err); refused {
		r.Asked = false
	}
	if rerr := k.retract(ctx, r); rerr != nil {
		return errors.Join(err, rerr)
	}
	return err
}

// drawNonce draws the random part of a data generation.
func drawNonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// stepsOf goes through the steps of a recovery, from the first that is not done.
func (k *keeper) stepsOf(ctx context.Context, r *recovery) error {
	copied := k.d.path(dirForced)
	if err := k.sup.Stop(ctx); err != nil {
		return err
	}
	k.running = false
	if _, err := os.Stat(copied); err != nil || !r.Opened {
		if err := os.RemoveAll(copied); err != nil {
			return fmt.Errorf("remove an old copy of the store: %w", err)
		}
		if err := k.sup.Copy(k.dataDir(), copied); err != nil {
			return err
		}
	}
	if err := k.startForced(ctx, copied); err != nil {
		if r.Opened && k.hasData() {
			err = errors.Join(err, os.RemoveAll(copied)) // the next try makes it anew
		}
		return err
	}
	gen, err := k.look(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case r.Opened:
	case r.Device != "":
		err = k.open(ctx, r)
	case r.Empty:
		err = k.bereft(ctx, r)
	default:
		err = k.unvoted(ctx, r)
	}
	if err != nil {
		return err
	}
	if gen != r.Next {
		if err := k.commitForced(ctx, r); err != nil {
			return err
		}
	}
	if err := k.sup.Stop(ctx); err != nil {
		return err
	}
	return k.takePlace(ctx)
}

// open asks the arbitrator to open the generation.
func (k *keeper) open(ctx context.Context, r *recovery) error {
	return r.open(func(r *recovery) error { return writeJSON(k.d.path(fileRecovery), r) }, func() error {
		ctx, cancel := context.WithTimeout(ctx, openMax)
		defer cancel()
		return k.arbiters.openGeneration(ctx, r.Device, r.Next)
	})
}

// open asks the arbitrator by ask, and keeps by keep what is known before and after
// that. What can't be kept is not so: an engine that begins anew must find what this one
// goes by, or it would start the member beside the copy.
func (r *recovery) open(keep func(*recovery) error, ask func() error) error {
	asked := *r
	asked.Asked = true
	if err := keep(&asked); err != nil {
		return err
	}
	*r = asked
	if err := ask(); err != nil {
		return err
	}
	opened := asked
	opened.Opened = true
	if err := keep(&opened); err != nil {
		return err
	}
	*r = opened
	return nil
}

// unvoted settles that the other one's vote was never recorded. Where it was, the data
// say so, and this node takes part of the cluster that they describe: all of the log
// is what anybody can ever have.
func (k *keeper) unvoted(ctx context.Context, r *recovery) error {
	s, err := k.admin().Snapshot(ctx)
	if err != nil {
		return err
	}
	if v := s.Status.Voters; v == nil || !slices.Equal(v.Voters, []string{k.local.Node}) {
		replace(k.newest, s)
		return fmt.Errorf("%s has a vote", r.Lost)
	}
	return k.settled(r)
}

// settled keeps that nobody need be asked any more.
func (k *keeper) settled(r *recovery) error {
	settled := *r
	settled.Opened = true
	if err := writeJSON(k.d.path(fileRecovery), &settled); err != nil {
		return err
	}
	r.Opened = true
	return nil
}

// startForced starts a member of its own from a copy of the data, and waits until it
// has read them.
func (k *keeper) startForced(ctx context.Context, dir string) error {
	c, err := k.memberConfig()
	if err != nil {
		return err
	}
	c.Dir, c.ForceNew = dir, true
	c.AdvertisePeers, c.AdvertiseClients = c.ListenPeers, c.ListenClients
	c.ListenPeers, c.ListenClients = []string{"https://127.0.0.1:0"}, nil
	c.Socket = filepath.Join(k.d.opts.RunDir, "forced.sock")
	if err := k.sup.Start(ctx, c); err != nil {
		return err
	}
	timer := time.NewTimer(forcedReadyMax)
	defer timer.Stop()
	for {
		switch ch := k.sup.State(); ch.State {
		case store.ChildReady:
			return k.admin().SetEndpoints([]store.Endpoint{{Node: k.local.Node, URL: "unixs://" + c.Socket, Local: true}})
		case store.ChildFailed, store.ChildBackoff:
			return fmt.Errorf("the store's member can't be made the only one: %s", ch.Detail)
		case store.ChildStopped, store.ChildStarting:
		}
		select {
		case <-k.poke:
		case <-timer.C:
			return fmt.Errorf("the store's member is not ready after %s", forcedReadyMax)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look refuses data that are not what this node has seen. It returns the generation
// that they are of.
func (k *keeper) look(ctx context.Context, r *recovery) (cib.DataGeneration, error) {
	var gen cib.DataGeneration
	members, err := k.admin().Members(ctx)
	if err != nil {
		return gen, err
	}
	kvs, rev, err := k.admin().List(ctx, store.List{Prefix: cib.KeyDataGen})
	if err != nil {
		return gen, err
	}
	if len(kvs) == 0 {
		return gen, errors.New("the store's data have no generation")
	}
	if err := json.Unmarshal(kvs[0].Value, &gen); err != nil {
		return gen, fmt.Errorf("read the generation of the store's data: %w", err)
	}
	if gen.Number > r.From.Number && gen != r.Next {
		// The snapshot that was kept is older than the store's data: what they say
		// decides whether this is still to be done.
		s, serr := k.admin().Snapshot(ctx)
		if serr != nil {
			return gen, serr
		}
		replace(k.newest, s)
	}
	return gen, r.accept(k.local.Node, members, gen, rev)
}

// accept refuses what a member of its own holds, where that is less than was seen.
func (r *recovery) accept(self string, members []store.Member, gen cib.DataGeneration, rev int64) error {
	switch {
	case len(members) != 1 || members[0].Name != self || members[0].Learner:
		return fmt.Errorf("the store's member is not the only voter: %v", members)
	case gen == r.Next: // begun before this engine
		return nil
	case gen != r.From:
		return fmt.Errorf("the data on this node's disk are of generation %d, and generation %d was seen", gen.Number, r.From.Number)
	case rev < r.Revision:
		return fmt.Errorf("the data on this node's disk are old: they end at revision %d, and revision %d was seen", rev, r.Revision)
	}
	return nil
}

// commitForced begins the generation in the store: the votes are this node's, and
// nobody is the DC.
func (k *keeper) commitForced(ctx context.Context, r *recovery) error {
	old := map[string]cib.KV{}
	for _, key := range []string{cib.KeyDataGen, cib.KeyVoters, cib.KeyDC} {
		kvs, _, err := k.admin().List(ctx, store.List{Prefix: key})
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(kvs, func(kv cib.KV) bool { return kv.Key == key }); i >= 0 {
			old[key] = kvs[i]
		}
	}
	var voters cib.VoterSet
	if err := json.Unmarshal(old[cib.KeyVoters].Value, &voters); err != nil {
		return fmt.Errorf("read the voters: %w", err)
	}
	set := &cib.VoterSet{Epoch: voters.Epoch + 1, Voters: []string{k.local.Node}, Since: time.Now().UTC(), Reason: r.Lost + " was lost, and shut out by " + r.Device}
	told := event.New(event.StoreForced, "node", k.local.Node, "device", r.Device, "number", fmt.Sprint(r.Next.Number), "peer", r.Lost)
	want := 2
	switch {
	case r.Empty:
		set.Reason = r.Lost + " has lost its data of the store"
		told = event.New(event.StorePeerEmpty, "node", k.local.Node, "number", fmt.Sprint(r.Next.Number), "peer", r.Lost)
	case r.Device == "":
		set.Reason, want = r.Lost+" was lost before it had a vote", 1
		told = event.New(event.StoreUnpaired, "node", k.local.Node, "number", fmt.Sprint(r.Next.Number), "peer", r.Lost)
	}
	if !slices.Contains(voters.Voters, k.local.Node) || len(voters.Voters) != want {
		return fmt.Errorf("this node is not one of %d voters, which are %v", want, voters.Voters)
	}
	txn := cib.Txn{
		If: []cib.Compare{{Key: cib.KeyDataGen, ModRev: old[cib.KeyDataGen].ModRev}, {Key: cib.KeyVoters, ModRev: old[cib.KeyVoters].ModRev}},
		Put: []cib.Put{
			{Key: cib.KeyDataGen, Value: &r.Next},
			{Key: cib.KeyVoters, Value: set},
			k.eventPut(told),
		},
		Delete: []string{cib.KeyDC},
	}
	ok, _, err := k.admin().Commit(ctx, txn)
	if err == nil && !ok {
		err = errors.New("the store changed in between")
	}
	if err != nil {
		return fmt.Errorf("begin generation %d of the data: %w", r.Next.Number, err)
	}
	return nil
}

// takePlace puts the copy in the place of the data, and starts the member as usual.
func (k *keeper) takePlace(ctx context.Context) error {
	if _, err := os.Stat(k.d.path(dirForced)); err == nil {
		if k.hasData() {
			if _, err := k.sup.SetAside(k.dataDir(), time.Now()); err != nil {
				return err
			}
		}
		if err := os.Rename(k.d.path(dirForced), k.dataDir()); err != nil {
			return fmt.Errorf("put the recovered data of the store in their place: %w", err)
		}
	}
	if err := k.forget(); err != nil {
		return err
	}
	if err := k.again(ctx); err != nil {
		return err
	}
	// Nobody else has the store: whoever else was asked for it can't answer.
	return errors.Join(k.store.SetEndpoints(k.endpoints(nil)[:1]), k.admin().SetEndpoints(k.endpoints(nil)[:1]))
}

// retract takes back a recovery that no arbitrator has opened, as far as is known.
// The file stays while one may have.
func (k *keeper) retract(ctx context.Context, r *recovery) error {
	if err := k.sup.Stop(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(k.d.path(dirForced)); err != nil {
		return fmt.Errorf("remove the copy of the store: %w", err)
	}
	if !r.Asked {
		if err := k.forget(); err != nil {
			return err
		}
	}
	return k.again(ctx)
}

// forget ends a recovery.
func (k *keeper) forget() error {
	if err := os.Remove(k.d.path(fileRecovery)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end the recovery of the store: %w", err)
	}
	return pki.SyncDir(k.d.opts.StateDir)
}

// again starts the member as usual.
func (k *keeper) again(ctx context.Context) error {
	k.ends = "" // the administrator was at the copy
	return k.startMember(ctx)
}

// resume goes on with a recovery that the arbitrator has opened, and that an earlier
// engine did not end. One that was not opened, as far as is known, is left to the
// node: with the other voter back nobody needs it any more.
func (k *keeper) resume(ctx context.Context) (done bool, err error) {
	r, err := k.readRecovery()
	if err != nil || r == nil || !r.Opened {
		return true, err
	}
	k.log.Warn("the recovery of the store goes on", "lost", r.Lost, "generation", r.Next.Number)
	return false, k.stepsOf(ctx, r)
}

// settleGeneration ends a recovery that was begun and never carried out: both voters
// are there again. The arbitrator may have opened the generation without this node's
// learning of it, so the cluster takes it; then both know the same.
func (k *keeper) settleGeneration(ctx context.Context, s *cib.Snapshot) error {
	if !k.settling || k.admin() == nil || k.storeErr.Load() != nil {
		return nil
	}
	r, err := k.readRecovery()
	if err != nil || r == nil || r.Opened {
		k.settling = err != nil
		return err
	}
	if s.Status.Generation == r.From {
		kvs, _, err := k.admin().List(ctx, store.List{Prefix: cib.KeyDataGen})
		if err != nil || len(kvs) == 0 {
			return err
		}
		ok, _, err := k.admin().Commit(ctx, cib.Txn{
			If: []cib.Compare{{Key: cib.KeyDataGen, ModRev: kvs[0].ModRev}}, Put: []cib.Put{{Key: cib.KeyDataGen, Value: &r.Next}},
		})
		if err != nil || !ok {
			return err
		}
	}
	return k.forget()
}

// recovered carries out what the node asked for, and tells it what came of it.
func (k *keeper) recovered(ctx context.Context, ask node.Recover) {
	var done node.Recovered
	if err := k.recover(ctx, ask); err != nil {
		k.log.Error("the store can't go on at this node alone", "lost", ask.Lost, "err", err)
		done.Error = err.Error()
	}
	k.resumed, k.settling = done.Error == "", done.Error != ""
	k.tell(ctx, done)
}

// resumes goes on with a recovery that an earlier engine has begun; it reports
// whether there is none any more.
func (k *keeper) resumes(ctx context.Context) bool {
	if k.resumed {
		return true
	}
	done, err := k.resume(ctx)
	if err != nil && ctx.Err() == nil {
		k.log.Error("the recovery of the store waits", "err", err)
	}
	k.resumed = done || err == nil
	return k.resumed
}
