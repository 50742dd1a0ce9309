package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// AddedFile is the name of the overlay in state_dir: the upstreams that were added
// at run time, as they were written.
const AddedFile = "added.json"

// overlay is what operators made of the files: what they added, which is kept, and
// what they removed, which is not. The gateway's reload lock guards it.
type overlay struct {
	path    string                        // "" keeps nothing
	files   atomic.Pointer[config.Config] // as it was loaded; read without the lock, too
	added   []config.Entry
	removed map[string]upstream.Config // as the files have them
}

// openOverlay reads what was kept. A fault is returned with an overlay without entries.
func openOverlay(path string, files *config.Config) (*overlay, error) {
	o := &overlay{path: path, removed: map[string]upstream.Config{}}
	o.files.Store(files)
	if path == "" {
		return o, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		o.added, err = config.ReadEntries(data)
	}
	if err != nil {
		return o, fmt.Errorf("what was added at run time: %w", err)
	}
	return o, nil
}

// keep writes entries in the place of what was kept, whole or not at all.
func (o *overlay) keep(entries []config.Entry) error {
	if o.path == "" {
		return nil
	}
	if len(entries) == 0 {
		if err := os.Remove(o.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	dir := filepath.Dir(o.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, AddedFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(config.WriteEntries(entries))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), o.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// has reports whether an upstream of that name was added.
func (o *overlay) has(name string) bool {
	return slices.ContainsFunc(o.added, func(e config.Entry) bool { return e.Name == name })
}

// taken are the names that the files have.
func (o *overlay) taken() []string {
	ups := o.files.Load().Upstreams
	names := make([]string, len(ups))
	for i := range ups {
		names[i] = ups[i].Name
	}
	return names
}

// dirOf is what paths in entries are relative to: the folder of the first file.
func dirOf(files *config.Config) string {
	if len(files.Sources) > 0 {
		return filepath.Dir(files.Sources[0])
	}
	return files.StateDir
}

// over returns files as they apply: without what was removed at run time and has
// not changed since, and with what was added. warnings say what was left out or
// put back. The error is that of an entry that is no longer valid.
func (o *overlay) over(files *config.Config) (cfg *config.Config, warnings []string, err error) {
	next := *files
	next.Upstreams, warnings = o.without(files)
	entries := slices.DeleteFunc(slices.Clone(o.added), func(e config.Entry) bool {
		hidden := files.Upstream(e.Name) != nil
		if hidden {
			warnings = append(warnings, e.Name+" was added at run time, and the file has one of that name, which wins")
		}
		return hidden
	})
	if len(entries) == 0 {
		return &next, warnings, nil
	}
	x, err := next.Extend(config.WriteEntries(entries), config.ExtendOptions{Source: o.path, Dir: dirOf(files)})
	if err != nil {
		return nil, nil, err
	}
	for _, w := range x.Config.Warnings {
		warnings = append(warnings, w.String())
	}
	x.Config.Warnings = files.Warnings
	return x.Config, warnings, nil
}

// without returns the upstreams of files but for those that were removed at run
// time, unless another needs them now.
func (o *overlay) without(files *config.Config) (list []upstream.Config, warnings []string) {
	gone := map[string]bool{}
	for name, was := range o.removed {
		now := files.Upstream(name)
		gone[name] = now != nil && sameConfig(*now, was)
	}
	for again := true; again; {
		again = false
		for i := range files.Upstreams {
			u := &files.Upstreams[i]
			if gone[u.Name] || !u.Enabled {
				continue
			}
			for _, d := range u.DependsOn {
				if gone[d.On] {
					gone[d.On], again = false, true
					warnings = append(warnings, d.On+" was removed at run time and is back: "+u.Name+" depends on it")
				}
			}
		}
	}
	for i := range files.Upstreams {
		if !gone[files.Upstreams[i].Name] {
			list = append(list, files.Upstreams[i])
		}
	}
	return list, warnings
}

// survivors returns files with those of the added upstreams that can still be had,
// and why the others cannot: a gateway starts without what went stale while it was
// away.
func (o *overlay) survivors(files *config.Config) (cfg *config.Config, warnings []string) {
	if cfg, warnings, err := o.over(files); err == nil {
		return cfg, warnings
	}
	all, fault := o.added, map[string]error{}
	defer func() { o.added = all }() // they may be valid again at the next reload
	o.added = nil
	cfg, warnings, _ = o.over(files) // without entries nothing can be wrong
	for again := true; again; {      // one may depend on a later one
		again = false
		for _, e := range all {
			if o.has(e.Name) {
				continue
			}
			o.added = append(o.added, e)
			next, w, err := o.over(files)
			if err != nil {
				o.added, fault[e.Name] = o.added[:len(o.added)-1], err
				continue
			}
			cfg, warnings, again = next, w, true
			delete(fault, e.Name)
		}
	}
	for _, e := range all {
		if err := fault[e.Name]; err != nil {
			warnings = append(warnings, e.Name+", which was added at run time, is left out: "+err.Error())
		}
	}
	return cfg, warnings
}

// forget drops what files say otherwise by now.
func (o *overlay) forget(files, running *config.Config) {
	o.files.Store(files)
	for name := range o.removed {
		if files.Upstream(name) == nil || running.Upstream(name) != nil {
			delete(o.removed, name)
		}
	}
}
