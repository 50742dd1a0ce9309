package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"pgregory.net/rapid"
)

// someName draws from few letters, so that names meet.
func someName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[abA_.\-/ ]{1,4}`),
		rapid.StringMatching(`[ab]{40,60}`),
		rapid.StringMatching(`[ab][äö读а\x{200b}]{1,2}`),
		rapid.SampledFrom([]string{"", "a__b", "b", strings.Repeat("z", 130)}),
	)
}

func someOffers(t *rapid.T) []Offer {
	n := rapid.IntRange(1, 4).Draw(t, "offers")
	offers := make([]Offer, n)
	for i := range offers {
		names := rapid.SliceOfN(someName(), 0, 8).Draw(t, "names")
		o := Offer{
			Upstream: fmt.Sprintf("u%d", i),
			Prefix:   rapid.SampledFrom([]string{"", "", "a", "b", "a_b", "x.y", "a__b"}).Draw(t, "prefix"),
			Listed:   rapid.IntRange(0, 3).Draw(t, "listed") > 0,
			Deny:     rapid.SliceOfN(rapid.SampledFrom([]string{"a*", "?", "*.*"}), 0, 1).Draw(t, "deny"),
			Rename:   rapid.MapOfN(someName(), someName(), 0, 2).Draw(t, "rename"),
			Describe: map[string]string{"b": "other"},
		}
		for j, name := range names {
			o.Tools = append(o.Tools, json.RawMessage(fmt.Sprintf(`{"x":%d,"name":%s,"inputSchema":{"n":9007199254740993}, "y":"%d"}`, j, quote(name), j)))
			o.Prompts = append(o.Prompts, json.RawMessage(fmt.Sprintf(`{"name":%s,"x":1.0}`, quote(name))))
			o.Resources = append(o.Resources, json.RawMessage(fmt.Sprintf(`{"uri":%s,"name":"x"}`, quote("s:"+name))))
		}
		offers[i] = o
	}
	return offers
}

// raw splits a catalog's page into its items.
func raw(t *rapid.T, c *Catalog, k Kind) [][]byte {
	page, err := c.Page(k, "")
	if err != nil {
		t.Fatal(err)
	}
	at, ok := jsonrpc.Lookup(page, jsonrpc.Whole(page), k.String())
	if !ok || !jsonrpc.Valid(page) {
		t.Fatalf("page %s", page)
	}
	var items [][]byte
	for s := range jsonrpc.Elements(page, at) {
		items = append(items, s.Of(page))
	}
	return items
}

func TestProperties(t *testing.T) {
	config := Defaults()
	rapid.Check(t, func(t *rapid.T) {
		offers := someOffers(t)
		c := Build(config, offers)
		transparent := len(offers) == 1 && offers[0].Prefix == ""
		seen := make(map[string]bool)
		for _, it := range raw(t, c, Tools) {
			at, _ := jsonrpc.Lookup(it, jsonrpc.Whole(it), "name")
			name := jsonrpc.Text(it, at)
			if seen[name] {
				t.Fatalf("%q is listed twice", name)
			}
			seen[name] = true
			// Listed is callable.
			r, ok := c.Tool(name)
			if !ok || !r.Listed || r.Exposed != name {
				t.Fatalf("%q is listed and leads to %+v", name, r)
			}
			// Every name is one that model APIs accept.
			if !transparent && (!legal(name) || len(name) > config.Budget() || name == "") {
				t.Fatalf("name %q", name)
			}
			carried(t, offers, r, it)
		}
		// Callable is listed, or belongs to an offer that is not.
		for name, r := range c.tools {
			if r.Listed != seen[name] {
				t.Fatalf("%q: route says listed %v, the list %v", name, r.Listed, seen[name])
			}
			o := offers[slices.IndexFunc(offers, func(o Offer) bool { return o.Upstream == r.Upstream })]
			if r.Listed != o.Listed || newGlobs(o.Deny).match(r.Target, true) {
				t.Fatalf("%q leads to %+v", name, r)
			}
		}
	})
}

// carried checks that an item differs from what its upstream sent in the name
// and the description alone.
func carried(t *rapid.T, offers []Offer, r *Route, it []byte) {
	o := offers[slices.IndexFunc(offers, func(o Offer) bool { return o.Upstream == r.Upstream })]
	for _, sent := range o.Tools {
		if want := splice(sent, r.Target, r.Exposed, o.Describe); bytes.Equal(want, it) {
			return
		}
	}
	t.Fatalf("%s is nothing that %s sent", it, r.Upstream)
}

// splice is the change of an item done plainly.
func splice(sent []byte, own, name string, describe map[string]string) []byte {
	as := string(quote(own))
	to := string(jsonrpc.AppendString(nil, name))
	if name == own {
		to = as
	}
	if text, ok := describe[own]; ok {
		to += `,"description":"` + text + `"`
	}
	return []byte(strings.Replace(string(sent), `"name":`+as, `"name":`+to, 1))
}

// What a client sees of the listed offers depends on nothing but the file's
// order: not on which of them became known first.
func TestArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offers := someOffers(t)
		all := Build(Defaults(), offers)
		// Upstreams become known one by one, in any order; each time a catalog
		// is built. The last one must be the same as when all were known at once.
		known := make([]bool, len(offers))
		var last *Catalog
		for _, i := range rapid.Permutation(indexes(len(offers))).Draw(t, "order") {
			known[i] = true
			now := make([]Offer, len(offers))
			for j, o := range offers {
				if !known[j] {
					o = Offer{Upstream: o.Upstream, Prefix: o.Prefix}
				}
				now[j] = o
			}
			last = Build(Defaults(), now)
		}
		for _, k := range Kinds() {
			if all.Digest(k) != last.Digest(k) {
				t.Fatalf("%v: another list", k)
			}
			a, _ := all.Page(k, "")
			b, _ := last.Page(k, "")
			if !bytes.Equal(a, b) {
				t.Fatalf("%v:\n%s\n%s", k, a, b)
			}
		}
		// Whether an upstream is listed changes nobody else's names.
		for i := range offers {
			offers[i].Listed = !offers[i].Listed
		}
		flipped := Build(Defaults(), offers)
		if len(flipped.tools) != len(all.tools) {
			t.Fatal("other names")
		}
		for name, r := range all.tools {
			if f := flipped.tools[name]; f == nil || f.Upstream != r.Upstream || f.Target != r.Target {
				t.Fatalf("%q leads to %+v, and then to %+v", name, r, f)
			}
		}
	})
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
