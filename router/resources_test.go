package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func resource(uri string) json.RawMessage {
	return json.RawMessage(`{"uri":` + string(quote(uri)) + `,"name":"x"}`)
}

func uriTemplate(text string) json.RawMessage {
	return json.RawMessage(`{"uriTemplate":` + string(quote(text)) + `,"name":"x"}`)
}

func TestResource(t *testing.T) {
	offers := []Offer{
		{Upstream: "catch all", Listed: true, Templates: []json.RawMessage{uriTemplate("{+uri}"), uriTemplate("shared:{x}")}},
		{
			Upstream: "files", Listed: true, Resources: []json.RawMessage{resource("file:///a"), resource("file:///both")},
			Templates: []json.RawMessage{uriTemplate("file:///{path}"), uriTemplate("shared:{x}")},
		},
		{Upstream: "More", Resources: []json.RawMessage{resource("file:///both"), resource("interlock://files/x"), resource(InstructionsURI)}},
		{Upstream: "tools", Listed: true, Tools: tools("x")},
	}
	c := Build(Defaults(), offers)
	for _, tc := range []struct{ uri, upstream, target string }{
		{"file:///a", "files", "file:///a"},
		{"file:///both", "files", "file:///both"},
		{"file:///b", "files", "file:///b"},
		{"shared:1", "catch all", "shared:1"},
		{"shared:{x}", "catch all", "shared:{x}"}, // as completion names it
		{"file:///b/c", "catch all", "file:///b/c"},
		{"interlock://More/file%3A%2F%2F%2Fboth", "More", "file:///both"},
		{"interlock://more/file%3A%2F%2F%2Fboth", "More", "file:///both"},
		{"INTERLOCK://More/file:///both", "More", "file:///both"},
		{"interlock://catch%20all/a%25b", "catch all", "a%b"},
		{"interlock://files/x", "files", "x"}, // not More, which lists it
		{"interlock://tools/x", "", ""},
		{"interlock://unknown/%zz", "catch all", "interlock://unknown/%zz"},
	} {
		r, err := c.Resource(tc.uri)
		if tc.upstream == "" {
			if err == nil {
				t.Errorf("%s: leads to %+v", tc.uri, r)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.uri, err)
			continue
		}
		if r.Upstream != tc.upstream || r.Target != tc.target || string(r.Quoted) != string(quote(tc.target)) {
			t.Errorf("%s: leads to %s of %q (%s)", tc.uri, r.Target, r.Upstream, r.Quoted)
		}
		if r.Listed != (tc.upstream != "More") {
			t.Errorf("%s: listed is %v", tc.uri, r.Listed)
		}
	}
	if got := listed(t, c, Resources); !slices.Equal(got, []string{"file:///a", "file:///both"}) {
		t.Errorf("resources %q", got)
	}
	if got := listed(t, c, Templates); !slices.Equal(got, []string{"{+uri}", "shared:{x}", "file:///{path}"}) {
		t.Errorf("templates %q", got)
	}
	want := []string{
		`collision: resource template "shared:{x}" of upstream "files" is not listed: upstream "catch all", earlier in the file, has it`,
		`collision: resource "file:///both" of upstream "More" is not listed: upstream "files", earlier in the file, has it`,
		`hidden: resource "interlock://files/x" of upstream "More" is hidden: such URIs are the gateway's own`,
		`hidden: resource "interlock://instructions" of upstream "More" is hidden: such URIs are the gateway's own`,
	}
	if got := problems(c); !slices.Equal(got, want) {
		t.Errorf("problems\n%s", strings.Join(got, "\n"))
	}
}

func TestSoleAndNone(t *testing.T) {
	caps := json.RawMessage(`{"resources":{}}`)
	a := Offer{Upstream: "a", Prefix: "a", Listed: true, Capabilities: caps}
	b := Offer{Upstream: "b", Prefix: "b", Listed: true, Capabilities: json.RawMessage(`{"tools":{}}`)}
	c := Build(Defaults(), []Offer{b, a})
	if r, err := c.Resource("x:y"); err != nil || r.Upstream != "a" {
		t.Errorf("the only upstream with resources: %+v, %v", r, err)
	}
	b.Capabilities = caps
	c = Build(Defaults(), []Offer{b, a})
	_, err := c.Resource("x:y\x1b")
	var u *Unroutable
	if !errors.As(err, &u) || !slices.Equal(u.Upstreams, []string{"b", "a"}) {
		t.Fatalf("two upstreams with resources: %v", err)
	}
	const want = `unknown resource "x:y\x1b": no upstream lists it. Ask for interlock://<upstream>/<percent-encoded URI>, upstream being one of b, a`
	if err.Error() != want {
		t.Errorf("got %s", err)
	}
	if r, err := c.Resource(AlwaysURI("a", "x:y/ä?%")); err != nil || r.Upstream != "a" || r.Target != "x:y/ä?%" {
		t.Errorf("the form that always works: %+v, %v", r, err)
	}
	if _, err := Build(Defaults(), nil).Resource("x:y"); err == nil || err.Error() != `unknown resource "x:y": no upstream has resources` {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestTemplate(t *testing.T) {
	for _, tc := range []struct {
		text string
		yes  []string
		no   []string
	}{
		{"file:///{path}", []string{"file:///a", "file:///a%2Fb", "file:///ä,b"}, []string{"file:///", "file:///a/b", "file:///a?b", "xfile:///a", "FILE:///a"}},
		{"file:///{+path}", []string{"file:///a/b?c#d", "file:///a\nb"}, []string{"file:///"}},
		{"a://{x}/b/{y}.txt", []string{"a://1/b/2.txt", "a://1/b/..txt"}, []string{"a://1/b/2.txt2", "a:///b/2.txt", "a://1/b/2xtxt"}},
		{"a:b{?q,r*}", []string{"a:b", "a:b?q=1&r=2"}, []string{"a:b&q", "a:bc"}},
		{"a:b?c{&d}", []string{"a:b?c", "a:b?c&d=1"}, []string{"a:b"}},
		{"a:{/x,y:3}", []string{"a:", "a:/1/2"}, []string{"a:1", "a:/1?2"}},
		{"a:b{.ext}", []string{"a:b", "a:b.txt"}, []string{"a:b/txt"}},
		{"a:b{;p}", []string{"a:b", "a:b;p=1"}, []string{"a:bp"}},
		{"a:b{#f}", []string{"a:b", "a:b#x?/"}, []string{"a:bx"}},
		{"a:{x}{+y}b", []string{"a:12b", "a:1/bb"}, []string{"a:1b", "a:b"}},
		{"a:{x}b{y}", []string{"a:1b2", "a:bbb", "a:1b2b3"}, []string{"a:bb", "a:1b", "a:1/b2"}},
		{"a:{?x}{&y}", []string{"a:", "a:?1", "a:&1", "a:?1&2"}, []string{"a:?1#", "a:1"}},
		{"literal", []string{"literal"}, []string{"literal2", ""}},
	} {
		m, err := newTemplate(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		for _, uri := range tc.yes {
			if !m.match(uri) {
				t.Errorf("%s does not match %q", tc.text, uri)
			}
		}
		for _, uri := range tc.no {
			if m.match(uri) {
				t.Errorf("%s matches %q", tc.text, uri)
			}
		}
	}
	for _, text := range []string{strings.Repeat("x", maxTemplate+1), strings.Repeat("{x}", maxExpressions+1)} {
		if _, err := newTemplate(text); err == nil {
			t.Errorf("%.20s... is accepted", text)
		}
	}
}

func TestTooManyTemplates(t *testing.T) {
	o := Offer{Upstream: "a", Listed: true}
	for i := range maxTemplates + 1 {
		o.Templates = append(o.Templates, uriTemplate(fmt.Sprintf("a%d:{x}", i)))
	}
	c := Build(Defaults(), []Offer{o})
	if n := len(listed(t, c, Templates)); n != maxTemplates {
		t.Errorf("%d templates", n)
	}
	if ps := problems(c); len(ps) != 1 || !strings.HasSuffix(ps[0], "it comes after 200 others, which are enough") {
		t.Errorf("problems %q", ps)
	}
}

// A URI that almost matches must not take more than time linear in its length.
func BenchmarkTemplateWorst(b *testing.B) {
	m, err := newTemplate("a:" + strings.Repeat("{+x}y", maxExpressions))
	if err != nil {
		b.Fatal(err)
	}
	uri := "a:" + strings.Repeat("y", maxMatch-3) + "z"
	for b.Loop() {
		if m.match(uri) {
			b.Fatal("matches")
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("file:///{+path}{?a,b*}", "file:///x?a=1")
	f.Fuzz(func(t *testing.T, text, uri string) {
		m, err := newTemplate(text)
		if err != nil {
			return
		}
		m.match(uri)
		if !strings.Contains(text, "{") && !m.match(text) {
			t.Errorf("%q does not match itself", text)
		}
	})
}

// The user interface of a tool is found at the tool's own upstream, though nobody
// lists it.
func TestApps(t *testing.T) {
	app := func(meta string) json.RawMessage {
		return json.RawMessage(`{"name":"t","inputSchema":{"type":"object"},"_meta":` + meta + `}`)
	}
	o := []Offer{
		{Upstream: "a", Prefix: "a", Listed: true, Capabilities: json.RawMessage(`{"resources":{}}`), Tools: []json.RawMessage{app(`{"ui":{"resourceUri":"ui://a/x"}}`)}},
		{Upstream: "b", Prefix: "b", Listed: true, Capabilities: json.RawMessage(`{"resources":{}}`), Tools: []json.RawMessage{app(`{"ui/resourceUri":"ui://b/x"}`)}},
		{
			Upstream: "c", Prefix: "c", Listed: true, Capabilities: json.RawMessage(`{"resources":{}}`), Tools: []json.RawMessage{app(`{"ui":{"resourceUri":"ui://a/x"}}`)},
			Resources: []json.RawMessage{json.RawMessage(`{"uri":"ui://b/x","name":"listed"}`)},
		},
		{Upstream: "d", Prefix: "d", Listed: true, Capabilities: json.RawMessage(`{"resources":{}}`), Tools: []json.RawMessage{app(`{"ui":{"resourceUri":"file:///etc/passwd#ui://"}}`)}},
	}
	c := Build(Defaults(), o)
	for uri, want := range map[string]string{"ui://a/x": "a", "ui://b/x": "c", "file:///etc/passwd#ui://": ""} {
		r, err := c.Resource(uri)
		if want == "" {
			if err == nil {
				t.Errorf("%s leads to %s", uri, r.Upstream)
			}
			continue
		}
		if err != nil || r.Upstream != want || r.Target != uri {
			t.Errorf("%s: %v, %v, want %s", uri, r, err, want)
		}
	}
}
