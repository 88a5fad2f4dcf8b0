package dev

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// The users of a cluster exist in it alone: a PAM service file of its own asks this
// program for their passwords, through pam_exec(8), and a group file gives them their
// groups. Nothing of the system is changed, and no rights are needed.
const (
	dirUsers    = "users"
	filePasswd  = "passwd"
	fileGroup   = "group"
	pamService  = "belay-dev"
	passwordLen = 12
)

// userRoles are the roles that have a user of the same name.
var userRoles = []string{"viewer", "operator", "admin", "auditor", "security-admin"}

// users makes the users of a cluster in its directory.
func makeUsers(dir, program string) ([]FileUser, error) {
	base := filepath.Join(dir, dirUsers)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, fmt.Errorf("make the users: %w", err)
	}
	var out []FileUser
	var passwd, group strings.Builder
	for i, role := range userRoles {
		u := FileUser{Name: role, Password: strings.ToLower(rand.Text()[:passwordLen]), Role: role}
		out = append(out, u)
		fmt.Fprintf(&passwd, "%s:%s\n", u.Name, digest(u.Password))
		fmt.Fprintf(&group, "belay-%s:x:%d:%s\n", role, 60000+i, u.Name)
	}
	check := bracket(program) + " dev pam-check " + bracket(filepath.Join(base, filePasswd))
	service := "auth     required pam_exec.so quiet expose_authtok " + check + "\naccount  required pam_exec.so quiet " + check + "\n"
	for name, text := range map[string]string{filePasswd: passwd.String(), fileGroup: group.String(), pamService: service} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("make the users: %w", err)
		}
	}
	return out, nil
}

// bracket writes a word as PAM reads it, see pam.conf(5).
func bracket(word string) string { return "[" + strings.ReplaceAll(word, "]", `\]`) + "]" }

// digest is what is kept of a password. It is random, and lives as long as the demo.
func digest(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// pamCheckCommand is what pam_exec runs.
func pamCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pam-check FILE", Short: "Check a password of a demo user for PAM", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passwd, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			password := ""
			if os.Getenv("PAM_TYPE") == "auth" {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4096))
				if err != nil {
					return err
				}
				password = strings.TrimRight(string(b), "\x00")
			}
			return checkUser(string(passwd), os.Getenv("PAM_TYPE"), os.Getenv("PAM_USER"), password)
		},
	}
}

// checkUser judges a password, or for an account whether there is such a user.
func checkUser(passwd, kind, user, password string) error {
	for line := range strings.Lines(passwd) {
		name, sum, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != user || user == "" {
			continue
		}
		if kind == "account" || kind == "auth" && subtle.ConstantTimeCompare([]byte(sum), []byte(digest(password))) == 1 {
			return nil
		}
	}
	return fmt.Errorf("user %q is refused", user)
}
