package pointer

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAppend(t *testing.T) {
	for key, want := range map[string]string{
		"a": "/a", "x-y_z.1$@": "/x-y_z.1$@", "": "/*", "a b": "/*", "\u00e9": "/*", "\x1b": "/*", "a/b": "/*", "a~b": "/*",
		strings.Repeat("a", 64): "/" + strings.Repeat("a", 64), strings.Repeat("a", 65): "/*",
	} {
		if got := string(Append(nil, key)); got != want {
			t.Errorf("%q is %s, want %s", key, got, want)
		}
	}
	if got := Escape("a/b~c"); got != "a~1b~0c" {
		t.Errorf("escaped %s", got)
	}
}
