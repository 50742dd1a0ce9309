package jsonrpc

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMembersAndElements(t *testing.T) {
	raw := []byte(` {"a" : 1, "b\u0063":[ "x" ,{"y":[]}, 3 ],"":null} `)
	var got []string
	for k, v := range Members(raw, Whole(raw)) {
		got = append(got, k+"="+string(v.Of(raw)))
		for e := range Elements(raw, v) {
			got = append(got, string(e.Of(raw)))
		}
	}
	want := []string{"a=1", `bc=[ "x" ,{"y":[]}, 3 ]`, `"x"`, `{"y":[]}`, "3", "=null"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range Members(raw, Whole(raw)) {
		break // stopping early is allowed
	}
	for _, none := range []string{"", "1", `{}`, `[]`, `"x"`, `{"a"`, `[`, `{"a":}`} {
		raw := []byte(none)
		for k := range Members(raw, Whole(raw)) {
			t.Errorf("%s: member %q", none, k)
		}
		for e := range Elements(raw, Whole(raw)) {
			t.Errorf("%s: element %v", none, e)
		}
	}
}

func TestLookup(t *testing.T) {
	raw := []byte(`{"a":{"b":{"c":5},"b":{"c":6}},"n":null}`)
	for _, c := range []struct {
		path []string
		want string
	}{
		{[]string{"a", "b", "c"}, "6"}, // of two, the last, as everywhere
		{[]string{"n"}, "null"},
		{[]string{"n", "x"}, ""},
		{[]string{"a", "x"}, ""},
		{nil, string(raw)},
	} {
		at, ok := Lookup(raw, Whole(raw), c.path...)
		if string(at.Of(raw)) != c.want || ok != (c.want != "") {
			t.Errorf("%v: got %s", c.path, at.Of(raw))
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`"plain"`: "plain", `""`: "", `5`: "", `null`: "", ``: "", `"a\"\\\/\n\u00e9"`: "a\"\\/\né",
		`"\ud83d\ude00"`: "😀", `"a\ud83db"`: "a\ufffdb", "\"a\xffb\"": "a\ufffdb",
	} {
		raw := []byte(in)
		if got := Text(raw, Whole(raw)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestAppendStringIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "text") {
			s = rapid.String().Draw(t, "s")
		}
		b := AppendString([]byte("> "), s)[2:]
		var back string
		if err := json.Unmarshal(b, &back); err != nil || !Valid(b) {
			t.Fatalf("%q gave %s: %v", s, b, err)
		}
		want := strings.Map(func(r rune) rune { return r }, s) // replaces what is not UTF-8
		if back != want || Text(b, Whole(b)) != want {
			t.Fatalf("%q came back as %q", s, back)
		}
		if strings.ContainsAny(string(b), "\x1b\x7f\n") {
			t.Fatalf("%s would move a terminal's cursor", b)
		}
	})
}

func TestAppendMessages(t *testing.T) {
	for got, want := range map[string]string{
		string(AppendError(nil, nil, CodeParse, "a \"b\"", nil)):                         `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a \"b\""}}`,
		string(AppendError(nil, []byte("1"), CodeInternal, "m", []byte(`{"k":1}`))):      `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m","data":{"k":1}}}`,
		string(AppendRequest(nil, []byte(`"x"`), "tools/list", []byte(`{"cursor":""}`))): `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"cursor":""}}`,
		string(AppendRequest(nil, nil, "notifications/initialized", nil)):                `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		string(AppendResult(nil, []byte("-1"), []byte("{}"))):                            `{"jsonrpc":"2.0","id":-1,"result":{}}`,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if _, err := Parse([]byte(got)); err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
}
