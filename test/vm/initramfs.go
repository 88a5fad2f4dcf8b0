package vm

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path"
	"slices"
	"strings"
)

// file is one of the files with which a machine begins.
type file struct {
	name string
	data []byte
	mode uint32
}

const (
	modeDir     = 0o040755
	modeFile    = 0o100644
	modeProgram = 0o100755
)

// initramfs packs files, and the directories that they are in, as a kernel unpacks them at
// its start (Documentation/driver-api/early-userspace/buffer-format: cpio newc, gzip).
func initramfs(files []file) ([]byte, error) {
	dirs := map[string]bool{}
	var all []file
	for _, f := range files {
		for d := path.Dir(f.name); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
			all = append(all, file{name: d, mode: modeDir})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.name, b.name) }) // a directory before what is in it
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i, f := range slices.Concat(all, files, []file{{name: "TRAILER!!!"}}) {
		head := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
			i+1, f.mode, 0, 0, 1, 0, len(f.data), 0, 0, 0, 0, len(f.name)+1, 0)
		entry := append([]byte(head+f.name), 0)
		entry = append(pad(entry), f.data...)
		if _, err := z.Write(pad(entry)); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// pad fills up to the next four octets.
func pad(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }
