package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

// readEvents reads all of r and writes what came, and how it ended.
func readEvents(r io.Reader, max int) []string {
	var out []string
	e := NewEventReader(r, max)
	if f, ok := r.(Foreseen); ok {
		e.From(f)
	}
	for {
		ev, err := e.Next()
		var long *TooLongError
		switch {
		case errors.As(err, &long):
			out = append(out, long.Error())
		case err != nil:
			return append(out, err.Error())
		default:
			out = append(out, fmt.Sprintf("type=%s id=%s set=%v data=%q nil=%v retry=%v", ev.Type, ev.ID, ev.HasID, ev.Data, ev.Data == nil, ev.Retry))
		}
	}
}

// foreseen is a source that knows how much is left of the piece it is in.
type foreseen struct {
	*strings.Reader
	piece int // the size of all pieces
	read  int
}

func (f *foreseen) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p[:min(len(p), f.Ahead())])
	f.read += n
	return n, err
}

func (f *foreseen) Ahead() int {
	if left := f.piece - f.read%f.piece; left < f.Len() {
		return left
	}
	return max(f.Len(), 1)
}

func message(data string) string {
	return fmt.Sprintf("type= id= set=false data=%q nil=false retry=0s", data)
}

func TestEventReader(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, in string
		max      int
		want     []string
	}{
		{"nothing", "", 100, []string{"EOF"}},
		{"one", "data: {}\n\n", 100, []string{message("{}"), "EOF"}},
		{"\\r\\n", "data: {}\r\n\r\ndata: []\r\n\r\n", 100, []string{message("{}"), message("[]"), "EOF"}},
		{"\\r", "data: {}\r\rdata: []\r\r", 100, []string{message("{}"), message("[]"), "EOF"}},
		{"mixed ends", "data: a\r\ndata: b\rdata: c\n\r\n", 100, []string{message("a\nb\nc"), "EOF"}},
		{"\\r\\n and then \\n", "data: a\r\n\ndata: b\r\n\n", 100, []string{message("a"), message("b"), "EOF"}},
		{"byte order mark", "\xef\xbb\xbfdata: {}\n\n", 100, []string{message("{}"), "EOF"}},
		{"a second byte order mark", "\xef\xbb\xbf\xef\xbb\xbfdata: {}\n\n", 100, []string{"EOF"}},
		{"fields", "event: message\nid: 7\nretry: 1500\ndata:x\n\ndata: y\n\n", 100, []string{
			`type=message id=7 set=true data="x" nil=false retry=1.5s`, `type= id=7 set=false data="y" nil=false retry=0s`, "EOF",
		}},
		{"no space, one of two spaces", "data:a\n\ndata:  b\n\n", 100, []string{message("a"), message(" b"), "EOF"}},
		{"empty data", "data\n\ndata:\n\ndata: \n\ndata\ndata\n\n", 100, []string{message(""), message(""), message(""), message("\n"), "EOF"}},
		{"priming: an id and no data", "id: p\n\n", 100, []string{"type= id=p set=true data=\"\" nil=true retry=0s", "EOF"}},
		{"an id taken back", "id: p\n\nid\ndata: x\n\n", 100, []string{
			`type= id=p set=true data="" nil=true retry=0s`, `type= id= set=true data="x" nil=false retry=0s`, "EOF",
		}},
		{"NUL in an id", "id: a\x00b\ndata: x\n\n", 100, []string{message("x"), "EOF"}},
		{"retry that is none", "retry: -1\nretry: 1e3\nretry: 99999999999999\n\n", 100, []string{"EOF"}},
		{"comments and blank lines", ": hi\n\n\n\n:\ndata: x\n: y\n\n: z\n", 100, []string{message("x"), "EOF"}},
		{"unknown fields", "dat: 1\ndatas: 2\nDATA: 3\n data: 4\ndata: 5\n\n", 100, []string{message("5"), "EOF"}},
		{"an event without data is none", "event: x\n\ndata: y\n\n", 100, []string{message("y"), "EOF"}},
		{"cut in data", "data: {}\n\ndata: {", 100, []string{message("{}"), "unexpected EOF"}},
		{"cut after data", "data: {}\n", 100, []string{"unexpected EOF"}},
		{"cut in a name", "da", 100, []string{"unexpected EOF"}},
		{"cut in a comment", ": keep-al", 100, []string{"EOF"}},
		{"long data", "data: " + big + "\n\n", 100_000, []string{message(big), "EOF"}},
		{"long data, \\r", "data: " + big + "\r\rdata: x\r\r", 100_000, []string{message(big), message("x"), "EOF"}},
		{"long data, \\r\\n", "data: " + big + "\r\n\r\ndata: x\r\n\r\n", 200_000, []string{message(big), message("x"), "EOF"}},
		{"long data on lines", "data: " + big + "\ndata: x\ndata: " + big + "\n\ndata: y\n\n", 300_000, []string{message(big + "\nx\n" + big), message("y"), "EOF"}},
		{"long data and more", "data: " + big + "\nid: 3\n\ndata: " + big + "\n\n: x\n", 300_000, []string{
			fmt.Sprintf(`type= id=3 set=true data="%s" nil=false retry=0s`, big), fmt.Sprintf(`type= id=3 set=false data="%s" nil=false retry=0s`, big), "EOF",
		}},
		{"long data, cut", "data: " + big, 300_000, []string{"unexpected EOF"}},
		{"over the cap", "id: 3\ndata: " + big + "\nevent: x\n\ndata: y\n\n", 99_999, []string{
			"message of 100000 bytes is over the limit", `type= id=3 set=false data="y" nil=false retry=0s`, "EOF",
		}},
		{"over the cap by lines", "data: 12345\ndata: 12345\n\ndata: y\n\n", 10, []string{"message of 11 bytes is over the limit", message("y"), "EOF"}},
		{"over the cap, short", "data: 12\n\ndata: y\n\n", 1, []string{"message of 2 bytes is over the limit", message("y"), "EOF"}},
		{"a long comment", ":" + big + "\ndata: x\n\n", 100, []string{message("x"), "EOF"}},
		{"a long id", "id: " + big + "\ndata: x\n\n", 100, []string{message("x"), "EOF"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "halves": iotest.HalfReader(strings.NewReader(c.in)),
				"foreseen": &foreseen{Reader: strings.NewReader(c.in), piece: 1 << 30}, "in pieces": &foreseen{Reader: strings.NewReader(c.in), piece: 50_000},
				"bytes": iotest.OneByteReader(strings.NewReader(c.in)), "error with data": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got := readEvents(r, c.max)
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
					t.Errorf("%s:\ngot  %.300q\nwant %.300q", how, got, c.want)
				}
			}
		})
	}
}

// An event is there once its blank line is: even if that ends in \r, whatever
// may come after it.
func TestEventsAreNotHeldBack(t *testing.T) {
	for _, in := range []string{"data: x\n\n", "data: x\r\n\r", "data: x\r\r", "id\n\n"} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			go func() { _, _ = w.Write([]byte(in)) }() // and then nothing more
			read := false
			go func() {
				_, err := NewEventReader(r, 100).Next()
				read = err == nil
			}()
			synctest.Wait()
			if !read {
				t.Errorf("%q: held back", in)
			}
			_ = r.Close() // ends both
		})
	}
}

func TestAnEndlessEventCostsTheCap(t *testing.T) {
	const limit, size = 1 << 20, 1 << 28
	for _, start := range []string{"data: ", ":", "id: ", "x"} {
		peak, total := growth(func(step func()) {
			in := &watched{&endless{block: bytes.Repeat([]byte("x"), 1<<16), n: size}, step, size / 8, 0}
			e := NewEventReader(io.MultiReader(strings.NewReader(start), in, strings.NewReader("\n\ndata: y\n\n")), limit)
			ev, err := e.Next()
			var long *TooLongError
			if errors.As(err, &long) {
				ev, err = e.Next()
			}
			if err != nil || string(ev.Data) != "y" || (long != nil) != (start == "data: ") {
				t.Fatalf("%s: got %q, %v", start, ev.Data, err)
			}
		})
		if peak > limit+256<<10 || total > 2*limit {
			t.Errorf("%s: peak %d, allocated %d for a cap of %d", start, peak, total, limit)
		}
	}
}

func TestResetForgetsTheOldStream(t *testing.T) {
	e := NewEventReader(strings.NewReader("id: 1\ndata: x\n\ndata: y\r"), 1)
	if ev, err := e.Next(); err != nil || ev.ID != "1" {
		t.Fatalf("%+v, %v", ev, err)
	}
	_, _ = e.Next()
	e.Reset(strings.NewReader("\xef\xbb\xbf\ndata: z\ndata: z\n\n"), 3)
	if ev, err := e.Next(); err != nil || string(ev.Data) != "z\nz" || ev.ID != "" {
		t.Errorf("%+v, %v", ev, err)
	}
}

// The end of the stream is told once as a cut, and then as what it is.
func TestEventReaderAfterACut(t *testing.T) {
	e := NewEventReader(strings.NewReader("data: x\nda"), 100)
	for _, want := range []error{io.ErrUnexpectedEOF, io.EOF, io.EOF} {
		if _, err := e.Next(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestAppendEventIsReadBack(t *testing.T) {
	data := OneLine([]byte("{\"a\":\r\n[1,\n2]}"))
	var stream []byte
	stream = AppendEvent(stream, "9", "message", data)
	stream = AppendEvent(stream, "", "", nil)
	got := readEvents(bytes.NewReader(stream), 100)
	want := []string{`type=message id=9 set=true data="{\"a\":  [1, 2]}" nil=false retry=0s`, `type= id=9 set=false data="" nil=false retry=0s`, "EOF"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
	if got := string(OneLine([]byte("[1,\n2]"))) + string(OneLine([]byte("[1,\r2]"))); got != "[1, 2][1, 2]" {
		t.Errorf("got %s", got)
	}
	raw := []byte(`{"a":"\n"}`)
	if &OneLine(raw)[0] != &raw[0] {
		t.Error("a message on one line was copied")
	}
}
