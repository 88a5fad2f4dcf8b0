package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/belay-ha/belay/engine/agent/meta"
	"github.com/belay-ha/belay/engine/cib"
)

// ErrNotInstalled says that there is no such agent on this machine.
var ErrNotInstalled = errors.New("agent is not installed")

// metadataTimeout is for an agent that prints its metadata. Those in Python
// need 0.3 s on a quiet machine.
const metadataTimeout = 20 * time.Second

// metadataCache keeps what agents said until their file changes.
type metadataCache struct {
	mu      sync.Mutex
	entries map[string]*cachedMetadata
}

// cachedMetadata has a lock of its own: a slow agent holds up only those who
// ask for the same one.
type cachedMetadata struct {
	mu    sync.Mutex
	mtime time.Time
	size  int64
	value *meta.Metadata
}

// Metadata asks an agent about itself. Answers are kept until the agent's file
// changes; do not change them. For an agent that is not there the error is
// ErrNotInstalled.
func (r *Runner) Metadata(ctx context.Context, id ID) (*meta.Metadata, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	class := id.Class
	if class == ClassService {
		class = r.serviceClass(ctx, id.Type)
	}
	switch class {
	case ClassBelay:
		b, ok := r.builtins[id.Type]
		if !ok {
			return nil, fmt.Errorf("%s: %w", id, ErrNotInstalled)
		}
		return b.Metadata, nil
	case ClassLSB:
		if st, err := os.Stat(filepath.Join(r.cfg.LSBDir, id.Type)); err != nil || !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: %w", id, ErrNotInstalled)
		}
		return synthetic(id), nil
	case ClassSystemd:
		return r.unitMetadata(ctx, id)
	}
	_, path, err := r.ocfPath(id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, ErrNotInstalled)
	}
	return r.metadata.get(path, func() (*meta.Metadata, error) {
		res := r.Run(ctx, Request{Agent: id, Op: opMetaData, Timeout: metadataTimeout})
		if res.Status != cib.OpDone || res.RC != cib.OK {
			return nil, fmt.Errorf("metadata of %s: status %s, return code %d: %s", id, res.Status, res.RC, cmp.Or(res.Reason, lastBytes(res.Stderr, 500)))
		}
		m, err := meta.Parse(meta.Resource, []byte(res.Stdout))
		if err != nil {
			return nil, fmt.Errorf("metadata of %s: %w", id, err)
		}
		return m, nil
	})
}

// get asks the cache, and the agent if the cache does not know.
func (c *metadataCache) get(path string, ask func() (*meta.Metadata, error)) (*meta.Metadata, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	e := c.entries[path]
	if e == nil {
		e = &cachedMetadata{}
		c.entries[path] = e
	}
	c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value != nil && e.mtime.Equal(st.ModTime()) && e.size == st.Size() {
		return e.value, nil
	}
	m, err := ask()
	if err != nil {
		return nil, err
	}
	e.mtime, e.size, e.value = st.ModTime(), st.Size(), m
	return m, nil
}

// synthetic is the metadata of services that have none of their own.
func synthetic(id ID) *meta.Metadata {
	return &meta.Metadata{
		Kind: meta.Resource, Name: id.Type, APIVersion: "1.1", ShortDesc: id.Class + " service " + id.Type,
		Actions: []meta.Action{
			{Name: cib.OpStart, Timeout: 100 * time.Second},
			{Name: cib.OpStop, Timeout: 100 * time.Second},
			{Name: cib.OpMonitor, Timeout: 100 * time.Second, Interval: 60 * time.Second},
			{Name: opMetaData, Timeout: 5 * time.Second},
		},
	}
}

// List names the resource agents that are installed: OCF agents of all
// providers, init scripts, built-in agents, and the services of the service
// manager if it can be asked. The list is sorted.
func (r *Runner) List(ctx context.Context) []ID {
	var list []ID
	for _, root := range r.cfg.OCFRoots {
		files, _ := filepath.Glob(filepath.Join(root, "resource.d", "*", "*"))
		for _, f := range files {
			add(&list, ID{ClassOCF, filepath.Base(filepath.Dir(f)), filepath.Base(f)}, f)
		}
	}
	scripts, _ := filepath.Glob(filepath.Join(r.cfg.LSBDir, "*"))
	for _, f := range scripts {
		add(&list, ID{ClassLSB, "", filepath.Base(f)}, f)
	}
	for name := range r.builtins {
		list = append(list, ID{ClassBelay, "", name})
	}
	for _, name := range r.units.list(ctx) {
		id := ID{ClassSystemd, "", name}
		if id.check() == nil {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b ID) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

func add(list *[]ID, id ID, file string) {
	if id.check() == nil && executable(file) {
		*list = append(*list, id)
	}
}

func executable(file string) bool {
	const anyone fs.FileMode = 0o111
	st, err := os.Stat(file)
	return err == nil && st.Mode().IsRegular() && st.Mode()&anyone != 0
}
