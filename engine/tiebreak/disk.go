package tiebreak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/engine/cib"
)

// Disk is a lease on one block of a device or file that all voters share. A disk
// has no compare-and-swap, so it is made of reading, writing, waiting and reading
// again, as in the light-weight leases of Chockler and Malkhi (PODC 2002):
//
//   - Who finds the block free, or unchanged for the lease and the hand-over delay
//     on its own clock, writes itself into it within two I/O bounds, waits for as
//     long, and has it if it still reads what it wrote. Of several who found it free
//     the one that wrote last has it.
//   - Who has it reads it, writes it with the next number, and counts its lease from
//     before it read.
//
// It rests on two bounds. Clocks of two nodes differ by less than a fiftieth over a
// lease and a hand-over delay. And a write that was not done within the I/O bound, a
// twentieth of the lease, is not done after a lease and a hand-over delay either. What
// took longer, also because this node stood still, gives nothing.
type Disk struct {
	cfg   DiskConfig
	bound time.Duration
	f     *os.File
	buf   []byte // aligned, for O_DIRECT
	stuck chan struct{}

	mine    record    // what this node wrote last
	until   time.Time // of its lease; zero: it has none
	episode uint64
	wants   time.Time // since when it has asked in one episode
	seen    record    // of somebody else
	since   time.Time // since when that has not changed
}

// DiskConfig says where the lease is, and its times.
type DiskConfig struct {
	Path     string
	Offset   int64 // bytes, a multiple of the block
	Lease    time.Duration
	Handover time.Duration
	Now      func() time.Time // steady, goes on while the machine is suspended
}

const (
	blockBytes = 4096
	diskMagic  = "belay-quorum-disk-1"
)

// record is what stands in the block.
type record struct {
	Magic      string             `json:"magic"`
	Cluster    string             `json:"cluster"`
	Generation cib.DataGeneration `json:"generation"`
	Half       []string           `json:"half"` // nil: free
	Writer     string             `json:"writer"`
	Number     uint64             `json:"number"` // rises with each write
	LeaseMs    int64              `json:"leaseMs"`
	HandoverMs int64              `json:"handoverMs"`
}

func (r *record) equal(o *record) bool {
	return r.Number == o.Number && r.Writer == o.Writer && r.Cluster == o.Cluster && slices.Equal(r.Half, o.Half)
}

// errStuck says that the device did not answer within the I/O bound.
var errStuck = errors.New("the device does not answer in time")

// NewDisk returns the lease on a device, which is opened when it is needed.
func NewDisk(cfg DiskConfig) *Disk { return &Disk{cfg: cfg, bound: cfg.Lease / 20} }

// Ask asks for the lease.
func (d *Disk) Ask(ctx context.Context, c Claim) Answer {
	began := d.cfg.Now()
	if d.wants.IsZero() || d.episode != c.Episode {
		d.wants, d.episode = began, c.Episode
	}
	r, err := d.read(ctx)
	if err != nil {
		return Answer{Err: err}
	}
	switch {
	case r.Magic != "" && r.Cluster != c.Cluster:
		return Answer{Err: fmt.Errorf("%s belongs to cluster %s", d.cfg.Path, r.Cluster)}
	case d.mine.Number > r.Number:
		return Answer{Err: fmt.Errorf("%s returned old data: number %d, and this node wrote %d", d.cfg.Path, r.Number, d.mine.Number)}
	case c.Generation.Number < r.Generation.Number:
		return no(fmt.Sprintf("this half's data is of generation %d, and %d is known", c.Generation.Number, r.Generation.Number))
	case c.Generation.Number == r.Generation.Number && c.Generation != r.Generation && r.Magic != "":
		return no("this half's data has another history than the one that is known")
	}
	own := record{
		Magic: diskMagic, Cluster: c.Cluster, Generation: c.Generation, Half: c.Present, Writer: c.Node, Number: r.Number + 1,
		LeaseMs: d.cfg.Lease.Milliseconds(), HandoverMs: d.cfg.Handover.Milliseconds(),
	}
	held := slices.Equal(r.Half, c.Present)
	switch {
	case held && began.Before(d.until):
		// Ours, and not run out: nobody else has a right to it.
	case len(r.Half) == 0:
		d.until = time.Time{}
	case d.silent(&r, began):
		d.until = time.Time{}
	default:
		d.until = time.Time{}
		if !held {
			return no(strings.Join(r.Half, " and ") + " has the lease")
		}
		// Another node of this half may have it; then it is ours too. Otherwise it
		// was ours before a restart, and waiting tells.
		if r.Writer == c.Node {
			return no("the lease was this half's, and ran out")
		}
	}
	if err := d.write(ctx, &own); err != nil {
		return Answer{Err: err}
	}
	if d.until.IsZero() {
		if took := d.cfg.Now().Sub(began); took > 2*d.bound {
			return Answer{Err: fmt.Errorf("%s: %w: %s", d.cfg.Path, errStuck, took.Round(time.Millisecond))}
		}
		if err := d.settle(ctx, &own); err != nil {
			return Answer{Err: err}
		}
		if d.mine.Number == 0 {
			return no("the other half was faster")
		}
	}
	d.until = began.Add(d.cfg.Lease)
	a := Answer{Answer: cib.QuorumHave, Reason: "this half has the lease", Until: d.until}
	if len(c.Present) == 1 {
		a.Settled = d.wants.Add(d.cfg.Handover)
	}
	return a
}

// silent reports whether somebody else's record has not changed for its lease and
// hand-over delay.
func (d *Disk) silent(r *record, now time.Time) bool {
	if !r.equal(&d.seen) || d.since.IsZero() {
		d.seen, d.since = *r, now
	}
	wait := time.Duration(r.LeaseMs+max(r.HandoverMs, d.cfg.Handover.Milliseconds()))*time.Millisecond + 2*d.bound
	return now.Sub(d.since) >= wait+wait/50
}

// settle waits until whoever found the block free as well has written, and looks
// who was last. With the other half's record d.mine is reset.
func (d *Disk) settle(ctx context.Context, own *record) error {
	t := time.NewTimer(2*d.bound + d.bound/25)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	r, err := d.read(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(r.Half, own.Half) {
		d.mine = record{}
	} else if r.Number < own.Number {
		return fmt.Errorf("%s returned old data: number %d, and this node wrote %d", d.cfg.Path, r.Number, own.Number)
	}
	return nil
}

// Check reads the block. Where there is a majority, a lease that this node alone
// had is given back, and one that nobody has renewed for long is removed.
func (d *Disk) Check(ctx context.Context, quorate bool) error {
	mine := d.mine
	d.wants, d.until, d.mine = time.Time{}, time.Time{}, record{}
	r, err := d.read(ctx)
	if err != nil || !quorate || len(r.Half) == 0 {
		return err
	}
	own := len(r.Half) == 1 && mine.equal(&r)
	if !own && !d.silent(&r, d.cfg.Now()) {
		return nil
	}
	r.Half, r.Number = nil, r.Number+1
	err = d.write(ctx, &r)
	d.mine = record{}
	return err
}

// Close closes the device.
func (d *Disk) Close() {
	if d.f != nil && d.idle() {
		_ = d.f.Close()
		_ = unix.Munmap(d.buf)
		d.f, d.buf = nil, nil
	}
}

func (d *Disk) idle() bool {
	if d.stuck == nil {
		return true
	}
	select {
	case <-d.stuck:
		d.stuck = nil
		return true
	default:
		return false
	}
}

// open opens the device past the page cache, which belongs to one node only.
func (d *Disk) open() (err error) {
	if d.f != nil {
		return nil
	}
	flags := unix.O_RDWR | unix.O_DSYNC | unix.O_CLOEXEC
	fd, err := unix.Open(d.cfg.Path, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.Open(d.cfg.Path, flags, 0) // a file system in memory
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.cfg.Path, Err: err}
	}
	d.f = os.NewFile(uintptr(fd), d.cfg.Path)
	if d.buf, err = unix.Mmap(-1, 0, blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return fmt.Errorf("allocate a block: %w", err)
	}
	return nil
}

// do runs one access. A device that hangs keeps it, and everything else waits for
// that one: its result must not come as that of another.
func (d *Disk) do(ctx context.Context, f func() error) error {
	if !d.idle() {
		return fmt.Errorf("%s: %w", d.cfg.Path, errStuck)
	}
	if err := d.open(); err != nil {
		return err
	}
	done, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		result <- f()
	}()
	t := time.NewTimer(d.bound)
	defer t.Stop()
	select {
	case err := <-result:
		<-done
		return err
	case <-t.C:
		d.stuck = done
		return fmt.Errorf("%s: %w", d.cfg.Path, errStuck)
	case <-ctx.Done():
		d.stuck = done
		return ctx.Err()
	}
}

// read reads the block. One that was never written is free; anything else that is
// no record is an error: it may be somebody's data.
func (d *Disk) read(ctx context.Context) (record, error) {
	var r record
	err := d.do(ctx, func() error {
		n, err := d.f.ReadAt(d.buf, d.cfg.Offset)
		if n == 0 && err != nil && d.regular() {
			clear(d.buf) // an empty file
			return nil
		}
		if n < blockBytes {
			return fmt.Errorf("read %s: %d bytes: %w", d.cfg.Path, n, err)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	if !slices.ContainsFunc(d.buf, func(b byte) bool { return b != 0 }) {
		return r, nil
	}
	text, sum, ok := strings.Cut(strings.TrimRight(string(d.buf), "\x00"), "\n")
	if !ok || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) != sum {
		return r, fmt.Errorf("%s at %d holds something else than a quorum lease: give it a device of its own, or zero the block", d.cfg.Path, d.cfg.Offset)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Magic != diskMagic {
		return r, fmt.Errorf("%s at %d holds something else than a quorum lease of this version", d.cfg.Path, d.cfg.Offset)
	}
	return r, nil
}

func (d *Disk) regular() bool {
	st, err := d.f.Stat()
	return err == nil && st.Mode().IsRegular()
}

// write writes the block; it is durable when it returns nil.
func (d *Disk) write(ctx context.Context, r *record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the lease: %w", err)
	}
	line := fmt.Appendf(text, "\n%08x", crc32.ChecksumIEEE(text))
	if len(line) > blockBytes {
		return fmt.Errorf("the lease needs %d bytes; a block has %d", len(line), blockBytes)
	}
	err = d.do(ctx, func() error {
		clear(d.buf)
		copy(d.buf, line)
		if _, err := d.f.WriteAt(d.buf, d.cfg.Offset); err != nil {
			return fmt.Errorf("write %s: %w", d.cfg.Path, err)
		}
		return nil
	})
	if err == nil {
		d.mine = *r
	}
	return err
}
