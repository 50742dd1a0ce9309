package gateway

import (
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
)

// view is everything one request needs. It never changes once published; the
// publisher replaces it whole.
type view struct {
	cfg     *config.Config
	catalog *router.Catalog
	rules   *generation
	// definitions are what upstreams offer, nil where nobody asks for them; verdicts
	// are what policies say of them.
	definitions definitions
	verdicts    []policy.Verdict
	upstreams   map[string]*upstream.Upstream
	order       []*upstream.Upstream
	meters      *meterTable   // filled as routes are called
	names       *wholeNames   // filled when somebody's scopes are looked at
	ready       chan struct{} // closed when no upstream is left that never listed and still may
	// serverInfo is what the gateway says that it is, as JSON.
	serverInfo []byte
}

// listKind is a list whose change clients are told of.
type listKind uint8

const (
	listTools listKind = 1 << iota
	listPrompts
	listResources
)

// listSet is a set of listKinds.
type listSet = listKind

// changed returns the lists that differ between two catalogs.
func changed(before, after *router.Catalog) listSet {
	var set listSet
	for _, k := range []struct {
		kind router.Kind
		list listKind
	}{
		{router.Tools, listTools},
		{router.Prompts, listPrompts},
		{router.Resources, listResources},
		{router.Templates, listResources},
	} {
		if before == nil || after == nil || before.Digest(k.kind) != after.Digest(k.kind) {
			set |= k.list
		}
	}
	return set
}

// listChanged are the notifications of MCP for each list.
var listChanged = []struct {
	list   listKind
	method string
	filter string // by which clients of 2026-07-28 ask for it
	raw    []byte
}{
	{listTools, "notifications/tools/list_changed", "toolsListChanged", []byte(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)},
	{listPrompts, "notifications/prompts/list_changed", "promptsListChanged", []byte(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`)},
	{listResources, "notifications/resources/list_changed", "resourcesListChanged", []byte(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)},
}
