package gateway

import (
	"encoding/json"
	"slices"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// definitions are what upstreams offer, as policies see it.
type definitions map[definitionKey]*policy.Definition

type definitionKey struct {
	upstream string
	kind     policy.Kind
	name     string
}

func keyOf(d *policy.Definition) definitionKey { return definitionKey{d.Upstream, d.Kind, d.Name} }

// offerKinds are the lists and what one of their items is.
var offerKinds = []struct {
	list router.Kind
	kind policy.Kind
	name string // the member that names an item
}{
	{router.Tools, policy.Tool, "name"},
	{router.Prompts, policy.Prompt, "name"},
	{router.Resources, policy.Resource, "uri"},
	{router.Templates, policy.Template, "uriTemplate"},
}

// define makes the definitions of all that is offered, in the order of the file.
// What is as it was before is the same one. cat is the catalog of the same offers.
func (before definitions) define(from []offered, cat *router.Catalog) (definitions, []*policy.Definition) {
	exposed := make(map[definitionKey]string)
	for _, k := range offerKinds {
		for _, e := range cat.Entries(k.list) {
			exposed[definitionKey{e.Upstream, k.kind, e.Name}] = e.Exposed
		}
	}
	now := make(definitions)
	var all []*policy.Definition
	add := func(o *offered, key definitionKey, raw []byte) {
		if _, twice := now[key]; twice { // the first counts, as in the catalog
			return
		}
		d := before[key]
		if d == nil || d.Exposed != exposed[key] || d.Trusted != o.config.TrustAnnotations ||
			string(d.Raw) != string(raw) || !slices.Equal(d.Tags, o.config.Tags) {
			d = &policy.Definition{
				Upstream: key.upstream, Tags: o.config.Tags, Trusted: o.config.TrustAnnotations,
				Kind: key.kind, Name: key.name, Exposed: exposed[key], Raw: raw,
			}
		}
		now[key] = d
		all = append(all, d)
	}
	for i := range from {
		o := &from[i]
		if o.inventory == nil {
			continue
		}
		for n, items := range [...][]json.RawMessage{o.inventory.Tools, o.inventory.Prompts, o.inventory.Resources, o.inventory.Templates} {
			k := offerKinds[n]
			for _, raw := range items {
				at, _ := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), k.name)
				if name := jsonrpc.Text(raw, at); name != "" { // nobody can call what has no name
					add(o, definitionKey{o.name, k.kind, name}, raw)
				}
			}
		}
		if text := o.inventory.Instructions; text != "" {
			add(o, definitionKey{o.name, policy.Instructions, ""}, jsonrpc.AppendString(nil, text))
		}
	}
	return now, all
}

// vetted applies what policies say to the offers, and reports whether that changes
// any. Of several policies that replace a definition the first counts.
func vetted(offers []router.Offer, verdicts []policy.Verdict) (changed bool) {
	said := make(map[definitionKey]*policy.Verdict)
	for i := range verdicts {
		v := &verdicts[i]
		if v.DryRun || v.Effect != policy.Hide && v.Effect != policy.Change {
			continue
		}
		key := keyOf(v.Definition)
		if first := said[key]; first == nil || first.Effect != policy.Hide && v.Effect == policy.Hide {
			said[key] = v
		}
	}
	if len(said) == 0 {
		return false
	}
	for i := range offers {
		o := &offers[i]
		for n, list := range [...]*[]json.RawMessage{&o.Tools, &o.Prompts, &o.Resources, &o.Templates} {
			k := offerKinds[n]
			*list = replaced(o, k.list, *list, k.name, func(name string) *policy.Verdict {
				return said[definitionKey{o.Upstream, k.kind, name}]
			})
		}
		if v := said[definitionKey{o.Upstream, policy.Instructions, ""}]; v != nil {
			o.Instructions = "" // of one that is hidden
			if v.Effect == policy.Change {
				o.Instructions = jsonrpc.Text(v.Raw, jsonrpc.Whole(v.Raw))
			}
		}
	}
	return true
}

// replaced is a list of an offer with what policies put in the place of its items;
// what they hide is noted in the offer.
func replaced(o *router.Offer, k router.Kind, items []json.RawMessage, member string, said func(name string) *policy.Verdict) []json.RawMessage {
	var own []json.RawMessage // a copy: the offer's is the inventory's
	for i, raw := range items {
		at, _ := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), member)
		name := jsonrpc.Text(raw, at)
		v := said(name)
		if v == nil {
			continue
		}
		// Another name would lead elsewhere than it says: that is hidden, too.
		same, _ := jsonrpc.Lookup(v.Raw, jsonrpc.Whole(v.Raw), member)
		if v.Effect == policy.Change && jsonrpc.Text(v.Raw, same) == name {
			if own == nil {
				own = slices.Clone(items)
			}
			own[i] = v.Raw
			continue
		}
		o.Withhold(k, name)
	}
	if own == nil {
		return items
	}
	return own
}

// definition is what the upstream says of what a request is about, nil for nothing.
func (x *exchange) definition(r *router.Route) *policy.Definition {
	all := x.view.definitions
	if all == nil {
		return nil
	}
	of := func(k policy.Kind) *policy.Definition { return all[definitionKey{r.Upstream, k, r.Target}] }
	switch x.method {
	case "tools/call":
		return of(policy.Tool)
	case "prompts/get":
		return of(policy.Prompt)
	case "resources/read", "resources/subscribe", "resources/unsubscribe", "subscriptions/listen":
		return of(policy.Resource)
	case "completion/complete":
		kind, _ := jsonrpc.Lookup(x.msg.Raw, x.msg.Ref, "type")
		if x.text(kind) == "ref/prompt" {
			return of(policy.Prompt)
		}
		if d := of(policy.Template); d != nil {
			return d
		}
		return of(policy.Resource)
	}
	return nil
}
