package access

import (
	"sync"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// hints are a tool's annotations (ToolAnnotations in MCP's schema). What is not
// said, or is of the wrong type, has the value that MCP gives it, which is the
// cautious one.
type hints struct {
	title                                        string
	readOnly, destructive, idempotent, openWorld bool
	set                                          uint8 // a bit for each that was said
}

const (
	titleSaid = 1 << iota
	readOnlySaid
	destructiveSaid
	idempotentSaid
	openWorldSaid
)

// unhinted are those of a tool that says nothing, or is not believed.
var unhinted = &hints{destructive: true, openWorld: true}

func newHints(definition []byte) *hints {
	h := *unhinted
	whole := jsonrpc.Between(0, len(definition))
	at, ok := jsonrpc.Lookup(definition, whole, "annotations")
	if !ok {
		return unhinted
	}
	flag := func(at jsonrpc.Span, into *bool, said uint8) {
		switch string(at.Of(definition)) {
		case "true":
			*into, h.set = true, h.set|said
		case "false":
			*into, h.set = false, h.set|said
		}
	}
	for key, at := range jsonrpc.Members(definition, at) {
		switch key {
		case "title":
			if definition[at.Start] == '"' {
				h.title, h.set = jsonrpc.Text(definition, at), h.set|titleSaid
			}
		case "readOnlyHint":
			flag(at, &h.readOnly, readOnlySaid)
		case "destructiveHint":
			flag(at, &h.destructive, destructiveSaid)
		case "idempotentHint":
			flag(at, &h.idempotent, idempotentSaid)
		case "openWorldHint":
			flag(at, &h.openWorld, openWorldSaid)
		}
	}
	return &h
}

// hintCache remembers what was read of definitions, which do not change. It forgets
// all when it has grown, since definitions that are offered no more stay in it.
type hintCache struct {
	known sync.Map // *policy.Definition to *hints
	size  atomic.Int64
}

const maxHints = 16_384

func (c *hintCache) of(d *policy.Definition) *hints {
	if h, ok := c.known.Load(d); ok {
		return h.(*hints)
	}
	h := newHints(d.Raw)
	if c.size.Add(1) > maxHints {
		c.known.Clear()
		c.size.Store(1)
	}
	c.known.Store(d, h)
	return h
}
