package router

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// tool is a tool as a server would send it.
func tool(name string) json.RawMessage {
	return json.RawMessage(`{"name":` + string(quote(name)) + `,"description":"does","inputSchema":{"type":"object"}}`)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func tools(names ...string) []json.RawMessage {
	var all []json.RawMessage
	for _, n := range names {
		all = append(all, tool(n))
	}
	return all
}

// offer is a listed offer with tools, prefixed with its name.
func offer(name string, names ...string) Offer {
	return Offer{Upstream: name, Prefix: name, Listed: true, Tools: tools(names...)}
}

// listed returns the names (or URIs) of a list as a client reads its pages.
func listed(t *testing.T, c *Catalog, k Kind) []string {
	t.Helper()
	names := []string{}
	cursor := ""
	for range 1000 {
		page, err := c.Page(k, cursor)
		if err != nil {
			t.Fatal(err)
		}
		var result map[string]json.RawMessage
		var items []struct{ Name, URI, URITemplate string }
		if err := json.Unmarshal(page, &result); err != nil {
			t.Fatalf("page is not JSON: %v: %s", err, page)
		}
		if err := json.Unmarshal(result[k.String()], &items); err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			names = append(names, it.URI+it.URITemplate+map[bool]string{true: it.Name}[k <= Prompts])
		}
		cursor = ""
		if next, ok := result["nextCursor"]; ok {
			if err := json.Unmarshal(next, &cursor); err != nil || cursor == "" {
				t.Fatalf("nextCursor %s: %v", next, err)
			}
		}
		if cursor == "" {
			return names
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

// problems renders what an operator is told, kind first.
func problems(c *Catalog) []string {
	all := []string{}
	for _, p := range c.Problems() {
		all = append(all, string(p.Kind)+": "+p.Text)
	}
	return all
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, tc := range []struct {
		name     string
		offers   []Offer
		want     []string
		problems []string
	}{
		{
			name:   "prefix and separator",
			offers: []Offer{offer("files", "read", "write"), offer("git", "read")},
			want:   []string{"files__read", "files__write", "git__read"},
		},
		{
			name:   "another prefix, and none",
			offers: []Offer{{Upstream: "files", Prefix: "fs", Listed: true, Tools: tools("read")}, {Upstream: "git", Listed: true, Tools: tools("log")}},
			want:   []string{"fs__read", "log"},
		},
		{
			name:   "a prefix that may not stand",
			offers: []Offer{offer("my server.", "read"), offer("a__b_", "read")},
			want:   []string{"my_server__read", "a_b__read"},
		},
		{
			name:     "characters replaced",
			offers:   []Offer{offer("files", "dir/read.all", "größe")},
			want:     []string{"files__dir_read_all", "files__gr__e"},
			problems: []string{`replaced: tool "dir/read.all" of upstream "files" is listed as "files__dir_read_all": model APIs accept letters, digits, _ and - alone`, `replaced: tool "größe" of upstream "files" is listed as "files__gr__e": model APIs accept letters, digits, _ and - alone`},
		},
		{
			name:   "equal after replacing",
			offers: []Offer{offer("f", "a.b", "a_b", "a/b", "A.c", "a.C", "D.e", "d_E")},
			want:   []string{"f__a_b_7d30cd5a", "f__a_b", "f__a_b_c7a9aaf2", "f__A_c", "f__D_e_92edcaf6", "f__d_E"},
		},
		{
			name:   "nothing legible left",
			offers: []Offer{offer("f", "読む")},
			want:   []string{"f_____d41caa66"},
		},
		{
			name:     "shortened",
			offers:   []Offer{offer("files", long, long+"y")},
			want:     []string{"files__xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_4cf3e6da", "files__xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_5a089d34"},
			problems: []string{},
		},
		{
			name:     "the first in the file has the name",
			offers:   []Offer{{Upstream: "a", Listed: true, Tools: tools("read")}, {Upstream: "b", Listed: true, Tools: tools("read", "write")}},
			want:     []string{"read", "write"},
			problems: []string{`collision: tool "read" of upstream "b" is hidden: upstream "a", earlier in the file, has the name "read" (its "read")`},
		},
		{
			name:   "also one that is not listed",
			offers: []Offer{{Upstream: "a", Tools: tools("read")}, {Upstream: "b", Listed: true, Tools: tools("read", "write")}},
			want:   []string{"write"},
		},
		{
			name:     "case twins",
			offers:   []Offer{offer("a", "read", "READ")},
			want:     []string{"a__read"},
			problems: []string{`hidden: tool "READ" of upstream "a" is hidden: its name differs from "read" in capitals alone`},
		},
		{
			name:   "transparent",
			offers: []Offer{{Upstream: "a", Listed: true, Tools: tools("dir/read.all", long)}},
			want:   []string{"dir/read.all", long},
			problems: []string{
				`unaccepted: tool "dir/read.all" of upstream "a" keeps its name, which some model APIs refuse: they accept 48 letters, digits, _ and -`,
				`unaccepted: tool "` + long + `" of upstream "a" keeps its name, which some model APIs refuse: they accept 48 letters, digits, _ and -`,
			},
		},
		{
			name: "allow, deny, rename",
			offers: []Offer{{
				Upstream: "a", Prefix: "a", Listed: true, Tools: tools("fs/read", "fs/write", "net/get", "x", "y"),
				Allow: []string{"fs*", "x", "y"}, Deny: []string{"*write"}, Rename: map[string]string{"x": "y", "y": "z", "fs/read": "read"},
			}},
			want: []string{"a__read", "a__y", "a__z"},
		},
		{
			name:     "a rename takes no other tool's name",
			offers:   []Offer{{Upstream: "a", Prefix: "a", Listed: true, Tools: tools("x", "y"), Rename: map[string]string{"x": "y"}}},
			want:     []string{"a__y"},
			problems: []string{`collision: tool "x" of upstream "a" is hidden: its new name "y" belongs to the tool "y" of the same upstream`},
		},
		{
			name:   "deny everything",
			offers: []Offer{{Upstream: "a", Prefix: "a", Listed: true, Tools: tools("fs/read", "x"), Deny: []string{"*"}}},
			want:   []string{},
		},
		{
			name:   "a pattern that cannot be read denies",
			offers: []Offer{{Upstream: "a", Prefix: "a", Listed: true, Tools: tools("x"), Deny: []string{"["}}},
			want:   []string{},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Build(Defaults(), tc.offers)
			if d := cmp.Diff(tc.want, listed(t, c, Tools)); d != "" {
				t.Error("names (-want +got)", d)
			}
			if len(tc.problems) > 0 {
				if d := cmp.Diff(tc.problems, problems(c)); d != "" {
					t.Error("problems (-want +got)", d)
				}
			}
			for _, name := range listed(t, c, Tools) {
				if _, ok := c.Tool(name); !ok {
					t.Errorf("%q is listed and cannot be called", name)
				}
			}
		})
	}
}

func TestRoute(t *testing.T) {
	o := offer("files", "read", `q"\u00e4`, "write", "hint", "peek")
	o.Tools[1] = json.RawMessage(`{"name":"q\"\u00e4","inputSchema":{"type":"object"}}`)
	o.Tools[3] = json.RawMessage(`{"name":"hint","inputSchema":{},"annotations":{"idempotentHint":true}}`)
	o.Tools[4] = json.RawMessage(`{"name":"peek","inputSchema":{},"annotations":{"readOnlyHint":true}}`)
	o.Idempotent = []string{"re*"}
	for _, trust := range []bool{false, true} {
		o.TrustAnnotations = trust
		c := Build(Defaults(), []Offer{o})
		for exposed, want := range map[string]Route{
			"files__read":  {Upstream: "files", Target: "read", Quoted: []byte(`"read"`), Exposed: "files__read", Listed: true, Idempotent: true},
			"files__write": {Upstream: "files", Target: "write", Quoted: []byte(`"write"`), Exposed: "files__write", Listed: true},
			"files__hint":  {Upstream: "files", Target: "hint", Quoted: []byte(`"hint"`), Exposed: "files__hint", Listed: true, Idempotent: trust},
			"files__peek":  {Upstream: "files", Target: "peek", Quoted: []byte(`"peek"`), Exposed: "files__peek", Listed: true, Idempotent: trust},
			"files__q__": {
				Upstream: "files", Target: `q"ä`, Quoted: []byte(`"q\"\u00e4"`), Exposed: "files__q__", Listed: true,
				Problem: `tool "q\"ä" of upstream "files" is listed as "files__q__": model APIs accept letters, digits, _ and - alone`,
			},
		} {
			r, ok := c.Tool(exposed)
			if !ok {
				t.Fatalf("%s: unknown", exposed)
			}
			if d := cmp.Diff(want, *r, cmpopts.IgnoreUnexported(Route{})); d != "" {
				t.Error(exposed, "(-want +got)", d)
			}
		}
		for _, name := range []string{"read", "files__", "", "files__READ"} {
			if r, ok := c.Tool(name); ok {
				t.Errorf("%q leads to %+v", name, r)
			}
		}
	}
}

// An unlisted offer is in no list, and its names still lead to it.
func TestUnlisted(t *testing.T) {
	a := offer("a", "read")
	a.Resources = []json.RawMessage{json.RawMessage(`{"uri":"file:///a","name":"a"}`)}
	a.Listed = false
	c := Build(Defaults(), []Offer{a, offer("b", "read")})
	if got := listed(t, c, Tools); !slices.Equal(got, []string{"b__read"}) {
		t.Error("listed", got)
	}
	if r, ok := c.Tool("a__read"); !ok || r.Listed {
		t.Errorf("route %+v, %v", r, ok)
	}
	if r, err := c.Resource("file:///a"); err != nil || r.Listed || r.Upstream != "a" {
		t.Errorf("resource %+v, %v", r, err)
	}
	want := []Entry{
		{Exposed: "a__read", Upstream: "a", Name: "read", Description: "does"},
		{Exposed: "b__read", Upstream: "b", Name: "read", Description: "does", Listed: true},
	}
	for i := range want {
		want[i].Item = json.RawMessage(`{"name":"` + want[i].Exposed + `","description":"does","inputSchema":{"type":"object"}}`)
	}
	if d := cmp.Diff(want, c.Entries(Tools)); d != "" {
		t.Error("entries (-want +got)", d)
	}
}

func TestBytes(t *testing.T) {
	const in = "{ \"zz\" : 12345678901234567890,\n\t\"name\":\"re\\u0061d\" , \"inputSchema\":{\"type\":\"object\",\"x\":1e400},\"description\":\"old\",\"\\u00e4\":null }"
	o := Offer{Upstream: "a", Prefix: "a", Listed: true, Tools: []json.RawMessage{json.RawMessage(in)}}
	for _, tc := range []struct {
		name   string
		change func(*Offer)
		want   string
	}{
		{"name", func(*Offer) {}, `{ "zz" : 12345678901234567890, ` + "\t" + `"name":"a__read" , "inputSchema":{"type":"object","x":1e400},"description":"old","\u00e4":null }`},
		{"untouched", func(o *Offer) { o.Prefix = "" }, `{ "zz" : 12345678901234567890, ` + "\t" + `"name":"re\u0061d" , "inputSchema":{"type":"object","x":1e400},"description":"old","\u00e4":null }`},
		{"describe", func(o *Offer) { o.Describe = map[string]string{"read": `new "one"`} }, `{ "zz" : 12345678901234567890, ` + "\t" + `"name":"a__read" , "inputSchema":{"type":"object","x":1e400},"description":"new \"one\"","\u00e4":null }`},
		{"describe what has none", func(o *Offer) {
			o.Tools = []json.RawMessage{json.RawMessage(`{"name":"read","inputSchema":{}}`)}
			o.Describe = map[string]string{"read": "new"}
		}, `{"name":"a__read","description":"new","inputSchema":{}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := o
			tc.change(&o)
			page, err := Build(Defaults(), []Offer{o}).Page(Tools, "")
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"tools":[` + tc.want + `]}`; string(page) != want {
				t.Errorf("\nwant %s\n got %s", want, page)
			}
		})
	}
}

// The view of one upstream has its own names, also those that collide or do not
// fit elsewhere.
func TestOnly(t *testing.T) {
	a, b := offer("a", "read"), offer("b", "read", "x.y")
	a.Prefix, b.Prefix = "", ""
	b.Deny = []string{"secret"}
	b.Tools = append(b.Tools, tool("secret"))
	b.Instructions = "use b"
	c := Build(Defaults(), []Offer{a, b})
	only, ok := c.Only("b")
	if !ok {
		t.Fatal("no view of b")
	}
	if got := listed(t, only, Tools); !slices.Equal(got, []string{"read", "x.y"}) {
		t.Error("listed", got)
	}
	if r, ok := only.Tool("read"); !ok || r.Upstream != "b" {
		t.Errorf("read leads to %+v", r)
	}
	if _, ok := only.Tool("secret"); ok {
		t.Error("what is denied can be called")
	}
	if got := only.Instructions(); got != "use b" {
		t.Errorf("instructions %q", got)
	}
	if _, ok := c.Only("c"); ok {
		t.Error("a view of nothing")
	}
}

func TestDigest(t *testing.T) {
	a, b := offer("a", "read"), offer("b", "write")
	one := Build(Defaults(), []Offer{a, b})
	if two := Build(Defaults(), []Offer{a, b}); one.Digest(Tools) != two.Digest(Tools) {
		t.Error("the same list has two digests")
	}
	b.Tools = []json.RawMessage{json.RawMessage(strings.Replace(string(b.Tools[0]), "does", "dies", 1))}
	if two := Build(Defaults(), []Offer{a, b}); one.Digest(Tools) == two.Digest(Tools) {
		t.Error("another description has the same digest")
	}
	b.Listed = false
	two := Build(Defaults(), []Offer{a, b})
	if one.Digest(Tools) == two.Digest(Tools) {
		t.Error("another list has the same digest")
	}
	if one.Digest(Prompts) != two.Digest(Prompts) {
		t.Error("an unchanged list has another digest")
	}
}

func TestPages(t *testing.T) {
	names := make([]string, 2500)
	for i := range names {
		names[i] = fmt.Sprintf("t%04d", i)
	}
	c := Build(Defaults(), []Offer{offer("a", names...)})
	got := listed(t, c, Tools)
	if len(got) != len(names) || got[0] != "a__t0000" || got[2499] != "a__t2499" {
		t.Errorf("%d tools", len(got))
	}
	if n := len(c.lists[Tools].pages); n != 3 {
		t.Errorf("%d pages", n)
	}
	for _, cursor := range []string{"x", "0", strings.Repeat("A", 22)} {
		if _, err := c.Page(Tools, cursor); err != ErrCursor {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	// The cursor of a list that has changed since is refused.
	d := Build(Defaults(), []Offer{offer("a", append(names, "more")...)})
	for _, page := range c.lists[Tools].pages {
		if _, err := d.Page(Tools, page.cursor); page.cursor != "" && err != ErrCursor {
			t.Errorf("stale cursor: %v", err)
		}
	}
	// Large items make pages of at most pageBytes.
	big := json.RawMessage(`{"name":"a","inputSchema":{},"description":"` + strings.Repeat("x", 900_000) + `"}`)
	o := Offer{Upstream: "a", Prefix: "a", Listed: true}
	for i := range 10 {
		o.Tools = append(o.Tools, json.RawMessage(strings.Replace(string(big), `"a"`, fmt.Sprintf(`"a%d"`, i), 1)))
	}
	c = Build(Defaults(), []Offer{o})
	for _, page := range c.lists[Tools].pages {
		if n := len(page.pieces[0]); n > pageBytes+128 {
			t.Errorf("a page of %d bytes", n)
		}
	}
	if got := listed(t, c, Tools); len(got) != 10 {
		t.Errorf("%d large tools", len(got))
	}
}

func TestEmpty(t *testing.T) {
	c := Build(Defaults(), nil)
	for _, k := range Kinds() {
		page, err := c.Page(k, "")
		if want := `{"` + k.String() + `":[]}`; err != nil || string(page) != want {
			t.Errorf("%v: %s, %v", k, page, err)
		}
	}
}
