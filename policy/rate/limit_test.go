package rate

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Per: []string{"principal", "tool"}, Rate: "60/m", Burst: 3}}})
		for range 3 {
			pass(t, p, call("a", "u", "x"))
		}
		d := refuse(t, p, call("a", "u", "x"))
		if d.RetryAfter != time.Second || d.Reason != "the limit of 60/m calls per principal and tool is used up" {
			t.Errorf("refused with %q, come back in %s", d.Reason, d.RetryAfter)
		}
		pass(t, p, call("a", "u", "y")) // another tool
		pass(t, p, call("a", "v", "x")) // the tool of that name elsewhere
		pass(t, p, call("b", "u", "x")) // somebody else
		time.Sleep(d.RetryAfter - time.Millisecond)
		refuse(t, p, call("a", "u", "x"))
		time.Sleep(time.Millisecond)
		pass(t, p, call("a", "u", "x"))
		refuse(t, p, call("a", "u", "x"))
	})
}

func TestLimitOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Rate: "1/h", Config: narrow.Config{Upstreams: []string{"u"}}}}})
		pass(t, p, call("a", "u", "x"))
		refuse(t, p, call("b", "u", "y"))
		pass(t, p, call("b", "v", "y"))
		end := call("b", "u", "y")
		end.Method = "resources/unsubscribe"
		pass(t, p, end)
	})
}

// The first of two limits keeps its token for a call that the second refuses.
func TestRefusalTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{
			{Rate: "1/h", Burst: 2},
			{Per: []string{"tool"}, Rate: "1/h"},
		}})
		pass(t, p, call("a", "u", "x"))
		for range 5 {
			refuse(t, p, call("a", "u", "x"))
		}
		pass(t, p, call("a", "u", "y"))
	})
}

func TestAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Per: []string{"principal"}, Rate: "1/h"}}})
		in := func(session string) *policy.Call {
			c := call("", "u", "x")
			c.Session = session
			return c
		}
		pass(t, p, in("s1"))
		refuse(t, p, in("s1"))
		pass(t, p, in("s2"))
		pass(t, p, in(""))
		refuse(t, p, in(""))
		known := call("a", "u", "x") // one is counted once, whatever its sessions
		known.Session = "s1"
		pass(t, p, known)
		again := call("a", "u", "x")
		again.Session = "s2"
		refuse(t, p, again)
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Rate: "1/s", Wait: 2 * time.Second}}})
		began := time.Now()
		took := make(chan time.Duration, 3)
		for range 3 {
			go func() {
				pass(t, p, call("a", "u", "x"))
				took <- time.Since(began)
			}()
			synctest.Wait()
		}
		if d := refuse(t, p, call("a", "u", "x")); d.RetryAfter != 3*time.Second {
			t.Errorf("come back in %s", d.RetryAfter)
		}
		for i := range 3 {
			if got := <-took; got != time.Duration(i)*time.Second {
				t.Errorf("call %d waited %s", i, got)
			}
		}
	})
}

// A call that ends while it waits gives back what it had reserved.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Rate: "1/s", Wait: 2 * time.Second}}})
		pass(t, p, call("a", "u", "x"))
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("gone")
		done := make(chan error)
		go func() { done <- p.Before(ctx, call("a", "u", "x")) }()
		synctest.Wait()
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("ended with %v", err)
		}
		began := time.Now()
		pass(t, p, call("a", "u", "x"))
		if took := time.Since(began); took != time.Second {
			t.Errorf("the next one waited %s", took)
		}
	})
}

// Nobody grows what is remembered beyond its bound, and what is as good as new is
// dropped before what is not.
func TestBucketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Per: []string{"principal"}, Rate: "1/s"}}})
		l := p.limits[0]
		for i := range maxBuckets + 100 {
			pass(t, p, call(strconv.Itoa(i), "u", "x"))
		}
		if len(l.buckets) != maxBuckets || l.idle.Len() != maxBuckets {
			t.Fatalf("%d buckets, %d in order", len(l.buckets), l.idle.Len())
		}
		refuse(t, p, call(strconv.Itoa(maxBuckets+99), "u", "x")) // the last is still known
		time.Sleep(time.Second)                                   // all are full again
		for i := range maxBuckets {
			pass(t, p, call("new"+strconv.Itoa(i), "u", "x"))
		}
		for i := range maxBuckets { // of those that came now none had to go
			if refused(t, p.Before(t.Context(), call("new"+strconv.Itoa(i), "u", "x"))) == nil {
				t.Fatalf("bucket %d is gone, and is not full", i)
			}
		}
		time.Sleep(time.Second)
		for range 2 * maxBuckets {
			refused(t, p.Before(t.Context(), call("one", "u", "x")))
		}
		for i := range maxBuckets {
			time.Sleep(time.Second)
			pass(t, p, call("slow"+strconv.Itoa(i), "u", "x"))
		}
		if len(l.buckets) > 2 {
			t.Errorf("%d buckets for one who called within a second", len(l.buckets))
		}
	})
}

// Who keeps calling is not forgotten for others that come.
func TestBucketInUseStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Per: []string{"principal"}, Rate: "1/d"}}})
		pass(t, p, call("busy", "u", "x"))
		for i := range maxBuckets + 10 {
			refuse(t, p, call("busy", "u", "x"))
			pass(t, p, call(strconv.Itoa(i), "u", "x"))
		}
	})
}

func TestResourcesShareABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Limits: []Limit{{Per: []string{"tool"}, Rate: "1/h"}}})
		read := func(uri string) *policy.Call {
			c := call("a", "u", uri)
			c.Method = "resources/read"
			return c
		}
		pass(t, p, read("file:///a"))
		refuse(t, p, read("file:///b"))
	})
}
