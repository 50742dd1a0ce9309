package config

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/interlock-mcp/interlock/upstream"
)

// ExtendOptions says how further entries are read. Environ, Keyring and LookPath
// are as in LoadOptions.
type ExtendOptions struct {
	// Source is what problems call the place of the entries, "" for nothing: then
	// they are told by their keys alone.
	Source string
	// Dir is what relative paths are relative to.
	Dir string
	// Taken are names that are in use beside the configuration's own.
	Taken []string
	// Literal refuses entries that would start a program, or read a file or a
	// variable.
	Literal  bool
	Environ  []string
	Keyring  func(name string) (string, error)
	LookPath func(command string) (string, error)
}

// Extension is a configuration with further upstreams.
type Extension struct {
	// Config has them after its own. Its Warnings are those of the entries alone.
	Config *Config
	// Added are the entries that were taken, in their order.
	Added []Entry
	// Existing are names that were left out: the configuration has them.
	Existing []string
}

// Entry is an upstream as it was written.
type Entry struct {
	// Name is what it is called here. Block is the key of the object it was in:
	// upstreams, or one of a client's.
	Name, Block string
	// Raw is its JSON, variables and all.
	Raw json.RawMessage
}

// Refused is Extend's error for what Literal refuses.
type Refused struct{ *Errors }

// needsSocket is the mend of what is refused.
const needsSocket = "send it over the unix socket, or put it into the file"

// Extend reads doc, a JSON object that holds upstreams as a file does, under
// upstreams or a client's key such as mcpServers or servers, and returns c with
// those that it does not have yet. c, which is valid, does not change. The error
// is an *Errors with all that is wrong, or a *Refused. Like Load it reads files and
// the keyring where an entry names them, unless o.Literal.
func (c *Config) Extend(doc []byte, o ExtendOptions) (*Extension, error) {
	l := newLoader(LoadOptions{Environ: o.Environ, Keyring: o.Keyring, LookPath: o.LookPath})
	l.literal = o.Literal
	l.secrets = slices.Clone(c.secrets)
	s := &source{name: o.Source, dir: o.Dir, data: doc}
	l.sources = append(l.sources, s)
	x := &Extension{}
	if root := parse(s, ".json", &l.problems); root != nil {
		x = l.extension(c, root, o.Taken)
	}
	if len(l.problems.errors) > 0 {
		errs := &Errors{l.shown(l.problems.errors)}
		if l.refused {
			return nil, &Refused{errs}
		}
		return nil, errs
	}
	x.Config.Warnings = l.shown(l.problems.warnings)
	return x, nil
}

func (l *loader) extension(c *Config, root *node, taken []string) *Extension {
	if root.kind != table {
		l.problems.add(root.at, "", "must be "+table.String()+", not "+root.kind.String(), "")
		return &Extension{}
	}
	raw := written(root)
	l.hide(root)
	l.expand(root)
	l.translate(root)
	ups := l.onlyUpstreams(root)
	x := &Extension{}
	kept := ups.members[:0:0]
	for _, m := range ups.members {
		if c.Upstream(m.key) != nil || slices.Contains(taken, m.key) {
			x.Existing = append(x.Existing, m.key)
			continue
		}
		kept = append(kept, m)
		if i := slices.IndexFunc(raw, func(e Entry) bool { return e.Name == m.key }); i >= 0 {
			x.Added = append(x.Added, raw[i])
		}
	}
	ups.members = kept
	l.layer(&node{kind: table, at: root.at, members: []member{{"upstreams", ups.at, ups}}})

	cfg := *c
	cfg.Upstreams = slices.Clone(c.Upstreams)
	entries, _ := l.layers[0]["upstreams"].(map[string]any)
	insecureHTTP := map[string]bool{}
	for _, name := range l.names {
		entry, _ := entries[name].(map[string]any)
		keys := l.entry(name, c.defaults, entry)
		insecureHTTP[name] = keys.InsecureHTTP
		l.starts(&keys.Config)
		cfg.Upstreams = append(cfg.Upstreams, keys.Config)
	}
	l.upstreams(&cfg, len(c.Upstreams), insecureHTTP)
	cfg.secrets = l.secrets
	for _, path := range l.paths {
		if !slices.Contains(cfg.Sources, path) {
			cfg.Sources = append(slices.Clip(cfg.Sources), path)
		}
	}
	x.Config = &cfg
	return x
}

// onlyUpstreams returns the upstreams of a document, and reports what else it has.
func (l *loader) onlyUpstreams(root *node) *node {
	ups := root.find("upstreams")
	for _, m := range root.members {
		switch m.key {
		case "upstreams", "$schema":
		default:
			l.problems.add(m.at, m.key, quote(m.key)+" is nothing that can be added", didYouMean(m.key, append([]string{"upstreams"}, clientKeys...)))
		}
	}
	switch {
	case ups == nil:
		l.problems.add(root.at, "", "names no upstreams", `write {"mcpServers": {"NAME": {...}}}`)
	case ups.kind != table:
		l.problems.add(ups.at, "upstreams", `"upstreams" must be `+table.String()+", not "+ups.kind.String(), "")
	case len(ups.members) == 0:
		l.problems.add(ups.at, "upstreams", "names no upstreams", `write {"mcpServers": {"NAME": {...}}}`)
	default:
		return ups
	}
	return &node{kind: table, at: root.at}
}

// starts refuses, of literal entries, what would start a program or read a file.
func (l *loader) starts(u *upstream.Config) {
	if !l.literal {
		return
	}
	path := dotted([]string{"upstreams", u.Name})
	if u.Command != "" || u.Kind() == upstream.Stdio {
		l.refuse(l.place(u.Name, "command"), path+".command", "a command is not taken here")
	}
	if u.TLS != (upstream.TLS{}) {
		l.refuse(l.place(u.Name, "tls"), path+".tls", "files are not read here")
	}
	if u.Auth.PrivateKey != "" && l.places.value([]string{"upstreams", u.Name, "auth", "private_key"}) != nil {
		l.refuse(l.place(u.Name, "auth", "private_key"), path+".auth.private_key", "files are not read here")
	}
}

func (l *loader) refuse(at pos, key, what string) {
	l.refused = true
	l.problems.add(at, key, what, needsSocket)
}

// written returns the entries of a document as they are written, with the names
// that they will have.
func written(root *node) []Entry {
	var out []Entry
	for _, m := range root.members {
		name := func(key string) string { return key }
		switch {
		case m.value.kind != table:
			continue
		case isClientKey(m.key):
			m, name = unwrapped(m), legalised
		case m.key != "upstreams":
			continue
		}
		for _, e := range m.value.members {
			out = append(out, Entry{Name: name(e.key), Block: m.key, Raw: e.value.json(nil)})
		}
	}
	return out
}

// json appends the JSON of a tree, keys in their order.
func (n *node) json(b []byte) []byte {
	str := func(s string) []byte {
		quoted, err := json.Marshal(s)
		if err != nil { // a string always marshals
			panic(err)
		}
		return quoted
	}
	switch n.kind {
	case table:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, str(m.key)...), ':')
			b = m.value.json(b)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.json(b)
		}
		return append(b, ']')
	case text:
		return append(b, str(n.text)...)
	case number, boolean:
		return append(b, n.text...)
	}
	return append(b, "null"...)
}

// WriteEntries writes entries as a document that Extend reads, block by block.
func WriteEntries(entries []Entry) []byte {
	root := &node{kind: table}
	for _, e := range entries {
		block := root.find(e.Block)
		if block == nil {
			block = &node{kind: table}
			root.put(e.Block, pos{}, block)
		}
		block.put(e.Name, pos{}, &node{kind: number, text: string(e.Raw)}) // as it is written
	}
	var out bytes.Buffer
	if err := json.Indent(&out, root.json(nil), "", "  "); err != nil {
		return append(root.json(nil), '\n')
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// ReadEntries reads what WriteEntries wrote. The error says what is wrong with
// the document as a whole; what is wrong with an entry is Extend's to find.
func ReadEntries(doc []byte) ([]Entry, error) {
	l := newLoader(LoadOptions{Environ: []string{}})
	s := &source{data: doc}
	l.sources = append(l.sources, s)
	root := parse(s, ".json", &l.problems)
	if len(l.problems.errors) > 0 {
		return nil, &Errors{l.shown(l.problems.errors)}
	}
	if root == nil {
		return nil, nil
	}
	return written(root), nil
}
