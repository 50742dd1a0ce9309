package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// takes makes a script whose tools/call takes d.
func takes(d time.Duration) script {
	return calls(func(ctx context.Context, _ int64, _ *upstream.Request) (json.RawMessage, error) {
		return nil, linktest.Sleep(ctx, d)
	})
}

func TestBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = takes(time.Second)
		c := command("a")
		c.Limits.InFlight, c.Limits.Queue = 2, 3
		b := begin(t, d, c)
		begun := time.Now()
		var mu sync.Mutex
		var took []time.Duration
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(begun))
			})
			synctest.Wait()
		}
		if s := b.up("a").Status(); s.InFlight != 2 || s.Queued != 3 {
			t.Errorf("%d in flight, %d queued", s.InFlight, s.Queued)
		}
		if e := b.refusal(tool("x")); e.Reason != "queue_full" || e.Executed != upstream.ExecutedNo {
			t.Errorf("%+v", e)
		}
		wg.Wait()
		if got, want := fmt.Sprint(took), "[1s 1s 2s 2s 3s]"; got != want {
			t.Errorf("took %s, want %s", got, want)
		}
		// The limits apply live, and every slot was given back.
		c.Limits.InFlight = 1
		if _, err := b.set.Apply([]upstream.Config{c}); err != nil {
			t.Fatal(err)
		}
		d.Server("a").Script(func(s *linktest.Server) { s.OnRequest = takes(6 * time.Second) })
		go b.up("a").Call(t.Context(), tool("x"))
		synctest.Wait()
		if e := b.refusal(tool("x")); e.Reason != "queue_timeout" {
			t.Errorf("%+v", e)
		}
		time.Sleep(10 * time.Second)
		if s := b.up("a").Status(); s.InFlight != 0 || s.Queued != 0 {
			t.Errorf("%d in flight, %d queued", s.InFlight, s.Queued)
		}
	})
}

// A call whose time is over while it waits is refused, and not sent to be cancelled.
func TestCallsDoNotOutlastTheirTimeInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = 3 * time.Second
		c := command("a")
		c.CallTimeout = 2 * time.Second
		b := begin(t, d, c)
		begun := time.Now()
		e := b.refusal(tool("x"))
		if e.Reason != "starting" || e.Executed != upstream.ExecutedNo || time.Since(begun) != 2*time.Second || !strings.Contains(e.Text, "after 2s") {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
		time.Sleep(2 * time.Second)
		if n := d.Server("a").Asked("tools/call"); n != 0 {
			t.Errorf("%d calls were sent", n)
		}
	})
}

func TestQueuedCallsDoNotReachAnOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.OnRequest = takes(time.Second)
		c := command("a")
		c.Limits.InFlight, c.Restart.Policy = 1, upstream.Never
		b := begin(t, d, c)
		go b.up("a").Call(t.Context(), tool("x"))
		synctest.Wait()
		refused := make(chan string)
		go func() { refused <- b.refusal(tool("x")).Reason }()
		synctest.Wait()
		begun := time.Now()
		s.Last().Lose()
		if r := <-refused; r != "error" || time.Since(begun) > 0 {
			t.Errorf("refused with %s after %v", r, time.Since(begun))
		}
		if n := s.Asked("tools/call"); n != 1 {
			t.Errorf("%d calls were sent", n)
		}
	})
}

func TestCallsWaitForAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").DialTime = 3 * time.Second
		b := begin(t, d, command("a"))
		if _, err := b.up("a").Call(t.Context(), tool("x")); err != nil {
			t.Error(err)
		}
		d.Server("a").Script(func(s *linktest.Server) { s.DialTime = time.Minute })
		go b.up("a").Restart(t.Context())
		synctest.Wait()
		begun := time.Now()
		if e := b.refusal(tool("x")); e.Reason != "starting" || time.Since(begun) != 5*time.Second {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
		go b.up("a").Stop(t.Context())
		synctest.Wait()
		begun = time.Now()
		if e := b.refusal(tool("x")); e.Reason != "stopped" || time.Since(begun) != 0 {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
	})
}

// asker asks its client something in the middle of each call, and takes what
// answer is sent.
func asker() script {
	return calls(func(ctx context.Context, _ int64, r *upstream.Request) (json.RawMessage, error) {
		answered := make(chan struct{}, 1)
		m, _ := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}`))
		r.Peer.Asked(&upstream.Question{Message: m, Gone: ctx.Done(), Answer: func(context.Context, []byte) error {
			answered <- struct{}{}
			return nil
		}})
		select {
		case <-answered:
		case <-ctx.Done():
		}
		return nil, nil
	})
}

// person is a Peer that answers after a while.
type person struct{ after time.Duration }

func (p *person) Notified(jsonrpc.Message) {}
func (p *person) Asked(q *upstream.Question) {
	go func() {
		_ = linktest.Sleep(context.Background(), p.after)
		_ = q.Answer(context.Background(), nil)
	}()
}

func TestAPersonTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = asker()
		c := command("a")
		c.Limits.InFlight = 1
		b := begin(t, d, c)
		x := tool("x")
		x.Request.Peer = &person{45 * time.Minute}
		over := make(chan error)
		go func() {
			_, err := b.up("a").Call(t.Context(), x)
			over <- err
		}()
		time.Sleep(time.Minute)
		if s := b.up("a").Status(); s.InFlight != 0 {
			t.Errorf("%d in flight while a person is waited for", s.InFlight)
		}
		y := tool("y")
		y.Request.Peer = &person{1}
		if _, err := b.up("a").Call(t.Context(), y); err != nil {
			t.Errorf("the slot was not free: %v", err)
		}
		if err := <-over; err != nil { // call_timeout is 10m
			t.Error(err)
		}
		if s := b.up("a").Status(); s.InFlight != 0 {
			t.Errorf("%d in flight", s.InFlight)
		}
	})
}

func TestScopedLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.DialTime = time.Second
		c := command("a")
		c.Limits.Processes = 2
		b := begin(t, d, c)
		time.Sleep(2 * time.Second)
		own := func(key string) *upstream.Call {
			x := tool("x")
			x.Scope = upstream.Scope{Key: key, Capabilities: json.RawMessage(`{"roots":{}}`), Exclusive: true}
			return x
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := b.up("a").Call(t.Context(), own("one")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(s.Dials()); n != 2 {
			t.Fatalf("%d dials, want one more", n)
		}
		shared, one := s.Links()[0], s.Links()[1]
		if string(shared.Dial.Capabilities) != `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}` || string(one.Dial.Capabilities) != `{"roots":{}}` {
			t.Errorf("declared %s and %s", shared.Dial.Capabilities, one.Dial.Capabilities)
		}
		one.Lose()
		b.want("a", upstream.Running) // of one session alone
		if _, err := b.up("a").Call(t.Context(), own("one")); err != nil {
			t.Error(err)
		}
		if _, err := b.up("a").Call(t.Context(), own("two")); err != nil {
			t.Error(err)
		}
		if e := b.refusal(own("three")); !strings.Contains(e.Text, "limits.processes") {
			t.Errorf("%+v", e)
		}
		b.up("a").Release("one")
		synctest.Wait()
		if s.Links()[2].Err() == nil {
			t.Error("the link of a session that is gone still lives")
		}
		if _, err := b.up("a").Call(t.Context(), own("three")); err != nil {
			t.Error(err)
		}
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, l := range s.Links() {
			if l.Err() == nil {
				t.Errorf("link %d survived the stop", i)
			}
		}
	})
}

// TestKilledInTheMiddle is F3: every call in flight is answered once, unknown,
// and the next calls work.
func TestKilledInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		var mu sync.Mutex
		ran := make(map[string]int)
		s.OnRequest = calls(func(ctx context.Context, _ int64, r *upstream.Request) (json.RawMessage, error) {
			mu.Lock()
			name := r.Message.Text(r.Message.Name)
			ran[name]++
			mu.Unlock()
			if err := linktest.Sleep(ctx, 50*time.Millisecond); err != nil {
				return nil, err
			}
			return json.RawMessage(`{"nonce":"` + name + `"}`), nil
		})
		c := command("a")
		c.Restart.Stable = 50 * time.Millisecond
		b := begin(t, d, c)
		lost, fine := 0, 0
		for round := range 200 {
			var wg sync.WaitGroup
			for i := range 50 {
				nonce := fmt.Sprintf("%d-%d", round, i)
				wg.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					m, err := b.up("a").Call(t.Context(), tool(nonce))
					mu.Lock()
					defer mu.Unlock()
					e, _ := err.(*upstream.CallError)
					switch {
					case err == nil && strings.Contains(string(m.Raw), `"`+nonce+`"`) && ran[nonce] == 1:
						fine++
					case e != nil && e.Executed == upstream.ExecutedUnknown && ran[nonce] == 1:
						lost++
					case e != nil && e.Executed == upstream.ExecutedNo && ran[nonce] == 0:
						t.Errorf("%s was refused: %v", nonce, e)
					default:
						t.Errorf("%s ran %d times: %v", nonce, ran[nonce], err)
					}
				})
			}
			time.Sleep(60 * time.Millisecond)
			s.Last().Lose()
			wg.Wait()
		}
		if fine+lost != 200*50 || lost == 0 || fine == 0 {
			t.Errorf("%d fine, %d lost", fine, lost)
		}
		time.Sleep(time.Millisecond)
		if n := len(s.Dials()); n != 201 {
			t.Errorf("%d starts", n)
		}
	})
}
