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
	return loadAuditKey(dir, FileAudit)
}

// LoadNextAuditKey reads the key that is about to take the place of that one.
func LoadNextAuditKey(dir string) (secret, public string, err error) {
	return loadAuditKey(dir, fileAuditNext)
}

func loadAuditKey(dir, name string) (secret, public string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the key of the audit log: %w", err)
	}
	secret, public, ok := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if !ok {
		return "", "", fmt.Errorf("read the key of the audit log: %s has two lines, the secret and the public half", name)
	}
	return secret, public, nil
}

// SaveAuditKey keeps the key, readable by root only.
func SaveAuditKey(dir, secret, public string) error {
	return WriteFile(filepath.Join(dir, FileAudit), []byte(secret+"\n"+public+"\n"), 0o600)
}

// SaveNextAuditKey keeps the key that is about to take the place of the present one.
func SaveNextAuditKey(dir, secret, public string) error {
	return WriteFile(filepath.Join(dir, fileAuditNext), []byte(secret+"\n"+public+"\n"), 0o600)
}

// InstallNextAuditKey puts the next key in the place of the present one, which is gone then.
func InstallNextAuditKey(dir string) error {
	if err := os.Rename(filepath.Join(dir, fileAuditNext), filepath.Join(dir, FileAudit)); err != nil {
		return fmt.Errorf("replace the key of the audit log: %w", err)
	}
	return SyncDir(dir)
}

// DropNextAuditKey forgets a next key that was never used.
func DropNextAuditKey(dir string) error {
	if err := os.Remove(filepath.Join(dir, fileAuditNext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop a key of the audit log: %w", err)
	}
	return nil
}
