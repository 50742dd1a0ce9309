package gateway

import (
	"strconv"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// However many principals are in trouble, what is remembered of them is bounded; the
// gateway's own accounts stay, and an upstream that is gone is forgotten.
func TestTroublesBounded(t *testing.T) {
	var tr troubles
	own := oauth.Event{Key: oauth.Key{Upstream: "up"}, Kind: oauth.Needed}
	tr.news(&own)
	for i := range 3 * maxTroubles {
		e := oauth.Event{Key: oauth.Key{Upstream: "up", Principal: strconv.Itoa(i)}, Kind: oauth.Failed}
		if fresh, _ := tr.news(&e); !fresh {
			t.Fatal("what happened for the first time is no news")
		}
		if again, _ := tr.news(&e); again {
			t.Fatal("what was told just now is news")
		}
		if n := len(tr.known); n > maxTroubles {
			t.Fatalf("%d are remembered", n)
		}
	}
	if fresh, _ := tr.news(&own); fresh {
		t.Error("the gateway's own was forgotten")
	}
	tr.retain(func(name string) bool { return name == "up" })
	if len(tr.known) == 0 {
		t.Error("those of an upstream that stays are forgotten")
	}
	tr.retain(func(name string) bool { return name != "up" })
	if len(tr.known) != 0 {
		t.Errorf("%d are remembered of an upstream that is gone", len(tr.known))
	}
}
