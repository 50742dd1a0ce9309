package bridge

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	call  = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}`
	call2 = `{"jsonrpc":"2.0","id":"é\u0041","method":"tools/call","params":{"name":"y"}}`
	list  = `{"jsonrpc":"2.0","id":8,"method":"tools/list"}`
	read  = `{"jsonrpc":"2.0","id":9,"method":"prompts/get","params":{"name":"p"}}`
)

func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		for _, line := range []string{
			`{"x-unknown":[1.0,2e3],"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"é":"\u00e9"}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}`,
			`no message at all`,
			`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		} {
			r.say(line)
			if got := g.hear(); got != line {
				t.Errorf("carried %s as %s", line, got)
			}
		}
		for _, line := range []string{
			`{"id":12345678901234567890,"jsonrpc":"2.0","result":{"n":1e400, "x":"\ud800"}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`,
			`{"jsonrpc":"2.0","id":"unasked","result":{}}`,
			`neither`,
		} {
			g.say(line)
			if got := r.hear(); got != line {
				t.Errorf("carried %s as %s", line, got)
			}
		}
		r.say(`{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"x":"` + strings.Repeat("y", 20_000) + `"}}`)
		r.hear(`"id":"long","error":{"code":-32600`)
	})
}

// A gateway that is killed takes the calls with it that it had; all else goes on
// with the next one.
func TestGatewayKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		for _, line := range []string{call, list, read} {
			r.say(line)
			g.hear(line)
		}
		g.die()
		r.hear(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":`, `UNKNOWN`, `"isError":true`, `"_meta":{"interlock/error":{"source":"gateway","reason":"restarted","executed":"unknown"}}`)
		d := <-r.dials // the bridge is without a gateway
		r.say(call2)
		r.say(`{"jsonrpc":"2.0","id":"dropped","method":"tools/call","params":{"name":"z"}}`)
		r.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"dropped"}}`)
		synctest.Wait()
		go func() { r.dials <- d }()
		g = r.again()
		g.hear(list)
		g.hear(read)
		g.hear(call2)
		g.say(`{"jsonrpc":"2.0","id":"é\u0041","result":{"ok":1}}`)
		r.hear(`"ok":1`)
		g.say(`{"jsonrpc":"2.0","id":8,"result":{"tools":[]}}`)
		r.hear(`"tools"`)
		g.die() // what was sent twice is not sent a third time
		r.hear(`"id":9,"error":{"code":-33002`, `"executed":"unknown"`)
		r.again()
	})
}

// What a gateway had not begun to read certainly did not run: the next one gets
// it.
func TestNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		r.say(call) // of which nobody reads the first byte
		synctest.Wait()
		g.die()
		g = r.again()
		g.hear(call)
		for _, line := range []string{call2, list, strings.Replace(call, "7", "70", 1)} {
			r.say(line)
		}
		synctest.Wait()
		// All of the first, a part of the second.
		if _, err := io.ReadFull(g.conn, make([]byte, len(call2)+1+5)); err != nil {
			t.Fatal(err)
		}
		g.die()
		r.hear(`"id":7,`, "UNKNOWN")
		r.hear(`é\u0041`, "UNKNOWN")
		g = r.again()
		g.hear(list)
		g.hear(`"id":70,`)
	})
}

// What is cancelled before the gateway could read it never comes to it.
func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		r.say(list) // which nobody reads yet
		synctest.Wait()
		r.say(call)
		r.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
		r.say(call2)
		synctest.Wait()
		g.hear(list)
		if got := g.hear(); got != call2 {
			t.Errorf("the gateway hears %s", got)
		}
	})
}

// What one gateway knew of the client, the next one is told.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		for _, x := range []struct{ ask, answer string }{
			{`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`, `"result":{}`},
			{`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:b"}}`, `"result":{}`},
			{`{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"gone:by"}}`, `"result":{}`},
			{`{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"re:fused"}}`, `"error":{"code":-32602,"message":"no"}`},
			{`{"jsonrpc":"2.0","id":5,"method":"resources/unsubscribe","params":{"uri":"gone:by"}}`, `"result":{}`},
			{`{"jsonrpc":"2.0","id":6,"method":"resources/subscribe","params":{"uri":"a:b"}}`, `"result":{}`},
		} {
			r.say(x.ask)
			g.hear(x.ask)
			g.say(x.ask[:len(`{"jsonrpc":"2.0","id":1,`)] + x.answer + "}")
			r.hear(x.answer)
		}
		for range 2 { // the second time as the first
			g.die()
			g = r.again()
			level := r.ownID(g.hear(`"method":"logging/setLevel","params":{"level":"error"}`))
			sub := r.ownID(g.hear(`"method":"resources/subscribe","params":{"uri":"a:b"}`))
			r.hear(`"notifications/resources/updated","params":{"uri":"a:b"}`)
			for _, id := range []string{level, sub} {
				g.say(`{"jsonrpc":"2.0","id":` + id + `,"result":{}}`)
			}
			r.say(list)
			if got := g.hear(); got != list { // and nothing else
				t.Errorf("the gateway heard %s", got)
			}
			g.say(`{"jsonrpc":"2.0","id":8,"result":{"tools":[]}}`)
			r.hear(`"tools"`)
		}
	})
}

// A gateway that will not have the session back is left, and tried again later.
func TestReplayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		g.die()
		g = r.accept()
		id := r.ownID(g.hear(`"initialize"`))
		g.hear(initialized)
		g.say(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-33001,"message":"too many sessions"}}`)
		for range 3 {
			r.hear("list_changed")
		}
		began := time.Now()
		r.again()
		if got := time.Since(began); got < firstPause {
			t.Errorf("tried again after %v", got)
		}
	})
}

// A gateway that drains says which requests the next one is to have.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		r.say(call)
		g.hear(call)
		r.say(call2)
		g.hear(call2)
		g.say(`{"jsonrpc":"2.0","method":"notifications/interlock/refused","params":{"requestId":"é\u0041"}}`)
		g.say(`{"jsonrpc":"2.0","id":7,"result":{"in":"time"}}`)
		r.hear(`"in":"time"`)
		g.die()
		g = r.again()
		g.hear(call2)
	})
}

// Questions of a gateway that is gone are taken back, and answered to nobody.
func TestQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		answer := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept"}}` }
		g.say(`{"jsonrpc":"2.0","id":41,"method":"elicitation/create","params":{}}`)
		r.hear("elicitation")
		r.say(answer("41"))
		g.hear(answer("41"))
		g.say(`{"jsonrpc":"2.0","id":42,"method":"elicitation/create","params":{}}`)
		r.hear("elicitation")
		g.die()
		r.hear(`"notifications/cancelled","params":{"requestId":42`)
		g = r.again()
		r.say(answer("42"))
		r.say(list)
		g.hear(list)
	})
}

// An open subscription of 2026-07-28 goes on with the next gateway, under its own
// id, and the client hears what it may have missed.
func TestSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bridgeUp(t)
		g := r.accept()
		const listen = `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"notifications":{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a:b"]}}}`
		const ack = `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"l"},"notifications":{}}}`
		r.say(listen)
		g.hear(listen)
		g.say(ack)
		r.hear(ack)
		for range 2 {
			g.die()
			r.refuse("it is slow to come back")
			g = r.accept()
			r.hear(`"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}`)
			r.hear(`"notifications/resources/updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"l"},"uri":"a:b"}`)
			if got := g.hear(); got != listen {
				t.Errorf("the gateway hears %s", got)
			}
			g.say(ack) // which the client has already
		}
		const modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"name":"x"}}`
		r.say(modernCall)
		g.hear(modernCall)
		r.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"l"}}`)
		g.hear("cancelled")
		g.die()
		r.hear(`"isError":true,"resultType":"complete"`)
		g = r.accept()
		r.say(list)
		g.hear(list) // and no subscription
	})
}

// While no gateway can be had, requests are answered at once, and the next one
// makes another attempt.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := greeted(t)
		r.say(call)
		g.hear(call)
		r.say(list)
		g.hear(list)
		g.die()
		r.hear(`"id":7`, "UNKNOWN")
		r.refuse("interlock.yaml:3:1: unknown key")
		r.hear(`"id":8,"error":{"code":-33002`) // it was sent once
		for range 12 {
			r.refuse("still broken")
		}
		began := time.Now()
		d := <-r.dials
		if got := time.Since(began); got != longPause {
			t.Errorf("a silent client's bridge tries again after %v, want %v", got, longPause)
		}
		d.err <- errors.New("still broken")
		synctest.Wait()
		began = time.Now()
		r.say(call2)
		r.refuse("broken: why")
		if got := time.Since(began); got > wanted {
			t.Errorf("a request waits %v for an attempt", got)
		}
		r.hear(`é\u0041`, `NOT executed`, `broken: why`, `"reason":"unreachable","executed":"no"`)
		r.say(`not JSON`)
		r.hear(`"code":-32700`)
		r.again()
	})
}

// A bridge that finds no gateway at first tells the client why.
func TestNoGateway(t *testing.T) {
	t.Run("a handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bridgeUp(t)
			d := <-r.dials
			r.say(handshake)
			r.say(`{"jsonrpc":"2.0","id":"d","method":"server/discover"}`)
			synctest.Wait()
			began := time.Now()
			d.err <- errors.New("bad config")
			r.hear(`{"jsonrpc":"2.0","id":0,"error":{"code":-33001,"message":"no gateway could be reached: bad config`)
			r.hear(`"id":"d","error"`)
			if err := <-r.done; err == nil || err.Error() != "bad config" || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("a handshake that comes late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bridgeUp(t)
			r.refuse("bad config")
			time.Sleep(5 * time.Second)
			r.say(handshake)
			r.hear(`"id":0,"error"`, "bad config")
			if err := <-r.done; err == nil || err.Error() != "bad config" {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("a silent client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bridgeUp(t)
			r.refuse("bad config")
			if err := <-r.done; err == nil || err.Error() != "bad config" {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("a client that hangs up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bridgeUp(t)
			<-r.dials // it is never known how this one ends
			began := time.Now()
			r.in.Close()
			if err := <-r.done; err != nil || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
}

// The end of the client's input is the end, once it is answered.
func TestEnd(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, g := greeted(t)
			r.in.Close()
			if err := <-r.done; err != nil || g.in.Scan() {
				t.Errorf("Run: %v; the gateway heard %q", err, g.in.Text())
			}
		})
	})
	t.Run("with an open subscription", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, g := greeted(t)
			const listen = `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{}}}`
			r.say(listen)
			g.hear(listen)
			began := time.Now()
			r.in.Close()
			if err := <-r.done; err != nil || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("after the answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, g := greeted(t)
			r.say(call)
			g.hear(call)
			r.in.Close()
			synctest.Wait()
			g.say(`{"jsonrpc":"2.0","id":7,"result":{}}`)
			r.hear(`"id":7`)
			if err := <-r.done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("without them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, g := greeted(t)
			r.say(call)
			g.hear(call)
			began := time.Now()
			r.in.Close()
			if err := <-r.done; err != nil || time.Since(began) != 10*time.Second {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("a signal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, g := greeted(t)
			r.say(call)
			g.hear(call)
			r.stop()
			if err := <-r.done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		})
	})
}

// In a session of 2025-03-26 a batch is several requests.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bridgeUp(t)
		g := r.accept()
		r.say(handshake)
		g.hear("initialize")
		g.say(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-03-26"}}`)
		r.hear("2025-03-26")
		batch := "[" + call + "," + list + "]"
		r.say(batch)
		if got := g.hear(); got != batch {
			t.Errorf("the gateway hears %s", got)
		}
		g.die()
		r.hear(`"id":7`, "UNKNOWN")
		g = r.accept()
		g.hear("initialize")
		g.hear(list)
	})
}
