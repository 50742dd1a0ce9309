package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// P7: lists wait once, list_wait long, for a server that was never listed. One
// that hangs in its handshake once held them up again at each of its restarts.
func TestListsWaitOnceForAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a", "hang")
		cfg.Upstreams[1].StartTimeout = 10 * time.Second
		d := dialer("echo")
		d.Server("hang").Script(func(s *linktest.Server) {
			s.OnDial = func(ctx context.Context, _ int, _ *upstream.Dial) error {
				<-ctx.Done()
				return &upstream.StartError{Stage: "handshake", Err: errors.New("no answer")}
			}
		})
		r := start(t, cfg, d)
		begun := time.Now()
		c := r.connect(`{}`)
		for i := 0; time.Since(begun) < 3*time.Minute; i++ {
			asked := time.Now()
			got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			took := time.Since(asked)
			if i == 0 && took != cfg.Server.ListWait {
				t.Errorf("the first list took %v, want list_wait", took)
			}
			if i > 0 && took > 0 {
				t.Errorf("%v after the start a list took %v", asked.Sub(begun), took)
			}
			if !strings.Contains(got.body, "a__echo") {
				t.Errorf("listed %s", got.body)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if n := len(d.Server("hang").Dials()); n < 3 {
			t.Errorf("it was started %d times only", n)
		}
	})
}

// A list that took its view a moment before the last upstream had listed shows
// that one all the same: about one start in a hundred once gave a list without.
func TestListShowsWhatMadeItReady(t *testing.T) {
	r := echoing(t, "a")
	s := operator("")
	m := serverMessage(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	x := r.exchange(s, m, s.home, visitor{}, func(error) {})
	before := *x.view
	before.catalog = emptyCatalog
	x.view, x.catalog = &before, emptyCatalog
	if got := string(r.serve(t.Context(), x).bytes()); !strings.Contains(got, "a__echo") {
		t.Errorf("listed %s", got)
	}
}
