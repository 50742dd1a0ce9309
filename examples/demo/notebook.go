package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// note is one note.
type note struct {
	ID   int      `json:"id"`
	Text string   `json:"text"`
	Tags []string `json:"tags,omitempty"`
}

// notebook is the notes in a file. It is safe for concurrent use by one process.
type notebook struct {
	file string

	mu    sync.Mutex // guards what follows
	notes []note
}

func openNotebook(file string) (*notebook, error) {
	found, err := readNotes(file)
	b := &notebook{file: file, notes: found}
	if !errors.Is(err, os.ErrNotExist) {
		return b, err
	}
	b.notes = []note{
		{1, "Buy oat milk and coffee beans.", []string{"home"}},
		{2, "The signal box opens the points before it clears the signal.", []string{"railway"}},
		{3, "Ask Ada about the timetable of the night train.", []string{"railway", "work"}},
	}
	return b, b.save(b.notes)
}

func readNotes(file string) ([]note, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("notes: %w", err)
	}
	var found []note
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, fmt.Errorf("notes: %s: %w", file, err)
	}
	return found, nil
}

// save replaces the file, so that a reader sees the old notes or the new ones.
func (b *notebook) save(all []note) error {
	raw, err := json.Marshal(list(all))
	if err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	temp := filepath.Join(filepath.Dir(b.file), filepath.Base(b.file)+".new")
	if err := os.WriteFile(temp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	if err := os.Rename(temp, b.file); err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	return nil
}

func (b *notebook) keep(text string, tags []string) (note, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := note{ID: 1, Text: text, Tags: tags}
	for _, m := range b.notes {
		n.ID = max(n.ID, m.ID+1)
	}
	all := append(slices.Clone(b.notes), n)
	if err := b.save(all); err != nil {
		return note{}, err
	}
	b.notes = all
	return n, nil
}

func (b *notebook) forget(id int) (found bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(b.notes), func(n note) bool { return n.ID == id })
	if len(all) == len(b.notes) {
		return false, nil
	}
	if err := b.save(all); err != nil {
		return false, err
	}
	b.notes = all
	return true, nil
}

// tagged returns a copy of the notes with the tag, of all for "".
func (b *notebook) tagged(tag string) []note {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.notes), func(n note) bool {
		return tag != "" && !slices.ContainsFunc(n.Tags, func(t string) bool { return strings.EqualFold(t, tag) })
	})
}

// render shows notes to a reader.
func render(notes []note) string {
	if len(notes) == 0 {
		return "(no notes)"
	}
	var s strings.Builder
	for i, n := range notes {
		if i > 0 {
			s.WriteByte('\n')
		}
		fmt.Fprintf(&s, "%d. %s", n.ID, n.Text)
		for _, t := range n.Tags {
			s.WriteString(" #" + t)
		}
	}
	return s.String()
}
