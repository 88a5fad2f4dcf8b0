package cib

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Digest is a short fingerprint of an action's parameters. The node that ran an
// action records it; a later one that differs means that the parameters were
// changed since. Names and values are length-delimited by a zero byte, which
// neither can contain. Sealed values are taken as they are.
func Digest(parameters map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		h.Write([]byte(name))
		h.Write([]byte{0})
		h.Write([]byte(parameters[name]))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
