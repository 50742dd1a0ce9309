package secrets

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/interlock-mcp/interlock/policy/pointer"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// place is a secret in a document.
type place struct {
	rule, path string // the path is a JSON Pointer
}

// maxRounds is how often a document is looked through again after something in it
// was replaced: what is left may look like a secret only then.
const maxRounds = 4

// examine returns the secrets in a JSON document, and the document without them:
// raw itself if there are none. Only strings and numbers are changed. kept is told
// the path of a string as keys, and says whether it is the protocol's and must stay
// as it is.
func (d *detector) examine(raw []byte, uri string, kept func(raw []byte, path []step) bool) ([]place, []byte, error) {
	var all []place
	for round := range maxRounds {
		places, next, err := d.once(raw, uri, round, kept)
		if err != nil {
			return nil, nil, err
		}
		if len(places) == 0 {
			return all, raw, nil
		}
		if round == 0 {
			all = places
		}
		raw = next
	}
	return nil, nil, fmt.Errorf("what is left after redaction keeps looking like credentials")
}

// once is one round of examine.
func (d *detector) once(raw []byte, uri string, round int, kept func(raw []byte, path []step) bool) ([]place, []byte, error) {
	text := plain(raw)
	found, err := d.find(text, uri)
	if err != nil {
		return nil, nil, err
	}
	blobs := bytes.Contains(raw, []byte(`"blob"`))
	if len(found) == 0 && !blobs {
		return nil, raw, nil
	}
	raise(raw, found)
	w := walk{raw: raw}
	r := redaction{detector: d, uri: uri, kept: kept, all: found, found: found, walk: &w, text: text, keys: round * 1000}
	w.visit = r.token
	w.value(0)
	if r.err != nil || len(r.places) == 0 {
		return nil, raw, r.err
	}
	return r.places, append(r.out, raw[r.copied:]...), nil
}

// redaction makes the document anew, from its start to its end.
type redaction struct {
	*detector
	uri    string
	kept   func([]byte, []step) bool
	all    []finding
	found  []finding // those that are left
	walk   *walk
	text   []byte // the document without escapes
	places []place
	keys   int // the number of the last one that was replaced
	out    []byte
	copied int // how much of raw is in out, or was replaced
	err    error
}

// token looks at a string or number, with its quotes, in its order.
func (r *redaction) token(start, end int, key bool) {
	if r.err != nil {
		return
	}
	for len(r.found) > 0 && r.found[0].end <= start {
		r.found = r.found[1:]
	}
	hit := len(r.found) > 0 && r.found[0].start < end
	path := r.walk.path
	blob := !key && len(path) > 0 && r.walk.is("blob")
	if !hit && !blob || r.kept(r.walk.raw, path) {
		return
	}
	raw := r.walk.raw
	switch {
	case key || raw[start] != '"':
	case blob:
		if r.blob(start, end) {
			return
		}
	case r.encoded(raw[start+1 : end-1]):
		return
	}
	if !hit {
		return
	}
	for _, f := range r.found { // the last may go on in the next string
		if f.start >= end {
			break
		}
		inside := f.start >= start && f.end <= end
		switch from, to := max(f.start, start+1), min(f.end, end-1); {
		case raw[start] != '"':
			if inside {
				r.replace(start, end, f.rule, `"`+mark(f.rule)+`"`)
				return
			}
		case key && f.hasKey(start, end):
			r.replace(from, to, f.rule, r.keyMark(f.rule))
		case !key && from < to:
			r.replace(from, to, f.rule, mark(f.rule))
		}
	}
}

// shortKey is how long a key may be, with its quotes, that is no line of a secret.
const shortKey = 34

// hasKey reports whether the key from start to end is part of the secret. A short
// one in the midst of it is not: it tells the parts of a secret from each other.
func (f finding) hasKey(start, end int) bool {
	return f.start < end && f.end > start && (f.start >= start || f.end <= end || end-start > shortKey)
}

// mark is what stands in the place of a secret.
func mark(rule string) string { return "[REDACTED:" + rule + "]" }

// keyMark is mark for a key: two keys of an object must not become the same.
func (r *redaction) keyMark(rule string) string {
	for {
		m := mark(rule)
		if r.keys++; r.keys > 1 {
			m = fmt.Sprintf("[REDACTED:%s %d]", rule, r.keys)
		}
		if !bytes.Contains(r.text, []byte(m)) {
			return m
		}
	}
}

// replace puts text in the place of a part of raw.
func (r *redaction) replace(start, end int, rule, text string) {
	r.places = append(r.places, place{rule, r.walk.pointer(r.all)})
	r.out = append(append(r.out, r.walk.raw[r.copied:start]...), text...)
	r.copied = end
}

// leastEncoded is how long base64 must be to be taken for what it says it is.
const leastEncoded = 128

// encoded reports whether a string is the base64 of an image or a sound, which
// looks like anything here and there.
func (r *redaction) encoded(inner []byte) bool {
	if !r.walk.is("data") || len(inner) < leastEncoded || len(inner)%4 != 0 {
		return false
	}
	for _, b := range bytes.TrimRight(inner, "=") {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '+' || b == '/') {
			return false
		}
	}
	return true
}

// unwrapped is base64, a JSON string with its quotes, as it is read by those who are
// lenient: without escapes, line breaks and padding, and in the one alphabet.
func unwrapped(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = []byte(jsonrpc.Text(quoted, jsonrpc.Whole(quoted)))
	}
	inner = bytes.TrimRight(inner, "=")
	if !bytes.ContainsAny(inner, "-_=\r\n\t ") {
		return inner
	}
	out := make([]byte, 0, len(inner))
	for _, b := range inner {
		switch b {
		case '\r', '\n', '\t', ' ', '=':
			continue
		case '-':
			b = '+'
		case '_':
			b = '/'
		}
		out = append(out, b)
	}
	return out
}

// blob looks into a resource that is encoded in base64, if it is a text. It reports
// whether that was all there is to look for: what is short may be a secret itself.
func (r *redaction) blob(start, end int) bool {
	inner := unwrapped(r.walk.raw[start:end])
	text := make([]byte, 1+base64.RawStdEncoding.DecodedLen(len(inner)))
	text[0] = '\n' // see find
	n, err := base64.RawStdEncoding.Decode(text[1:], inner)
	if err != nil {
		return false
	}
	text = text[:1+n]
	long := len(inner) >= leastEncoded
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return long
	}
	found, err := r.detector.find(text, r.uri)
	if err != nil || len(found) == 0 {
		r.err = err
		return long || err != nil
	}
	var clean []byte
	from := 1
	for _, f := range found {
		clean = append(append(clean, text[from:f.start]...), mark(f.rule)...)
		from = f.end
		r.places = append(r.places, place{f.rule, r.walk.pointer(r.all)})
	}
	clean = append(clean, text[from:]...)
	r.out = append(r.out, r.walk.raw[r.copied:start+1]...)
	r.out = base64.StdEncoding.AppendEncode(r.out, clean)
	r.copied = end - 1
	return true
}

// step is a key or an index on the way to a value.
type step struct {
	start, end int // the key with its quotes, in raw
	index      int // of an element
	object     bool
}

// walk goes through a well-formed JSON document once.
type walk struct {
	raw   []byte
	path  []step
	visit func(start, end int, key bool)
}

// is reports whether the value that is visited is the member of that name.
func (w *walk) is(name string) bool {
	last := w.path[max(0, len(w.path)-1):]
	return len(last) > 0 && last[0].object && last[0].named(w.raw, name)
}

func (s *step) named(raw []byte, name string) bool {
	return s.object && s.end-s.start == len(name)+2 && string(raw[s.start+1:s.end-1]) == name
}

// pointer is the path of the value that is visited. Keys in which there are secrets
// are not told.
func (w *walk) pointer(secrets []finding) string {
	var p []byte
	for _, s := range w.path {
		switch {
		case !s.object:
			p = fmt.Appendf(p, "/%d", s.index)
		case slices.ContainsFunc(secrets, func(f finding) bool { return f.hasKey(s.start, s.end) }):
			p = append(p, "/*"...)
		default:
			p = pointer.Append(p, string(plain(w.raw[s.start+1:s.end-1])))
		}
	}
	return string(p)
}

// value goes through the value at i, and returns where it ends.
func (w *walk) value(i int) int {
	switch i = w.space(i); w.raw[i] {
	case '{':
		return w.members(i+1, true, '}')
	case '[':
		return w.members(i+1, false, ']')
	case '"':
		end := w.string(i)
		w.visit(i, end, false)
		return end
	}
	end := i
	for end < len(w.raw) && bytes.IndexByte([]byte(",]} \t\r\n"), w.raw[end]) < 0 {
		end++
	}
	if w.raw[i] == '-' || w.raw[i] >= '0' && w.raw[i] <= '9' {
		w.visit(i, end, false)
	}
	return end
}

func (w *walk) members(i int, object bool, end byte) int {
	w.path = append(w.path, step{object: object})
	at := len(w.path) - 1
	for n := 0; ; n++ {
		if i = w.space(i); w.raw[i] == end {
			break
		}
		if w.raw[i] == ',' {
			i = w.space(i + 1)
		}
		w.path[at].index = n
		if object {
			key := w.string(i)
			w.path[at].start, w.path[at].end = i, key
			w.visit(i, key, true)
			i = w.space(key) + 1 // the colon
		}
		i = w.value(i)
	}
	w.path = w.path[:at]
	return i + 1
}

func (w *walk) space(i int) int {
	for i < len(w.raw) && (w.raw[i] == ' ' || w.raw[i] == '\n' || w.raw[i] == '\t' || w.raw[i] == '\r') {
		i++
	}
	return i
}

// string returns where the string at i ends.
func (w *walk) string(i int) int {
	for i++; ; i++ {
		n := bytes.IndexAny(w.raw[i:], `"\`)
		if i += n; w.raw[i] == '"' {
			return i + 1
		}
		i++
	}
}
