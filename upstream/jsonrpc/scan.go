package jsonrpc

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest in a message. Deeper ones
// are refused before they cost memory.
const MaxDepth = 512

// scanner walks one JSON document by offset. It never looks back.
type scanner struct {
	b []byte
	i int
}

var errDepth = errors.New("nested too deeply")

func (s *scanner) fail(what string) error {
	if s.i >= len(s.b) {
		return fmt.Errorf("unexpected end of input at offset %d: %s", s.i, what)
	}
	return fmt.Errorf("offset %d: %s", s.i, what)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// value scans one value of any kind, RFC 8259, and returns its span.
func (s *scanner) value(depth int) (Span, error) {
	start := s.i
	var err error
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '{':
		err = s.object(depth, nil)
	case c == '[':
		err = s.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		err = s.number()
	case c == 't':
		err = s.literal("true")
	case c == 'f':
		err = s.literal("false")
	case c == 'n':
		err = s.literal("null")
	default:
		err = s.fail("expected a value")
	}
	return Span{start, s.i}, err
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.fail("expected a value")
	}
	s.i += len(word)
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return s.fail("malformed number")
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail("malformed number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail("malformed number")
		}
	}
	return nil
}

// str scans a string with its quotes: well-formed escapes, valid UTF-8.
func (s *scanner) str() (Span, error) {
	start := s.i
	if s.peek() != '"' {
		return Span{}, s.fail("expected a string")
	}
	s.i++
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return Span{start, s.i}, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return Span{}, err
			}
		case c < 0x20:
			return Span{}, s.fail("control character in a string")
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return Span{}, s.fail("invalid UTF-8")
			}
			s.i += n
		}
	}
	return Span{}, s.fail("unterminated string")
}

func (s *scanner) escape() error {
	s.i++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		s.i++
		for range 4 {
			c := s.peek()
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return s.fail("malformed escape")
			}
			s.i++
		}
		return nil
	}
	return s.fail("malformed escape")
}

func (s *scanner) array(depth int) error {
	if depth >= MaxDepth {
		return errDepth
	}
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		s.space()
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("expected , or ] in an array")
		}
	}
}

// object scans an object. member, if not nil, is called with each key (with its
// quotes), the scanner standing at the value, and must scan that value.
func (s *scanner) object(depth int, member func(key Span) error) error {
	if depth >= MaxDepth {
		return errDepth
	}
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		key, err := s.str()
		if err != nil {
			return err
		}
		s.space()
		if s.peek() != ':' {
			return s.fail("expected : after a key")
		}
		s.i++
		s.space()
		if member == nil {
			_, err = s.value(depth + 1)
		} else {
			err = member(key)
		}
		if err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("expected , or } in an object")
		}
	}
}

// keys finds duplicates among the keys of one object.
type keys struct {
	raw  []byte
	seen []Span
	set  map[string]struct{}
}

// add reports whether the key was there already.
func (k *keys) add(key Span) (dup bool) {
	b := key.Of(k.raw)
	inner := b[1 : len(b)-1]
	if k.set == nil && len(k.seen) < 16 && plain(inner) {
		for _, s := range k.seen {
			if string(k.raw[s.Start+1:s.End-1]) == string(inner) {
				return true
			}
		}
		k.seen = append(k.seen, key)
		return false
	}
	if k.set == nil {
		k.set = make(map[string]struct{})
		for _, s := range k.seen {
			k.set[Text(k.raw, s)] = struct{}{}
		}
	}
	t := Text(k.raw, key)
	_, dup = k.set[t]
	k.set[t] = struct{}{}
	return dup
}

// loneSurrogate reports whether the string at s has an escaped surrogate that
// is not half of a pair, which readers turn into different things.
func loneSurrogate(raw []byte, s Span) bool {
	b := s.Of(raw)
	for i := 0; i+5 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] != 'u' {
			i++
			continue
		}
		switch h := strings.ToLower(string(b[i+2 : i+4])); {
		case h >= "d8" && h <= "db":
			if i+11 < len(b) && b[i+6] == '\\' && b[i+7] == 'u' {
				if l := strings.ToLower(string(b[i+8 : i+10])); l >= "dc" && l <= "df" {
					i += 11
					continue
				}
			}
			return true
		case h >= "dc" && h <= "df":
			return true
		}
		i += 5
	}
	return false
}
