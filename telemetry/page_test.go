package telemetry

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

var updatePage = flag.Bool("update", false, "write the generated parts of docs/telemetry.md anew")

const page = "../docs/telemetry.md"

// TestPage keeps the lists of docs/telemetry.md equal to the code; go test
// ./telemetry -run Page -update writes them anew.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	n, err := telemetrytest.ReadNames()
	if err != nil {
		t.Fatal(err)
	}
	kinds := attributeKinds(t)
	for _, part := range []struct{ what, text string }{
		{"spans", rows("span | tells", n.Spans, nil)},
		{"attributes", attributeTables(n, kinds)},
		{"events", rows("event | tells", n.Events, nil)},
		{"links", rows("`interlock.link` | leads to", n.Values[AttrLink], nil)},
		{"metrics", metricTables()},
		{"log attributes", rows("attribute | tells", n.Log, nil)},
		{"log events", rows("`event.name` | tells", n.LogEvents, nil)},
		{"log lines", linesOfLog(t)},
	} {
		begin := "<!-- " + part.what + ": written by go test ./telemetry -run Page -update -->\n"
		before, rest, ok := strings.Cut(text, begin)
		was, after, closed := strings.Cut(rest, "<!-- end -->")
		if !ok || !closed {
			t.Fatalf("%s has no %q with its end", page, begin)
		}
		if part.text != was && !*updatePage {
			t.Errorf("the %s of %s are of the past: go test ./telemetry -run Page -update", part.what, page)
		}
		text = before + begin + part.text + "<!-- end -->" + after
	}
	if *updatePage {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil { //nolint:gosec // a page of the repository
			t.Fatal(err)
		}
	}
}

// rows is a table of names. kinds may be nil.
func rows(head string, all []telemetrytest.Name, kinds map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", head, strings.Repeat("---|", strings.Count(head, "|")+1))
	for _, x := range all {
		fmt.Fprintf(&b, "| `%s` | ", x.Shape)
		if kinds != nil {
			b.WriteString(kinds[x.Const] + " | ")
		}
		b.WriteString(strings.ReplaceAll(x.Tells, "|", `\|`) + " |\n")
	}
	return b.String()
}

// attributeTables is a table for each group of attributes, and behind those the
// values of the attributes that have few.
func attributeTables(n *telemetrytest.Names, kinds map[string]string) string {
	var b strings.Builder
	for i, x := range n.Attrs {
		if i > 0 && n.Attrs[i-1].Group == x.Group {
			continue
		}
		same := slices.Clone(n.Attrs[i:])
		for j := range same {
			if same[j].Group != x.Group {
				same = same[:j]
				break
			}
		}
		of := strings.TrimSuffix(strings.Replace(x.Group, "Attributes of", "Of", 1), ".")
		fmt.Fprintf(&b, "%s:\n\n%s\n", of, rows("attribute | kind | tells", same, kinds))
	}
	for _, x := range n.Attrs {
		if values := n.Values[x.Value]; values != nil && x.Value != AttrLink {
			b.WriteString(rows("`"+x.Value+"` | means", values, nil) + "\n")
		}
	}
	return b.String()
}

// attributeKinds is what the values of attributes are, by constant, as the code
// makes them.
func attributeKinds(t *testing.T) map[string]string {
	t.Helper()
	kinds := make(map[string]string)
	made := regexp.MustCompile(`\b(String|Int|Bool|add)\((?:telemetry\.)?(Attr\w+),`)
	for _, text := range sources(t) {
		for _, m := range made.FindAllStringSubmatch(text, -1) {
			kinds[m[2]] = map[string]string{"String": "text", "add": "text", "Int": "number", "Bool": "true or false"}[m[1]]
		}
	}
	return kinds
}

// sources are the files of the packages that tell something.
func sources(t *testing.T) map[string]string {
	t.Helper()
	return read(t, ".", "../gateway", "../cmd/interlock")
}

// read returns the files of packages by their paths, without tests and without the
// names themselves.
func read(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || dir == "." && strings.HasPrefix(file, "names") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[file] = string(text)
		}
	}
	return all
}

// metricTables are the metrics by what they are of.
func metricTables() string {
	var b strings.Builder
	all := Instruments()
	for _, part := range []struct{ about, prefix string }{
		{"By the semantic conventions for MCP:", "mcp."},
		{"Of the gateway's own:", "interlock."},
		{"Of the process:", "process."},
		{"Of Go's runtime:", "go."},
	} {
		fmt.Fprintf(&b, "%s\n\n| metric | in Prometheus | kind, unit | attributes | tells |\n|---|---|---|---|---|\n", part.about)
		for _, i := range all {
			if !strings.HasPrefix(i.Name, part.prefix) {
				continue
			}
			kind := i.Kind
			if i.Unit != "" {
				kind += ", `" + i.Unit + "`"
			}
			attributes := ""
			if len(i.Attributes) > 0 {
				attributes = "`" + strings.Join(i.Attributes, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", i.Name, i.Prometheus, kind, attributes, i.Tells)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A name that is documented is told by some code.
func TestPageHasNoDeadNames(t *testing.T) {
	n, err := telemetrytest.ReadNames()
	if err != nil {
		t.Fatal(err)
	}
	constants := make(map[string]bool)
	identifier := regexp.MustCompile(`\w+`)
	for _, text := range sources(t) {
		for _, name := range identifier.FindAllString(text, -1) {
			constants[name] = true
		}
	}
	// Other packages have some of the words, and know no constants of this one.
	words := read(t, "../upstream", "../policy")
	for _, list := range slices.AppendSeq([][]telemetrytest.Name{n.Spans, n.Events, n.Attrs, n.Log, n.LogEvents}, maps.Values(n.Values)) {
		for _, x := range list {
			if !constants[x.Const] && !said(words, x.Value) {
				t.Errorf("no code uses %s, %q", x.Const, x.Value)
			}
		}
	}
}

// said reports whether one of the texts has a word in quotes.
func said(texts map[string]string, word string) bool {
	for _, text := range texts {
		if strings.Contains(text, `"`+word+`"`) {
			return true
		}
	}
	return false
}

// What the page has Prometheus asked has names of metrics, and attributes of theirs.
func TestPageAsksForMetrics(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, i := range Instruments() {
		for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
			known[i.Prometheus+suffix] = true
		}
		for _, a := range i.Attributes {
			known[strings.ReplaceAll(a, ".", "_")] = true
		}
	}
	asked := 0
	for _, block := range regexp.MustCompile("(?s)```promql\n(.*?)```|expr: (\\|\n.*?)\n +for:|expr: (.*?)\n").FindAllString(string(raw), -1) {
		for _, name := range regexp.MustCompile(`\b(?:interlock|mcp|gen_ai|error)_[a-z_]+\b`).FindAllString(block, -1) {
			if asked++; !known[name] {
				t.Errorf("there is no %s, which the page has Prometheus asked for", name)
			}
		}
	}
	if asked < 15 {
		t.Errorf("%d names found: does the test still read the page?", asked)
	}
}

// The page has every key of the configuration, and every variable that is read.
func TestPageHasEverySetting(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	var keys func(of reflect.Type, path string)
	keys = func(of reflect.Type, path string) {
		for f := range of.Fields() {
			name := path + f.Tag.Get("koanf")
			if f.Type.Kind() == reflect.Struct {
				keys(f.Type, name+".")
			} else if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("the page does not have the key %s", name)
			}
		}
	}
	keys(reflect.TypeFor[Config](), "")
	r, err := newResource(t.Context(), "interlock", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Attributes() {
		if !strings.Contains(text, "`"+string(a.Key)+"`") {
			t.Errorf("the page does not have the attribute %s of the resource", a.Key)
		}
	}
	named := regexp.MustCompile(`"(OTEL_[A-Z_]+[A-Z])"`)
	for file, code := range sources(t) {
		for _, m := range named.FindAllStringSubmatch(code, -1) {
			if !strings.Contains(text, m[1]) {
				t.Errorf("the page does not have %s of %s", m[1], file)
			}
		}
	}
}
