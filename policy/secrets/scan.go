package secrets

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// errTooMuch is that a text has too many places where a secret could be.
var errTooMuch = errors.New("looking for credentials takes too much work")

// How much work a text may make: so much for each byte that it has, so much in any
// case, and so much at most. A unit is a byte that an automaton of a pattern reads
// in a row, or about 20 ns: half a second for a hostile MiB, two for any message.
const (
	workPerByte = 16
	workAnyway  = 4 << 20
	mostWork    = 96 << 20
)

// What a byte costs that is read where a pattern is tried at one place, and where
// it is tried on a part of the text.
const (
	costAt    = 8
	costTry   = 4
	costFound = 1000 // what it costs to look whether a match is a secret
)

// detector finds secrets. It is safe for concurrent use.
type detector struct {
	rules   []*rule
	words   *automaton
	by      [][]int // the rules of each word
	lengths []int   // of each word
	always  []*rule // those without words
	global  *allowance
	most    int            // work for a text
	allow   *regexp.Regexp // nil for none
}

// finding is a secret in a text.
type finding struct {
	start, end int
	rule       string
}

func newDetector(c *Config) *detector {
	f := readLibrary()
	d := &detector{global: newAllowance(&f.Allowlist), most: mostWork}
	d.global.path = nil // files that are no texts, and vendored code
	for i := range f.Rules {
		if !slices.Contains(c.Rules.Disable, f.Rules[i].ID) {
			d.rules = append(d.rules, newRule(&f.Rules[i]))
		}
	}
	for _, e := range c.Rules.Extra {
		r := newRule(&libraryRule{ID: e.ID, Regex: e.Regex, Keywords: e.Keywords})
		d.rules = append(d.rules, r)
	}
	if len(c.Allow) > 0 {
		d.allow = regexp.MustCompile("(?:" + strings.Join(c.Allow, ")|(?:") + ")")
	}
	var words []string
	numbers := map[string]int{}
	for i, r := range d.rules {
		if len(r.keywords) == 0 {
			d.always = append(d.always, r)
		}
		for _, k := range r.keywords {
			n, ok := numbers[k]
			if !ok {
				n = len(words)
				numbers[k] = n
				words, d.by, d.lengths = append(words, k), append(d.by, nil), append(d.lengths, len(k))
			}
			if !slices.Contains(d.by[n], i) {
				d.by[n] = append(d.by[n], i)
			}
		}
	}
	d.words = newAutomaton(words)
	return d
}

// search is one text that is looked through.
type search struct {
	*detector
	text  []byte
	path  string // of the resource that it is, "" if it is none
	work  int    // that is left
	found []finding
	// windows are where the patterns of rules are to be tried that do not begin
	// with a keyword; of a rule in order, and apart.
	windows map[int][][2]int
	reader  reader
}

// find returns the secrets in a text, in order and apart. Its first byte is no part
// of one. The error is errTooMuch.
func (d *detector) find(text []byte, path string) ([]finding, error) {
	s := search{detector: d, text: text, path: path, work: min(d.most, workAnyway+workPerByte*len(text))}
	d.words.find(text, func(word, end int) bool {
		start := end - d.lengths[word]
		for _, i := range d.by[word] {
			s.hit(i, start)
		}
		return s.work >= 0
	})
	for i, all := range s.windows {
		for _, w := range all {
			s.try(d.rules[i], w[0], w[1])
		}
	}
	for _, r := range d.always {
		s.try(r.ready(), 0, len(text))
	}
	if s.work < 0 {
		return nil, errTooMuch
	}
	return apart(s.found), nil
}

// hit is called for each keyword of a rule that the text has.
func (s *search) hit(i, start int) {
	r := s.rules[i].ready()
	if start == 0 || r.path != nil && (s.path == "" || !r.path.compiled().MatchString(s.path)) {
		return
	}
	from, to := start-r.before-utf8.UTFMax, start+r.longest+utf8.UTFMax
	switch r.where {
	case atStart:
		s.at(r, start, min(len(s.text), to))
		return
	case anywhere:
		from, to = 0, len(s.text)
	}
	from, to = max(0, from), min(len(s.text), to)
	if s.windows == nil {
		s.windows = make(map[int][][2]int)
	}
	all := s.windows[i]
	if n := len(all); n > 0 && from <= all[n-1][1] {
		all[n-1][1] = max(all[n-1][1], to)
		return
	}
	s.windows[i] = append(all, [2]int{from, to})
}

// try tries a pattern on a part of the text.
func (s *search) try(r *rule, from, to int) {
	if s.work -= costTry * (to - from); s.work < 0 {
		return
	}
	for _, m := range r.pattern.compiled().FindAllSubmatchIndex(s.text[from:to], -1) {
		s.judge(r, m, from)
	}
}
