package gateway

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// dispatchModern serves what is not the same in each era, for a client of
// 2026-07-28.
func (g *Gateway) dispatchModern(ctx context.Context, x *exchange) (answer, outcome) {
	switch x.method {
	case "server/discover":
		return g.discover(x), outcome{}
	case "tasks/get", "tasks/update", "tasks/cancel":
		return g.task(ctx, x)
	}
	return g.vendor(ctx, x)
}

// removed are methods that some revision defines and the client's does not, or that
// a client never sends. They are nobody's extension. The tasks of 2025-11-25 are
// hidden from all.
func removed(method string) bool {
	switch method {
	case "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
		"tasks/list", "tasks/result", "tasks/get", "tasks/update", "tasks/cancel", "server/discover", "subscriptions/listen",
		"roots/list", "sampling/createMessage", "elicitation/create":
		return true
	}
	return strings.HasPrefix(method, "notifications/") || mimics(method)
}

// ours are the methods that are served here by their names, as plainest returns them.
var ours = func() map[string]bool {
	all := make(map[string]bool)
	for _, m := range []string{
		"tools/call", "tools/list", "prompts/get", "prompts/list", "resources/read", "resources/list", "resources/templates/list",
		"resources/subscribe", "resources/unsubscribe", "completion/complete", "logging/setLevel", "initialize", "ping",
		"server/discover", "subscriptions/listen", "tasks/get", "tasks/list", "tasks/result", "tasks/update", "tasks/cancel",
		"roots/list", "sampling/createMessage", "elicitation/create",
	} {
		all[plainest(m)] = true
	}
	return all
}()

// mimics reports whether a lenient server may take a method for one that is served
// here, such as Tools/Call: what holds for that one, a profile or a policy, would not
// hold for it.
func mimics(method string) bool {
	return strings.ContainsFunc(method, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || ours[plainest(method)]
}

// plainest is a method's letters and digits, in lower case.
func plainest(method string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, method)
}

// vendor relays a method that the gateway does not know, if it is clear whose it
// is.
func (g *Gateway) vendor(ctx context.Context, x *exchange) (answer, outcome) {
	if removed(x.method) {
		return x.noMethod(clipName(x.method) + " is none that a client of this revision sends; this endpoint speaks " + strings.Join(supportedVersions, ", "))
	}
	u, why := x.vendorOf()
	if u == nil {
		return x.noMethod(clipName(x.method) + ": " + why)
	}
	return g.forward(ctx, x, &router.Route{Upstream: u.Name(), Target: x.method, Exposed: x.method}, nil)
}

func (x *exchange) noMethod(text string) (answer, outcome) {
	return refused(errorOf(x.id(), jsonrpc.CodeMethodNotFound, "method not found: "+text, nil), jsonrpc.CodeMethodNotFound)
}

// vendorOf returns the one upstream that a method unknown to the gateway can be
// for, or why there is none: the only one in the client's view, else the only one
// with an extension that the method's name points to, else the only one with any. A
// server of an older revision is asked only if it declares that it extends it: many
// take a method that they do not know amiss.
func (x *exchange) vendorOf() (u *upstream.Upstream, why string) {
	all := x.inView()
	if len(all) == 1 && (all[0].Modern() || experiments(all[0])) {
		return all[0], ""
	}
	var extended, named []*upstream.Upstream
	for _, u := range all {
		any, points := false, false
		for name := range extensionsOf(u) {
			any, points = true, points || pointsTo(x.method, name)
		}
		if any {
			extended = append(extended, u)
		}
		if points {
			named = append(named, u)
		}
	}
	switch {
	case len(named) == 1:
		return named[0], ""
	case len(named) > 1:
		return nil, "several upstreams have that extension (" + names(named) + "): ask one alone, under " + x.view.cfg.Server.Path + "/u/<upstream>"
	case len(extended) == 1:
		return extended[0], ""
	case len(extended) > 1:
		return nil, "it does not say which upstream it is for (extensions: " + names(extended) + "): ask one alone, under " + x.view.cfg.Server.Path + "/u/<upstream>"
	}
	return nil, "no upstream declares an extension"
}

// experiments reports whether an upstream declares anything beyond the protocol.
func experiments(u *upstream.Upstream) bool {
	for range extensionsOf(u) {
		return true
	}
	inv := u.Inventory()
	if inv == nil {
		return false
	}
	at, ok := jsonrpc.Lookup(inv.Capabilities, jsonrpc.Whole(inv.Capabilities), "experimental")
	return ok && !jsonrpc.EmptyObject(inv.Capabilities, at)
}

// pointsTo reports whether a method's name begins as an extension's identifier
// does, or as its last part does: tasks/get and io.modelcontextprotocol/tasks.
func pointsTo(method, extension string) bool {
	prefix, _, _ := strings.Cut(method, "/")
	last := extension[strings.LastIndexByte(extension, '/')+1:]
	vendor, _, _ := strings.Cut(extension, "/")
	return strings.HasPrefix(method, extension+"/") || prefix == last || prefix == vendor
}

// inView returns the upstreams that the client can reach.
func (x *exchange) inView() []*upstream.Upstream {
	if x.catalog == x.view.catalog {
		return x.view.order
	}
	var seen []*upstream.Upstream
	for _, u := range x.view.order {
		if x.catalog.Sees(u.Name()) {
			seen = append(seen, u)
		}
	}
	return seen
}

func names(all []*upstream.Upstream) string {
	each := make([]string, len(all))
	for i, u := range all {
		each[i] = u.Name()
	}
	return strings.Join(slices.Compact(each), ", ")
}

// extensionsOf yields the extensions that an upstream declares, and the settings
// of each.
func extensionsOf(u *upstream.Upstream) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		inv := u.Inventory()
		if inv == nil {
			return
		}
		at, ok := jsonrpc.Lookup(inv.Capabilities, jsonrpc.Whole(inv.Capabilities), "extensions")
		if !ok {
			return
		}
		for name, value := range jsonrpc.Members(inv.Capabilities, at) {
			if !yield(name, value.Of(inv.Capabilities)) {
				return
			}
		}
	}
}
