package upstream

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// The last good inventory of each upstream is a file
// StateDir/inventories/<name>-<RestartKey>.json, so that lists can be answered
// before the upstream has started. A name is escaped as in a URL's path.

func (s *Set) inventoryFile(c *Config) string {
	return filepath.Join(s.o.StateDir, "inventories", url.PathEscape(c.Name)+"-"+c.RestartKey()+".json")
}

// Kept returns the inventory that was kept for an upstream as c says it is reached,
// nil for none. It reads a file.
func (s *Set) Kept(c *Config) *Inventory { return s.load(c) }

// load returns the inventory that was kept for c, nil for none.
func (s *Set) load(c *Config) *Inventory {
	if s.o.StateDir == "" {
		return nil
	}
	b, err := os.ReadFile(s.inventoryFile(c))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.o.Log.Warn("kept inventory not read", "upstream", c.Name, "error", err)
		}
		return nil
	}
	inv := new(Inventory)
	if err := json.Unmarshal(b, inv); err != nil {
		s.o.Log.Warn("kept inventory not read", "upstream", c.Name, "error", err)
		return nil
	}
	inv.Private = inv.Private || inv.Version < latestModern // kept before there was a word for it
	return inv
}

// save keeps inv for c and removes what was kept for other keys of it. A fault
// is logged, once until it works again: the gateway does without.
func (s *Set) save(c *Config, inv *Inventory) {
	if s.o.StateDir == "" {
		return
	}
	if err := s.write(c, inv); err != nil {
		if !s.unsaved.Swap(true) {
			s.o.Log.Warn("inventory not kept", "upstream", c.Name, "error", err)
		}
		return
	}
	s.unsaved.Store(false)
}

func (s *Set) write(c *Config, inv *Inventory) error {
	b, err := json.Marshal(inv)
	if err != nil {
		return err
	}
	file := s.inventoryFile(c)
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600 as it is
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	s.prune(dir, c, filepath.Base(file))
	return nil
}

// prune removes the inventories of c's name but the one to keep.
func (s *Set) prune(dir string, c *Config, keep string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // what is too much does no harm
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), url.PathEscape(c.Name)+"-")
		if ours && len(rest) == len(c.RestartKey())+len(".json") && e.Name() != keep {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
