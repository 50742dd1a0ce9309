package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// What nobody sees stands out, and what a server chose does nothing to a terminal.
func TestPinDiffs(t *testing.T) {
	diffs := []admin.PinDiff{
		{
			Pin: admin.Pin{
				Name: "files/re\x1bad", State: "changed", Now: "blocked", Hash: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef",
				At: time.Date(2026, 8, 31, 12, 0, 0, 0, time.Local), By: "uid 7",
			},
			Lines: []admin.PinLine{
				{Op: " ", Text: "{"}, {Op: "-", Text: `  "a": "x"`}, {Op: "+", Text: `  "a": "x\u200by\u202e"`}, {Op: "…", Text: "  …"},
			},
		},
		{
			Pin:   admin.Pin{Name: "files/it's", State: "new", Now: "hidden", Hash: "sha256:ff", Same: "old/read"},
			Lines: []admin.PinLine{{Op: "+", Text: "{}"}},
		},
		{Pin: admin.Pin{Name: "files/twice", State: "unfit", Now: "hidden", Hash: "sha256:ff", Reason: "a key is there twice"}},
	}
	for name, c := range map[string]struct {
		colour bool
		want   string
	}{
		"plain": {false, `files/re?ad  changed, blocked
approved 2026-08-31 by uid 7
  {
-   "a": "x"
+   "a": "x\u200by\u202e"
    …
approve it: interlock pins approve 'files/re?ad@sha256:0123456789abcdef0123456789abcdef'

files/it's  new, hidden
the same was approved as old/read
+ {}
approve it: interlock pins approve 'files/it'\''s@sha256:ff'

files/twice  unfit, hidden
a key is there twice
`},
		"in colours": {true, "\x1b[1mfiles/re?ad\x1b[0m  \x1b[31mchanged, blocked\x1b[0m\n\x1b[2mapproved 2026-08-31 by uid 7\x1b[0m\n\x1b[2m  {\x1b[0m\n" +
			"\x1b[31m-   \"a\": \"x\"\x1b[0m\n\x1b[32m+   \"a\": \"x\x1b[0m\x1b[7m\\u200b\x1b[0m\x1b[32my\x1b[0m\x1b[7m\\u202e\x1b[0m\x1b[32m\"\x1b[0m\n  \x1b[2m  …\x1b[0m\n" +
			"\x1b[2mapprove it: interlock pins approve 'files/re?ad@sha256:0123456789abcdef0123456789abcdef'\x1b[0m\n"},
	} {
		var got bytes.Buffer
		s := newScreen(&got)
		s.colour = c.colour
		shown := diffs
		if c.colour {
			shown = diffs[:1]
		}
		s.pinDiffs(shown)
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
