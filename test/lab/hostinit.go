package lab

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// initConfig is what a host's init is told on its standard input.
type initConfig struct {
	Hostname string
	Dir      string // of the host, on the machine; with upper, work, root and sysrq
	Rootless bool
	Cgroup   bool
	Binds    []Bind
	Exec     []string // program to become when all is ready; empty: stay and reap
}

func (h *Host) initConfig() initConfig {
	c := initConfig{
		Hostname: h.name, Dir: h.path(), Rootless: rootless(), Cgroup: h.lab.cgroup != "",
		Binds: append([]Bind{{Source: h.lab.shared, Target: "/shared"}}, h.lab.cfg.Binds...),
	}
	if h.systemd {
		c.Exec = systemdArgs
	}
	return c
}

// rootless says that root here is an ordinary user of the machine.
func rootless() bool {
	m, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(m)), " ") != "0 0 4294967295"
}

// hostInit is the first process of a host. It turns its namespaces into a host and then reaps
// orphans, or becomes systemd. It does not return.
func hostInit() {
	runtime.LockOSThread() // namespaces are entered by thread; the first thread speaks for the process
	unix.CloseOnExec(3)
	ready := os.NewFile(3, "ready")
	in := bufio.NewReader(os.Stdin)
	err := func() error {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		var c initConfig
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("read configuration: %w", err)
		}
		if err := makeHost(c); err != nil {
			return err
		}
		if _, err := ready.WriteString("ready\n"); err != nil {
			return err
		}
		_ = ready.Close()
		_, _ = io.Copy(io.Discard, in) // ends when the links are there
		if len(c.Exec) > 0 {
			if err := dropCapabilities(); err != nil {
				return err
			}
			return syscall.Exec(c.Exec[0], c.Exec, []string{"container=lxc", "PATH=" + hostPath})
		}
		reap()
		return nil
	}()
	fmt.Fprintf(os.Stderr, "lab: init: %v\n", err)
	os.Exit(1)
}

// reap waits for children for ever.
func reap() {
	// Only SIGCHLD is wanted, and only as a wake-up while there is no child to wait for. As PID 1 of
	// its namespace this process gets no signal that it did not ask for, except from outside.
	signal.Reset()
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			<-children
		}
	}
}

// makeHost mounts the host's file systems and makes them the root.
func makeHost(c initConfig) error {
	root := filepath.Join(c.Dir, "root")
	mountRoot := mountOverlay
	if c.Rootless {
		mountRoot = mountOverlays
	}
	if err := mountRoot(c.Dir, root); err != nil {
		return err
	}
	if c.Cgroup {
		// From here on the host's own group is the top of what its processes see.
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("make control group namespace: %w", err)
		}
	}
	for _, step := range []func(initConfig, string) error{mountProc, mountSys, mountDev, mountVolatile, mountBinds} {
		if err := step(c, root); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root ends up on top of the new one and is taken off from there.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave old root: %w", err)
	}
	return os.Chdir("/")
}

// mountOverlay puts the host's disk over the machine's root.
func mountOverlay(dir, root string) error {
	return mount("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", dir, dir))
}

// mountOverlays does it without root, where a directory with other mounts below it cannot be the
// lower one: each directory of the root gets an overlay of its own, and the root is the disk itself.
func mountOverlays(dir, root string) error {
	upper := filepath.Join(dir, "upper")
	if err := mount(upper, root, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		target := filepath.Join(root, name)
		if link, err := os.Readlink("/" + name); err == nil {
			if err := os.Symlink(link, target); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			continue
		}
		if !e.IsDir() || isVolatile(name) {
			continue
		}
		work := filepath.Join(dir, "work", name)
		if err := errors.Join(mkdir(target), mkdir(work)); err != nil {
			return err
		}
		err := mount("overlay", target, "overlay", 0,
			fmt.Sprintf("lowerdir=/%s,upperdir=%s/%s,workdir=%s,userxattr", name, upper, name, work))
		if errors.Is(err, unix.EINVAL) { // other mounts below it
			err = mount("/"+name, target, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isVolatile are the directories of the root that hold nothing of the disk.
func isVolatile(name string) bool {
	switch name {
	case "proc", "sys", "dev", "run", "tmp", "lost+found":
		return true
	}
	return false
}

// makeSkeleton prepares a disk for use without root. The kernel refuses to change a file or directory
// of the machine's root even in a copy, so the copies are made here: all of /etc, and the directories
// in which hosts make files.
func makeSkeleton(disk string) error {
	depths := map[string]int{"etc": 99, "var": 3, "usr": 2, "root": 1, "home": 1, "opt": 2, "srv": 1, "mnt": 1}
	for top, depth := range depths {
		err := filepath.WalkDir("/"+top, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // what this user cannot read is left out
			}
			target := filepath.Join(disk, name)
			switch {
			case d.IsDir():
				if strings.Count(name, "/") > depth {
					return fs.SkipDir
				}
				return mkdir(target)
			case top == "etc" && d.Type() == fs.ModeSymlink:
				link, err := os.Readlink(name)
				if err != nil {
					return err
				}
				return os.Symlink(link, target)
			case top == "etc" && d.Type().IsRegular():
				b, err := os.ReadFile(name)
				if err != nil {
					return nil //nolint:nilerr // as above
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				return os.WriteFile(target, b, info.Mode().Perm())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("lab: prepare disk: %w", err)
		}
	}
	return nil
}

// mountProc mounts /proc and keeps the host's hands off what belongs to the machine.
func mountProc(c initConfig, root string) error {
	proc := filepath.Join(root, "proc")
	if err := errors.Join(mkdir(proc), mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")); err != nil {
		return err
	}
	sys, netSys, sysrq := filepath.Join(proc, "sys"), filepath.Join(proc, "sys/net"), filepath.Join(proc, "sysrq-trigger")
	if _, err := os.Stat(sysrq); err == nil { // a kernel may be without
		if err := mount(filepath.Join(c.Dir, "sysrq"), sysrq, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	// Who asks whether a machine was booted anew must see it in a host, too.
	boot := filepath.Join(c.Dir, "boot_id")
	if err := os.WriteFile(boot, []byte(newBootID()), 0o444); err != nil {
		return err
	}
	// First /proc/sys as a mount of its own with its part net as another on top, then the former
	// read-only, which leaves the latter as it is.
	return errors.Join(
		mount(sys, sys, "", unix.MS_BIND, ""),
		mount(netSys, netSys, "", unix.MS_BIND, ""),
		mount(boot, filepath.Join(sys, "kernel/random/boot_id"), "", unix.MS_BIND, ""),
		mount("", sys, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
}

// newBootID draws the id of a boot, a random UUID as that of the kernel.
func newBootID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x\n", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func mountSys(c initConfig, root string) error {
	sys := filepath.Join(root, "sys")
	if err := mkdir(sys); err != nil {
		return err
	}
	err := mount("sysfs", sys, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	if err != nil && c.Rootless {
		return nil // a machine that hides parts of its /sys does not allow a new one
	}
	if err != nil || !c.Cgroup {
		return err
	}
	return mount("cgroup2", filepath.Join(sys, "fs/cgroup"), "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// mountDev gives the host the devices that are harmless. The machine's disks, consoles and, above
// all, its watchdog are not among them.
func mountDev(c initConfig, root string) error {
	dev := filepath.Join(root, "dev")
	if err := errors.Join(mkdir(dev), mount("dev", dev, "tmpfs", unix.MS_NOSUID, "mode=755")); err != nil {
		return err
	}
	names := []string{"null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun", "loop-control"}
	for i := range 64 {
		names = append(names, "loop"+strconv.Itoa(i))
	}
	for i, name := range names {
		target := filepath.Join(dev, name)
		if err := mkdir(filepath.Dir(target)); err != nil {
			return err
		}
		if strings.HasPrefix(name, "loop") && name != "loop-control" && !c.Rootless {
			// Loop devices that do not exist yet are made when first used, without telling the host.
			minor := i - (len(names) - 64)
			if err := unix.Mknod(target, unix.S_IFBLK|0o660, int(unix.Mkdev(7, uint32(minor)))); err != nil {
				return fmt.Errorf("make %s: %w", target, err)
			}
			continue
		}
		if _, err := os.Stat("/dev/" + name); err != nil {
			continue
		}
		if err := errors.Join(touch(target), mount("/dev/"+name, target, "", unix.MS_BIND, "")); err != nil {
			return err
		}
	}
	pts, shm := filepath.Join(dev, "pts"), filepath.Join(dev, "shm")
	// systemd writes to the console for every unit and retries for a second when it cannot.
	console := filepath.Join(dev, "console")
	return errors.Join(
		mkdir(pts), mount("devpts", pts, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"),
		mkdir(shm), mount("shm", shm, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"),
		touch(console), mount("/dev/null", console, "", unix.MS_BIND, ""),
		os.Symlink("pts/ptmx", filepath.Join(dev, "ptmx")),
		os.Symlink("/proc/self/fd", filepath.Join(dev, "fd")),
		os.Symlink("/proc/self/fd/0", filepath.Join(dev, "stdin")),
		os.Symlink("/proc/self/fd/1", filepath.Join(dev, "stdout")),
		os.Symlink("/proc/self/fd/2", filepath.Join(dev, "stderr")))
}

// mountVolatile mounts what a power-off empties, and makes the directories there that an
// installation finds after booting (tmpfiles.d of systemd and of resource-agents).
func mountVolatile(_ initConfig, root string) error {
	runDir, tmp := filepath.Join(root, "run"), filepath.Join(root, "tmp")
	return errors.Join(
		mkdir(runDir), mount("run", runDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"),
		mkdir(tmp), mount("tmp", tmp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"),
		mkdir(filepath.Join(runDir, "lock")), os.Chmod(filepath.Join(runDir, "lock"), 0o777|fs.ModeSticky),
		mkdir(filepath.Join(runDir, "resource-agents")), os.Chmod(filepath.Join(runDir, "resource-agents"), 0o755|fs.ModeSticky))
}

func mountBinds(c initConfig, root string) error {
	for _, b := range c.Binds {
		target := filepath.Join(root, b.Target)
		info, err := os.Stat(b.Source)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = mkdir(target)
		} else {
			err = errors.Join(mkdir(filepath.Dir(target)), touch(target))
		}
		if err == nil {
			err = mount(b.Source, target, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err == nil && b.ReadOnly {
			err = mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}

func mkdir(name string) error {
	return os.MkdirAll(name, 0o755)
}

func touch(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
