package router

import (
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// source is an offer, read once: what of it may be shown, under which own
// names, and why the rest may not.
type source struct {
	offer    *Offer
	prefix   string
	items    [kinds][]item
	parsed   []*template // of items[Templates]
	problems []Problem
	// resources tells that it has resources, listed or not.
	resources bool
}

func (c Config) source(o *Offer) *source {
	s := &source{offer: o, prefix: c.prefix(o.Prefix)}
	for _, k := range Kinds() {
		s.read(k)
	}
	at, ok := jsonrpc.Lookup(o.Capabilities, jsonrpc.Whole(o.Capabilities), "resources")
	s.resources = ok && o.Capabilities[at.Start] == '{' || len(s.items[Resources])+len(s.items[Templates]) > 0
	return s
}

// read keeps the items of list k that are well-formed, allowed and cannot be
// mistaken for another.
func (s *source) read(k Kind) {
	raws := s.offer.items(k)
	kept := make([]item, 0, len(raws))
	seen := make(map[string]struct{}, len(raws))
	var allow, deny globs
	if k == Tools {
		allow, deny = newGlobs(s.offer.Allow), newGlobs(s.offer.Deny)
	}
	for i, raw := range raws {
		it, fault := read(k, raw)
		if deny.match(it.own, true) || len(allow) > 0 && !allow.match(it.own, false) {
			continue
		}
		if fault != "" {
			s.malformed(k, i, it.own, fault)
			continue
		}
		if _, twice := seen[it.own]; twice {
			s.malformed(k, i, it.own, "is listed twice; the first counts")
			continue
		}
		seen[it.own] = struct{}{}
		if k == Tools || k == Prompts {
			if k == Tools {
				if to, ok := s.offer.Rename[it.own]; ok && to != "" {
					it.show = to
				}
			}
			if f := nameFault(it.show); f != "" {
				s.hidden(k, it.own, "its name "+f)
				continue
			}
		}
		if k == Templates {
			t, err := newTemplate(it.own)
			if err == nil && len(kept) == maxTemplates {
				err = fmt.Errorf("comes after %d others, which are enough", maxTemplates)
			}
			if err != nil {
				s.malformed(k, i, it.own, err.Error())
				continue
			}
			s.parsed = append(s.parsed, t)
		}
		kept = append(kept, it)
	}
	if k == Tools || k == Prompts {
		kept = s.withoutTwins(k, s.withoutDoubles(kept))
	}
	s.items[k] = kept
}

// withoutDoubles leaves out tools that a rename gives the name of another one:
// a tool that has its name by nature keeps it, else the one whose own name
// sorts first.
func (s *source) withoutDoubles(items []item) []item {
	if len(s.offer.Rename) == 0 {
		return items
	}
	owner := make(map[string]*item, len(items))
	for i := range items {
		it := &items[i]
		was, taken := owner[it.show]
		if !taken || was.own != was.show && (it.own == it.show || it.own < was.own) {
			owner[it.show] = it
		}
	}
	kept := make([]item, 0, len(items))
	for i := range items {
		it := &items[i]
		has := owner[it.show]
		if has == it {
			kept = append(kept, *it)
			continue
		}
		s.problems = append(s.problems, Problem{
			Kind: Collision, List: Tools.String(), Upstream: s.offer.Upstream, Name: printable(it.own), Exposed: printable(it.show), Other: s.offer.Upstream,
			Text: fmt.Sprintf("tool %s of upstream %s is hidden: its new name %s belongs to the tool %s of the same upstream",
				quoted(it.own), quoted(s.offer.Upstream), quoted(it.show), quoted(has.own)),
			Mend: "choose another name in tools.rename",
		})
	}
	return kept
}

// withoutTwins leaves out items whose names differ from an earlier one in
// nothing but capitals: neither models nor people keep them apart.
func (s *source) withoutTwins(k Kind, items []item) []item {
	first := make(map[string]string, len(items))
	kept := items[:0]
	for _, it := range items {
		low := strings.ToLower(it.show)
		if other, ok := first[low]; ok {
			s.hidden(k, it.own, fmt.Sprintf("its name differs from %s in capitals alone", quoted(other)))
			continue
		}
		first[low] = it.show
		kept = append(kept, it)
	}
	return kept
}

func (s *source) malformed(k Kind, index int, own, fault string) {
	text := fmt.Sprintf("%s %s of upstream %s is left out: it %s", k.Noun(), quoted(own), quoted(s.offer.Upstream), fault)
	if own == "" {
		text = fmt.Sprintf("%s number %d of upstream %s is left out: it %s", k.Noun(), index+1, quoted(s.offer.Upstream), fault)
	}
	s.problems = append(s.problems, Problem{
		Kind: Malformed, List: k.String(), Upstream: s.offer.Upstream, Name: printable(own), Text: text,
		Mend: "this is a fault of the server: tell its author",
	})
}

func (s *source) hidden(k Kind, own, why string) {
	p := Problem{
		Kind: Hidden, List: k.String(), Upstream: s.offer.Upstream, Name: printable(own),
		Text: fmt.Sprintf("%s %s of upstream %s is hidden: %s", k.Noun(), quoted(own), quoted(s.offer.Upstream), why),
	}
	if k == Tools {
		p.Mend = "give it another name with tools.rename"
	}
	s.problems = append(s.problems, p)
}
