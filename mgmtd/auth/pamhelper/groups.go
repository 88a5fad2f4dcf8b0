package pamhelper

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
)

// SystemGroups names the groups of a user as the operating system knows them.
func SystemGroups(name string) ([]string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	var out []string
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			out = append(out, g.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// FileGroups reads the groups of users from a file in the form of group(5) instead:
// for users whom the system does not know.
func FileGroups(file string) func(name string) ([]string, error) {
	return func(name string) ([]string, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("groups: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		return groupsIn(f, name)
	}
}

func groupsIn(r io.Reader, name string) ([]string, error) {
	out := []string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) == 4 && slices.Contains(strings.Split(f[3], ","), name) {
			out = append(out, f[0])
		}
	}
	slices.Sort(out)
	return out, lines.Err()
}
