package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files of a cluster's directory.
const (
	fileLock  = "dev.lock" // locked by the supervisor as long as it lives
	fileDev   = "dev.json" // there while the cluster is ready
	fileLog   = "dev.log"  // of a detached supervisor
	fileFence = "fence.sock"
	fileCA    = "ca.pem"
)

const (
	nodesMax = 9
	// dirMax is the longest name of a directory: the path of a unix socket has at most
	// 107 bytes (unix(7)), and those of the engine are up to 23 longer.
	dirMax = 80
)

// workDir is the directory of one cluster, locked.
type workDir struct {
	path string
	lock *os.File
}

// lockText is what the lock file says of its holder.
type lockText struct {
	Holder proc   `json:"holder"` // the supervisor
	BootID string `json:"boot_id"`
	// Temporary directories are removed with the cluster.
	Temporary bool `json:"temporary"`
}

// errInUse says that another supervisor holds a directory.
var errInUse = errors.New("in use")

// prepareDir makes and locks the directory of a new cluster. What an earlier cluster
// left there is removed; other people's files are not.
func prepareDir(ctx context.Context, dir string) (*workDir, error) {
	temporary := dir == ""
	var err error
	if temporary {
		dir, err = makeTemp()
	} else {
		dir, err = makeDir(dir)
	}
	if err != nil {
		return nil, err
	}
	w := &workDir{path: dir}
	if w.lock, err = takeLock(dir, true); err != nil {
		return nil, err
	}
	err = w.write(temporary)
	if err == nil {
		err = endLeftovers(ctx, dir)
	}
	if err == nil {
		err = w.empty()
	}
	if err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

func makeTemp() (string, error) {
	dir, err := os.MkdirTemp("", "belay-dev-")
	if err == nil && len(dir) > dirMax {
		_ = os.Remove(dir)
		dir, err = os.MkdirTemp("/tmp", "belay-dev-")
	}
	if err != nil {
		return "", fmt.Errorf("make a directory for the cluster: %w", err)
	}
	return dir, nil
}

func makeDir(dir string) (string, error) {
	abs, err := cleanDir(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the cluster: %w", err)
	}
	files, err := os.ReadDir(abs)
	if err != nil {
		return "", fmt.Errorf("directory of the cluster: %w", err)
	}
	ours := slices.ContainsFunc(files, func(e os.DirEntry) bool { return e.Name() == fileLock })
	if len(files) > 0 && !ours {
		return "", fmt.Errorf("directory %s holds files that are not of belay dev: name an empty or a new one", abs)
	}
	return abs, nil
}

// cleanDir returns the directory's full name.
func cleanDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	if len(abs) > dirMax {
		return "", fmt.Errorf("directory %s: its name has %d bytes; at most %d are possible, since the names of unix sockets are short: choose one such as /tmp/c1", abs, len(abs), dirMax)
	}
	return abs, nil
}

// takeLock locks the directory; errInUse where another process holds it.
func takeLock(dir string, create bool) (*os.File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(filepath.Join(dir, fileLock), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of the cluster: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		by := ""
		if l, err := readLock(dir); err == nil {
			by = " (process " + strconv.Itoa(l.Holder.PID) + ")"
		}
		return nil, fmt.Errorf("directory %s is %w by another belay dev%s: end that one with \"belay dev --stop --dir %s\", or name another directory", dir, errInUse, by, dir)
	}
	return f, nil
}

// adoptLock goes on with the lock of the process that started this one.
func adoptLock(dir string, lock *os.File) (*workDir, error) {
	l, err := readLock(dir)
	if err != nil {
		return nil, err
	}
	w := &workDir{path: dir, lock: lock}
	return w, w.write(l.Temporary)
}

// write notes who holds the lock.
func (w *workDir) write(temporary bool) error {
	me, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	b, err := json.Marshal(lockText{me, kernelBootID(), temporary})
	if err == nil {
		err = w.lock.Truncate(0)
	}
	if err == nil {
		_, err = w.lock.WriteAt(append(b, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", w.lock.Name(), err)
	}
	return nil
}

func readLock(dir string) (*lockText, error) {
	l := &lockText{}
	b, err := os.ReadFile(filepath.Join(dir, fileLock))
	if err == nil {
		err = json.Unmarshal(b, l)
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock of the cluster: %w", err)
	}
	return l, nil
}

func kernelBootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// empty removes what an earlier cluster left.
func (w *workDir) empty() error {
	for _, name := range []string{fileDev, fileDev + ".new", fileFence, fileCA, fileLog} {
		if err := os.Remove(filepath.Join(w.path, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("empty the directory of the cluster: %w", err)
		}
	}
	for i := 1; i <= nodesMax; i++ {
		if err := os.RemoveAll(filepath.Join(w.path, nodeName(i))); err != nil {
			return fmt.Errorf("empty the directory of the cluster: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(w.path, dirUsers)); err != nil {
		return fmt.Errorf("empty the directory of the cluster: %w", err)
	}
	return nil
}

// release gives the directory up. A temporary one is removed, unless its logs are
// still wanted; of another one the logs and the state of the nodes stay.
func (w *workDir) release(keep bool) error {
	l, err := readLock(w.path)
	if errors.Is(err, os.ErrNotExist) { // another one has removed it just now
		return w.lock.Close()
	}
	for _, name := range []string{fileDev, fileFence} {
		if rerr := os.Remove(filepath.Join(w.path, name)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err == nil && l.Temporary && !keep {
		err = os.RemoveAll(w.path)
	}
	return errors.Join(err, w.lock.Close())
}

func nodeName(i int) string { return "n" + strconv.Itoa(i) }

// endLeftovers ends the processes of an earlier cluster in the directory whose
// supervisor and machines were killed all at once.
func endLeftovers(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, killMax)
	defer cancel()
	if err := killAll(ctx, func() ([]proc, error) { return leftovers(dir) }); err != nil {
		return fmt.Errorf("end what an earlier cluster left running: %w", err)
	}
	return nil
}

// leftovers lists the processes of the cluster of that directory, this one left out:
// those with the cluster's mark in their environment, and resources, which have an
// environment of their own but write to a log in it.
func leftovers(dir string) ([]proc, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	resourceLog := regexp.MustCompile("^" + regexp.QuoteMeta(dir) + `/n[1-9]/run/agent/`)
	var out []proc
	for pid, s := range all {
		if pid == os.Getpid() || s.dead() {
			continue
		}
		base := "/proc/" + strconv.Itoa(pid)
		env, err := os.ReadFile(base + "/environ")
		if err != nil { // another user's
			continue
		}
		ours := slices.Contains(strings.Split(string(env), "\x00"), envDir+"="+dir)
		if !ours {
			to, err := os.Readlink(base + "/fd/1")
			ours = err == nil && resourceLog.MatchString(to)
		}
		if ours {
			out = append(out, proc{PID: pid, Start: s.start})
		}
	}
	slices.SortFunc(out, func(a, b proc) int { return a.PID - b.PID })
	return out, nil
}

// Times of stopping another process's cluster.
const (
	stopMax   = 20 * time.Second
	stopPause = 20 * time.Millisecond
)

// stopDir ends the cluster of a directory, whoever runs it. It does nothing when none
// runs there.
func stopDir(ctx context.Context, dir string) (stopped bool, err error) {
	dir, err = cleanDir(dir)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopMax)
	defer cancel()
	for asked := false; ; {
		lock, err := takeLock(dir, false)
		if errors.Is(err, os.ErrNotExist) {
			return asked, nil // also where it was removed with its directory
		}
		if err == nil {
			w := &workDir{path: dir, lock: lock}
			return asked, errors.Join(endLeftovers(ctx, dir), w.release(false))
		}
		if !errors.Is(err, errInUse) {
			return false, err
		}
		l, err := readLock(dir)
		// The holder writes its name just after it has taken the lock: until then the
		// file names an earlier one, which is not alive.
		if err == nil && !asked && l.BootID == kernelBootID() && l.Holder.alive() {
			if err := l.Holder.signal(unix.SIGTERM); err != nil {
				return false, err
			}
			asked = true
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("the cluster in %s does not end: see process %d", dir, l.Holder.PID)
		case <-time.After(stopPause):
		}
	}
}
