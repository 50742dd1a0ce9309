package pin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy/unseen"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

const (
	maxChanges = 3  // that a Difference names
	maxShown   = 60 // characters of each value
	maxPath    = 80
)

// Difference says in a line how two definitions differ, both JSON: the first changes
// by their paths, with the beginnings of short values, and with escapes for what nobody
// sees.
func Difference(before, after []byte) string {
	c := &changes{}
	c.compare("", canonical(before), canonical(after), 0)
	text := strings.Join(c.said, "; ")
	if more := c.count - len(c.said); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	if text == "" {
		return "its bytes differ"
	}
	return text
}

// canonical is raw in its canonical form, or as it is if it has none.
func canonical(raw []byte) []byte {
	v := jsontext.Value(bytes.Clone(raw))
	if v.Canonicalize() != nil {
		return raw
	}
	return v
}

// changes collects what differs.
type changes struct {
	said  []string
	count int
}

func (c *changes) add(path, what string) {
	if c.count++; len(c.said) == maxChanges {
		return
	}
	if path == "" {
		path = "all of it"
	}
	c.said = append(c.said, short(path, maxPath)+" "+what)
}

// maxDeep is how deep the paths go.
const maxDeep = 16

// compare compares two canonical values, whose members are in order.
func (c *changes) compare(path string, a, b []byte, deep int) {
	switch {
	case bytes.Equal(a, b):
	case len(a) > 0 && len(b) > 0 && a[0] == '{' && b[0] == '{' && deep < maxDeep:
		was := make(map[string][]byte)
		for k, s := range jsonrpc.Members(a, jsonrpc.Whole(a)) {
			was[k] = s.Of(a)
		}
		for k, s := range jsonrpc.Members(b, jsonrpc.Whole(b)) {
			at := strings.TrimPrefix(path+"."+k, ".")
			old, ok := was[k]
			delete(was, k)
			if !ok {
				c.add(at, "added: "+value(s.Of(b)))
				continue
			}
			c.compare(at, old, s.Of(b), deep+1)
		}
		for k := range jsonrpc.Members(a, jsonrpc.Whole(a)) {
			if _, gone := was[k]; gone {
				c.add(strings.TrimPrefix(path+"."+k, "."), "removed")
			}
		}
	case len(a) > 0 && len(b) > 0 && a[0] == '"' && b[0] == '"':
		was, is := around(jsonrpc.Text(a, jsonrpc.Whole(a)), jsonrpc.Text(b, jsonrpc.Whole(b)))
		c.add(path, "changed: "+was+" is now "+is)
	default:
		c.add(path, "changed: "+value(a)+" is now "+value(b))
	}
}

// around shows two texts where they begin to differ.
func around(a, b string) (was, is string) {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	from := max(n-maxShown/3, 0)
	for from > 0 && !utf8.RuneStart(a[from]) {
		from--
	}
	lead := ""
	if from > 0 {
		lead = "…"
	}
	return `"` + lead + short(a[from:], maxShown) + `"`, `"` + lead + short(b[from:], maxShown) + `"`
}

// value shows a JSON value.
func value(raw []byte) string { return short(string(raw), maxShown) }

// short is the beginning of a text, escaped.
func short(text string, most int) string {
	n := 0
	for i := range text {
		if n == most {
			return unseen.Escape(text[:i]) + "…"
		}
		n++
	}
	return unseen.Escape(text)
}

// fault says why a definition has no canonical form.
func fault(err error) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return "a key is there twice in one object"
	}
	return "it is not JSON in valid Unicode"
}
