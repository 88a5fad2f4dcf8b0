package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kernel is a kernel with its modules.
type Kernel struct {
	Image   string // what a machine boots
	Root    string // directory with lib/modules
	modules string // the directory of this release
	needs   map[string][]string
}

// metaPackage names Debian's kernel of the day.
const metaPackage = "linux-image-amd64"

// unused are modules that no machine here has a device for: most of the package.
var unused = []string{"sound", "drivers/gpu", "drivers/media", "drivers/net/ethernet", "drivers/net/wireless", "drivers/infiniband", "drivers/iio", "drivers/usb"}

// Fetch downloads Debian's kernel below dir, where it is not there yet.
func Fetch(ctx context.Context, dir string) (*Kernel, error) {
	out, err := output(ctx, "", "apt-cache", "depends", metaPackage)
	if err != nil {
		return nil, err
	}
	name := ""
	for line := range strings.Lines(out) {
		if _, after, ok := strings.Cut(line, "Depends: linux-image-"); ok {
			name = "linux-image-" + strings.TrimSpace(after)
		}
	}
	if name == "" {
		return nil, errors.New("apt-cache knows no package " + metaPackage + ": is this Debian for amd64, and did apt-get update run?")
	}
	root := filepath.Join(dir, name)
	release := strings.TrimPrefix(name, "linux-image-")
	k := &Kernel{Image: filepath.Join(root, "boot", "vmlinuz-"+release), Root: root, modules: filepath.Join(root, "lib/modules", release)}
	if _, err := os.Stat(root); err != nil {
		if err := unpack(ctx, dir, name, release); err != nil {
			return nil, err
		}
	}
	return k, k.read()
}

// unpack makes the directory of a kernel, whole or not at all.
func unpack(ctx context.Context, dir, name, release string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if _, err := output(ctx, tmp, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name); err != nil {
		return err
	}
	skip := " --exclude='*/kernel/" + strings.Join(unused, "' --exclude='*/kernel/") + "'"
	// usr is where newer releases of Debian have lib.
	script := "set -o pipefail; mkdir root; dpkg-deb --fsys-tarfile *.deb | tar -x -C root --exclude='./usr/share'" + skip +
		"; [ -d root/lib ] || ln -s usr/lib root/lib; chmod 755 root; depmod -b root " + release
	if _, err := output(ctx, tmp, "bash", "-c", script); err != nil {
		return err
	}
	return os.Rename(filepath.Join(tmp, "root"), filepath.Join(dir, name))
}

// read learns what each module needs (modules.dep(5)).
func (k *Kernel) read() error {
	b, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return fmt.Errorf("modules of the kernel: %w", err)
	}
	k.needs = map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if of, needs, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			k.needs[of] = strings.Fields(needs)
		}
	}
	return nil
}

// load returns the files of modules, and of all that they need, in an order in which they
// can be loaded. What is not a module is taken for built in.
func (k *Kernel) load(names ...string) (out []string) {
	have := map[string]bool{}
	var add func(of string)
	add = func(of string) {
		if have[of] {
			return
		}
		have[of] = true
		for _, n := range k.needs[of] {
			add(n)
		}
		out = append(out, of)
	}
	for _, name := range names {
		for of := range k.needs {
			if base, _, _ := strings.Cut(filepath.Base(of), ".ko"); strings.ReplaceAll(base, "-", "_") == name {
				add(of)
			}
		}
	}
	return out
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
