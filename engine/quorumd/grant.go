package quorumd

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// judge decides on a beat of a voter: what it says of the cluster's data, then
// what it asks for.
func (a *Arbiter) judge(now time.Time, p *peer, reply *Reply) {
	b, cl := p.beat, p.cluster
	code, text := a.accept(now, p)
	if !b.Want {
		p.wants = time.Time{}
		if code != "" {
			a.deny(p, reply, code, text)
			reply.Answer = ""
			return
		}
		p.told = ""
		a.giveBack(now, p)
		return
	}
	if p.wants.IsZero() || p.asked != b.Episode {
		p.wants, p.asked = now, b.Episode
	}
	reply.Generation = cl.Generation
	switch {
	case code != "":
		a.deny(p, reply, code, text)
	case 2*len(b.Present) != len(b.Voters) || !slices.Contains(b.Present, p.name):
		a.deny(p, reply, CodeNotHalf, fmt.Sprintf("%d of %d voters are not half of them", len(b.Present), len(b.Voters)))
	case cl.openedBy(p):
		// It opened the next generation, and is on its way there.
		a.have(now, p, reply)
	case cl.Holder == nil && now.Before(cl.returned.Add(returnPause)) && !slices.Contains(cl.before, p.name):
		a.poke(cl, cl.returned.Add(returnPause))
		a.deny(p, reply, CodeWait, join(cl.before)+" has just given the grant back: a majority is forming")
	case cl.Holder == nil:
		a.give(now, p, NoticeGranted, "nobody had it")
		a.have(now, p, reply)
	case slices.Equal(cl.Holder, b.Present):
		a.have(now, p, reply)
	case !now.Before(cl.freeAt(b.handover())):
		a.give(now, p, NoticeHandover, fmt.Sprintf("%s was silent for lease and hand-over delay", join(cl.Holder)))
		a.have(now, p, reply)
	default:
		at := cl.freeAt(b.handover())
		a.poke(cl, at)
		a.deny(p, reply, CodeHeld, fmt.Sprintf("%s has the grant", join(cl.Holder)))
	}
}

// accept compares the data that a peer has with what is known. It returns why the
// peer can't be given anything, or "".
func (a *Arbiter) accept(now time.Time, p *peer) (code, text string) {
	b, cl := p.beat, p.cluster
	if b.Generation.Number == 0 {
		return "", ""
	}
	majority := 2*len(b.Present) > len(b.Voters) && slices.Contains(b.Voters, p.name)
	known := cl.Generation
	switch {
	case b.Generation == known:
		if b.Epoch < cl.Epoch {
			return CodeStale, fmt.Sprintf("its voters are those of epoch %d, and %d is known", b.Epoch, cl.Epoch)
		}
		if majority && b.Epoch > cl.Epoch {
			cl.Epoch = b.Epoch
			a.save(cl)
		}
	case b.Want && cl.openedBy(p): // and only then: its disk may be one from before
		return "", ""
	case b.Generation.Number < known.Number:
		return CodeStale, fmt.Sprintf("its data is of generation %d, and %d is known", b.Generation.Number, known.Number)
	case b.Generation.Number == known.Number:
		return CodeHistories, fmt.Sprintf("its data of generation %d has another history than the one that is known", known.Number)
	case !majority:
		return CodeUnknown, fmt.Sprintf("no majority has reported generation %d of its data yet", b.Generation.Number)
	case cl.Holder != nil && !slices.Contains(cl.Holder, p.name) && now.Before(cl.freeAt(0)):
		return CodeHistories, fmt.Sprintf("it reports generation %d while %s has the grant", b.Generation.Number, join(cl.Holder))
	default:
		cl.Generation, cl.Epoch, cl.Holder, cl.OpenedBy, cl.From, cl.Half = b.Generation, b.Epoch, nil, "", Generation{}, nil
		a.save(cl)
		a.notice(NoticeGeneration, p, "", fmt.Sprintf("its data is of generation %d now", b.Generation.Number))
	}
	if majority {
		cl.voters = b.Voters
	}
	return "", ""
}

// deny answers no, and tells the operator once.
func (a *Arbiter) deny(p *peer, reply *Reply, code, text string) {
	reply.Answer, reply.Code, reply.Text = No, code, text
	if p.told != code {
		p.told = code
		a.counts.Denials++
		a.notice(NoticeDenied, p, "", text)
	}
}

// give gives the grant to the half that a peer belongs to.
func (a *Arbiter) give(_ time.Time, p *peer, kind NoticeKind, why string) {
	cl, b := p.cluster, p.beat
	cl.Holder = slices.Clone(b.Present)
	cl.LeaseMs, cl.HandoverMs = 0, cl.handoverMin().Milliseconds()
	cl.Grants++
	a.counts.Grants++
	if kind == NoticeHandover {
		a.counts.Handovers++
	}
	for _, name := range cl.Holder {
		if h := cl.peers[name]; h != nil {
			h.freed = false
		}
	}
	a.extend(cl, b)
	a.save(cl)
	a.notice(kind, p, "", fmt.Sprintf("%s has the grant: %s", join(cl.Holder), why))
}

// extend keeps the longest lease and delay that the holder was given.
func (a *Arbiter) extend(cl *cluster, b *Request) (longer bool) {
	if b.LeaseMs > cl.LeaseMs {
		cl.LeaseMs, longer = b.LeaseMs, true
	}
	if b.HandoverMs > cl.HandoverMs {
		cl.HandoverMs, longer = b.HandoverMs, true
	}
	return longer
}

// have answers a node of the half that has the grant.
func (a *Arbiter) have(now time.Time, p *peer, reply *Reply) {
	cl, b := p.cluster, p.beat
	p.told, p.freed = "", false
	cl.renewed = now
	if a.extend(cl, b) {
		a.save(cl)
	}
	reply.Answer, reply.LeaseMs = Have, b.LeaseMs
	at, ok := cl.settled()
	switch {
	case cl.openedBy(p):
	case !ok:
		reply.SettledInMs = -1
	case now.Before(at):
		reply.SettledInMs = max(1, at.Sub(now).Milliseconds())
		a.poke(cl, at)
	}
}

// returnPause is how long a grant that was given back is for nobody else: whom the
// one that had it hears again hears that one a moment later.
const returnPause = 500 * time.Millisecond

// giveBack takes the grant back from a peer that has a majority again. Only when
// each node of the half did so is it free at once: the grant of the others is
// still good for its lease.
func (a *Arbiter) giveBack(now time.Time, p *peer) {
	cl, b := p.cluster, p.beat
	if !slices.Contains(cl.Holder, p.name) || 2*len(b.Present) <= len(b.Voters) {
		return
	}
	p.freed = true
	for _, name := range cl.Holder {
		if h := cl.peers[name]; h == nil || !h.freed {
			return
		}
	}
	cl.returned, cl.before = now, cl.Holder
	cl.Holder, cl.LeaseMs = nil, 0
	a.save(cl)
	a.notice(NoticeBack, p, "", "a majority is there again")
}

// open begins the next generation of a cluster's data, for the half whose grant is
// settled. The grant never moves after that.
func (a *Arbiter) open(now time.Time, c *conn, r *Request) {
	p := c.peer
	cl := p.cluster
	refuse := func(code, text string) {
		a.counts.Denials++
		a.notice(NoticeDenied, p, "", "generation "+fmt.Sprint(r.Next.Number)+" was not opened: "+text)
		a.send(c, Reply{Type: Refused, Seq: r.Seq, Code: code, Text: text, Generation: cl.Generation})
	}
	at, asked := cl.settled()
	switch {
	case r.Next == cl.Generation && cl.OpenedBy == p.name:
		// The answer was lost; it is the same one.
	case p.beat == nil || !p.beat.Want || p.asked != r.Episode || p.answer != Have || !slices.Equal(cl.Holder, p.beat.Present) || !now.Before(cl.renewed.Add(ms(cl.LeaseMs))):
		refuse(CodeNotHolder, "its half does not have the grant")
		return
	case p.beat.Generation != cl.Generation:
		refuse(CodeStale, "its data is not of the newest generation")
		return
	case !asked || now.Before(at):
		refuse(CodeUnsettled, "the other half may still run services: the hand-over delay has not passed")
		return
	case r.Next.Number <= cl.Generation.Number:
		refuse(CodeStale, fmt.Sprintf("generation %d is known already", cl.Generation.Number))
		return
	default:
		a.counts.Opens++
		cl.From, cl.Generation, cl.OpenedBy, cl.Half, cl.Epoch, cl.Holder, cl.LeaseMs = cl.Generation, r.Next, p.name, cl.Holder, 0, nil, 0
		a.save(cl)
		a.notice(NoticeOpened, p, "", fmt.Sprintf("generation %d of its data is opened; the other half is stale from now on", r.Next.Number))
	}
	a.send(c, Reply{Type: Opened, Seq: r.Seq, Generation: cl.Generation})
}

// openedBy reports whether a peer is of the half that has opened the present
// generation, and has still the data that it was opened from.
func (cl *cluster) openedBy(p *peer) bool {
	return cl.OpenedBy != "" && p.beat.Generation == cl.From && slices.Equal(cl.Half, p.beat.Present) && slices.Contains(cl.Half, p.name)
}

// freeAt is when somebody else can have the grant: the last lease has run out, and
// the holder, or whom it had to stop, has had the hand-over delay.
func (cl *cluster) freeAt(asked time.Duration) time.Time {
	return cl.renewed.Add(ms(cl.LeaseMs)).Add(max(ms(cl.HandoverMs), asked, cl.handoverMin()))
}

func (cl *cluster) handoverMin() time.Duration { return cl.config.Handover }

// settled is when the hand-over delay has passed since each node of the half first
// asked in its episode; false: not all of them have.
func (cl *cluster) settled() (time.Time, bool) {
	var last time.Time
	for _, name := range cl.Holder {
		p := cl.peers[name]
		if p == nil || p.wants.IsZero() || p.freed {
			return last, false
		}
		if p.wants.After(last) {
			last = p.wants
		}
	}
	return last.Add(ms(cl.HandoverMs)), len(cl.Holder) > 0
}

func (r *Request) handover() time.Duration { return ms(r.HandoverMs) }

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func join(names []string) string { return strings.Join(names, " and ") }
