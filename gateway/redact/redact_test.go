package redact

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/interlock-mcp/interlock/policy/secrets"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var redactor = New(secrets.NewScanner().Redact)

// Keys that other services gave away in their own documentation.
const (
	githubToken = "ghp_" + "1aB2cD3eF4gH5iJ6kL7mN8oP9qR0sT1uV2wX"
	awsKey      = "AKIA" + "Z7QX3VK2M4N5P6RT"
)

// pem is a private key of a usual length.
var pem = "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA7bq1Xr0Z9kPq8yVw2mT5uJ3hL6nC4xDf0aGsEoRiYtBvKzWx\n", 25) + "-----END RSA PRIVATE KEY-----\n"

func TestJSON(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"as it is", ` { "path" : "/tmp/x" , "n": [1, -2.5e3, true, null] } `, `{"path":"/tmp/x","n":[1,-2.5e3,true,null]}`},
		{"integers of any size", `{"id":90071992547409931234}`, `{"id":90071992547409931234}`},
		{"by name", `{"password":"a","apiKey":"b","API-KEY":"c","x_auth":["d"],"clientSecret":{"e":"f"}}`, `{"password":"***","apiKey":"***","API-KEY":"***","x_auth":"***","clientSecret":"***"}`},
		{"by a name with escapes", `{"pass\u0077ord":"a"}`, `{"password":"***"}`},
		{"numbers are secrets, too", `{"pin":1234,"card_number":4111111111111111}`, `{"pin":"***","card_number":"***"}`},
		{"what is none by its kind", `{"hasPassword":true,"token":null,"max_tokens":4096}`, `{"hasPassword":true,"token":null,"max_tokens":4096}`},
		{"words that hold the short names", `{"spin":1,"author":"x","compact":"y","keys":"z"}`, `{"spin":1,"author":"x","compact":"y","keys":"z"}`},
		{
			"a name and its value", `[{"name":"API_KEY","value":"a"},{"value":"b","name":"DB_PASSWORD"},{"name":"PATH","value":"c"}]`,
			`[{"name":"API_KEY","value":"***"},{"value":"***","name":"DB_PASSWORD"},{"name":"PATH","value":"c"}]`,
		},
		{"a command line", `{"args":["--password","a","-v","--token","b","c"]}`, `{"args":["--password","***","-v","--token","***","c"]}`},
		{"a command line in one", `{"cmd":"psql --password hunter2 --host x"}`, `{"cmd":"psql --password *** --host x"}`},
		{"assignments", `{"env":"A=1\nDB_PASSWORD=hunter2\nB=2"}`, `{"env":"A=1\nDB_PASSWORD=***\nB=2"}`},
		{"a header", `{"h":"Accept: x\r\nAuthorization: Basic dXNlcjpwYXNz\r\nHost: y"}`, `{"h":"Accept: x\r\nAuthorization: ***\r\nHost: y"}`},
		{"a bearer", `{"text":"call it with Bearer abcdefghijkl now"}`, `{"text":"call it with Bearer *** now"}`},
		{"prose", `{"text":"the bearer of good news: basic income"}`, `{"text":"the bearer of good news: basic income"}`},
		{"a URL", `{"url":"postgres://me:hunter2@db:5432/x?sslmode=off"}`, `{"url":"postgres://me:***@db:5432/x?sslmode=off"}`},
		{"a query", `{"url":"https://x/y?token=abc&z=1"}`, `{"url":"https://x/y?token=***&z=1"}`},
		{"XML", `{"text":"<user>a</user><password>hunter2</password>"}`, `{"text":"<user>a</user><password>***</password>"}`},
		{"JSON in a text", `{"text":"{\"user\":\"a\",\"password\":\"hun\\\"ter2\",\"n\":1}"}`, `{"text":"{\"user\":\"a\",\"password\":\"***\",\"n\":1}"}`},
		{"JSON in JSON in a text", `{"text":"{\"x\":\"{\\\"token\\\":\\\"abc\\\",\\\"n\\\":1}\"}"}`, `{"text":"{\"x\":\"{\\\"token\\\":\\\"***\\\",\\\"n\\\":1}\"}"}`},
		{"an object in a text", `{"text":"credentials: {\"a\":{\"b\":\"c\"}} and so on"}`, `{"text":"credentials: *** and so on"}`},
		{"brackets in it", `{"text":"credentials: {\"a\":\"}hunter2\"} and so on"}`, `{"text":"credentials: *** and so on"}`},
		{"by the rules", `{"text":"use ` + githubToken + ` for it"}`, `{"text":"use [REDACTED:github-pat] for it"}`},
		{"an image", `{"type":"image","data":"` + strings.Repeat("iVBORw0KGgo", 20) + `"}`, `{"type":"image","data":"…"}`},
		{"a string alone", `"x"`, `"x"`},
		{"nothing", ``, `"…"`},
		{"malformed", `{"a":1,"b":tru}`, `{"a":1,"…":"…"}`},
		{"cut", `{"a":[1,{"b":"xyz`, `{"a":[1,{"b":"xyz…","…":"…"}]}`},
		{"half a surrogate pair, and bytes that are no text", "{\"a\":\"\\ud83d x \xff\"}", "{\"a\":\"\ufffd x \ufffd\"}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := redactor.JSON([]byte(tc.in)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// What is large is cut, and what is cut gives no part of a secret away.
func TestLarge(t *testing.T) {
	filler := strings.Repeat("lorem ipsum ", 4000)
	for _, tc := range []struct{ name, in, has, hasNot string }{
		{"a text", `{"a":"` + filler + `","b":1}`, `"a":"lorem ipsum lorem`, "\x00"},
		{"what comes behind a text", `{"a":"` + filler[:5000] + `","b":"seen"}`, `"b":"seen"`, "\x00"},
		{"many members", `{` + strings.Repeat(`"k":"v",`, 2000) + `"z":1}`, `,"…":"…"}`, `"z"`},
		{"many elements", `[` + strings.Repeat(`12345,`, 2000) + `6]`, `12345,"…"]`, "\x00"},
		{"what a server answers", `{"content":[` + strings.Repeat(`{"type":"text","text":"lorem ipsum"},`, 5000) + `{}]}`, `{"type":"text","text":"lorem ipsum"},`, "\x00"},
		{"a name that is cut", `{"` + strings.Repeat("x", 300) + `password":"hunter2","b":1}`, `"b":1`, "hunter2"},
		{"deeper than is shown", strings.Repeat(`[`, 30) + `"x"` + strings.Repeat(`]`, 30), strings.Repeat(`[`, maxDepth) + `"…"]`, `"x"`},
		{"deep", strings.Repeat(`{"a":[`, 500), `{"a":["…"]}`, "\x00"},
		{"a private key", `{"a":"` + strings.ReplaceAll(filler[:800]+pem, "\n", `\n`) + `"}`, "lorem", "MIIE"},
		{"a private key that does not end", `{"a":"` + strings.ReplaceAll(filler[:800]+pem[:1500]+strings.Repeat(pem[32:1500], 9), "\n", `\n`) + `"}`, "lorem", "MIIE"},
		{"a token that is too long for the rules", `{"a":"lorem eyJ` + strings.Repeat("hbGciOiJIUzI1NiJ9", 900) + `"}`, "lorem", "hbGci"},
		{"a secret at the cut", `{"a":"` + filler[:1010] + githubToken + filler + `"}`, "lorem", "ghp_"},
		{"a password at the cut", `{"a":"` + filler[:1000] + `password=` + strings.Repeat("hunter", 10) + `"}`, "lorem", "hunter"},
		{"escapes", `{"a":"` + strings.Repeat(`\u0001`, 3000) + `"}`, `…"}`, "\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := redactor.JSON([]byte(tc.in))
			fit(t, got)
			if !strings.Contains(got, tc.has) || strings.Contains(got, tc.hasNot) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// fit checks what holds of anything that is shown.
func fit(t *testing.T, got string) {
	t.Helper()
	if len(got) > Limit {
		t.Errorf("%d bytes", len(got))
	}
	if !utf8.ValidString(got) || !json.Valid([]byte(got)) {
		t.Errorf("no JSON: %q", got)
	}
}

// Of a large document no more is read than of a small one: the rest is not even there.
func TestReadsNoMore(t *testing.T) {
	small := append([]byte(`{"a":"`), make([]byte, Read)...)
	for i := range small[6:] {
		small[6+i] = "lorem ipsum "[i%12]
	}
	// Behind the end of what may be read is what would be found.
	large := append(small[:Read:Read], `","password":"x`...)
	if a, b := redactor.JSON(small), redactor.JSON(large); a != b {
		t.Errorf("got\n%s\n%s", a, b)
	}
}

// FuzzJSON: whatever it is, what comes of it is JSON, and short.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[`, `{"a":[1,"b",{"c":null}]}`, `"\ud800"`, `{"a":"` + "\xff" + `"}`, `{"token":"x","b":[[[`, `{"name":"token","value":{}}`,
		`{"":{"":0000000000}}`, `["token",{}]`, `{"a":-}`, strings.Repeat("[", 100), `{"value":1,"name":`, `{"a":"token=\"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := redactor.JSON(raw)
		fit(t, got)
		if again := redactor.JSON([]byte(got)); again != got {
			// What was redacted may be cut once more, but never grows.
			fit(t, again)
		}
	})
}

// canary is what the fuzzers hide.
const canary = "hunter2"

// FuzzSecret: what stands under the name of a secret is never shown, wherever that
// is in a document, and whatever stands around it.
func FuzzSecret(f *testing.F) {
	f.Add("apiKey", "x", "y", "a", uint8(0))
	f.Add("Authorization", `\"`, "\n", "\xff", uint8(77))
	f.Add("db_password", strings.Repeat("z", 1020), "{", "token", uint8(200))
	f.Add("x-auth", "\\", "]", "name", uint8(9))
	f.Fuzz(func(t *testing.T, name, before, behind, key string, shape uint8) {
		if !secretName(name) || strings.Contains(before+behind+key+name, canary) {
			t.Skip()
		}
		text := func(s string) string {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		value := text(before + canary + behind)
		switch shape % 5 {
		case 1:
			value = `[` + text(before) + `,` + value + `]`
		case 2:
			value = `{` + text(key) + `:` + value + `}`
		case 3:
			value = ` [ { } , [ ] , ` + value + ` ] `
		}
		doc := `{` + text(key) + `:` + text(before) + `,` + text(name) + `:` + value + `,` + text(before) + `:` + text(behind) + `}`
		switch shape / 5 % 5 {
		case 1:
			doc = `[` + text(behind) + `,` + doc + `,` + doc + `]`
		case 2:
			doc = `{` + text(key) + `:` + doc + `}`
		case 3: // in a text of an answer, as many servers do
			doc = `{"content":[{"type":"text","text":` + text(doc) + `}],"isError":false}`
			if !plainName(name) {
				t.Skip()
			}
		case 4:
			doc = `[{"name":` + text(name) + `,"value":` + value + `},{"value":` + value + `,"name":` + text(name) + `}]`
		}
		got := redactor.JSON([]byte(doc))
		fit(t, got)
		if strings.Contains(got, canary) {
			t.Errorf("%s\nis shown as %s", doc, got)
		}
	})
}

// plainName reports whether a name is one that is known in a text, where it begins and
// ends by its letters.
func plainName(name string) bool {
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-') {
			return false
		}
	}
	return len(name) < maxNameLen
}

// A hostile document takes no more time than a large one.
func BenchmarkJSON(b *testing.B) {
	for name, doc := range map[string]string{
		"small":   `{"path":"/tmp/x","options":{"recursive":true,"limit":100}}`,
		"4 KiB":   fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, strings.Repeat("lorem ipsum ", 330)),
		"10 MiB":  fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, strings.Repeat("lorem ipsum ", 10<<20/12)),
		"values":  strings.Repeat(`{"value":`, 5000),
		"colons":  `{"a":"` + strings.Repeat(`token:`, 6000) + `"}`,
		"members": `{` + strings.Repeat(`"token_1":"abc",`, 3000) + `"z":1}`,
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(doc)
			b.ReportAllocs()
			for b.Loop() {
				redactor.JSON(in)
			}
		})
	}
}

func TestMember(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"jsonrpc":"2.0","id":1,"result":{"a":1}}`, `{"a":1}}`},
		{` { "x" : [{"result":0}] , "result" : 2`, ` 2`},
		{`{"r\u0065sult":3}`, `3}`},
		{`{"id":1,"error":{}}`, ""},
		{`{"id":1,"resu`, ""},
		{`{"id":`, ""},
		{`["result",1]`, ""},
		{``, ""},
	} {
		if got := string(Member([]byte(tc.in), "result")); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.in, got, tc.want)
		}
	}
}
