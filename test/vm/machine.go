package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says what a machine is.
type Config struct {
	Kernel *Kernel
	Guest  string        // the program test/vm/guest, linked statically
	Dir    string        // for what the machine is made of
	Memory int           // MB
	Script string        // what it runs, in bash, with root's rights
	Env    []string      // of the script
	Log    func(string)  // gets each line of its console
	Limit  time.Duration // it is powered off then
}

// Plan is what the guest is told.
type Plan struct {
	Modules []string // files in /modules, in this order
	Kernel  string   // directory with lib/modules
	Env     []string
	Script  string
}

// Result is how a machine ended.
type Result struct {
	Console []string
	Status  int  // of the script, where it came to an end
	Ended   bool // the script came to an end
	Reset   bool // the machine was reset, or its kernel panicked
}

// Lines of a guest on its console.
const (
	GuestEnded = "guest: the script ended with "
	GuestOff   = "guest: power off"
)

// rootModules are what the root over 9p needs.
var rootModules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay"}

// Run boots a machine, and waits until it is off, or was reset: it does not boot twice.
func Run(ctx context.Context, c Config) (*Result, error) {
	initrd, err := c.initrd()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", strconv.Itoa(c.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-net", "none",
		"-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
		"-kernel", c.Kernel.Image, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=1 mitigations=off random.trust_cpu=on")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	console, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a virtual machine: %w", err)
	}
	r := &Result{}
	off := r.follow(console, c.Log)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("the virtual machine did not end within %s", c.Limit)
	case err != nil:
		return r, fmt.Errorf("the virtual machine: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	r.Reset = !off
	return r, nil
}

// follow reads the console to its end, and says whether the guest switched itself off.
func (r *Result) follow(console io.Reader, log func(string)) (off bool) {
	const longest = 1 << 20
	lines := bufio.NewScanner(console)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		log(line)
		r.Console = append(r.Console, line)
		if _, status, ok := strings.Cut(line, GuestEnded); ok {
			n, err := strconv.Atoi(status)
			r.Status, r.Ended = n, err == nil
		}
		off = off || strings.HasSuffix(line, GuestOff)
	}
	_, _ = io.Copy(io.Discard, console) // after a line that is too long
	return off
}

// initrd writes what the machine begins with.
func (c *Config) initrd() (string, error) {
	plan := Plan{Kernel: c.Kernel.Root, Env: c.Env, Script: c.Script}
	guest, err := os.ReadFile(c.Guest)
	if err != nil {
		return "", err
	}
	files := []file{{name: "init", data: guest, mode: modeProgram}}
	for i, m := range c.Kernel.load(rootModules...) {
		b, err := os.ReadFile(filepath.Join(c.Kernel.modules, m))
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("modules/%02d-%s", i, filepath.Base(m))
		files = append(files, file{name: name, data: b, mode: modeFile})
		plan.Modules = append(plan.Modules, "/"+name)
	}
	b, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	packed, err := initramfs(append(files, file{name: "plan.json", data: b, mode: modeFile}))
	if err != nil {
		return "", err
	}
	if c.Log == nil || c.Limit <= 0 {
		return "", errors.New("a virtual machine needs a log and a limit")
	}
	name := filepath.Join(c.Dir, "initrd")
	return name, os.WriteFile(name, packed, 0o600)
}
