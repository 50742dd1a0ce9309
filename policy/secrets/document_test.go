package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// examined is examine of a document in which nothing is the protocol's.
func examined(t interface{ Fatalf(string, ...any) }, d *detector, raw []byte) ([]place, []byte) {
	places, clean, err := d.examine(raw, "", nothing)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return places, clean
}

// written writes s as JSON, with escapes here and there that need not be.
func written(t *rapid.T, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch escape := rapid.IntRange(0, 9).Draw(t, "escape"); {
		case r > 0xffff && escape < 5:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case escape == 0 && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == '/' && escape == 1:
			b.WriteString(`\/`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plain undoes escapes as any reader of JSON does.
func TestPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab/\n\u00e9\u20ac\U0001F600\U0010FFFF\"\\"))).Draw(t, "text")
		raw := written(t, text)
		if got, want := string(plain([]byte(raw))), `"`+text+`"`; got != want {
			t.Fatalf("%s is %q, want %q", raw, got, want)
		}
	})
	for raw, want := range map[string]string{
		`\ud83d`: "\ufffd", `\ud83dx`: "\ufffdx", `\ud83d\ud83d\ude00`: "\ufffd\U0001F600", `\ude00\u0041`: "\ufffdA", `\b\f\r\t\u001B`: "\b\f\r\t\x1b",
	} {
		if got := string(plain([]byte(raw))); got != want {
			t.Errorf("%s is %q, want %q", raw, got, want)
		}
	}
}

// Whatever a document holds, of it nothing but the secrets changes, however they
// are escaped; it stays JSON, and nothing more is found in it.
func TestOnlySecretsChange(t *testing.T) {
	d := newDetector(new(Config))
	rapid.Check(t, func(t *rapid.T) {
		secrets := real(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)))
		ids := []string{"aws-access-token", "github-pat", "slack-bot-token", "gcp-api-key", "npm-access-token", "private-key"}
		plainText := rapid.SampledFrom([]string{"", "x ", "the key: ", "\n", "\"quoted\" ", `back\slash `, "\U0001F600 ", "é ", "/path/ "})
		var raw, want strings.Builder
		hidden := 0
		raw.WriteString(`{"list" : [`)
		want.WriteString(`{"list":[`)
		for i := range rapid.IntRange(1, 5).Draw(t, "elements") {
			if i > 0 {
				raw.WriteString(", ")
				want.WriteString(",")
			}
			before, after := plainText.Draw(t, "before"), " "+plainText.Draw(t, "after")
			id := rapid.SampledFrom(ids).Draw(t, "id")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				raw.WriteString(written(t, before+after))
				want.Write(jsonrpc.AppendString(nil, before+after))
			case 1:
				hidden++
				raw.WriteString(written(t, before+secrets[id]+after))
				want.Write(jsonrpc.AppendString(nil, before+"[REDACTED:"+id+"]"+after))
			case 2:
				hidden++
				raw.WriteString(`{"n":12345678901234567890, "v":` + written(t, secrets[id]) + `}`)
				want.WriteString(`{"n":12345678901234567890,"v":"[REDACTED:` + id + `]"}`)
			case 3:
				raw.WriteString(` 1.50e3`)
				want.WriteString(`1.50e3`)
			}
		}
		raw.WriteString(`], "z":null}`)
		want.WriteString(`],"z":null}`)
		places, clean := examined(t, d, []byte(raw.String()))
		if !jsonrpc.Valid(clean) {
			t.Fatalf("%s\nis no JSON after it was\n%s", clean, raw.String())
		}
		if diff := cmp.Diff(decoded(t, want.String()), decoded(t, string(clean))); diff != "" {
			t.Fatalf("%s\nbecame\n%s: %s", raw.String(), clean, diff)
		}
		if len(places) != hidden {
			t.Fatalf("found %v, want %d", places, hidden)
		}
		if hidden == 0 && string(clean) != raw.String() {
			t.Fatalf("%s\nbecame\n%s", raw.String(), clean)
		}
		if again, _ := examined(t, d, clean); again != nil {
			t.Fatalf("%s: found again %v", clean, again)
		}
	})
}

func decoded(t *rapid.T, raw string) any {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Whatever JSON comes, it stays JSON, of the same structure; nothing is found in
// what was redacted.
func FuzzExamine(f *testing.F) {
	f.Add(`{"a":"\ud83d\ude00 ghp_` + pat[4:] + `","b":[1,-2.5e3,{"password":"x9Qz7LmT2vKp4RwY"}]}`)
	f.Add(`{"blob":"Z2hwXzAxNkM3ODY5dUdCYzI3clE2U3hCUXpWTHhBWEhITTN2Qm5WaQo="}`)
	f.Add(`{"k":["-----BEGIN ` + `PRIVATE KEY-----","` + strings.Repeat("x", 64) + `","-----END ` + `PRIVATE KEY-----"]}`)
	f.Add(`{"token": 1234567890123456789, "token":"\\\"abcdefgh12345678\\\""}`)
	f.Add(`{"curl":"curl -u \"user:pa55w0rd\" https://x"}`)
	d := newDetector(&Config{Rules: Rules{Extra: []Extra{{ID: "n", Regex: `\d{5}`}, {ID: "k", Regex: `[":]{2}x`, Keywords: []string{":"}}}}})
	f.Fuzz(func(t *testing.T, s string) {
		raw := []byte(s)
		if len(raw) == 0 || raw[0] != '{' || !jsonrpc.Valid(raw) {
			return
		}
		places, clean, err := d.examine(raw, "", nothing)
		if err != nil {
			return
		}
		if !jsonrpc.Valid(clean) {
			t.Fatalf("%q became %q", raw, clean)
		}
		if shapeOf(raw) != shapeOf(clean) {
			t.Fatalf("%q became %q", raw, clean)
		}
		if len(places) == 0 && !bytes.Equal(raw, clean) {
			t.Fatalf("%q became %q, with nothing found", raw, clean)
		}
		if again, _, err := d.examine(clean, "", nothing); err != nil || again != nil {
			t.Fatalf("%q became %q, in which there is %v: %v", raw, clean, again, err)
		}
		for _, p := range places {
			if !utf8.ValidString(p.path) || strings.ContainsAny(p.path, "\x1b\n\"") {
				t.Fatalf("the path %q", p.path)
			}
		}
	})
}

// shapeOf is a document without its scalars.
func shapeOf(raw []byte) string {
	var b strings.Builder
	w := walk{raw: raw}
	w.visit = func(int, int, bool) { fmt.Fprint(&b, len(w.path), w.path[len(w.path)-1].index, ";") }
	w.value(0)
	return b.String()
}

// texts are results of about a KiB or a MiB.
var texts = map[string]func(n int) []byte{
	"prose": func(n int) []byte {
		return lined(n, func(i int) string {
			return fmt.Sprintf("It is said that the access to a secret garden, whose key they keep as a token of number %d, is for authors. ", i)
		})
	},
	"code": func(n int) []byte {
		return lined(n, func(i int) string {
			return fmt.Sprintf("func (s *Server) handle%d(w http.ResponseWriter, key string) error {\n\treturn s.auth.Check(key, s.token)\n}\n", i)
		})
	},
	"records": func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(`{"structuredContent":[`)
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, `{"key":"item-%d","name":"Item %d","author":{"login":"user%d","url":"https://api.example.com/users/%d"},"tokens":%d},`, i, i, i, i, i)
		}
		b.WriteString(`null]}`)
		return b.Bytes()
	},
}

func lined(n int, line func(i int) string) []byte {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(line(i))
	}
	return append(jsonrpc.AppendString([]byte(`{"content":[{"type":"text","text":`), b.String()), `}]}`...)
}

func BenchmarkNothing(b *testing.B) {
	d := newDetector(new(Config))
	for name, text := range texts {
		for _, size := range []int{1 << 10, 1 << 20} {
			raw := text(size)
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				for b.Loop() {
					if places, _ := examined(b, d, raw); places != nil {
						b.Fatal(places)
					}
				}
			})
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	d := newDetector(new(Config))
	for name, part := range map[string]string{"key": "key=", "secret": "api_key_secret_token: ", "jwt": "eyabcdefghijklmnopqrstuvw.ey", "begin": "-----BEGIN ", "curl": "curl -x "} {
		raw := []byte(`{"a":"` + strings.Repeat(part, 1<<20/len(part)) + `"}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				_, _, _ = d.examine(raw, "", nothing)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newDetector(new(Config))
	}
}

func BenchmarkChain(b *testing.B) {
	raw := texts["records"](1 << 10)
	for name, steps := range map[string][]policy.Step{"nothing": nil, "secrets": {{Policy: made(b, Config{}, nil)}}} {
		b.Run(name, func(b *testing.B) {
			chain := policy.NewChain(nil, steps...)
			call := request(b, "tools/call", `{"name":"x","arguments":{"query":"what is new","limit":10}}`)
			a := answer(b, `"result":`+string(raw))
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				chain.Enter()
				if err := chain.Before(ctx, call); err != nil {
					b.Fatal(err)
				}
				if err := chain.After(ctx, call, a); err != nil {
					b.Fatal(err)
				}
				chain.Done(call)
			}
		})
	}
}
