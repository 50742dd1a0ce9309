package identity

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxCached is how many tokens are remembered.
const maxCached = 4096

// cache remembers tokens that were verified, by their hash, so that a signature is
// checked once. A token is forgotten with the keys that it was verified with.
type cache struct {
	mu   sync.RWMutex // guards seen
	seen map[[sha256.Size]byte]*verified
}

// get returns a token that is still good, nil for none.
func (c *cache) get(hash [sha256.Size]byte, now time.Time) *verified {
	c.mu.RLock()
	v := c.seen[hash]
	c.mu.RUnlock()
	if v == nil || !v.good(now) {
		return nil
	}
	return v
}

func (c *cache) put(hash [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= maxCached {
		c.makeRoom(time.Now())
	}
	if c.seen == nil {
		c.seen = make(map[[sha256.Size]byte]*verified)
	}
	c.seen[hash] = v
}

// makeRoom drops what is no longer good and, if that is little, some of the rest,
// whichever.
func (c *cache) makeRoom(now time.Time) {
	for hash, v := range c.seen {
		if !v.good(now) {
			delete(c.seen, hash)
		}
	}
	for hash := range c.seen {
		if len(c.seen) <= maxCached-maxCached/8 {
			return
		}
		delete(c.seen, hash)
	}
}
