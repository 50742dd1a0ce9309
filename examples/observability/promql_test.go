package observability

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// uses is what an expression in PromQL asks for.
type uses struct {
	metrics map[string]map[string]bool // the labels that are matched, by the metric
	by      map[string]bool            // labels that series are joined or grouped by
}

// tokens of PromQL, as far as dashboards need them. Grafana's variables are only in
// strings and in ranges.
var tokens = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9.a-zA-Z]*|=~|!~|!=|[^\s]`)

var name = regexp.MustCompile(`^[a-zA-Z_:]`)

// read returns what an expression uses. It is not a parser: what it knows is that a
// name before a bracket is a function, after `by` comes a list, and any other name
// that is no operator is a metric, with its labels in braces.
func read(expr string) (uses, error) {
	u := uses{metrics: map[string]map[string]bool{}, by: map[string]bool{}}
	all := tokens.FindAllString(expr, -1)
	at := func(i int) string {
		if i < len(all) {
			return all[i]
		}
		return ""
	}
	for i := 0; i < len(all); i++ {
		word := all[i]
		switch {
		case !name.MatchString(word), word == "or", word == "and", word == "unless", word == "bool", word == "offset":
		case word == "by", word == "without", word == "on", word == "ignoring", word == "group_left", word == "group_right":
			if at(i+1) != "(" {
				continue
			}
			for i += 2; at(i) != ")"; i++ {
				if i >= len(all) {
					return u, fmt.Errorf("the list after %s does not end: %s", word, expr)
				}
				if name.MatchString(all[i]) {
					u.by[all[i]] = true
				}
			}
		case at(i+1) == "(" || at(i+1) == "by" || at(i+1) == "without": // a function, or an aggregation
		default:
			if u.metrics[word] == nil {
				u.metrics[word] = map[string]bool{}
			}
			if at(i+1) != "{" {
				continue
			}
			for i += 2; at(i) != "}"; i++ {
				if i >= len(all) {
					return u, fmt.Errorf("the braces of %s do not end: %s", word, expr)
				}
				if name.MatchString(all[i]) {
					u.metrics[word][all[i]] = true
				}
			}
		}
	}
	return u, nil
}

func TestRead(t *testing.T) {
	for expr, want := range map[string]string{
		`sum(rate(a_total{x=~"$y", z!=""}[$__rate_interval]))`:           `a_total[x z] by []`,
		`topk(10, sum by (le, b) (increase(a_bucket[5m])))`:              `a_bucket[] by [b le]`,
		`2 * max without (c) (a{s="q{r=\"}"}) + ignoring(d) 1.5e3 * b_c`: `a[s] b_c[] by [c d]`,
		`(sum(a{b="c"}) or vector(0)) / on (i) group_left d`:             `a[b] d[] by [i]`,
		`a offset 5m > bool 1 unless b`:                                  `a[] b[] by []`,
	} {
		u, err := read(expr)
		if err != nil {
			t.Error(err)
		}
		got := ""
		for _, m := range slices.Sorted(maps.Keys(u.metrics)) {
			got += fmt.Sprint(m, slices.Sorted(maps.Keys(u.metrics[m])), " ")
		}
		got += fmt.Sprint("by ", slices.Sorted(maps.Keys(u.by)))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
	}
	for _, expr := range []string{`a{b="c"`, `sum by (a`} {
		if _, err := read(expr); err == nil {
			t.Errorf("no error of %s", expr)
		}
	}
}
