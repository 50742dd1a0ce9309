package validate

import (
	"container/list"
	"sync"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/validate/schema"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxSchemas is how many compiled schemas are kept. One takes about twenty times
// its text.
const maxSchemas = 4096

// cache keeps compiled schemas, those that were used last.
type cache struct {
	mu   sync.Mutex                 // guards both below; nothing is compiled under it
	all  map[cacheKey]*list.Element // of *entry
	used list.List                  // the one that was used last comes first
}

// cacheKey names a schema: the hash of its definition, and its member.
type cacheKey struct{ hash, member string }

// entry is a schema that is compiled by whoever needs it first, while others who
// need the same wait.
type entry struct {
	key      cacheKey
	once     sync.Once
	compiled *schema.Schema // nil if there is none
	err      error
}

// schema returns the schema under a member of the definition, nil if it has none.
// first tells whether it was compiled for this call.
func (c *cache) schema(d *policy.Definition, member string) (s *schema.Schema, first bool, err error) {
	e := c.entry(cacheKey{d.Hash(), member})
	e.once.Do(func() {
		first = true
		if at, ok := jsonrpc.Lookup(d.Raw, jsonrpc.Whole(d.Raw), member); ok {
			e.compiled, e.err = schema.Compile(at.Of(d.Raw))
		}
	})
	return e.compiled, first, e.err
}

func (c *cache) entry(key cacheKey) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.all[key]; el != nil {
		c.used.MoveToFront(el)
		return el.Value.(*entry)
	}
	if c.all == nil {
		c.all = make(map[cacheKey]*list.Element)
	}
	if len(c.all) >= maxSchemas {
		delete(c.all, c.used.Remove(c.used.Back()).(*entry).key)
	}
	e := &entry{key: key}
	c.all[key] = c.used.PushFront(e)
	return e
}
