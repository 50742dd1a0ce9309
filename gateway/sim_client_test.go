package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// simClient is a client of a simulated day, of either era. All use the same ids.
type simClient struct {
	day    *day
	name   string
	rand   *rand.Rand
	legacy *client // nil for one of 2026-07-28
	modern *caller
	calls  int
	used   time.Time // its session
}

// simAnswer is all that a client was told in answer to one request.
type simAnswer struct {
	status   int
	answers  []json.RawMessage
	messages [][]byte
	lastID   string
	took     time.Duration
	err      error // of the connection
}

// live uses the gateway until ctx is done.
func (c *simClient) live(ctx context.Context) {
	c.connect()
	for linktest.Sleep(ctx, c.day.pause(c.rand, 12*time.Minute)) == nil {
		c.again()
		switch n := c.rand.IntN(20); {
		case n < 9:
			c.call()
		case n < 11:
			c.list()
		case n == 11:
			c.burst()
		case n == 12:
			c.cancelled()
		case n == 13:
			c.leave()
		case n == 14:
			c.resume()
		case n == 15:
			c.listen(ctx)
		case n == 16 && c.legacy != nil:
			c.end()
			c.connect()
		default:
			c.call()
		}
		c.used = time.Now()
	}
	c.again()
	c.end()
}

// connect makes a session, where there are sessions.
func (c *simClient) connect() {
	if c.legacy == nil {
		return
	}
	c.legacy.session = ""
	c.used = time.Now()
	got := c.send(context.Background(), c.legacy.request(c.day.t.Context(), http.MethodPost, fmt.Sprintf(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":%q,"version":"1"}}}`, c.legacy.version, c.name)))
	if len(got.answers) != 1 || got.took > 100*time.Millisecond {
		c.day.wrong("%s: initialize: %d %s after %v, %v", c.name, got.status, got.messages, got.took, got.err)
	}
}

// end deletes the session.
func (c *simClient) end() {
	if c.legacy == nil {
		return
	}
	if got := c.send(context.Background(), c.legacy.request(c.day.t.Context(), http.MethodDelete, "")); got.status != http.StatusNoContent {
		c.day.wrong("%s: DELETE: %d %v", c.name, got.status, got.err)
	}
}

// again makes a new session where the last one is over: after an hour of silence
// the gateway forgets it.
func (c *simClient) again() {
	if c.legacy != nil && time.Since(c.used) > c.day.cfg.Server.SessionTimeout-5*time.Minute {
		c.day.count("sessions that were over", 1)
		c.connect()
	}
}

// request makes a request of a method, under the id that all use.
func (c *simClient) request(method, params string) *http.Request {
	if c.legacy != nil {
		return c.legacy.request(c.day.t.Context(), http.MethodPost, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params))
	}
	return c.modern.ask(c.day.t.Context(), c.modern.body("1", method, params))
}

// send sends a request and reads all that comes back.
func (c *simClient) send(ctx context.Context, r *http.Request) (got simAnswer) {
	begun := time.Now()
	defer func() { got.took = time.Since(begun) }()
	resp, err := c.day.rig.web.Do(r.WithContext(ctx))
	if err != nil {
		got.err = err
		return got
	}
	defer resp.Body.Close()
	got.status = resp.StatusCode
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" && c.legacy.session == "" {
		c.legacy.session = id
	}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		in := jsonrpc.NewEventReader(resp.Body, 1<<20)
		for {
			e, err := in.Next()
			if err != nil {
				if err != io.EOF {
					got.err = err
				}
				break
			}
			if e.ID != "" {
				got.lastID = e.ID
			}
			got.message(e.Data)
		}
		return got
	}
	body, err := io.ReadAll(resp.Body)
	got.err = err
	got.message(body)
	return got
}

func (t *simAnswer) message(raw []byte) {
	if len(raw) == 0 {
		return
	}
	t.messages = append(t.messages, bytes.Clone(raw))
	var m struct {
		ID            json.RawMessage
		Method        string
		Result, Error json.RawMessage
	}
	if json.Unmarshal(raw, &m) == nil && m.Method == "" && (m.Result != nil || m.Error != nil) {
		t.answers = append(t.answers, raw)
	}
}

// simOutcome is what an answer to a call says.
type simOutcome struct {
	Result struct {
		IsError bool
		Content []struct{ Text string }
		Meta    struct {
			Error simRefusal `json:"interlock/error"`
		} `json:"_meta"`
	}
	Error *struct {
		Code int
		Data simRefusal
	}
}

type simRefusal struct{ Reason, Executed string }

// work makes the parameters of a call.
func (c *simClient) work(name string, took time.Duration) (nonce, params string) {
	c.calls++
	nonce = fmt.Sprintf("%s.%d", c.name, c.calls)
	meta := ""
	if c.legacy != nil && c.calls%3 == 0 {
		meta = `"_meta":{"progressToken":"` + nonce + `"},`
	}
	return nonce, fmt.Sprintf(`{%s"name":"%s__work","arguments":{"nonce":"%s","ms":%d}}`, meta, name, nonce, took.Milliseconds())
}

// spell is how long a call is to take: most are short, some become streams.
func (c *simClient) spell() time.Duration {
	if c.rand.IntN(6) == 0 {
		return time.Duration(15_000+c.rand.IntN(25_000)) * time.Millisecond
	}
	return time.Duration(c.rand.IntN(3000)) * time.Millisecond
}

func (c *simClient) call() {
	name := c.day.anyone(c.rand)
	spell := c.spell()
	nonce, params := c.work(name, spell)
	c.judge(name, nonce, spell, c.send(context.Background(), c.request("tools/call", params)))
}

// judge checks an answer: promises P1 to P4.
func (c *simClient) judge(name, nonce string, spell time.Duration, got simAnswer) {
	d := c.day
	d.count("calls", 1)
	if most := simQueue + simTimeout + time.Second; got.took > most {
		d.wrong("P1: %s, call %s of %s took %v", c.name, nonce, name, got.took)
	}
	if len(got.answers) != 1 {
		d.wrong("P1: %s, call %s of %s got %d answers: %d %q %v", c.name, nonce, name, len(got.answers), got.status, got.messages, got.err)
		d.count("lost", 1)
		return
	}
	for _, m := range got.messages {
		if token := argument(m, "progressToken"); token != "" && token != nonce {
			d.wrong("P2: %s, call %s of %s got progress of %s", c.name, nonce, name, token)
			d.count("cross-delivered", 1)
		}
	}
	var o simOutcome
	if err := json.Unmarshal(got.answers[0], &o); err != nil {
		d.wrong("%s: %s", err, got.answers[0])
		return
	}
	said := o.Result.Meta.Error
	if o.Error != nil {
		said = o.Error.Data
	}
	ran := d.runs(name, nonce)
	switch {
	case ran > 1:
		d.wrong("P3: %s, call %s of %s ran %d times", c.name, nonce, name, ran)
		d.count("doubled", 1)
	case o.Error == nil && !o.Result.IsError:
		d.count("answered", 1)
		if len(o.Result.Content) != 1 || o.Result.Content[0].Text != nonce || ran != 1 {
			d.wrong("P2: %s, call %s of %s, which ran %d times, got %s", c.name, nonce, name, ran, got.answers[0])
			d.count("cross-delivered", 1)
		}
	case said.Executed == "no" && ran != 0:
		d.wrong("P3: %s, call %s of %s ran, and is said not to have: %s", c.name, nonce, name, got.answers[0])
	case o.Error != nil && o.Error.Code == -32602 && ran == 0 && d.unlisted(name):
		d.count("not listed", 1)
	case said.Executed == "":
		d.wrong("%s, call %s of %s got %s", c.name, nonce, name, got.answers[0])
	default:
		d.count("executed: "+said.Executed, 1)
	}
	if d.steady[name] && (o.Error != nil || o.Result.IsError || got.took != spell) {
		d.wrong("P4: %s, call %s of %s, which is well, was to take %v and took %v: %s", c.name, nonce, name, spell, got.took, got.answers[0])
	}
}

// burst makes calls at once, under ids of their own.
func (c *simClient) burst() {
	if c.legacy == nil {
		return
	}
	name := c.day.anyone(c.rand)
	done := make(chan struct{})
	n := 2 + c.rand.IntN(8)
	for i := range n {
		spell := c.spell()
		nonce, params := c.work(name, spell)
		r := c.legacy.request(c.day.t.Context(), http.MethodPost, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%s}`, i, params))
		go func() {
			c.judge(name, nonce, spell, c.send(context.Background(), r))
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
}

// list checks promise P7.
func (c *simClient) list() {
	ready := false
	select {
	case <-c.day.rig.view.Load().ready:
		ready = true
	default:
	}
	got := c.send(context.Background(), c.request("tools/list", "{}"))
	c.day.count("lists", 1)
	most := 100 * time.Millisecond
	if !ready { // an upstream that never listed may still do so
		most += c.day.cfg.Server.ListWait
	}
	if len(got.answers) != 1 || got.took > most {
		c.day.wrong("P7: %s: tools/list got %d answers after %v: %d %v", c.name, len(got.answers), got.took, got.status, got.err)
		return
	}
	for name := range c.day.steady {
		if !bytes.Contains(got.answers[0], []byte(`"`+name+`__work"`)) {
			c.day.wrong("P7: %s: %s is not listed", c.name, name)
		}
	}
}

// cancelled makes a call that is taken back.
func (c *simClient) cancelled() {
	name := c.day.anyone(c.rand)
	nonce, params := c.work(name, 20*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan simAnswer, 1)
	go func() { over <- c.send(ctx, c.request("tools/call", params)) }()
	pass(time.Duration(1+c.rand.IntN(3000)) * time.Millisecond)
	if c.legacy != nil {
		c.send(ctx, c.legacy.request(ctx, http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
	} else {
		cancel()
	}
	got := <-over
	c.day.count("cancelled", 1)
	if len(got.answers) > 1 || got.took > 3100*time.Millisecond || c.day.runs(name, nonce) > 1 {
		c.day.wrong("P1: %s, cancelled call %s of %s: %d answers after %v", c.name, nonce, name, len(got.answers), got.took)
	}
}

// leave goes away in the middle of a call.
func (c *simClient) leave() {
	name := c.day.anyone(c.rand)
	nonce, params := c.work(name, time.Duration(c.rand.IntN(40_000))*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+c.rand.IntN(30_000))*time.Millisecond)
	defer cancel()
	got := c.send(ctx, c.request("tools/call", params))
	c.day.count("left", 1)
	if len(got.answers) > 1 || c.day.runs(name, nonce) > 1 {
		c.day.wrong("P1: %s, call %s of %s: %d answers", c.name, nonce, name, len(got.answers))
	}
	pass(31 * time.Second) // its id is free again
}

// resume loses the stream of an answer and comes back for it.
func (c *simClient) resume() {
	if c.legacy == nil {
		return
	}
	name := c.day.anyone(c.rand)
	spell := 35*time.Second + time.Duration(c.rand.IntN(5000))*time.Millisecond
	nonce, params := c.work(name, spell)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 17*time.Second+time.Duration(c.rand.IntN(10_000))*time.Millisecond)
	defer cancel()
	first := c.send(ctx, c.request("tools/call", params))
	if len(first.answers) > 0 || first.lastID == "" {
		if len(first.answers) > 0 {
			c.judge(name, nonce, spell, first)
		}
		pass(31 * time.Second) // its id is free again
		return
	}
	pass(time.Duration(c.rand.IntN(20_000)) * time.Millisecond)
	again := c.legacy.request(c.day.t.Context(), http.MethodGet, "")
	again.Header.Set("Last-Event-ID", first.lastID)
	rest, end := context.WithTimeout(context.Background(), simTimeout+simQueue)
	defer end()
	got := c.send(rest, again)
	c.day.count("resumed", 1)
	got.took = max(time.Since(begun), spell) // the answer may have waited for the client
	if c.day.steady[name] {
		got.took = spell
	}
	c.judge(name, nonce, spell, got)
}

// listen keeps a stream open for a while.
func (c *simClient) listen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.day.pause(c.rand, 10*time.Minute))
	defer cancel()
	r := c.request("subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`)
	if c.legacy != nil {
		r = c.legacy.request(ctx, http.MethodGet, "")
	}
	got := c.send(ctx, r)
	c.day.count("listened", 1)
	c.day.count("told of", len(got.messages))
	if got.err != nil && !errors.Is(got.err, context.DeadlineExceeded) && !errors.Is(got.err, context.Canceled) || got.status != http.StatusOK {
		c.day.wrong("%s: a stream ended: %d %s %v", c.name, got.status, got.messages, got.err)
	}
	for _, m := range got.messages {
		if strings.Contains(string(m), "progress") {
			c.day.wrong("P2: %s heard of progress on its stream: %s", c.name, m)
		}
	}
}
