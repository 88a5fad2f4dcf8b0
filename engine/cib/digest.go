package cib

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Digest is a short name for a set of parameters: where it differs from that of the
// last start, the resource has to be restarted or reloaded. 16 hexadecimal digits
// of SHA-256 over the sorted pairs, each ended by a zero byte.
func Digest(parameters map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(parameters)) {
		h.Write([]byte(k + "\x00" + parameters[k] + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
