package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// PowerState is whether a host is on.
type PowerState int

// The power states of a host. A hung host is on as far as a power switch can tell.
const (
	Off PowerState = iota
	On
	Hung
)

func (s PowerState) String() string {
	switch s {
	case Off:
		return "off"
	case On:
		return "on"
	case Hung:
		return "hung"
	}
	return strconv.Itoa(int(s))
}

// ErrOff and ErrHung say why a command cannot be started in a host.
var (
	ErrOff  = errors.New("the host is off")
	ErrHung = errors.New("the host is hung")
)

const (
	powerOnMax  = 20 * time.Second
	powerOffMax = 10 * time.Second
)

// boot is one life of a host, from power-on to power-off.
type boot struct {
	cmd    *exec.Cmd // init
	pid    int
	pidfd  int
	ns     netns
	exited chan struct{} // closed when the host has no process any more

	cgroupNS bool // the host has a control group namespace
	status   syscall.WaitStatus
}

// root is the host's root directory, seen from the machine.
func (b *boot) root() string { return fmt.Sprintf("/proc/%d/root", b.pid) }

// Power is the state of the host.
func (h *Host) Power() PowerState { return PowerState(h.state.Load()) }

// Boots counts the power-ons.
func (h *Host) Boots() int { return int(h.count.Load()) }

// Pid is the process id of the host's init in the namespace of this program, or 0.
func (h *Host) Pid() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.boot == nil {
		return 0
	}
	return h.boot.pid
}

// PowerOn powers the host on, plugs its links and runs Config.Boot. It does nothing when the host is
// on.
func (h *Host) PowerOn(ctx context.Context) error {
	booted, err := h.powerOn()
	if err != nil || !booted || h.lab.cfg.Boot == nil {
		return err
	}
	if err := h.lab.cfg.Boot(ctx, h); err != nil {
		return fmt.Errorf("lab: boot %s: %w", h.name, err)
	}
	return nil
}

// PowerOnDetached is PowerOn as a power switch does it: it returns when the power is on, and
// Config.Boot runs in the background.
func (h *Host) PowerOnDetached() error {
	booted, err := h.powerOn()
	if err != nil || !booted || h.lab.cfg.Boot == nil {
		return err
	}
	h.lab.background(func(ctx context.Context) {
		if err := h.lab.cfg.Boot(ctx, h); err != nil && ctx.Err() == nil {
			h.lab.logf("boot %s: %v", h.name, err)
		}
	})
	return nil
}

// background runs fn until Close. It does nothing when the lab is closed.
func (l *Lab) background(fn func(ctx context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.boots.Go(func() { fn(l.life) })
	}
}

// PowerOff pulls the host's links, kills its init, and waits until every process of the host is gone.
// It does nothing when the host is off.
func (h *Host) PowerOff() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.powerOff()
}

// Reboot powers the host off and on.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.PowerOff(); err != nil {
		return err
	}
	return h.PowerOn(ctx)
}

func (h *Host) powerOn() (booted bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.boot != nil {
		return false, nil
	}
	h.lab.mu.Lock()
	closed := h.lab.closed
	h.lab.mu.Unlock()
	if closed {
		return false, fmt.Errorf("lab: power on %s: the lab is closed", h.name)
	}
	began := time.Now()
	b, goAhead, ready, err := h.startInit()
	if err != nil {
		return false, err
	}
	h.boot = b
	// While init mounts the file systems, the links are made. They must not come first: a network
	// namespace that does not belong to init would keep its addresses after init's death.
	err = h.connect(b)
	if err == nil {
		err = awaitReady(ready)
	}
	_ = ready.Close()
	if err != nil {
		console, _ := os.ReadFile(h.logPath("console"))
		_ = goAhead.Close()
		return false, errors.Join(fmt.Errorf("lab: power on %s: %w: %s", h.name, err, console), h.powerOff())
	}
	_ = goAhead.Close() // the end of its input tells init to go on
	h.state.Store(int32(On))
	h.count.Add(1)
	h.lab.logf("%s on in %s", h.name, time.Since(began).Round(time.Millisecond))
	return true, nil
}

// startInit starts the host's first process in its namespaces.
func (h *Host) startInit() (b *boot, goAhead, ready *os.File, err error) {
	config, err := json.Marshal(h.initConfig())
	if err != nil {
		return nil, nil, nil, fmt.Errorf("lab: %w", err)
	}
	console, err := os.OpenFile(h.logPath("console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("lab: %w", err)
	}
	defer console.Close()
	input, goAhead, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("lab: %w", err)
	}
	defer input.Close()
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("lab: %w", err), goAhead.Close())
	}
	defer readyChild.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{roleInit}, Dir: "/",
		Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=single"}, Stdin: input, Stdout: console, Stderr: console,
		ExtraFiles: []*os.File{readyChild},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid: true,
			Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS |
				unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		},
	}
	fail := func(err error) (*boot, *os.File, *os.File, error) {
		return nil, nil, nil, errors.Join(fmt.Errorf("lab: start %s: %w", h.name, err), goAhead.Close(), ready.Close())
	}
	if group := h.cgroup(); group != "" {
		dir, err := openCgroup(group)
		if err != nil {
			return fail(err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	b = &boot{cmd: cmd, pid: cmd.Process.Pid, exited: make(chan struct{}), cgroupNS: h.cgroup() != ""}
	go h.await(b)
	b.pidfd, err = unix.PidfdOpen(b.pid, 0)
	if err == nil {
		b.ns, err = openNetns(b.pid)
	}
	if err == nil {
		_, err = goAhead.Write(append(config, '\n'))
	}
	if err != nil {
		_ = cmd.Process.Kill()
		<-b.exited
		return fail(err)
	}
	return b, goAhead, ready, nil
}

// connect makes the host's cables and addresses.
func (h *Host) connect(b *boot) error {
	var old, inSwitch []string
	inHost := []string{"link set lo up"}
	for n := range h.lab.cfg.Networks {
		port, dev := h.port(n), fmt.Sprintf("eth%d", n)
		if linkExists(h.lab.socket, port) {
			old = append(old, "link del "+port)
		}
		state := "up"
		if h.unplugged[n] {
			state = "down"
		}
		inSwitch = append(inSwitch,
			fmt.Sprintf("link add %s type veth peer name %s address %s netns %d", port, dev, h.MAC(n), b.pid),
			fmt.Sprintf("link set %s master br%d %s", port, n, state))
		inHost = append(inHost,
			fmt.Sprintf("addr add %s/%d broadcast + dev %s", h.Addr(n), h.lab.cfg.Networks[n].Bits(), dev),
			fmt.Sprintf("addr add %s/64 dev %s nodad", h.Addr6(n), dev),
			fmt.Sprintf("link set %s up", dev))
	}
	if len(old) > 0 {
		// The kernel removes the cable of a dead host by itself, but later, so both may be at it.
		_ = h.lab.sw.ip(old...)
	}
	if err := h.lab.sw.ip(inSwitch...); err != nil {
		return err
	}
	return b.ns.ip(inHost...)
}

func linkExists(socket int, name string) bool {
	ifr, err := unix.NewIfreq(name)
	return err == nil && unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, ifr) == nil
}

// awaitReady waits until init has said that the host's file systems are there.
func awaitReady(ready *os.File) error {
	if err := ready.SetReadDeadline(time.Now().Add(powerOnMax)); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return fmt.Errorf("init did not get ready: %w", err)
	}
	return nil
}

// powerOff is PowerOff with the lock held.
func (h *Host) powerOff() error {
	b := h.boot
	if b == nil {
		return nil
	}
	began := time.Now()
	var errs []error
	for n := range h.lab.cfg.Networks {
		errs = append(errs, setLink(h.lab.socket, h.port(n), false))
	}
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		errs = append(errs, err)
	}
	h.offAt.Store(time.Now().UnixNano())
	timeout := time.NewTimer(powerOffMax)
	defer timeout.Stop()
	select {
	case <-b.exited:
	case <-timeout.C:
		return errors.Join(append(errs, fmt.Errorf("lab: power off %s: init is still there after %s", h.name, powerOffMax))...)
	}
	errs = append(errs, h.buried(b))
	h.lab.logf("%s off in %s", h.name, time.Since(began).Round(100*time.Microsecond))
	return errors.Join(errs...)
}

// buried puts away what is left of a boot that has ended. The lock is held.
func (h *Host) buried(b *boot) error {
	h.boot = nil
	h.state.Store(int32(Off))
	errs := []error{unix.Close(b.pidfd), b.ns.close()}
	if group := h.cgroup(); group != "" {
		errs = append(errs, freezeCgroup(group, false))
	}
	return errors.Join(errs...)
}

// await waits for the end of init. Where the lab did not end it, the host did: by reboot(2) or by a
// fatal error.
func (h *Host) await(b *boot) {
	_ = b.cmd.Wait() // the status says more
	b.status, _ = b.cmd.ProcessState.Sys().(syscall.WaitStatus)
	close(b.exited)
	h.mu.Lock()
	if h.boot != b {
		h.mu.Unlock()
		return
	}
	for n := range h.lab.cfg.Networks {
		_ = setLink(h.lab.socket, h.port(n), false) // gone with the host already, or about to be
	}
	h.offAt.Store(time.Now().UnixNano())
	_ = h.buried(b) // nobody to tell
	h.mu.Unlock()
	// reboot(2) in a pid namespace ends its init with one of two signals, see pid_namespaces(7).
	reboot := b.status.Signaled() && b.status.Signal() == unix.SIGHUP
	h.lab.logf("%s went down by itself: %v, reboot %v", h.name, b.cmd.ProcessState, reboot)
	if reboot {
		if err := h.PowerOnDetached(); err != nil {
			h.lab.logf("reboot of %s: %v", h.name, err)
		}
	}
}

// DialContext connects from inside the host, for example to a service on its loopback address.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.boot == nil {
		return nil, h.errOff()
	}
	return h.boot.ns.dial(ctx, network, addr)
}

// Hang stops all processes of the host at once, as when its kernel or its hypervisor is stuck. The
// host still answers pings and accepts connections, but nobody serves them.
func (h *Host) Hang() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.boot == nil {
		return h.errOff()
	}
	if err := h.freeze(true); err != nil {
		return err
	}
	h.state.Store(int32(Hung))
	h.lab.logf("%s hung", h.name)
	return nil
}

// Thaw lets a hung host go on.
func (h *Host) Thaw() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.boot == nil {
		return h.errOff()
	}
	if err := h.freeze(false); err != nil {
		return err
	}
	h.state.Store(int32(On))
	h.lab.logf("%s thawed", h.name)
	return nil
}

func (h *Host) freeze(frozen bool) error {
	if group := h.cgroup(); group != "" {
		return freezeCgroup(group, frozen)
	}
	sig := unix.SIGCONT
	if frozen {
		sig = unix.SIGSTOP
	}
	return signalHost(h.boot.pid, sig)
}

// signalHost sends a signal to all processes of a host, again and again until no new one is found:
// a process may be forking while the list is read.
func signalHost(initPid int, sig unix.Signal) error {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", initPid))
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	done := map[int]bool{}
	for found := true; found; {
		found = false
		procs, err := os.ReadDir("/proc")
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		for _, p := range procs {
			pid, err := strconv.Atoi(p.Name())
			if err != nil || done[pid] {
				continue
			}
			// The link of a child namespace differs too, but hosts have none of their own.
			if other, err := os.Readlink("/proc/" + p.Name() + "/ns/pid"); err == nil && other == ns {
				done[pid], found = true, true
				_ = unix.Kill(pid, sig) // it may just have ended
			}
		}
	}
	return nil
}

// openSysrq makes the pipe that hosts see as /proc/sysrq-trigger, and obeys it: b resets the host, o
// and c stop it. The machine's own must not be reachable: it would reset the machine.
func (h *Host) openSysrq() error {
	name := h.path("sysrq")
	if err := unix.Mkfifo(name, 0o200); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("lab: %w", err)
	}
	// Open for writing too, so that there is no end of file when a writer goes.
	f, err := os.OpenFile(name, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	h.sysrq = f
	h.lab.background(func(context.Context) {
		buf := make([]byte, 1)
		for {
			if _, err := f.Read(buf); err != nil {
				return // closed
			}
			switch buf[0] {
			case 'b':
				h.lab.logf("%s resets itself", h.name)
				if err := errors.Join(h.PowerOff(), h.PowerOnDetached()); err != nil {
					h.lab.logf("reset of %s: %v", h.name, err)
				}
			case 'o', 'c':
				h.lab.logf("%s switches itself off", h.name)
				if err := h.PowerOff(); err != nil {
					h.lab.logf("%v", err)
				}
			}
		}
	})
	return nil
}

// close powers the host off for good.
func (h *Host) close() error {
	err := h.PowerOff()
	if h.sysrq != nil {
		err = errors.Join(err, h.sysrq.Close())
	}
	if h.lab.cfg.Dir == "" {
		return err
	}
	// Kept disks stay as the host left them, without what only a running lab needs.
	_ = os.Remove(h.path("sysrq"))
	return err
}
