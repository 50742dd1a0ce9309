package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// callResult is the part of a CallToolResult that a terminal shows.
type callResult struct {
	Content    []content       `json:"content"`
	Structured json.RawMessage `json:"structuredContent"`
	IsError    bool            `json:"isError"`
}

// content is one block of a result, of any type.
type content struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	MimeType string `json:"mimeType"`
	Data     string `json:"data"`
	URI      string `json:"uri"`
	Resource struct {
		URI  string `json:"uri"`
		Text string `json:"text"`
	} `json:"resource"`
}

// String is the block as text, or what stands for it.
func (c content) String() string {
	switch {
	case c.Type == "text":
		return c.Text
	case c.Type == "resource" && c.Resource.Text != "":
		return c.Resource.Text
	case c.Type == "resource":
		return "[resource " + printable(c.Resource.URI) + "]"
	case c.Type == "resource_link":
		return "[link " + printable(c.URI) + "]"
	}
	return fmt.Sprintf("[%s %s, %d bytes of base64]", printable(c.Type), printable(c.MimeType), len(c.Data))
}

// showResult writes a tool's answer. One with isError is a failure: its text
// goes to stderr.
func (a *app) showResult(f format, raw json.RawMessage) error {
	var r callResult
	if err := json.Unmarshal(raw, &r); err != nil {
		return failed(fmt.Errorf("the result is not understood: %w", err))
	}
	if f != asTable {
		if err := a.write(f, raw); err != nil {
			return failed(err)
		}
	} else {
		to := a.out
		if r.IsError {
			to = a.errs
		}
		for _, c := range r.Content {
			to.text(c.String())
		}
		if len(r.Content) == 0 && len(r.Structured) > 0 {
			to.text(string(r.Structured))
		}
	}
	if r.IsError {
		return &failure{code: exitFailed}
	}
	return nil
}

// text writes what a server said: as it is into a pipe, and without what a
// terminal would obey on a terminal.
func (s *screen) text(text string) {
	s.printf("%s\n", strings.TrimSuffix(s.harmless(text), "\n"))
}

// harmless is what a server said without what a terminal would obey, if this is
// one.
func (s *screen) harmless(text string) string {
	if !s.terminal {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, text)
}
