package pin

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/unseen"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// key is what one definition is found by.
type key struct {
	upstream string
	kind     policy.Kind
	name     string // "" for instructions
}

func keyOf(d *policy.Definition) key { return key{d.Upstream, d.Kind, d.Name} }

// String is how an operator writes it: files/read_file for a tool,
// files/prompt:review for all else.
func (k key) String() string {
	if k.kind == policy.Tool && !slices.ContainsFunc(kinds, func(other policy.Kind) bool { return strings.HasPrefix(k.name, string(other)+":") }) {
		return k.upstream + "/" + k.name
	}
	return k.upstream + "/" + string(k.kind) + ":" + k.name
}

// before is the order of the lock file.
func before(a, b key) int {
	return cmp.Or(cmp.Compare(a.upstream, b.upstream), cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.name, b.name))
}

// entry is a definition as it was approved. It does not change.
type entry struct {
	key
	hash string
	at   time.Time // in whole seconds, UTC
	by   string
	text string // the definition as the lock file has it

	once sync.Once
	raw  []byte // the same on one line
}

// firstUse is who approved what an upstream had when it was first seen.
const firstUse = "first use"

func newEntry(d *policy.Definition, text string, at time.Time, by string) *entry {
	return &entry{key: keyOf(d), hash: d.Hash(), at: at.UTC().Truncate(time.Second), by: by, text: text}
}

// asApproved is the definition for a list.
func (e *entry) asApproved() []byte {
	e.once.Do(func() {
		v := jsontext.Value(e.text)
		_ = v.Compact(jsontext.PreserveRawStrings(true)) // it was read or written by us
		e.raw = jsonrpc.OneLine(v)
	})
	return e.raw
}

// indented is a definition for people: each member on a line, in the order of the
// server, with escapes for what nobody sees. It has the same hash. The error says why
// the definition has no canonical form, which keeps it from being pinned.
func indented(raw []byte) (string, error) {
	v := jsontext.Value(bytes.Clone(raw))
	err := v.Format(jsontext.Multiline(true), jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true),
		jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if err != nil {
		return "", err
	}
	lines := bytes.Split(v, []byte("\n"))
	for i := range lines {
		lines[i] = unseen.Append(make([]byte, 0, len(lines[i])), lines[i])
	}
	return string(bytes.Join(lines, []byte("\n"))), nil
}

const heading = `# What was approved of that which MCP servers offer. Review a change of this file
# like one of code: "interlock pins diff" shows what differs from it, and
# "interlock pins approve" writes it.
version: 1
`

// below is how far the lines of a definition are indented.
const below = "      "

// format is the lock file of the entries.
func format(all map[key]*entry) []byte {
	keys := make([]key, 0, len(all))
	size := len(heading)
	for k, e := range all {
		keys = append(keys, k)
		size += len(e.text) + len(e.text)/4 + 300
	}
	slices.SortFunc(keys, before)
	out := append(make([]byte, 0, size), heading...)
	if len(keys) == 0 {
		return append(out, "pins: []\n"...)
	}
	out = append(out, "pins:\n"...)
	for _, k := range keys {
		e := all[k]
		out = fmt.Appendf(out, "  - upstream: %s\n    kind: %s\n    name: %s\n    hash: %s\n    approved: %s\n    by: %s\n    definition: |\n",
			scalar(k.upstream), k.kind, scalar(k.name), e.hash, e.at.Format(time.RFC3339), scalar(e.by))
		for line := range strings.Lines(e.text) {
			out = append(append(out, below...), line...)
		}
		out = append(out, '\n')
	}
	return out
}

// plain are the texts that YAML reads as themselves without quotes.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)

// scalar is a text as YAML has it.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	return string(unseen.Append(nil, string(jsonrpc.AppendString(nil, s))))
}
