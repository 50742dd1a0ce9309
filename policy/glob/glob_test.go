package glob

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"read_*", "read_file", true},
		{"read_*", "write_file", false},
		{"*", "a/b", true},
		{"a?b", "a/b", true},
		{"tasks/*", "tasks/get", true},
		{"[a-c]x", "bx", true},
	} {
		if got := New([]string{"never", c.pattern}).Match(c.name); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	if New(nil).Match("x") {
		t.Error("no patterns match something")
	}
	if !Legal("a[b-d]*") || Legal("a[") || Legal("") {
		t.Error("what is legal is not told from what is not")
	}
}
