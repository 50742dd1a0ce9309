package secrets

// Scanner finds credentials by the rules of the library, for what is shown to people
// and decides nothing. It is safe for concurrent use.
type Scanner struct{ detector *detector }

// NewScanner makes a Scanner, which takes some milliseconds.
func NewScanner() *Scanner { return &Scanner{newDetector(new(Config))} }

// Redact returns doc, which must be well-formed JSON, with a mark in the place of
// each credential: doc itself if there is none. The error says that looking would take
// too much work, and then nothing is known of doc.
func (s *Scanner) Redact(doc []byte) ([]byte, error) {
	_, clean, err := s.detector.examine(doc, "", nothing)
	return clean, err
}
