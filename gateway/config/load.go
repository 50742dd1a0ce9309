package config

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/oauth/vault"
)

// LoadOptions says what to load. The zero value discovers a file and uses the
// process's environment.
type LoadOptions struct {
	// Files are merged in order, later ones winning. When empty, the file is
	// looked for in Dir and then in the user's config folder.
	Files []string
	// Dir is where a file is looked for first and what relative Files are
	// relative to; "" is the working directory.
	Dir string
	// Environ is the environment as KEY=value; nil is the process's own.
	Environ []string
	// Keyring returns a secret of the system's keyring; nil is the system's own,
	// under the service "interlock", which has 5 s for an answer.
	Keyring func(name string) (string, error)
	// LookPath finds a command, for a warning when there is none; nil is
	// exec.LookPath.
	LookPath func(command string) (string, error)
	// Ignore are keys at the top of the file that are another reader's.
	Ignore []string
}

// ErrNoFile is wrapped by Load's error when no file was named or found. The
// error says how to begin.
var ErrNoFile = errors.New("no configuration file")

// maxFile is the largest file that is read. A client's own file can be large: some
// keep their history in it.
const maxFile = 16 << 20

// Load reads, merges and validates a configuration. The error is an *Errors with
// all that is wrong, or wraps ErrNoFile. Load reads files (and the keyring, where
// one is named) and changes nothing.
func Load(o LoadOptions) (*Config, error) {
	l := newLoader(o)
	cfg, err := l.load()
	if err != nil {
		return nil, err
	}
	if len(l.problems.errors) > 0 {
		return nil, &Errors{l.shown(l.problems.errors)}
	}
	cfg.Warnings = l.shown(l.problems.warnings)
	return cfg, nil
}

// load reads all there is and makes a configuration of it, whatever its faults.
// The error wraps ErrNoFile.
func (l *loader) load() (*Config, error) {
	if len(l.files) == 0 {
		found, err := discover(l.dir, l.env)
		if err != nil {
			return nil, err
		}
		l.files = []string{found}
	}
	for _, f := range l.files {
		l.file(f, f, pos{})
	}
	l.environment()
	return l.finish(), nil
}

// shown returns what was found as it may be shown, sorted. Most of what is
// reported hides its value itself; a name that came from a variable is only
// known here.
func (l *loader) shown(list []found) []Problem {
	out := sorted(list, l.sources)
	for i := range out {
		p := &out[i]
		for _, s := range l.secrets {
			if len(s) < 4 {
				continue
			}
			p.Text = strings.ReplaceAll(p.Text, quote(s), hiddenText)
			p.Mend = strings.ReplaceAll(p.Mend, quote(s), hiddenText)
			if last(strings.Split(p.Key, ".")) == s {
				p.Key = strings.TrimSuffix(p.Key, s) + hiddenText
			}
		}
	}
	return out
}

// loader is one load.
type loader struct {
	problems problems
	places   *places
	files    []string
	dir      string
	env      map[string]string
	keyring  func(string) (string, error)
	lookPath func(string) (string, error)
	ignore   []string

	sources []*source // in the order they were opened
	paths   []string  // of all that was read
	opened  []string  // the chain of includes that is open, to find a cycle
	layers  []map[string]any
	names   []string // of upstreams, in the order they were first seen
	// profileNames are those of profiles, in the same way.
	profileNames []string
	secrets      []string
	// fromClient are the names of upstreams of clients' blocks.
	fromClient []string
	// literal refuses what would start a program or read a file or a variable;
	// refused says that something was.
	literal, refused bool
	// lost says that what Locate reads may be what could not be read.
	lost bool
	// fileSecrets are the places and paths of ${file:} that every user may read.
	fileSecrets []found
}

func newLoader(o LoadOptions) *loader {
	l := &loader{
		places: newPlaces(), files: o.Files, dir: o.Dir, env: map[string]string{},
		keyring: o.Keyring, lookPath: o.LookPath, ignore: o.Ignore,
	}
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			l.env[k] = v
		}
	}
	if l.keyring == nil {
		r := vault.NewReader(nil)
		l.keyring = func(name string) (string, error) { return r.Secret(context.Background(), "interlock", name) }
	}
	if l.lookPath == nil {
		l.lookPath = exec.LookPath
	}
	return l
}

// file reads one file, what it includes first, as layers. shown is its name as
// the user knows it, from the include that names it, if one does.
func (l *loader) file(path, shown string, from pos) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	s := &source{name: shown, dir: filepath.Dir(path)}
	at := pos{src: s}
	if from.src != nil {
		at = from
	}
	if slices.Contains(l.opened, path) {
		l.problems.add(at, "include", "the file includes itself: "+shown, "")
		return
	}
	l.sources = append(l.sources, s)
	l.paths = append(l.paths, path)
	data, err := readFile(path)
	if err != nil {
		l.problems.add(at, "", "cannot read "+quote(shown)+": "+reason(err), "")
		l.lost = true
		return
	}
	s.data = data
	l.opened = append(l.opened, path)
	defer func() { l.opened = l.opened[:len(l.opened)-1] }()

	root := parse(s, path, &l.problems)
	if root == nil {
		l.lost = true
		return
	}
	if root.kind != table {
		l.lost = true
		l.problems.add(root.at, "", "the file must be "+table.String()+", not "+root.kind.String(), "")
		return
	}
	for _, key := range l.ignore {
		root.take(key)
	}
	l.hide(root)
	l.expand(root)
	l.includes(root, s)
	l.translate(root)
	l.layer(root)
}

// includes reads what a file includes, before it.
func (l *loader) includes(root *node, s *source) {
	n := root.find("include")
	if n == nil {
		return
	}
	items := n.items
	if n.kind == text {
		n.kind, n.items = list, []*node{{kind: text, at: n.at, text: n.text, expanded: n.expanded}}
		items = n.items
	}
	for _, item := range items {
		if item.kind != text || item.text == "" {
			continue // reported when its type is checked
		}
		path, shown := item.text, item.text
		if !filepath.IsAbs(path) {
			path, shown = filepath.Join(s.dir, path), filepath.Join(filepath.Dir(s.name), shown)
		}
		l.file(path, shown, item.at)
	}
}

// layer checks a tree against the document and keeps it for merging.
func (l *loader) layer(root *node) {
	c := &checker{&l.problems, l.places}
	l.layers = append(l.layers, c.structure(nil, root, documentType))
	for key, names := range map[string]*[]string{"upstreams": &l.names, "profiles": &l.profileNames} {
		if all := root.find(key); all != nil {
			for _, m := range all.members {
				if !slices.Contains(*names, m.key) {
					*names = append(*names, m.key)
				}
			}
		}
	}
}

// readFile reads a file of a bearable size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder")
	case info.Size() > maxFile:
		return nil, errors.New("it is larger than 16 MiB")
	}
	data, err := os.ReadFile(path)
	if err == nil && len(data) > maxFile {
		err = errors.New("it is larger than 16 MiB")
	}
	return data, err
}

// reason is an error without the path that it repeats.
func reason(err error) string {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
