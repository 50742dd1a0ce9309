package pin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// Item is one definition and how it stands.
type Item struct {
	// Ref is how it is named: files/read_file for a tool, files/prompt:review and
	// files/instructions: for others.
	Ref      string
	Upstream string
	Kind     policy.Kind
	// Name is the upstream's own, Exposed that which clients would see, "" for none.
	Name, Exposed string
	State         State
	// Effect is what becomes of it: policy.Allow, Report, Hide or Change, which stands
	// for Block; "" for one that is gone.
	Effect policy.Effect
	// Hash is that of what is offered, Approved that of what was approved, "" for none.
	Hash, Approved string
	// At and By are when it was approved, and by whom.
	At time.Time
	By string
	// Reason says what is odd about it, "" for nothing.
	Reason string
	// Same names what was approved under another name with the same definition: what was
	// renamed has one.
	Same string
}

// Comparison is an Item and its lines.
type Comparison struct {
	Item
	Lines []Line
}

// List returns all that was approved or is offered, in the order of the lock file.
func (p *Policy) List() []Item {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.book.Load()
	var items []Item
	seen := make(map[key]bool, len(p.offered))
	for _, d := range p.offered {
		seen[keyOf(d)] = true
		items = append(items, p.item(b, d))
	}
	for k, e := range b.entries {
		if !seen[k] && slices.Contains(p.c.Kinds, k.kind) {
			items = append(items, e.item(Gone))
		}
	}
	slices.SortStableFunc(items, func(x, y Item) int { return before(x.key(), y.key()) })
	names(b, items)
	return items
}

// Read returns what a lock file holds, in its order, as Approved: whether it is
// offered is not known. A file that is not there holds nothing.
func Read(file string) ([]Item, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	entries, err := parse(file, raw)
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(entries))
	for _, e := range entries {
		items = append(items, e.item(Approved))
	}
	slices.SortFunc(items, func(x, y Item) int { return before(x.key(), y.key()) })
	return items, nil
}

// item is an entry as an Item, without what is offered.
func (e *entry) item(s State) Item {
	return Item{Ref: e.String(), Upstream: e.upstream, Kind: e.kind, Name: e.name, State: s, Approved: e.hash, At: e.at, By: e.by}
}

func (i *Item) key() key { return key{i.Upstream, i.Kind, i.Name} }

// item says how d stands. The caller holds mu.
func (p *Policy) item(b *book, d *policy.Definition) Item {
	state, e := b.judge(d)
	i := Item{
		Ref: keyOf(d).String(), Upstream: d.Upstream, Kind: d.Kind, Name: d.Name, Exposed: d.Exposed,
		State: state, Effect: policy.Allow, Hash: d.Hash(),
	}
	if e != nil {
		i.Approved, i.At, i.By = e.hash, e.at, e.by
	}
	if v, ok := p.said[d]; ok && state != Approved {
		i.Effect, i.Reason = v.Effect, v.Reason
		if _, err := indented(d.Raw); err != nil {
			i.State = Unfit
		}
	}
	return i
}

// names fills in Same.
func names(b *book, items []Item) {
	if !slices.ContainsFunc(items, func(i Item) bool { return i.State == New }) {
		return
	}
	by := make(map[string]key, len(b.entries))
	for k, e := range b.entries {
		if other, ok := by[e.hash]; !ok || before(k, other) < 0 {
			by[e.hash] = k
		}
	}
	for n := range items {
		if k, ok := by[items[n].Hash]; ok && items[n].State == New {
			items[n].Same = k.String()
		}
	}
}

// NameError is a fault of what an operator named.
type NameError struct {
	// Why is one of the errors below.
	Why        error
	Text, Mend string
}

func (e *NameError) Error() string { return e.Text }

func (e *NameError) Unwrap() error { return e.Why }

// What a NameError comes of.
var (
	ErrUnknown = errors.New("nothing has that name")
	ErrNoHash  = errors.New("the hash is missing or too short")
	ErrOther   = errors.New("it is not what was seen")
	ErrUnfit   = errors.New("it cannot be approved")
)

// Pick returns those of items that are named, by their Ref or their upstream, all of
// them for no name. The error is a *NameError that wraps ErrUnknown.
func Pick(items []Item, names []string) ([]Item, error) {
	if len(names) == 0 {
		return items, nil
	}
	var out []Item
	for _, name := range names {
		found := false
		for _, i := range items {
			if i.Ref == name || i.Upstream == name {
				found = true
				if !slices.ContainsFunc(out, func(o Item) bool { return o.Ref == i.Ref }) {
					out = append(out, i)
				}
			}
		}
		if !found {
			return nil, unknown(name)
		}
	}
	return out, nil
}

func unknown(name string) error {
	return &NameError{ErrUnknown, fmt.Sprintf("nothing that is pinned is named %.200q", name), "`interlock pins list` shows the names"}
}

// Compare compares what is offered with what was approved: all that is new, changed
// or unfit, or else what is named. The error is a *NameError.
func (p *Policy) Compare(names []string) ([]Comparison, error) {
	items, err := Pick(p.List(), names)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b, offered := p.book.Load(), p.byRef()
	var out []Comparison
	for _, i := range items {
		if i.State == Approved || i.State == Gone && !slices.Contains(names, i.Ref) {
			continue
		}
		var was, is []byte
		if e := b.entries[i.key()]; e != nil {
			was = []byte(e.text)
		}
		if d := offered[i.Ref]; d != nil {
			is, i.Hash = d.Raw, d.Hash()
		}
		out = append(out, Comparison{i, Lines(was, is)})
	}
	return out, nil
}

// byRef finds what is offered. The caller holds mu.
func (p *Policy) byRef() map[string]*policy.Definition {
	all := make(map[string]*policy.Definition, len(p.offered))
	for _, d := range p.offered {
		all[keyOf(d).String()] = d
	}
	return all
}

// minHash is how many digits of a hash tell what was seen: an upstream that chooses
// both definitions should not find two with the same.
const minHash = 32

// Approve approves definitions as they were seen, each named by its Ref, "@sha256:" and
// at least 32 digits of its hash. They are written before it returns. On an error, a
// *NameError or one of the file, nothing is approved.
func (p *Policy) Approve(refs []string, by string) ([]Item, error) {
	more, err := p.wanted(refs, by)
	if err != nil {
		return nil, err
	}
	if err := p.save(more); err != nil {
		return nil, err
	}
	p.again()
	var out []Item
	for _, i := range p.List() {
		if e := more[i.key()]; e != nil && e.hash == i.Hash {
			out = append(out, i)
		}
	}
	return out, nil
}

// wanted are the entries of what is to be approved.
func (p *Policy) wanted(refs []string, by string) (map[key]*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offered, b, now := p.byRef(), p.book.Load(), time.Now()
	more := make(map[key]*entry, len(refs))
	for _, ref := range refs {
		name, digits := ref, ""
		if at := strings.LastIndex(ref, "@sha256:"); at >= 0 {
			name, digits = ref[:at], ref[at+1:]
		}
		d := offered[name]
		switch {
		case d == nil:
			return nil, unknown(name)
		case len(digits) < len("sha256:")+minHash:
			return nil, &NameError{
				ErrNoHash, fmt.Sprintf("%.200q does not say what was seen: the hash is missing, or has fewer than %d digits", ref, minHash),
				"`interlock pins diff` shows the definition and NAME@sha256:HASH for it",
			}
		case !strings.HasPrefix(d.Hash(), digits):
			return nil, &NameError{ErrOther, fmt.Sprintf("%.200q is not what it was when it was seen", name), "look again: `interlock pins diff`"}
		}
		text, err := indented(d.Raw)
		if err != nil {
			return nil, &NameError{ErrUnfit, fmt.Sprintf("%.200q cannot be pinned: %s", name, fault(err)), "its server has to mend that"}
		}
		e := newEntry(d, text, now, by)
		if old := b.entries[e.key]; old != nil && old.hash == e.hash {
			e = old
		}
		more[e.key] = e
	}
	return more, nil
}
