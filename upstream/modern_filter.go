package upstream

import (
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// ListenFilter is what a listen stream is asked for, or what the server agreed to
// (2026-07-28 basic/patterns/subscriptions).
type ListenFilter struct {
	Tools, Prompts, Resources bool     // changes of these lists
	URIs                      []string // in the filters of links sorted, and not changed once here
}

func (f ListenFilter) empty() bool {
	return !f.Tools && !f.Prompts && !f.Resources && len(f.URIs) == 0
}

func (f ListenFilter) equal(g ListenFilter) bool {
	return f.Tools == g.Tools && f.Prompts == g.Prompts && f.Resources == g.Resources && slices.Equal(f.URIs, g.URIs)
}

// Append appends f as the member "notifications" of params.
func (f ListenFilter) Append(b []byte) []byte {
	b = append(b, `"notifications":{`...)
	comma := func() {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
	}
	for _, x := range []struct {
		name string
		on   bool
	}{{"toolsListChanged", f.Tools}, {"promptsListChanged", f.Prompts}, {"resourcesListChanged", f.Resources}} {
		if x.on {
			comma()
			b = append(append(append(b, '"'), x.name...), `":true`...)
		}
	}
	if len(f.URIs) > 0 {
		comma()
		b = append(b, `"resourceSubscriptions":[`...)
		for i, uri := range f.URIs {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsonrpc.AppendString(b, uri)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// params makes the params of the request to listen.
func (f ListenFilter) params() []byte { return append(f.Append([]byte{'{'}), '}') }

// agreedTo reads the filter in an acknowledgement.
func agreedTo(m jsonrpc.Message) ListenFilter {
	var f ListenFilter
	at, _ := jsonrpc.Lookup(m.Raw, m.Params, "notifications")
	for key, v := range jsonrpc.Members(m.Raw, at) {
		on := string(v.Of(m.Raw)) == "true"
		switch key {
		case "toolsListChanged":
			f.Tools = on
		case "promptsListChanged":
			f.Prompts = on
		case "resourcesListChanged":
			f.Resources = on
		case "resourceSubscriptions":
			for s := range jsonrpc.Elements(m.Raw, v) {
				f.URIs = append(f.URIs, jsonrpc.Text(m.Raw, s))
			}
		}
	}
	return f
}
