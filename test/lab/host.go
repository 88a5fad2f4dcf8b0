package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one virtual host. Its methods may be called from any goroutine.
type Host struct {
	lab     *Lab
	index   int
	name    string
	systemd bool

	// mu is held to change the host's power and to hang it, and held shared while a command is being
	// started in it. Freezing a process that is just being started would stop this program too: Go
	// holds a lock over all of it until the new process has been executed.
	mu        sync.RWMutex
	boot      *boot // nil when off
	unplugged []bool
	sysrq     *os.File

	state atomic.Int32 // a PowerState
	count atomic.Int32 // power-ons
	offAt atomic.Int64 // Unix nanoseconds
}

// Name is the host name.
func (h *Host) Name() string { return h.name }

// Index is the host's number, from 1.
func (h *Host) Index() int { return h.index }

// Lab is the lab of the host.
func (h *Host) Lab() *Lab { return h.lab }

// Addr is the host's IPv4 address on a network, from 0.
func (h *Host) Addr(network int) netip.Addr { return h.lab.addr(network, h.index) }

// Addr6 is the host's IPv6 address on a network, from 0, in a /64.
func (h *Host) Addr6(network int) netip.Addr { return h.lab.addr6(network, h.index) }

// MAC is the host's hardware address on a network, the same after each power-on.
func (h *Host) MAC(network int) string { return mac(network, h.index) }

// Disk is the directory of the machine with what the host wrote to its root. While the host is on,
// nothing else may write there.
func (h *Host) Disk() string { return h.path("upper") }

// path is below the host's directory on the machine.
func (h *Host) path(elem ...string) string {
	return filepath.Join(append([]string{h.lab.dir, h.name}, elem...)...)
}

// ExecCgroup is the control group for processes that come into the host from outside, or "" where
// there is none. A process that is not in it would not be hung with the host.
func (h *Host) ExecCgroup() string {
	if group := h.cgroup(); group != "" {
		return filepath.Join(group, "exec")
	}
	return ""
}

// cgroup is the control group of all processes of the host, or "".
func (h *Host) cgroup() string {
	if h.lab.cgroup == "" {
		return ""
	}
	return filepath.Join(h.lab.cgroup, h.name)
}

// port is the switch's end of the host's cable.
func (h *Host) port(network int) string { return portName(network, h.index) }

// makeDisk lays out the host's directory: what a fresh installation of this machine would hold under
// this host's name.
func (h *Host) makeDisk() error {
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(h.path(d), 0o755); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	if err := os.Chmod(h.Disk(), 0o755); err != nil { // whatever the umask was
		return fmt.Errorf("lab: %w", err)
	}
	if rootless() {
		if err := makeSkeleton(h.Disk()); err != nil {
			return err
		}
	}
	if h.systemd {
		if err := h.makeSystemdDisk(); err != nil {
			return err
		}
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
	for _, o := range h.lab.hosts {
		fmt.Fprintf(&hosts, "%s %s\n", o.Addr(0), o.name)
		for n := range h.lab.cfg.Networks {
			fmt.Fprintf(&hosts, "%s %s-%d\n", o.Addr(n), o.name, n)
		}
	}
	machineID := fmt.Sprintf("%032x\n", 0x4c4142000000+h.index)
	for name, content := range map[string]string{"hostname": h.name + "\n", "hosts": hosts.String(), "machine-id": machineID} {
		if err := h.WriteFile("/etc/"+name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return h.openSysrq()
}

// WriteFile writes a file in the host and makes its directory. It works when the host is off, too:
// then the file is on its disk, and must not be under /run or /tmp.
func (h *Host) WriteFile(name string, data []byte, mode fs.FileMode) error {
	return h.put(name, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// CopyFile copies a file of the machine into the host, like WriteFile.
func (h *Host) CopyFile(source, name string, mode fs.FileMode) error {
	f, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer f.Close()
	return h.put(name, mode, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func (h *Host) put(name string, mode fs.FileMode, write func(io.Writer) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	root, err := h.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.mkdirAll(filepath.Dir(name)); err != nil {
		return fmt.Errorf("lab: %s: %s: %w", h.name, name, err)
	}
	// A new file and a rename: a program that runs from the old file keeps it, and without root the
	// old file may be one that cannot be changed.
	f, err := root.open(name+".new", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("lab: %s: %s: %w", h.name, name, err)
	}
	if err := errors.Join(write(f), f.Chmod(mode), f.Close(), root.rename(name+".new", name)); err != nil {
		return fmt.Errorf("lab: %s: %s: %w", h.name, name, err)
	}
	return nil
}

// ReadFile reads a file of the host. When the host is off, it is read from the disk.
func (h *Host) ReadFile(name string) ([]byte, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	root, err := h.openRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.open(name, unix.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) && h.boot == nil {
		f, err = os.Open(name) // what the host did not change is the machine's
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", h.name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: read %s: %w", h.name, name, err)
	}
	return b, nil
}

// hostRoot is a host's root directory, seen from the machine. Links in it are followed as the host
// follows them: an absolute one starts at this root.
type hostRoot struct{ *os.File }

func (h *Host) openRoot() (hostRoot, error) {
	dir := h.Disk()
	if h.boot != nil {
		dir = h.boot.root()
	}
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return hostRoot{}, fmt.Errorf("lab: %s: %w", h.name, err)
	}
	return hostRoot{f}, nil
}

func (r hostRoot) open(name string, flags int, mode fs.FileMode) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode.Perm())
	}
	fd, err := unix.Openat2(int(r.Fd()), strings.TrimPrefix(name, "/"), &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mkdirAll makes a directory and those above it. What exists on the machine keeps its mode, since on
// a disk that is off the new directory will be merged with the machine's.
func (r hostRoot) mkdirAll(name string) error {
	name = strings.Trim(name, "/")
	if name == "" || name == "." {
		return nil
	}
	if d, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
		return d.Close()
	}
	if err := r.mkdirAll(filepath.Dir(name)); err != nil {
		return err
	}
	parent, err := r.open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer parent.Close()
	mode := uint32(0o755)
	var st unix.Stat_t
	if unix.Stat("/"+name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		mode = st.Mode & 0o7777
	}
	if err := unix.Mkdirat(int(parent.Fd()), filepath.Base(name), mode); err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	return unix.Fchmodat(int(parent.Fd()), filepath.Base(name), mode, 0) // whatever the umask was
}

func (r hostRoot) rename(from, to string) error {
	dir, err := r.open(filepath.Dir(from), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Renameat(int(dir.Fd()), filepath.Base(from), int(dir.Fd()), filepath.Base(to))
}

// Path is where a program outside sees a file of the running host, for example to connect to a unix
// socket. It stops working when the host is powered off.
func (h *Host) Path(name string) (string, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.boot == nil {
		return "", h.errOff()
	}
	return filepath.Join(h.boot.root(), name), nil
}

func (h *Host) errOff() error { return fmt.Errorf("lab: %s: %w", h.name, ErrOff) }

// OffAt is when the host was last powered off: the moment its links were dead and its processes were
// killed.
func (h *Host) OffAt() time.Time { return time.Unix(0, h.offAt.Load()) }
