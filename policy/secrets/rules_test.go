package secrets

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/zricethezav/gitleaks/v8/config"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write rules.toml as the module has it")

func TestRulesAreTheLibrarys(t *testing.T) {
	if *update {
		if err := os.WriteFile("rules.toml", []byte(config.DefaultConfig), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if library != config.DefaultConfig {
		t.Error("rules.toml is not what gitleaks has in the version of go.mod: go generate ./policy/secrets")
	}
}

// All that the rules have is understood: a version that brings something new has to
// be read first.
func TestRulesHaveNothingNew(t *testing.T) {
	known := []string{
		"id", "description", "regex", "entropy", "keywords", "path", "secretGroup",
		"condition", "regexTarget", "paths", "regexes", "stopwords", "title", "minVersion",
	}
	for line := range strings.SplitSeq(library, "\n") {
		if key, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "#") && !slices.Contains(known, key) {
			t.Errorf("unknown key in %s", line)
		}
		if strings.HasPrefix(line, "[") && !slices.Contains([]string{"[allowlist]", "[[rules]]", "[[rules.allowlists]]"}, line) && line != "[" {
			t.Errorf("unknown section %s", line)
		}
	}
	d := newDetector(new(Config))
	if len(d.rules) < 200 {
		t.Errorf("%d rules", len(d.rules))
	}
	where := map[where]int{}
	for _, r := range d.rules {
		where[r.ready().where]++
		if !legalID(r.id) {
			t.Errorf("%q cannot stand in the place of a secret", r.id)
		}
		if r.where == anywhere {
			t.Logf("the whole text is tried for %s", r.id)
		}
		r.pattern.compiled()
		for _, a := range r.allowed {
			if a.re != nil {
				a.re.compiled()
			}
			if a.words != nil {
				a.words()
			}
		}
	}
	t.Logf("%d words, %d states; %d rules begin with one, %d have one near", len(d.lengths), len(d.words.next)/d.words.width, where[atStart], where[within])
	if where[anywhere] > 8 {
		t.Errorf("%d rules are tried on the whole text", where[anywhere])
	}
}

// slowly is what find does, as gitleaks does it: each pattern on all of a text that
// has one of its keywords.
func (d *detector) slowly(text []byte) []finding {
	s := search{detector: d, text: text}
	for _, r := range d.rules {
		if r.path != nil || len(r.keywords) > 0 && !slices.ContainsFunc(r.keywords, func(k string) bool { return strings.Contains(strings.ToLower(string(text)), k) }) {
			continue
		}
		for _, m := range whole(r.id).FindAllSubmatchIndex(text, -1) {
			s.judge(r, m, 0)
		}
	}
	return apart(s.found)
}

var patterns = map[string]*regexp.Regexp{}

// whole is the pattern of a rule as it is in the library.
func whole(id string) *regexp.Regexp {
	if len(patterns) == 0 {
		for _, r := range libraryRules() {
			patterns[r.ID] = regexp.MustCompile(r.Regex)
		}
	}
	return patterns[id]
}

// sample makes a text that a pattern matches.
func sample(pattern string, r *rand.Rand) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	write(r, &b, re)
	return b.String()
}

func write(t *rand.Rand, b *strings.Builder, re *syntax.Regexp) {
	draw := t.IntN
	times := func(low, high int) {
		if high < 0 || high > low+20 {
			high = low + 20
		}
		for range low + draw(high-low+1) {
			write(t, b, re.Sub[0])
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		var all []rune
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1] && r < 0x7f; r++ {
				if r >= ' ' || r == '\n' || r == '\t' {
					all = append(all, r)
				}
			}
		}
		b.WriteRune(all[draw(len(all))])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte("aB3 -"[draw(5)])
	case syntax.OpStar:
		times(0, -1)
	case syntax.OpPlus:
		times(1, -1)
	case syntax.OpQuest:
		times(0, 1)
	case syntax.OpRepeat:
		times(re.Min, re.Max)
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range re.Sub {
			write(t, b, sub)
		}
	case syntax.OpAlternate:
		write(t, b, re.Sub[draw(len(re.Sub))])
	}
}

// Whatever a rule matches is found wherever it is, as if each pattern were tried on
// the whole text.
func TestFindsWhatTheLibraryFinds(t *testing.T) {
	d := newDetector(new(Config))
	rules := libraryRules()
	around := []string{" ", "\n", `"`, `": "`, "=", "x ", "é", "the key is here, see secret and token: ", "facebook ", `{"a":`}
	found := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("\n")
		var last string
		for range rapid.IntRange(1, 3).Draw(t, "secrets") {
			r := rapid.SampledFrom(rules).Draw(t, "rule")
			for range rapid.IntRange(0, 3).Draw(t, "before") {
				b.WriteString(rapid.SampledFrom(around).Draw(t, "around"))
			}
			b.WriteString(sample(r.Regex, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))))
			last = r.ID
		}
		b.WriteString(rapid.SampledFrom(around).Draw(t, "after"))
		text := []byte(b.String())
		got, err := d.find(text, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			found[last]++
		}
		if want := d.slowly(text); !covers(got, want) {
			t.Fatalf("in %q\nfound %v\nwant  %v", text, got, want)
		}
	})
	t.Logf("of %d rules something was found", len(found))
}

// covers reports whether all that is wanted was found. More may be: a pattern that
// is tried at each keyword is not kept from a match by one before it.
func covers(got, want []finding) bool {
	return !slices.ContainsFunc(want, func(w finding) bool {
		return !slices.ContainsFunc(got, func(g finding) bool { return g.start <= w.start && g.end >= w.end })
	})
}

// real are secrets of the shapes that are met most, made up anew for each test so
// that none is in the repository.
func real(r *rand.Rand) map[string]string {
	pick := func(from string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = from[r.IntN(len(from))]
		}
		return string(b)
	}
	const lower, upper, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	const alnum = lower + upper + digits
	key := "-----BEGIN RSA PRIVATE " + "KEY-----\n"
	for range 12 {
		key += pick(alnum+"+/", 64) + "\n"
	}
	aws := "AKIA" + pick(upper+"234567", 16)
	for entropy([]byte(aws)) <= 3 { // to the rule one in 5,000 is no secret
		aws = "AKIA" + pick(upper+"234567", 16)
	}
	return map[string]string{
		"aws-access-token":    aws,
		"github-pat":          "ghp_" + pick(alnum, 36),
		"slack-bot-token":     "xoxb-" + pick(digits, 12) + "-" + pick(digits, 12) + "-" + pick(alnum, 24),
		"stripe-access-token": "sk_live_" + pick(alnum, 24),
		"gcp-api-key":         "AIza" + pick(alnum, 35),
		"private-key":         key + "-----END RSA PRIVATE " + "KEY-----",
		"jwt":                 "eyJ" + pick(alnum, 33) + ".eyJ" + pick(alnum, 60) + "." + pick(alnum+"_-", 43),
		"npm-access-token":    "npm_" + pick(lower+digits, 36),
	}
}

func TestFindsRealOnes(t *testing.T) {
	d := newDetector(new(Config))
	for i := range 50 {
		for id, secret := range real(rand.New(rand.NewPCG(1, uint64(i)))) {
			text := fmt.Sprintf("\nplease use %s for it", secret)
			found, err := d.find([]byte(text), "")
			if err != nil || len(found) != 1 || found[0].rule != id || text[found[0].start:found[0].end] != secret {
				t.Errorf("%s: %q: found %v, error %v", id, secret, found, err)
			}
		}
	}
}

// Whatever had the word false in it, or null at its end, was once no secret.
func TestWordsInSecrets(t *testing.T) {
	d := newDetector(new(Config))
	all := real(rand.New(rand.NewPCG(1, 0)))
	pat, key := all["github-pat"], all["private-key"]
	for secret, want := range map[string]int{
		pat[:9] + "False" + pat[14:]:    1,
		pat[:36] + "NuLL":               1,
		key[:100] + "fAlSe" + key[105:]: 1,
		"token = false":                 0,
		"token = null":                  0,
		"api_key: TRUE":                 0,
	} {
		if found, err := d.find([]byte("\n"+secret+"\n"), ""); err != nil || len(found) != want {
			t.Errorf("%s: found %v, error %v", secret, found, err)
		}
	}
}

func TestAutomaton(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab_]{1,4}`), 1, 8, rapid.ID).Draw(t, "words")
		text := rapid.StringMatching(`[abAB_ ]{0,30}`).Draw(t, "text")
		var got, want []string
		newAutomaton(words).find([]byte(text), func(word, end int) bool {
			got = append(got, fmt.Sprint(words[word], end))
			return true
		})
		for end := range len(text) + 1 {
			for _, w := range words {
				if strings.HasSuffix(strings.ToLower(text[:end]), w) {
					want = append(want, fmt.Sprint(w, end))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q in %q: got %v, want %v", words, text, got, want)
		}
	})
}
