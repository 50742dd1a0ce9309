package secrets

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// library are the rules of gitleaks.
//
//go:generate go test -run TestRulesAreTheLibrarys -update
//go:embed rules.toml
var library string

// libraryFile is what of the file is used.
type libraryFile struct {
	Allowlist libraryAllow
	Rules     []libraryRule
}

type libraryRule struct {
	ID, Regex, Path string
	SecretGroup     int
	Entropy         float64
	Keywords        []string
	Allowlists      []libraryAllow
}

type libraryAllow struct {
	Condition, RegexTarget    string
	Paths, Regexes, StopWords []string
}

// libraryRules reads the rules. It panics if it cannot, which a test sees to.
func libraryRules() []libraryRule { return readLibrary().Rules }

func readLibrary() *libraryFile {
	var f libraryFile
	if err := toml.Unmarshal([]byte(library), &f); err != nil {
		panic("rules.toml: " + err.Error())
	}
	f.Rules = slices.DeleteFunc(f.Rules, func(r libraryRule) bool { return r.Regex == "" }) // of files' names
	for i := range f.Allowlist.Regexes {
		if f.Allowlist.Regexes[i] == looseWords {
			f.Allowlist.Regexes[i] = exactWords
		}
	}
	return &f
}

// looseWords lets three words pass in gitleaks, and by a slip also all that has one of
// them in it: false is in one of some 20,000 private keys. exactWords are what is meant.
const (
	looseWords = `(?i)^true|false|null$`
	exactWords = `(?i)^(?:true|false|null)$`
)

// rule is what one kind of credential looks like.
type rule struct {
	id       string
	keywords []string // lower case
	group    int      // of the pattern that is the secret, 0 for the first that matched
	entropy  float64  // what a secret must have more of
	path     *lazy    // of the resource it is in, nil for any
	allowed  []*allowance

	source  string // of the pattern
	once    sync.Once
	pattern *lazy // these are there after ready
	shape   shape // of what the pattern matches, if it begins with a keyword
	span
}

// lazy is a pattern that is compiled when it is first needed: all of them take
// 50 ms and 20 MB.
type lazy struct {
	source string
	once   sync.Once
	re     *regexp.Regexp
}

func (l *lazy) compiled() *regexp.Regexp {
	l.once.Do(func() { l.re = regexp.MustCompile(l.source) })
	return l.re
}

// end is what gitleaks wants behind most secrets, which suits the source code that
// it is made for. What agents exchange is prose, too, where a comma or a bracket may
// follow, and URLs. Patterns that look for a distinctive secret, and not for a name
// to which anything is assigned, get looseEnd in its place.
const (
	end      = "(?:[\\x60'\"\\s;]|\\\\[nr]|$)"
	looseEnd = `(?:[^\w-]|$)`
)

// newRule makes a rule of the library, or an extra one.
func newRule(r *libraryRule) *rule {
	out := &rule{id: r.ID, source: r.Regex, group: r.SecretGroup, entropy: r.Entropy}
	for _, k := range r.Keywords {
		out.keywords = append(out.keywords, strings.ToLower(k))
	}
	if r.Path != "" {
		out.path = &lazy{source: r.Path}
	}
	for i := range r.Allowlists {
		out.allowed = append(out.allowed, newAllowance(&r.Allowlists[i]))
	}
	return out
}

// ready works out how the rule is tried. It is done when one of its keywords is met
// for the first time: for all rules it takes 30 ms.
func (r *rule) ready() *rule {
	r.once.Do(func() {
		r.span = locate(r.source, r.keywords)
		source := r.source
		if !r.led {
			source = strings.Replace(source, end, looseEnd, 1)
		}
		if r.where == atStart {
			body := `(?:` + strings.Replace(source, lead, "", 1) + `)`
			r.shape = newShape(body)
			source = `\A(?s:.)` + body // one character before it, so that \b knows what it stands behind
		}
		r.pattern = &lazy{source: source}
	})
	return r
}

// allowance says of what looks like a secret that it is none.
type allowance struct {
	all    bool   // whether all of what follows must hold, and not any
	target string // "" for the secret, "match" or "line"
	path   *lazy  // nil for none, as below
	re     *lazy
	words  func() *automaton
}

func newAllowance(a *libraryAllow) *allowance {
	out := &allowance{all: strings.EqualFold(a.Condition, "and") || a.Condition == "&&", target: a.RegexTarget}
	any := func(all []string) *lazy {
		if len(all) == 0 {
			return nil
		}
		return &lazy{source: "(?:" + strings.Join(all, "|") + ")"}
	}
	out.path, out.re = any(a.Paths), any(a.Regexes)
	if len(a.StopWords) > 0 {
		out.words = sync.OnceValue(func() *automaton { return newAutomaton(a.StopWords) })
	}
	return out
}

// candidate is what looks like a secret.
type candidate struct {
	text       []byte
	match      [2]int // all that the pattern matched
	start, end int    // the secret
	path       string
}

// holds reports whether the allowance is for the candidate.
func (a *allowance) holds(c *candidate) bool {
	checks, held := 0, 0
	check := func(ok bool) {
		if checks++; ok {
			held++
		}
	}
	if a.path != nil {
		check(c.path != "" && a.path.compiled().MatchString(c.path))
	}
	if a.re != nil {
		check(a.re.compiled().Match(c.of(a.target)))
	}
	if a.words != nil {
		check(a.words().any(c.text[c.start:c.end]))
	}
	if a.all {
		return held == checks
	}
	return held > 0
}

// maxLine is how much of a line before and after a secret is looked at.
const maxLine = 1024

func (c *candidate) of(target string) []byte {
	switch target {
	case "match":
		return c.text[c.match[0]:c.match[1]]
	case "line":
		from, to := c.match[0], c.match[1]
		for from > 0 && c.match[0]-from < maxLine && c.text[from-1] != '\n' {
			from--
		}
		for to < len(c.text) && to-c.match[1] < maxLine && c.text[to] != '\n' {
			to++
		}
		return c.text[from:to]
	}
	return c.text[c.start:c.end]
}
