package upstream

import (
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// filter is what a listen stream is asked for, or what the server agreed to.
type filter struct {
	tools, prompts, resources bool     // changes of these lists
	uris                      []string // sorted; not changed once here
}

func (f filter) empty() bool { return !f.tools && !f.prompts && !f.resources && len(f.uris) == 0 }

func (f filter) equal(g filter) bool {
	return f.tools == g.tools && f.prompts == g.prompts && f.resources == g.resources && slices.Equal(f.uris, g.uris)
}

// params makes the params of the request to listen.
func (f filter) params() []byte {
	b := []byte(`{"notifications":{`)
	comma := func() {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
	}
	for _, x := range []struct {
		name string
		on   bool
	}{{"toolsListChanged", f.tools}, {"promptsListChanged", f.prompts}, {"resourcesListChanged", f.resources}} {
		if x.on {
			comma()
			b = append(append(append(b, '"'), x.name...), `":true`...)
		}
	}
	if len(f.uris) > 0 {
		comma()
		b = append(b, `"resourceSubscriptions":[`...)
		for i, uri := range f.uris {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsonrpc.AppendString(b, uri)
		}
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// agreedTo reads the filter in an acknowledgement.
func agreedTo(m jsonrpc.Message) filter {
	var f filter
	at, _ := jsonrpc.Lookup(m.Raw, m.Params, "notifications")
	for key, v := range jsonrpc.Members(m.Raw, at) {
		on := string(v.Of(m.Raw)) == "true"
		switch key {
		case "toolsListChanged":
			f.tools = on
		case "promptsListChanged":
			f.prompts = on
		case "resourcesListChanged":
			f.resources = on
		case "resourceSubscriptions":
			for s := range jsonrpc.Elements(m.Raw, v) {
				f.uris = append(f.uris, jsonrpc.Text(m.Raw, s))
			}
		}
	}
	return f
}
