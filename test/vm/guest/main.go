// Command guest is the first process of a virtual machine of test/vm: it mounts the root of
// the machine that tests, runs the script of its plan, and switches off. With an argument
// it is a tool of these scripts.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/belay-ha/belay/test/vm"
)

func main() {
	if os.Getpid() != 1 {
		if err := tool(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	if err := boot(); err != nil {
		fmt.Println("guest:", err)
	}
	fmt.Println(vm.GuestOff)
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println("guest: power off:", err)
}

// boot makes the machine, and runs the script.
func boot() error {
	b, err := os.ReadFile("/plan.json")
	if err != nil {
		return err
	}
	var plan vm.Plan
	if err := json.Unmarshal(b, &plan); err != nil {
		return err
	}
	for _, m := range plan.Modules {
		if err := load(m); err != nil {
			return err
		}
	}
	if err := root(plan.Kernel); err != nil {
		return err
	}
	cmd := exec.Command("/bin/bash", "-c", plan.Script)
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
	}, plan.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return fmt.Errorf("run the script: %w", err)
	}
	fmt.Printf("%s%d\n", vm.GuestEnded, cmd.ProcessState.ExitCode())
	return nil
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", file, err)
	}
	return nil
}

// top is where the root is put together.
const top = "/machine"

// root goes to the root of the machine that tests, with a layer of memory above.
func root(kernel string) error {
	for _, d := range []string{"/low", "/top", top} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	mount := func(source, target, kind, data string) error {
		if err := unix.Mount(source, target, kind, 0, data); err != nil {
			return fmt.Errorf("mount %s at %s: %w", kind, target, err)
		}
		return nil
	}
	if err := errors.Join(mount("root", "/low", "9p", "ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose"), mount("top", "/top", "tmpfs", "")); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir("/top/up", 0o755), os.Mkdir("/top/work", 0o755)); err != nil {
		return err
	}
	if err := mount("root", top, "overlay", "lowerdir=/low,upperdir=/top/up,workdir=/top/work"); err != nil {
		return err
	}
	for _, at := range []struct{ source, target, kind string }{
		{"proc", "/proc", "proc"},
		{"sys", "/sys", "sysfs"},
		{"dev", "/dev", "devtmpfs"},
		{"run", "/run", "tmpfs"},
		{"tmp", "/var/tmp", "tmpfs"},
	} {
		if err := os.MkdirAll(top+at.target, 0o755); err != nil {
			return err
		}
		if err := mount(at.source, top+at.target, at.kind, ""); err != nil {
			return err
		}
	}
	if err := unix.Chroot(top); err != nil {
		return fmt.Errorf("change to the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for _, d := range []string{"/dev/shm", "/dev/pts", "/run/lock"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// Where the kernel, too, looks for its modules.
	const modules = "/lib/modules"
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kernel+modules, modules, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the kernel's modules: %w", err)
	}
	return unix.Sethostname([]byte("n1"))
}

// tool is what scripts need and no package has.
func tool(args []string) error {
	switch strings.Join(args[:min(1, len(args))], "") {
	case "race":
		return race(args[1:])
	default:
		return errors.New("tools: race")
	}
}
