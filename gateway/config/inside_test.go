package config

import "testing"

// Where a fault in a text stands in the file, however the text is written there.
func TestInside(t *testing.T) {
	for name, c := range map[string]struct {
		file, text, at string // the file, its value, and the characters from the fault on
		line, column   int
		want           pos
	}{
		"plain":        {"k: a && b", "a && b", "b", 1, 6, pos{line: 1, col: 9}},
		"single quote": {"k: 'it''s b'", "it's b", "b", 1, 6, pos{line: 1, col: 11}},
		"double quote": {`k: "a \"x\" \u0062é b"`, `a "x" bé b`, "b", 1, 10, pos{line: 1, col: 21}},
		"literal":      {"k: |\n  one\n\n  two b\n", "one\n\ntwo b\n", "b", 3, 5, pos{line: 4, col: 7}},
		"folded":       {"k: >-\n  one\n  two b\n", "one two b", "b", 1, 9, pos{line: 3, col: 7}},
		"plain lines":  {"k: one\n  two b\n", "one two b", "b", 1, 9, pos{line: 2, col: 7}},
		"the end":      {"k: one\n", "one", "", 1, 4, pos{line: 1, col: 7}},
		"white space":  {"k: a  b", "a  b", " b", 1, 2, pos{line: 1, col: 7}},
		"a tab":        {`k: "a\tb"`, "a\tb", "b", 1, 3, pos{line: 1, col: 8}},
		"no such":      {"k: one\n", "one", "", 7, 1, pos{line: 1, col: 7}},
	} {
		t.Run(name, func(t *testing.T) {
			var p problems
			n := parse(&source{name: "c.yaml", data: []byte(c.file)}, "c.yaml", &p)
			if n == nil || len(p.errors) > 0 {
				t.Fatal(p.errors)
			}
			v := n.find("k")
			if v.text != c.text {
				t.Fatalf("value %q, want %q", v.text, c.text)
			}
			if got := v.inside(c.line, c.column); got.line != c.want.line || got.col != c.want.col {
				t.Errorf("%d:%d is at %d:%d, want %d:%d", c.line, c.column, got.line, got.col, c.want.line, c.want.col)
			}
		})
	}
}
