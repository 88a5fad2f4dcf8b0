package store

import "github.com/belay-ha/belay/engine/pki"

// writeFile replaces a file that only root may read.
func writeFile(path string, data []byte) error { return pki.WriteFile(path, data, 0o600) }
