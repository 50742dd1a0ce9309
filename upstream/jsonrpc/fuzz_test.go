package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// wellFormed is the oracle: whether raw is one JSON document in valid UTF-8, and
// whether no object in it has a key twice.
func wellFormed(raw []byte) (ok, unique bool) {
	if !utf8.Valid(raw) {
		return false, false
	}
	// jsontext puts escaped halves of a surrogate pair under invalid UTF-8.
	read := func(duplicates bool) bool {
		d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(duplicates))
		if _, err := d.ReadValue(); err != nil {
			return false
		}
		_, err := d.ReadToken()
		return errors.Is(err, io.EOF)
	}
	return read(true), read(false)
}

func seeds(f *testing.F) {
	f.Helper()
	for _, s := range []string{
		call, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a\"b\\"}]}}`,
		`{"jsonrpc":"2.0","id":"\ud83d\ude00","error":{"code":-1,"message":"é"}}`, `{"a":1,"a":2}`, `{"a":{"\u0061":1,"a":2}}`,
		`{"jsonrpc":"2.0","method":"m","params":{"_meta":{"\u0000":[1.5e-3,-0,true,false,null]}}}`, "\xef\xbb\xbf{}", `[{},]`,
		`{"jsonrpc":"2.0","id":1e1,"Method":"x"}`, "{\"a\":\"\xff\"}", strings.Repeat(`{"a":`, 600), `{"id":1}{"id":2}`, " \t{ } \n", `"\ud800\u"`,
	} {
		f.Add([]byte(s))
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) { checkParse(t, raw) })
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func checkParse(t tester, raw []byte) {
	kept := bytes.Clone(raw)
	m, err := Parse(raw)
	if !bytes.Equal(raw, kept) {
		t.Fatal("the message was changed")
	}
	ok, unique := wellFormed(raw)
	var e *Error
	if errors.As(err, &e) && (strings.Contains(e.Message, "deep") || strings.Contains(e.Message, "surrogate")) {
		return // the oracle allows more
	}
	if parsed := e == nil || e.Code != CodeParse; parsed != ok || Valid(raw) != ok {
		t.Fatalf("well-formed %v, Valid %v, Parse %v", ok, Valid(raw), err)
	}
	if err == nil && !unique {
		t.Fatal("a duplicate key was accepted")
	}
	if e != nil && strings.Contains(e.Message, "duplicate") && unique {
		t.Fatalf("no key is there twice: %v", e)
	}
	if err != nil {
		if e.ID != nil && !validID(e.ID) {
			t.Fatalf("answered to the id %s", e.ID)
		}
		return
	}
	var parts struct {
		ID, Method, Params, Result, Error json.RawMessage
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		got  Span
		want json.RawMessage
	}{{m.Method, parts.Method}, {m.Params, parts.Params}, {m.Result, parts.Result}} {
		if !bytes.Equal(p.got.Of(raw), p.want) {
			t.Fatalf("got %s, want %s", p.got.Of(raw), p.want)
		}
	}
	checkFields(t, &m, parts.Params)
	s, err := ParseServer(raw)
	if err != nil || s.Kind != m.Kind || s.ID != m.ID || s.Result != m.Result || s.Error != m.Error || s.Params != m.Params {
		t.Fatalf("ParseServer differs: %v, %+v and %+v", err, s, m)
	}
}

// checkFields compares what was recorded of params with what an ordinary reader
// finds there.
func checkFields(t tester, m *Message, params json.RawMessage) {
	if params == nil {
		return
	}
	var plain, meta map[string]json.RawMessage
	if err := json.Unmarshal(params, &plain); err != nil {
		t.Fatal(err)
	}
	if raw := plain["_meta"]; raw != nil {
		if err := json.Unmarshal(raw, &meta); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []struct {
		got  Span
		want json.RawMessage
	}{
		{m.Name, plain["name"]},
		{m.URI, plain["uri"]},
		{m.Arguments, plain["arguments"]},
		{m.Level, plain["level"]},
		{m.Ref, plain["ref"]},
		{m.RequestID, plain["requestId"]},
		{m.ProgressToken, plain["progressToken"]},
		{m.Meta, plain["_meta"]},
		{m.MetaProgressToken, meta["progressToken"]},
		{m.TraceParent, meta["traceparent"]},
		{m.TraceState, meta["tracestate"]},
		{m.Baggage, meta["baggage"]},
	} {
		if !bytes.Equal(p.got.Of(m.Raw), p.want) {
			t.Fatalf("got %s, want %s", p.got.Of(m.Raw), p.want)
		}
	}
}

func FuzzParseServer(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) { checkParseServer(t, raw) })
}

// checkParseServer checks that what is well-formed is accepted as a document,
// and that what is accepted is well-formed but for what its strings hold.
func checkParseServer(t tester, raw []byte) {
	m, err := ParseServer(raw)
	ok, _ := wellFormed(raw)
	if e, refused := errors.AsType[*Error](err); refused {
		if ok && e.Code == CodeParse && !strings.Contains(e.Message, "deep") {
			t.Fatalf("well-formed: %v", err)
		}
		return
	}
	for _, s := range []Span{m.ID, m.Method, m.Params, m.Result, m.Error} {
		if s.Start < 0 || int(s.End) > len(raw) || s.Start > s.End {
			t.Fatalf("span %v of %d bytes", s, len(raw))
		}
	}
	for _, s := range []Span{m.Result, m.Error} {
		if s.Ok() && !json.Valid(mask(s.Of(raw))) {
			t.Fatalf("accepted %s", s.Of(raw))
		}
	}
	if !ok && m.Method.Ok() && !m.Result.Ok() && !m.Error.Ok() {
		t.Fatalf("a call that is not well-formed was accepted")
	}
}

// mask returns raw with the insides of its strings replaced.
func mask(raw []byte) []byte {
	out := bytes.Clone(raw)
	within := false
	for i := 0; i < len(out); i++ {
		switch {
		case out[i] == '"':
			within = !within
		case within && out[i] == '\\' && i+1 < len(out):
			out[i], out[i+1] = 'x', 'x'
			i++
		case within:
			out[i] = 'x'
		}
	}
	return out
}

// chunked gives in in pieces whose sizes are the bytes of sizes, by turns.
type chunked struct {
	in, sizes []byte
	turn      int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := len(p)
	if len(c.sizes) > 0 {
		n = min(n, int(c.sizes[c.turn%len(c.sizes)])+1)
		c.turn++
	}
	n = copy(p[:n], c.in)
	c.in = c.in[n:]
	return n, nil
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a\nb\r\n\r\n\nc"), []byte{0}, uint16(3), uint16(0))
	f.Add([]byte("\r\r\n\r"), []byte{200, 1}, uint16(1), uint16(65530))
	f.Add([]byte("long line\n{}"), []byte(nil), uint16(65535), uint16(65535))
	f.Fuzz(func(t *testing.T, in, sizes []byte, limit, pad uint16) {
		// Padding brings the input to where the buffer ends.
		in = append(bytes.Repeat([]byte("p"), int(pad)), in...)
		var want []string
		for rest := in; len(rest) > 0; {
			line, after, _ := bytes.Cut(rest, []byte("\n"))
			line = bytes.TrimSuffix(line, []byte("\r"))
			if len(line) > int(limit) {
				want = append(want, fmt.Sprintf("message of %d bytes is over the limit", len(line)))
			} else {
				want = append(want, string(line))
			}
			rest = after
		}
		got := readLines(t, &chunked{in: in, sizes: sizes}, int(limit))
		if len(got) != len(want) || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfid: 1\ndata: {}\r\ndata\r\n\r\n: c\nretry: 5\n\n"), []byte{0}, uint16(10))
	f.Add([]byte("event:x\rdata:  y\r\rdata: cut"), []byte{3, 0}, uint16(0))
	f.Add([]byte("data: 0123456789\n\ndata: y\n\n"), []byte(nil), uint16(4))
	f.Fuzz(func(t *testing.T, in, sizes []byte, limit uint16) {
		if len(in) > maxField {
			return // long fields have their own tests
		}
		got := readEvents(&chunked{in: in, sizes: sizes}, int(limit))
		want := plainEvents(string(in), int(limit))
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

// plainEvents is the oracle of FuzzEvents: the standard's words on a whole text.
func plainEvents(in string, limit int) (out []string) {
	in = strings.TrimPrefix(in, "\xef\xbb\xbf")
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(in, "\n")
	var data []string
	var typ, id string
	var set, begun bool
	retry := 0
	for i, line := range lines {
		if i == len(lines)-1 { // what no line end follows
			if begun || line != "" && line[0] != ':' {
				return append(out, "unexpected EOF")
			}
			return append(out, "EOF")
		}
		if line == "" {
			text := strings.Join(data, "\n")
			switch {
			case len(text) > limit:
				out = append(out, fmt.Sprintf("message of %d bytes is over the limit", len(text)))
			case data != nil || set || retry > 0:
				out = append(out, fmt.Sprintf("type=%s id=%s set=%v data=%q nil=%v retry=%v", typ, id, set, text, data == nil, time.Duration(retry)*time.Millisecond))
			}
			data, typ, set, begun, retry = nil, "", false, false, 0
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			data, begun = append(data, value), true
		case "event":
			typ, begun = value, begun || value != ""
		case "id":
			if !strings.Contains(value, "\x00") {
				id, set, begun = value, true, true
			}
		case "retry":
			var n int32
			if _, err := fmt.Sscanf(value+"|", "%d|", &n); err == nil && strings.Trim(value, "0123456789") == "" {
				retry, begun = int(n), begun || n > 0
			}
		}
	}
	return out
}

// FuzzEdits makes edits of bytes, three for each: a gap, a length, and what to
// put there. The oracle puts each byte of the input on its own.
func FuzzEdits(f *testing.F) {
	f.Add([]byte("0123456789"), []byte{1, 2, 3, 0, 0, 4, 0, 5, 0})
	f.Add([]byte("0123456789"), []byte{5, 0, 1, 0, 0, 2, 0, 3, 1})
	f.Add([]byte(call), []byte{20, 9, 3, 40, 0, 4, 0, 5, 0})
	f.Fuzz(func(t *testing.T, raw, script []byte) {
		kept := bytes.Clone(raw)
		before := make([]string, len(raw)+1) // inserted before each byte
		cell := make([]string, len(raw))
		for i, c := range raw {
			cell[i] = string([]byte{c})
		}
		type splice struct {
			at  Span
			new string
		}
		var list []splice
		at := 0
		for ; len(script) >= 3; script = script[3:] {
			start := at + int(script[0])
			end := start + int(script[1])
			if end > len(raw) {
				break
			}
			text := strings.Repeat(string(rune('A'+len(list)%26)), int(script[2]%5))
			list = append(list, splice{Between(start, end), text})
			if start == end {
				before[start] += text
			} else {
				for i := start; i < end; i++ {
					cell[i] = ""
				}
				cell[start] = text
			}
			at = end
		}
		want := ""
		for i := range raw {
			want += before[i] + cell[i]
		}
		want += before[len(raw)]
		// In order, and with the replacements backwards before the insertions.
		var e, back Edits
		for _, s := range list {
			if s.at.Ok() {
				e.Replace(s.at, []byte(s.new))
			} else {
				e.Insert(int(s.at.Start), []byte(s.new))
			}
		}
		for _, l := range slices.Backward(list) {
			back.Replace(l.at, []byte(l.new))
		}
		for _, s := range list {
			if !s.at.Ok() {
				back.Insert(int(s.at.Start), []byte(s.new))
			}
		}
		if got := string(e.Apply(nil, raw)); got != want {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
		if got := string(back.Clone().Apply(nil, raw)); got != want {
			t.Fatalf("backwards:\ngot  %q\nwant %q", got, want)
		}
		if !bytes.Equal(raw, kept) {
			t.Fatal("the original was changed")
		}
	})
}

// Random bytes seldom get past the first brace; this breaks what was well-formed
// in a few places.
func TestParseAgainstTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":` + objectText(t, map[string]string{
			"name": `"n"`, "arguments": objectText(t, rapid.MapOfN(rapid.StringN(0, 3, 9), jsonText(3), 0, 5).Draw(t, "arguments")),
			"_meta": objectText(t, rapid.MapOfN(rapid.SampledFrom([]string{"progressToken", "baggage", "x"}), jsonText(1), 0, 3).Draw(t, "meta")),
		}) + `}`)
		for range rapid.IntRange(0, 3).Draw(t, "faults") {
			at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
			if rapid.Bool().Draw(t, "copied") { // duplicates keys, too
				end := min(at+rapid.IntRange(1, 12).Draw(t, "length"), len(raw))
				raw = slices.Insert(raw, at, bytes.Clone(raw[at:end])...)
			} else {
				raw[at] = rapid.SampledFrom([]byte("{}[]:,\"\\ u0aé\x00\x80\xff\n1.-eE")).Draw(t, "byte")
			}
		}
		checkParse(t, raw)
		checkParseServer(t, raw)
	})
}
