package rate

import (
	"container/list"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// maxBuckets is how many buckets a limit has at most, of about 250 bytes each. The
// one that was idle longest goes first.
const maxBuckets = 10_000

// limit is how often calls may be made.
type limit struct {
	scope                     narrow.Scope
	principal, upstream, tool bool // what it is per
	rate                      rate.Limit
	burst                     int
	wait                      time.Duration
	reason                    string

	mu      sync.Mutex                  // guards both below
	buckets map[bucketKey]*list.Element // of *bucket
	idle    list.List                   // the one that was used last comes first
}

// bucketKey is whose a bucket is; what it is not per is "".
type bucketKey struct{ who, upstream, tool string }

type bucket struct {
	key     bucketKey
	limiter *rate.Limiter
}

func newLimit(c *Limit) *limit {
	perSecond, _ := parseRate(c.Rate)
	l := &limit{
		scope: narrow.New(c.Config), rate: rate.Limit(perSecond), burst: c.Burst, wait: c.Wait,
		principal: slices.Contains(c.Per, byPrincipal), upstream: slices.Contains(c.Per, byUpstream), tool: slices.Contains(c.Per, byTool),
		buckets: make(map[bucketKey]*list.Element),
		reason:  "the limit of " + c.Rate + " calls is used up",
	}
	if l.burst == 0 {
		l.burst = int(max(1, math.Ceil(perSecond)))
	}
	if len(c.Per) > 0 {
		l.reason = "the limit of " + c.Rate + " calls per " + strings.Join(c.Per, " and ") + " is used up"
	}
	return l
}

// key is whose bucket a call takes a token from.
func (l *limit) key(c *policy.Call) bucketKey {
	var k bucketKey
	if l.principal {
		k.who = who(c)
	}
	if l.upstream || l.tool {
		k.upstream = c.Upstream
	}
	if l.tool {
		switch c.Method {
		case "tools/call", "prompts/get":
			k.tool = c.Method + " " + c.Target
		default: // anybody can make up URIs
			k.tool = c.Method
		}
	}
	return k
}

// bucket returns the bucket of that key, full if it is new.
func (l *limit) bucket(key bucketKey, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.buckets[key]; e != nil {
		l.idle.MoveToFront(e)
		return e.Value.(*bucket).limiter
	}
	// A full bucket is as good as a new one. Two for one that comes: so they go
	// faster than they come.
	for range 2 {
		last := l.idle.Back()
		if last == nil || len(l.buckets) < maxBuckets && last.Value.(*bucket).limiter.TokensAt(now) < float64(l.burst) {
			break
		}
		delete(l.buckets, l.idle.Remove(last).(*bucket).key)
	}
	b := &bucket{key, rate.NewLimiter(l.rate, l.burst)}
	l.buckets[key] = l.idle.PushFront(b)
	return b.limiter
}
