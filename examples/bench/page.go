package main

import (
	"bytes"
	"fmt"
	"os"
)

// The marks in docs/performance.md between which the figures of a run stand.
const (
	figuresFrom = "<!-- figures -->\n"
	figuresTo   = "<!-- end of figures -->\n"
)

// insert puts the report in the place of the figures of an earlier run on a page.
func (r *report) insert(page string) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(raw, []byte(figuresFrom))
	_, after, closed := bytes.Cut(rest, []byte(figuresTo))
	if !ok || !closed {
		return fmt.Errorf("%s has no place for figures: %q and %q", page, figuresFrom, figuresTo)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(figuresFrom + "```text\n")
	if err := r.writeTable(&b); err != nil {
		return err
	}
	b.WriteString("```\n" + figuresTo)
	b.Write(after)
	return os.WriteFile(page, b.Bytes(), 0o600)
}
