package jsonrpc

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
)

// bigCall is a call whose arguments hold about n bytes of text.
func bigCall(text string, n int) []byte {
	return []byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fs__write","arguments":{"path":"/tmp/a","content":"` +
		strings.Repeat(text, n/len(text)) + `"}}}`)
}

const (
	ascii   = "the quick brown fox jumps over the lazy dog and more. "
	escapes = `{\"name\":\"value\",\"list\":[1,2,3]},\n`
	mixed   = "größer — 日本語のテキスト and some English. "
)

// records is about n bytes of an array of small objects.
func records(n int) []byte {
	const one = `{"id":12345,"name":"some name","tags":["a","b"],"score":0.25,"ok":true,"note":null}`
	return []byte("[" + strings.Repeat(one+",", n/len(one)) + one + "]")
}

func BenchmarkParse(b *testing.B) {
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	wide := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"n","arguments":{"records":` + string(records(1<<20)) + `}}}`
	var keys strings.Builder
	for i := range 100_000 {
		keys.WriteString(`,"key` + strconv.Itoa(i) + `":0`)
	}
	many := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"n","arguments":{` + keys.String()[1:] + `}}}`
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"list", []byte(list)},
		{"call", []byte(call)},
		{"text1MiB", bigCall(ascii, 1<<20)},
		{"escapes1MiB", bigCall(escapes, 1<<20)},
		{"mixed1MiB", bigCall(mixed, 1<<20)},
		{"records1MiB", []byte(wide)},
		{"keys100k", []byte(many)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(c.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseServer(b *testing.B) {
	result := func(text string) []byte {
		return []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + text + `"}],"isError":false}}`)
	}
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"small", result("42")},
		{"text1MiB", result(strings.Repeat(ascii, (1<<20)/len(ascii)))},
		{"escapes1MiB", result(strings.Repeat(escapes, (1<<20)/len(escapes)))},
		{"mixed1MiB", result(strings.Repeat(mixed, (1<<20)/len(mixed)))},
		{"records1MiB", []byte(`{"jsonrpc":"2.0","id":7,"result":{"structuredContent":{"r":` + string(records(1<<20)) + `}}}`)},
		{"progress", []byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":12,"progress":3,"total":10,"message":"m"}}`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseServer(c.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEdits(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{{"call", []byte(call)}, {"text1MiB", bigCall(ascii, 1<<20)}} {
		b.Run(c.name, func(b *testing.B) {
			m, err := Parse(c.raw)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, len(c.raw)+256)
			id, name, trace := []byte("123456"), []byte(`"read"`), []byte(`"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"`)
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				var e Edits
				e.Replace(m.Name, name)
				e.SetMeta(&m, Member{Name: "traceparent", Value: trace})
				e.Replace(m.ID, id)
				dst = e.Apply(dst[:0], c.raw)
			}
		})
	}
}

// endless repeats block without allocating, n bytes in all.
type endless struct {
	block []byte
	at    int
	n     int64
}

func (r *endless) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	total := 0
	for len(p) > 0 && r.n > 0 {
		n := copy(p[:min(int64(len(p)), r.n)], r.block[r.at:])
		r.at = (r.at + n) % len(r.block)
		r.n -= int64(n)
		p = p[n:]
		total += n
	}
	return total, nil
}

func BenchmarkLineReader(b *testing.B) {
	for _, c := range []struct {
		name string
		line []byte
	}{{"small", []byte(call + "\n")}, {"1MiB", append(bigCall(ascii, 1<<20), '\n')}} {
		b.Run(c.name, func(b *testing.B) {
			r := NewLineReader(&endless{block: c.line, n: 1 << 62}, 16<<20)
			b.SetBytes(int64(len(c.line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEventReader(b *testing.B) {
	for _, c := range []struct {
		name string
		data []byte
	}{{"small", []byte(call)}, {"1MiB", bigCall(ascii, 1<<20)}} {
		b.Run(c.name, func(b *testing.B) {
			event := AppendEvent(nil, "7", "message", c.data)
			r := NewEventReader(&endless{block: event, n: 1 << 62}, 16<<20)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				ev, err := r.Next()
				if err != nil || !bytes.Equal(ev.Data[:8], c.data[:8]) {
					b.Fatal(err)
				}
			}
		})
	}
}
