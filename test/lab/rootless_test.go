package lab

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The lab works for a user without rights, or says what the machine would have to allow.
func TestWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 || rootless() {
		return // all tests are that test
	}
	t.Parallel()
	const nobody = 65534
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run",
		"^(TestHostsAreSeparate|TestFiles|TestHang|TestHostChangesItsOwnPower)$")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + hostPath, "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil && strings.Count(text, "--- PASS") == 4:
	case strings.Contains(text, "allow unprivileged user namespaces"):
		t.Logf("this machine does not allow it: %s", text)
	default:
		t.Errorf("%v: %s", err, text)
	}
}
