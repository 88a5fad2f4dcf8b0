package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadAuditKey reads the key that signs this node's audit log: its secret and its
// public half, both "" where there is none yet.
func LoadAuditKey(dir string) (secret, public string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, FileAudit))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the key of the audit log: %w", err)
	}
	secret, public, ok := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if !ok {
		return "", "", fmt.Errorf("read the key of the audit log: %s has two lines, the secret and the public half", FileAudit)
	}
	return secret, public, nil
}

// SaveAuditKey keeps the key, readable by root only.
func SaveAuditKey(dir, secret, public string) error {
	return WriteFile(filepath.Join(dir, FileAudit), []byte(secret+"\n"+public+"\n"), 0o600)
}
