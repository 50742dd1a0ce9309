package pin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// mark is how one sees that a file is not what it was.
type mark struct {
	size     int64
	modified time.Time
	sum      [sha256.Size]byte
	young    bool // it had only just been written
}

// settled is how old a file must be for its time to tell it from what it is
// overwritten with: most systems' clocks of files tick every few milliseconds, the
// slowest every two seconds.
const settled = 3 * time.Second

func newMark(info fs.FileInfo, content []byte) mark {
	return mark{info.Size(), info.ModTime(), sha256.Sum256(content), time.Since(info.ModTime()) < settled}
}

// same reports whether the file is the one that was marked, for all that can be known
// without reading it.
func (m *mark) same(info fs.FileInfo) bool {
	return !m.young && info.Size() == m.size && info.ModTime().Equal(m.modified)
}

// Renew reads the lock file if it has changed. On an error, a *LockError if the file is
// not whole, all stays as it was.
func (p *Policy) Renew() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reread()
}

// reread reads the file if it has changed. What was not written yet stays. A file that
// is gone is written anew by the next approval. The caller holds mu.
func (p *Policy) reread() error {
	info, err := os.Stat(p.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular(): // a pipe would be waited for
		return fmt.Errorf("%s is no file", p.file)
	case p.mark.same(info):
		return nil
	}
	raw, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	now := newMark(info, raw)
	if now.sum == p.mark.sum {
		p.mark = now
		return nil
	}
	entries, err := parse(p.file, raw)
	if err != nil {
		return err
	}
	old := p.book.Load()
	if added, dropped := differ(old.entries, entries); p.mark != (mark{}) && added+dropped > 0 {
		p.log.Warn("the lock file was changed by others than the gateway", "file", p.file, "approved", added, "dropped", dropped)
	}
	p.mark = now
	p.book.Store(newBook(entries).with(p.unsaved))
	p.ill = ""
	return nil
}

// differ counts what two books do not share: what is in the second alone, and what in
// the first.
func differ(old, next map[key]*entry) (added, dropped int) {
	for k, e := range next {
		if o := old[k]; o == nil || o.hash != e.hash {
			added++
		}
	}
	for k := range old {
		if next[k] == nil {
			dropped++
		}
	}
	return added, dropped
}

// save writes what is not written yet, and more, over what the file has now. More
// is approved once it is written.
func (p *Policy) save(more map[key]*entry) error {
	p.disk.Lock()
	defer p.disk.Unlock()
	p.mu.Lock()
	err := p.reread()
	pending, b := maps.Clone(p.unsaved), p.book.Load() // unsaved is never nil
	p.mu.Unlock()
	maps.Copy(pending, more)
	if err != nil || len(pending) == 0 {
		return err
	}
	m, err := write(p.file, format(b.with(pending).entries))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.ill = m, ""
	maps.DeleteFunc(p.unsaved, func(k key, e *entry) bool { return pending[k] == e || more[k] != nil })
	p.book.Store(p.book.Load().with(more))
	return nil
}

// saveBehind has what is not written yet written by a goroutine. The caller holds
// mu.
func (p *Policy) saveBehind() {
	if p.busy {
		return
	}
	p.busy = true
	p.writing.Go(func() {
		p.mu.Lock()
		p.busy = false
		p.mu.Unlock()
		if err := p.save(nil); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.complain("what was approved is not kept: it counts until the gateway ends", err)
		}
	})
}

// complain logs a fault of the file, once. The caller holds mu.
func (p *Policy) complain(what string, err error) {
	if text := what + err.Error(); text != p.ill {
		p.ill = text
		p.log.Error("fault of the pins' lock file", "what", what, "error", err)
	}
}

// write replaces a file, and what it leads to if it is a link, at once and whole. A new
// one has mode 0600, one that is there keeps its own.
func write(path string, content []byte) (mark, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return mark{}, err
	}
	f, err := os.CreateTemp(dir, ".interlock.pins-*") // mode 0600
	if err != nil {
		return mark{}, err
	}
	defer os.Remove(f.Name()) // it is not there when all went well
	if info, statErr := os.Stat(path); statErr == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		_, err = f.ReadFrom(bytes.NewReader(content))
	}
	if err == nil {
		err = f.Sync()
	}
	var info fs.FileInfo
	if err == nil {
		info, err = f.Stat() // of what we wrote: another may be in its place at once
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return mark{}, fmt.Errorf("lock file: %w", err)
	}
	return newMark(info, content), nil
}
