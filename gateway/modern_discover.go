package gateway

import (
	"encoding/json"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// discover answers server/discover from memory (2026-07-28 server/discover).
func (g *Gateway) discover(x *exchange) answer {
	b := append([]byte(nil), `"supportedVersions":`...)
	b = append(b, supportedJSON...)
	b = append(b, `,"capabilities":{"completions":{},"logging":{},"prompts":{"listChanged":true},`+
		`"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}`...)
	b = append(x.appendExtensions(b), "},"...)
	b = appendCaching(b, x.catalog.Caching())
	b = b[:len(b)-1]
	if text := x.catalog.Instructions(); text != "" {
		b = jsonrpc.AppendString(append(b, `,"instructions":`...), text)
	}
	return x.madeHere(b)
}

var supportedJSON = func() []byte {
	b, err := json.Marshal(supportedVersions)
	if err != nil { // strings always marshal
		panic(err)
	}
	return b
}()

// appendExtensions appends the capability of what the upstreams extend the
// protocol with. Of two that settle an extension differently the first in the
// file speaks.
func (x *exchange) appendExtensions(b []byte) []byte {
	seen := make(map[string]bool)
	for _, u := range x.inView() {
		for name, value := range extensionsOf(u) {
			if seen[name] {
				continue
			}
			if len(seen) == 0 {
				b = append(b, `,"extensions":{`...)
			} else {
				b = append(b, ',')
			}
			seen[name] = true
			b = append(append(jsonrpc.AppendString(b, name), ':'), value...)
		}
	}
	if len(seen) > 0 {
		b = append(b, '}')
	}
	return b
}
