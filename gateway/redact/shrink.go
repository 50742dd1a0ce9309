package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// What stands in the place of a secret, and of what is left out.
const (
	mask = "***"
	more = "…"
)

const (
	maxDepth  = 24  // of containers in each other
	maxKey    = 256 // bytes of a key
	maxNumber = 64  // bytes of a number
	// leastBase64 is how long a member named data or blob must be to be taken for
	// an image, a sound or a file.
	leastBase64 = 128
)

// shrinker writes a JSON document anew: compact, without secrets, and short. What it
// has written can at any time be completed to a document within its limit.
type shrinker struct {
	in    []byte
	i     int // what of in was read
	out   []byte
	limit int    // bytes of out, when it is complete
	each  int    // bytes of a text
	ends  []byte // what closes the containers that are open
	done  bool   // nothing more is read: in ended, is malformed, or is too much
	told  bool   // and out says so
}

// shrink returns the JSON value that in begins with, in limit bytes at most, and
// each bytes of a text.
func shrink(in []byte, limit, each int) []byte {
	s := shrinker{in: in, limit: limit, each: each, out: make([]byte, 0, min(limit, len(in)+len(in)/8+64))}
	s.value("")
	if len(s.out) == 0 {
		return []byte(`"` + more + `"`)
	}
	return s.out
}

// room is how many bytes may be written now: what closes the document must fit.
func (s *shrinker) room() int {
	return s.limit - len(s.out) - len(s.ends) - len(`,"`+more+`":"`+more+`"`)
}

// put writes a token, or ends it all if there is no room for it.
func (s *shrinker) put(token []byte) bool {
	if s.done || len(token) > s.room() {
		s.done = true
		return false
	}
	s.out = append(s.out, token...)
	return true
}

// value writes the next value, the member of that key; "" for none.
func (s *shrinker) value(key string) {
	if s.space(); s.i >= len(s.in) {
		s.done = true
		return
	}
	switch c := s.in[s.i]; {
	case c == '{' || c == '[':
		s.container(c)
	case c == '"':
		text, whole := s.text(s.each)
		if (key == "data" || key == "blob") && len(text) >= min(leastBase64, s.each) && base64(text) {
			text, whole = "", false
		}
		s.string(text, whole)
	default:
		s.put(s.literal())
	}
}

// literal reads a number, true, false or null.
func (s *shrinker) literal() []byte {
	start := s.i
	for s.i < len(s.in) && s.i-start <= maxNumber && bytes.IndexByte(between, s.in[s.i]) < 0 {
		s.i++
	}
	token := s.in[start:s.i]
	// The last one of what is cut may have been longer.
	if s.i == len(s.in) && len(s.ends) > 0 || !json.Valid(token) {
		s.done = true
	}
	return token
}

// container writes an object or an array, and says in it once if something is left
// out: in the innermost one that is not complete.
func (s *shrinker) container(open byte) {
	end := open + 2 // ASCII has them so
	if len(s.ends) == maxDepth || s.room() < len("{}") {
		s.done = true
		return
	}
	s.out = append(s.out, open)
	s.ends = append(s.ends, end)
	s.i++
	first, good := s.i, len(s.out) // good is what is complete of out
	for named, empty := false, true; s.next(end, empty); empty = false {
		if !empty && !s.put([]byte{','}) {
			break
		}
		if open == '{' {
			s.member(first)
		} else {
			named = s.element(named)
		}
		if s.done {
			break
		}
		good = len(s.out)
	}
	if s.done && !s.told {
		s.leaveOut(good, open)
	}
	s.ends = s.ends[:len(s.ends)-1]
	s.out = append(s.out, end)
}

// next moves to the next member or element, and reports whether there is one.
func (s *shrinker) next(end byte, empty bool) bool {
	if s.space(); s.done || s.i >= len(s.in) {
		s.done = true
		return false
	}
	switch {
	case s.in[s.i] == end:
		s.i++
		return false
	case empty:
		return true
	case s.in[s.i] != ',':
		s.done = true
		return false
	}
	s.i++
	s.space()
	return true
}

// leaveOut puts the mark in the place of what was written after good.
func (s *shrinker) leaveOut(good int, open byte) {
	s.told = true
	s.out = s.out[:good]
	if s.out[good-1] != open {
		s.out = append(s.out, ',')
	}
	if open == '{' {
		s.out = append(s.out, `"`+more+`":`...)
	}
	s.out = append(s.out, `"`+more+`"`...)
}

// member writes a member of the object whose first member is at first.
func (s *shrinker) member(first int) {
	if s.i >= len(s.in) || s.in[s.i] != '"' {
		s.done = true
		return
	}
	key, whole := s.text(maxKey)
	if s.space(); s.i >= len(s.in) || s.in[s.i] != ':' {
		s.done = true
		return
	}
	s.i++
	if s.string(key, whole); !s.put([]byte{':'}) {
		return
	}
	s.space()
	switch {
	case !whole, // of a name that long nobody knows what it ends with
		secretName(key), isValue(key) && s.namedSecret(first):
		s.hide(key)
	default:
		s.value(key)
	}
}

// element writes an element of an array. named tells that the one before is the name
// of a secret, and so is what is returned: ["--password", "..."].
func (s *shrinker) element(named bool) bool {
	if s.i >= len(s.in) || s.in[s.i] != '"' {
		s.value("")
		return false
	}
	start := s.i
	if named {
		s.hide("")
		return false
	}
	text, _ := s.text(maxKey)
	s.i = start
	s.value("")
	return len(text) <= maxNameLen && !strings.ContainsAny(text, " \t\n=:") && secretName(text)
}

// hide writes the mask for the value that follows, and skips it. What is no secret
// under any name, such as a number of tokens, is shown.
func (s *shrinker) hide(key string) {
	if s.i < len(s.in) {
		switch c := s.in[s.i]; {
		case c == 't', c == 'f', c == 'n', (c == '-' || c >= '0' && c <= '9') && counts(key):
			s.put(s.literal())
			return
		}
	}
	if s.put([]byte(`"` + mask + `"`)) {
		s.skip()
	}
}

// namedSecret reports whether the object whose first member is at first says, in
// another member, that its value is a secret: {"name": "API_KEY", "value": "..."}.
// If it is not there to its end it may say so.
func (s *shrinker) namedSecret(first int) bool {
	look := shrinker{in: s.in, i: first}
	for empty := true; look.next('}', empty); empty = false {
		key, _ := look.text(maxKey)
		if look.space(); look.i >= len(look.in) || look.in[look.i] != ':' {
			return true
		}
		look.i++
		look.space()
		if !isName(key) || look.i >= len(look.in) || look.in[look.i] != '"' {
			look.skip()
			continue
		}
		if name, whole := look.text(maxKey); !whole || secretName(name) {
			return true
		}
	}
	return look.done
}

// skip skips a value by its structure.
func (s *shrinker) skip() {
	for depth := 0; ; {
		if s.space(); s.i >= len(s.in) {
			s.done = true
			return
		}
		switch c := s.in[s.i]; c {
		case '"':
			s.closing()
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']', ',', ':':
			if depth == 0 { // where a value should be
				return
			}
			if s.i++; c == ',' || c == ':' {
				continue
			}
			depth--
		default:
			for s.i < len(s.in) && bytes.IndexByte(between, s.in[s.i]) < 0 {
				s.i++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// between is what ends a number, true, false or null.
var between = []byte("{}[],:\" \t\r\n") // never changed

func (s *shrinker) space() {
	for s.i < len(s.in) && (s.in[s.i] == ' ' || s.in[s.i] == '\n' || s.in[s.i] == '\t' || s.in[s.i] == '\r') {
		s.i++
	}
}
