package pin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy"
)

// LockError is a fault of the lock file. Nothing of such a file counts.
type LockError struct {
	File string
	Line int // from 1
	// Text says what is wrong, Mend what to do about it.
	Text, Mend string
}

func (e *LockError) Error() string {
	return fmt.Sprintf("%s:%d: %s (%s)", e.File, e.Line, e.Text, e.Mend)
}

const (
	restore = "restore the file from version control, or take the entry out and approve anew"
	rewrite = "write it as the lines around it are, or restore the file from version control"
)

// reader reads the lock file. It takes the part of YAML that format writes, and
// comments: a file that two programs could read in two ways is no basis for trust.
type reader struct {
	file  string
	lines []string
	n     int // of the line at hand, from 0
	all   map[key]*entry
}

// parse reads a lock file. The error is a *LockError.
func parse(file string, raw []byte) (map[key]*entry, error) {
	r := &reader{file: file, lines: strings.Split(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n"), all: make(map[key]*entry)}
	if err := r.read(); err != nil {
		return nil, err
	}
	return r.all, nil
}

func (r *reader) fault(line int, mend, text string, args ...any) error {
	return &LockError{File: r.file, Line: line + 1, Text: fmt.Sprintf(text, args...), Mend: mend}
}

// skip goes to the next line that says something, and returns false at the end.
func (r *reader) skip() bool {
	for ; r.n < len(r.lines); r.n++ {
		if line := strings.TrimSpace(r.lines[r.n]); line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}

func (r *reader) read() error {
	for _, want := range []string{"version: 1", "pins:"} {
		if !r.skip() {
			return r.fault(len(r.lines)-1, restore, "the file ends where %q should be", want)
		}
		switch line := strings.TrimRight(r.lines[r.n], " "); {
		case line == want:
		case line == "pins: []" && want == "pins:":
		case merging(line):
			return r.merge()
		case strings.HasPrefix(line, "version:"):
			return r.fault(r.n, "use the version of interlock that wrote it", "the file is of another version of interlock: %.40q", line)
		default:
			return r.fault(r.n, rewrite, "%.80q stands where %q should be", line, want)
		}
		r.n++
	}
	for r.skip() {
		if err := r.entry(); err != nil {
			return err
		}
	}
	return nil
}

// merging reports whether a line is one of those that git leaves in a conflict.
func merging(line string) bool {
	return strings.HasPrefix(line, "<<<<<<<") || strings.HasPrefix(line, "=======") || strings.HasPrefix(line, ">>>>>>>")
}

func (r *reader) merge() error {
	return r.fault(r.n, "resolve it", "here is a conflict of a merge")
}

// fields are those of an entry, in any order.
var fields = []string{"upstream", "kind", "name", "hash", "approved", "by", "definition"}

func (r *reader) entry() error {
	start := r.n
	values, places := make(map[string]string, len(fields)), make(map[string]int, len(fields))
	for first := true; r.skip(); first = false {
		line := strings.TrimRight(r.lines[r.n], " ")
		if merging(line) {
			return r.merge()
		}
		body, begins := strings.CutPrefix(line, "  - ")
		if begins != first {
			if !first {
				break // the next one
			}
			return r.fault(r.n, rewrite, `%.80q stands where an entry ("  - upstream: ...") should begin`, line)
		}
		if !begins {
			var ok bool
			if body, ok = strings.CutPrefix(line, "    "); !ok || strings.HasPrefix(body, " ") {
				return r.fault(r.n, rewrite, "%.80q is no line of an entry", line)
			}
		}
		field, value, ok := strings.Cut(body, ":")
		if !ok || !slices.Contains(fields, field) {
			return r.fault(r.n, rewrite, "%.80q is none of %s", line, strings.Join(fields, ", "))
		}
		if _, twice := places[field]; twice {
			return r.fault(r.n, "keep one of them", "the entry has a second %s", field)
		}
		places[field] = r.n
		text, err := r.value(field, strings.TrimPrefix(value, " "))
		if err != nil {
			return err
		}
		values[field] = text
	}
	for _, f := range fields {
		if _, ok := places[f]; !ok {
			return r.fault(start, restore, "the entry that begins here has no %s", f)
		}
	}
	return r.keep(values, places)
}

// value reads the value of a field, and goes behind it.
func (r *reader) value(field, text string) (string, error) {
	at := r.n
	r.n++
	if field != "definition" {
		if text != "" && text[0] == '"' {
			out, err := jsontext.AppendUnquote(nil, text)
			if err != nil {
				return "", r.fault(at, rewrite, "the text in quotes is not whole, or has more behind it")
			}
			return string(out), nil
		}
		if field != "hash" && field != "approved" && scalar(text) != text {
			return "", r.fault(at, "write it in double quotes, with the escapes of JSON", "%.80q has to be in quotes", text)
		}
		return text, nil
	}
	if text != "|" {
		return "", r.fault(at, rewrite, "the definition does not begin with |")
	}
	var b strings.Builder
	for ; r.n < len(r.lines); r.n++ {
		line, ok := strings.CutPrefix(r.lines[r.n], below)
		if merging(r.lines[r.n]) {
			return "", r.merge()
		}
		if !ok {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// keep checks an entry and keeps it.
func (r *reader) keep(values map[string]string, places map[string]int) error {
	e := &entry{
		key:  key{values["upstream"], policy.Kind(values["kind"]), values["name"]},
		hash: values["hash"], by: values["by"], text: values["definition"],
	}
	if !slices.Contains(kinds, e.kind) {
		return r.fault(places["kind"], restore, "the kind is %.40q and not %s", values["kind"], words())
	}
	var err error
	if e.at, err = time.Parse(time.RFC3339, values["approved"]); err != nil {
		return r.fault(places["approved"], "write it as 2026-11-22T17:24:00Z", "%.40q is no time", values["approved"])
	}
	d := &policy.Definition{Raw: []byte(e.text)}
	v := jsontext.Value(e.text)
	switch {
	case !v.IsValid():
		return r.fault(places["definition"], restore, "the definition of %s is not JSON, or has a key twice", strconv.Quote(e.String()))
	case e.hash != d.Hash():
		return r.fault(places["hash"], restore, "the definition of %s is not the one that was approved: it has another hash", strconv.Quote(e.String()))
	}
	if r.all[e.key] != nil {
		return r.fault(places["upstream"], "keep the one that was reviewed", "%s is there twice", strconv.Quote(e.String()))
	}
	r.all[e.key] = e
	return nil
}
