package telemetry

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logCalls are the functions that write a line, and which argument is its message.
var logCalls = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	"Log": 2, "LogAttrs": 2,
	"say": 1, // of trouble with a collector
}

// logLine is a line that the code writes, and the attributes of all places that write
// it.
type logLine struct {
	levels, attributes []string
}

// linesOfLog is a table of the lines that the code of the module has, by their
// messages.
func linesOfLog(t *testing.T) string {
	t.Helper()
	all := make(map[string]*logLine)
	for _, dir := range []string{"../cmd", "../gateway", "../policy", "../telemetry", "../upstream", "../router"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					addLine(all, c)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 50 {
		t.Fatalf("%d lines found: does the test still read the code?", len(all))
	}
	var b strings.Builder
	b.WriteString("| line | level | attributes |\n|---|---|---|\n")
	for _, message := range slices.Sorted(maps.Keys(all)) {
		l := all[message]
		attributes := ""
		if len(l.attributes) > 0 {
			attributes = "`" + strings.Join(l.attributes, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", message, strings.Join(l.levels, ", "), attributes)
	}
	return b.String()
}

// addLine adds what c writes, if it is a line.
func addLine(all map[string]*logLine, c *ast.CallExpr) {
	s, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	at, ok := logCalls[s.Sel.Name]
	if !ok || len(c.Args) <= at {
		return
	}
	message, ok := literal(c.Args[at])
	if !ok {
		return
	}
	l := all[message]
	if l == nil {
		l = new(logLine)
		all[message] = l
	}
	level := strings.ToLower(strings.TrimSuffix(s.Sel.Name, "Context"))
	if given := c.Args[max(at-1, 0)]; at == 2 || s.Sel.Name == "say" {
		level = "as it is" // one of several
		if x, ok := given.(*ast.SelectorExpr); ok && strings.HasPrefix(x.Sel.Name, "Level") {
			level = strings.ToLower(strings.TrimPrefix(x.Sel.Name, "Level"))
		}
	}
	l.levels = with(l.levels, level)
	if s.Sel.Name == "say" { // which adds two
		l.attributes = with(with(l.attributes, "signal"), "lost")
	}
	for i := at + 1; i < len(c.Args); i++ {
		if key, ok := literal(c.Args[i]); ok {
			l.attributes = with(l.attributes, key)
			i++ // its value
		} else if name, ok := c.Args[i].(*ast.SelectorExpr); ok && name.Sel.Name == "EventName" {
			i++
		}
	}
}

// with is list with one more that it may have already.
func with(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func literal(e ast.Expr) (string, bool) {
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != gotoken.STRING {
		return "", false
	}
	s, err := strconv.Unquote(b.Value)
	return s, err == nil
}
