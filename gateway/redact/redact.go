// Package redact makes JSON that calls carry fit to be shown to people: secrets are
// masked, and what is left is short. It is for telemetry alone: what is sent on is
// never touched.
//
// It errs on the side of hiding. Three things find what is secret: the names of
// members and of assignments in texts (`"apiKey": ...`, `password=...`), the rules of
// policy/secrets, and that what is cut off may have been part of one. It cannot know
// what is private: names, addresses and the like are shown.
package redact

// Limit is how many bytes what Redactor.JSON returns has at most.
const Limit = 4 << 10

// Read is how many bytes of a document Redactor.JSON reads at most.
const Read = 32 << 10

const (
	// shown is how much of one text is shown.
	shown = 1 << 10
	// seen is how much of one text is looked at: a secret that begins in what is
	// shown must be seen whole, or the rules do not know it.
	seen = 8 << 10
)

// Rules returns a well-formed JSON document without what its rules take for secret,
// and does not change doc. The error says that nothing is known of it.
type Rules func(doc []byte) ([]byte, error)

// Redactor redacts. It is safe for concurrent use if its rules are.
type Redactor struct{ rules Rules }

// New makes a Redactor.
func New(rules Rules) *Redactor { return &Redactor{rules} }

// Member returns raw from the value of an object's first member of that name on, nil if
// there is none. It reads no more than what comes before, and raw may be cut at its end.
func Member(raw []byte, name string) []byte {
	s := shrinker{in: raw}
	s.space()
	if s.i >= len(raw) || raw[s.i] != '{' {
		return nil
	}
	s.i++
	for first := true; s.next('}', first); first = false {
		key, _ := s.text(maxKey)
		if s.space(); s.i >= len(raw) || raw[s.i] != ':' {
			return nil
		}
		if s.i++; key == name {
			return raw[s.i:]
		}
		s.skip()
	}
	return nil
}

// JSON returns the JSON value that raw begins with, redacted: again JSON, compact,
// valid UTF-8, and of Limit bytes at most. Of what is malformed the part before the
// fault is returned. It takes no more time for a large document than for one of
// 32 KiB, and does not keep raw.
func (r *Redactor) JSON(raw []byte) string {
	// Twice: a secret must be whole when the rules look for it, and what they
	// leave in its place must fit, too.
	doc := shrink(raw[:min(Read, len(raw))], Read+Limit, seen)
	clean, err := r.rules(doc)
	if err != nil {
		return `"` + mask + `"`
	}
	return string(shrink(clean, Limit, shown))
}
