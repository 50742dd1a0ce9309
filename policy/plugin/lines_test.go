package plugin

import (
	"log/slog"
	"strings"
	"testing"
)

func logged(level slog.Level) (*slog.Logger, *strings.Builder) {
	var out strings.Builder
	return slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), &out
}

// What a plugin writes is logged line by line, with the level that it says.
func TestLines(t *testing.T) {
	for said, want := range map[string]string{
		"one\ntwo\r\n\nhalf":                        "level=INFO msg=\"plugin says\" line=one\nlevel=INFO msg=\"plugin says\" line=two\nlevel=INFO msg=\"plugin says\" line=half\n",
		"{\"level\":\"WARN\",\"msg\":\"x\"}\n":      "level=WARN msg=\"plugin says\" line=\"{\\\"level\\\":\\\"WARN\\\",\\\"msg\\\":\\\"x\\\"}\"\n",
		"{\"@level\":\"error\",\"@message\":\"x\"}": "level=ERROR msg=\"plugin says\" line=\"{\\\"@level\\\":\\\"error\\\",\\\"@message\\\":\\\"x\\\"}\"\n",
		"{\"@level\":1,\"level\":{}}\n":             "level=INFO msg=\"plugin says\" line=\"{\\\"@level\\\":1,\\\"level\\\":{}}\"\n",
		"{\"level\":\"debug\"}\n":                   "",
		"\x1b[2J\xff\n":                             "level=INFO msg=\"plugin says\" line=\"\ufffd[2J\ufffd\"\n",
		strings.Repeat("x", maxLine+7) + "\n":       "level=INFO msg=\"plugin says\" line=" + strings.Repeat("x", maxLine) + " bytes_left_out=7\n",
	} {
		log, out := logged(slog.LevelInfo)
		newLines(log).drain(strings.NewReader(said))
		if out.String() != want {
			t.Errorf("%q:\n%s, want\n%s", said, out, want)
		}
	}
}

// A flood is counted, and does not become one of the log.
func TestFloodOfLines(t *testing.T) {
	log, out := logged(slog.LevelInfo)
	l := newLines(log)
	l.drain(strings.NewReader(strings.Repeat("x\n", 100_000)))
	n := strings.Count(out.String(), "\n")
	if n < linesBurst || n > 2*linesBurst {
		t.Errorf("%d lines are logged of 100,000", n)
	}
	l.mu.Lock()
	dropped := l.dropped
	l.mu.Unlock()
	if !strings.Contains(out.String(), "lines_left_out") && dropped+n != 100_000 {
		t.Errorf("%d are logged and %d counted, of 100,000", n, dropped)
	}
}

// FuzzLines writes in pieces: each line is bounded and none is lost but those counted.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb"), []byte(`{"level":`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		log, out := logged(slog.LevelDebug)
		l := newLines(log)
		for _, p := range [][]byte{a, b, {'\n'}} {
			if n, err := l.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if len(l.line) != 0 || l.cut != 0 {
			t.Error("a line is not ended")
		}
		if n := strings.Count(out.String(), "\n") + l.dropped; n > strings.Count(string(a)+string(b), "\n")+1 {
			t.Errorf("%d lines of %q", n, string(a)+string(b))
		}
	})
}
