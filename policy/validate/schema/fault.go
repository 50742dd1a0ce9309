package schema

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong with a document.
type Fault struct {
	// Path is the JSON Pointer of the place, "" for the whole document. What is not
	// named in the schema and does not look like a name is "*" in it.
	Path string
	// Want says what the schema wants there, as in "must be an integer, not a
	// string". It is ASCII, and holds no value of the document.
	Want string
}

// The errors of Validate.
var (
	// ErrTooMuch is that the work would be too much, or has no end.
	ErrTooMuch = errors.New("validating takes too much work")
	// ErrDocument is that the document is no JSON or too large.
	ErrDocument = errors.New("the document is no JSON, or too large")

	errNumber = errors.New("a number is too long")
)

// place is where in a document a value is.
type place struct {
	up    *place
	key   string
	index int // of an element; -1 for a member
}

// String is the JSON Pointer.
func (p *place) String() string {
	if p == nil || p.up == nil {
		return ""
	}
	if p.index >= 0 {
		return p.up.String() + "/" + strconv.Itoa(p.index)
	}
	return p.up.String() + "/" + escape(name(p.key))
}

func (p *place) depth() int {
	n := 0
	for ; p != nil; p = p.up {
		n++
	}
	return n
}

// name is a key of a document if it looks like one, else "*".
func name(key string) string {
	if key == "" || len(key) > 64 {
		return "*"
	}
	for _, r := range key {
		if r >= utf8.RuneSelf || r != '_' && r != '-' && r != '.' && r != '$' && r != '@' &&
			(r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "*"
		}
	}
	return key
}

// clip shortens what comes from a schema.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// quoted is a text of a schema in ASCII.
func quoted(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:80], "")) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// nearest returns the property that was probably meant, "" for none.
func nearest(key string, properties map[string]*node) string {
	best, least := "", max(1, len(key)/3)+1
	for p := range properties {
		if len(key) > 64 || len(p) > 64 {
			continue
		}
		if d := distance(strings.ToLower(key), strings.ToLower(p)); d < least || d == least && best != "" && p < best {
			best, least = p, d
		}
	}
	return best
}

// distance is how many letters have to be changed, added, removed or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
