package jsonrpc

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// readLines reads all of r and writes what came: lines in quotes, and for one
// over the cap its size.
func readLines(t *testing.T, r io.Reader, max int) []string {
	t.Helper()
	var out []string
	for l := NewLineReader(r, max); ; {
		line, err := l.Next()
		var long *TooLongError
		switch {
		case errors.As(err, &long):
			out = append(out, long.Error())
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatal(err)
		case line == nil:
			t.Fatal("a line that is nil")
		default:
			out = append(out, string(line))
		}
	}
}

func TestLineReader(t *testing.T) {
	pad := func(n int) string { return strings.Repeat("x", n) }
	const buffer = 64 << 10
	for _, c := range []struct {
		name, in string
		max      int
		want     []string
	}{
		{"nothing", "", 10, nil},
		{"both ends", "a\nb\r\nc\n", 10, []string{"a", "b", "c"}},
		{"empty lines", "\n\r\n\n", 10, []string{"", "", ""}},
		{"no last end", "a\nb", 10, []string{"a", "b"}},
		{"no last end but \\r", "a\nb\r", 10, []string{"a", "b"}},
		{"\\r within", "a\rb\r\r\n", 10, []string{"a\rb\r"}},
		{"at the cap", pad(10) + "\r\n" + pad(10) + "\n" + pad(10), 10, []string{pad(10), pad(10), pad(10)}},
		{
			"over the cap", pad(11) + "\r\na\n" + pad(11) + "\n" + pad(11), 10,
			[]string{"message of 11 bytes is over the limit", "a", "message of 11 bytes is over the limit", "message of 11 bytes is over the limit"},
		},
		{"longer than the buffer", pad(3*buffer) + "\na\n", 4 * buffer, []string{pad(3 * buffer), "a"}},
		{"\\r at the end of the buffer", pad(buffer-1) + "\r\na\n", buffer - 1, []string{pad(buffer - 1), "a"}},
		{"\\r at the end of the buffer, not of the line", pad(buffer-1) + "\rb\n", 2 * buffer, []string{pad(buffer-1) + "\rb"}},
		{"\\r at the end of the buffer and of the stream", pad(buffer-1) + "\r", 2 * buffer, []string{pad(buffer - 1)}},
		{"as long as the buffer", pad(buffer-1) + "\n" + pad(buffer) + "\n" + pad(buffer), 2 * buffer, []string{pad(buffer - 1), pad(buffer), pad(buffer)}},
		{"over the cap and the buffer", pad(5*buffer) + "\na\n", buffer, []string{"message of 327680 bytes is over the limit", "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "halves": iotest.HalfReader(strings.NewReader(c.in)),
				"bytes": iotest.OneByteReader(strings.NewReader(c.in)), "error with data": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got := readLines(t, r, c.max)
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") || len(got) != len(c.want) {
					t.Errorf("%s: got %.200q, want %.200q", how, got, c.want)
				}
			}
		})
	}
}

func TestLineReaderPassesErrorsOn(t *testing.T) {
	l := NewLineReader(io.MultiReader(strings.NewReader("a\nhalf a l"), iotest.ErrReader(io.ErrClosedPipe)), 10)
	if line, err := l.Next(); string(line) != "a" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if _, err := l.Next(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// Lines are in memory of their own: the next one leaves them alone.
func TestLinesAreTheirOwn(t *testing.T) {
	l := NewLineReader(iotest.OneByteReader(strings.NewReader("first\nother\n")), 10)
	a, _ := l.Next()
	if _, err := l.Next(); err != nil || string(a) != "first" {
		t.Errorf("got %q, %v", a, err)
	}
}

func TestTooLongKeepsTheEnds(t *testing.T) {
	for _, c := range [][2]int{{5000, 4500}, {70_000, 4500}, {1 << 20, 200_000}, {1 << 20, 70_000}} {
		n, limit := c[0], c[1]
		in := "HEAD" + strings.Repeat("x", n) + "TAIL"
		_, err := NewLineReader(strings.NewReader(in+"\r\n"), limit).Next()
		var long *TooLongError
		if !errors.As(err, &long) {
			t.Fatal(err)
		}
		if long.Size != int64(len(in)) || string(long.Head) != in[:keep] || string(long.Tail) != in[len(in)-keep:] {
			t.Errorf("%d: size %d, head %.8s, tail %s", n, long.Size, long.Head, long.Tail[len(long.Tail)-8:])
		}
	}
}

// growth runs f and returns by how much the memory in use rose at its peak, as
// seen at each step that f reports, and what f allocated in all.
func growth(f func(step func())) (peak, total int64) {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f(func() {
		runtime.GC()
		runtime.ReadMemStats(&now)
		peak = max(peak, int64(now.HeapAlloc)-int64(before.HeapAlloc))
	})
	runtime.ReadMemStats(&now)
	return peak, int64(now.TotalAlloc) - int64(before.TotalAlloc)
}

// watched calls step each time another n bytes were read.
type watched struct {
	io.Reader
	step func()
	n    int
	left int
}

func (w *watched) Read(p []byte) (int, error) {
	if w.left <= 0 {
		w.left = w.n
		w.step()
	}
	n, err := w.Reader.Read(p)
	w.left -= n
	return n, err
}

// One gigabyte without a line end costs the cap, not a gigabyte.
func TestAnEndlessLineCostsTheCap(t *testing.T) {
	const limit, size = 1 << 20, 1 << 30
	peak, total := growth(func(step func()) {
		in := &watched{&endless{block: bytes.Repeat([]byte("x"), 1<<16), n: size}, step, size / 16, 0}
		l := NewLineReader(io.MultiReader(in, strings.NewReader("\n{}\n")), limit)
		_, err := l.Next()
		var long *TooLongError
		if !errors.As(err, &long) || long.Size != size {
			t.Fatal(err)
		}
		if line, err := l.Next(); string(line) != "{}" || err != nil {
			t.Fatalf("the next line: %q, %v", line, err)
		}
	})
	if peak > limit+256<<10 || total > 2*limit {
		t.Errorf("peak %d, allocated %d for a cap of %d", peak, total, limit)
	}
}

// While it grows, a line is held once.
func TestALineUnderTheCapIsHeldOnce(t *testing.T) {
	const size = 32 << 20
	peak, total := growth(func(step func()) {
		in := &watched{&endless{block: bytes.Repeat([]byte("x"), 1<<16), n: size}, step, size / 16, 0}
		line, err := NewLineReader(in, size).Next()
		if err != nil || len(line) != size {
			t.Fatal(len(line), err)
		}
	})
	if peak > size+1<<20 || total > 2*size+2<<20 {
		t.Errorf("peak %d, allocated %d", peak, total)
	}
}

func TestScanID(t *testing.T) {
	long := `"` + strings.Repeat(`\"id\":1,`, 2000) + `"`
	for _, c := range []struct{ name, raw, want string }{
		{"before", `{"jsonrpc":"2.0","id":42,"result":{"text":` + long + `}}`, "42"},
		{"before, a string", `{"id" : "a\"b" , "result":{"text":` + long + `}}`, `"a\"b"`},
		{"after", `{"jsonrpc":"2.0","result":{"text":` + long + `},"id":42}`, "42"},
		{"after, not last", `{"result":{"text":` + long + `}, "id" : "x" ,"jsonrpc":"2.0" } ` + "\r\n", `"x"`},
		{"nowhere", `{"jsonrpc":"2.0","method":"m","params":{"text":` + long + `}}`, ""},
		{"of another object, last", `{"result":{"text":` + long + `,"id":5}}`, ""},
		{"of another object in an array", `{"result":[` + long + `,{"a":1,"id":5}]}`, ""},
		{"of another object, and its own after", `{"result":{"text":` + long + `,"id":5},"id":6}`, "6"},
		{"of another object at the front", `{"result":{"id":5,"text":` + long + `},"id":6}`, "6"},
		{"no id", `{"id":1.5,"result":` + long + `}`, ""},
		{"null", `{"result":` + long + `,"id":null}`, ""},
		{"no message", long, ""},
		{"cut after its id", `{"result":` + long + `,"id":5`, ""},
		{"cut", `{"result":{"text":` + long, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ScanID([]byte(c.raw[:keep]), []byte(c.raw[len(c.raw)-keep:])); string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	// A number at the cut may go on.
	if got := ScanID([]byte(`{"id":12`), []byte(`x`)); got != nil {
		t.Errorf("got %q", got)
	}
	if got := ScanID(nil, nil); got != nil {
		t.Errorf("got %q", got)
	}
}
