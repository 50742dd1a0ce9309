package jsonrpc

import "strconv"

// MaxDepth is how deep arrays and objects may nest in a message. Deeper ones
// are refused before they cost memory.
const MaxDepth = 512

const deep = "nested more than 512 deep"

// scanner walks one JSON document (RFC 8259) by offset. Its methods return
// false at the first fault, which is then in fault and i stands at it; that way
// a scan allocates nothing and passes no errors up.
type scanner struct {
	b     []byte
	i     int
	fault string

	// lax skips strings by their quotes alone: what is in them is carried, not
	// judged.
	lax bool

	// Offsets of the last escape, of the last escaped surrogate without its
	// other half, and of the last escaped NUL; 0 for none.
	escaped, lone, nul int
}

func (s *scanner) fail(what string) bool {
	s.fault = what
	return false
}

// err describes the fault. It is called only after one.
func (s *scanner) err() string {
	if s.i >= len(s.b) {
		return "unexpected end after " + strconv.Itoa(len(s.b)) + " bytes: " + s.fault
	}
	return s.fault + " at offset " + strconv.Itoa(s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) && s.b[s.i] <= ' ' {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the byte the scanner stands at, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// enter steps into the object or array that ends with end, and reports whether
// the scanner stands at a first member.
func (s *scanner) enter(end byte) bool {
	s.i++
	s.space()
	if s.peek() == end {
		s.i++
		return false
	}
	return true
}

// more steps over what follows a member, and reports whether the scanner stands
// at another one. It is false at the end and at a fault.
func (s *scanner) more(end byte) bool {
	s.space()
	switch s.peek() {
	case ',':
		s.i++
		s.space()
		return true
	case end:
		s.i++
		return false
	}
	if end == '}' {
		return s.fail("expected , or } in an object")
	}
	return s.fail("expected , or ] in an array")
}

// colon steps from the end of a key to its value.
func (s *scanner) colon() bool {
	s.space()
	if s.peek() != ':' {
		return s.fail("expected : after a key")
	}
	s.i++
	s.space()
	return true
}

// end reports whether nothing but white space follows.
func (s *scanner) end() bool {
	s.space()
	if s.i < len(s.b) {
		return s.fail("data after the message")
	}
	return true
}

// value scans one value of any kind. depth is that of the value's container.
func (s *scanner) value(depth int) bool {
	switch s.peek() {
	case '"':
		return s.str()
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.fail("expected a value")
}

// span scans a value of the outermost object or array and returns where it is.
func (s *scanner) span() (Span, bool) {
	start := s.i
	ok := s.value(1)
	return Between(start, s.i), ok
}

func (s *scanner) object(depth int) bool {
	if depth >= MaxDepth {
		return s.fail(deep)
	}
	for more := s.enter('}'); more; more = s.more('}') {
		if !s.str() || !s.colon() || !s.value(depth+1) {
			return false
		}
	}
	return s.fault == ""
}

func (s *scanner) array(depth int) bool {
	if depth >= MaxDepth {
		return s.fail(deep)
	}
	for more := s.enter(']'); more; more = s.more(']') {
		if !s.value(depth + 1) {
			return false
		}
	}
	return s.fault == ""
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.fail("expected a value")
	}
	s.i += len(word)
	return true
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	i := s.i
	for i < len(s.b) && s.b[i]-'0' <= 9 {
		i++
	}
	if i == s.i {
		return s.fail("expected a digit")
	}
	s.i = i
	return true
}
