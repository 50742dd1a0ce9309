package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// needs is a result that requires input.
func needs(rest string) string { return `{"resultType":"input_required",` + rest + `}` }

// askedWith answers the questions of a call: with what f returns for each, a
// result or an error object.
func askedWith(ctx context.Context, f func(q *Question) string) Peer {
	return peerFunc(func(q *Question) {
		go func() {
			a, member := f(q), `"result":`
			if strings.HasPrefix(a, `{"code"`) {
				member = `"error":`
			}
			id := string(q.Message.ID.Of(q.Message.Raw))
			_ = q.Answer(ctx, []byte(`{"jsonrpc":"2.0","id":`+id+`,`+member+a+`}`))
		}()
	})
}

func TestInputIsFulfilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []string{
			needs(`"requestState":"","inputRequests":{"a\nb":{"method":"elicitation/create","params":{"message":"who?","x":12345678901234567890}},"r":{"method":"roots/list"}}`),
			needs(`"inputRequests":{"u":{"method":"elicitation/create","params":{"mode":"url","url":"https://e.x/"}}}`),
			needs(`"requestState":"\u0041 state"`),
			`{"content":[],"resultType":"complete"}`,
		}
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			a := answers[0]
			answers = answers[1:]
			return a, nil
		})
		l, _ := modernOver(t, w, `{}`)
		r := request(t, `{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x","arguments":{"n":1.0} }}`)
		r.Client = Client{Capabilities: json.RawMessage(`{"roots":{}}`), Info: json.RawMessage(`{"name":"c"}`), LogLevel: "info"}
		var mu sync.Mutex
		var asked []string
		r.Peer = askedWith(t.Context(), func(q *Question) string {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, string(q.Message.Raw))
			if q.Message.MethodName() == "roots/list" {
				return `{"roots":[ ]}`
			}
			return `{"action":"accept" , "content":{"n":98765432109876543210}}`
		})
		m, err := l.Do(t.Context(), r)
		if err != nil || string(m.Result.Of(m.Raw)) != `{"content":[],"resultType":"complete"}` {
			t.Fatalf("%s, %v", m.Raw, err)
		}
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c"},` +
			`"io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"info"},`
		head := func(id int) string {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{%s"name":"x","arguments":{"n":1.0} `, id, meta)
		}
		elicited := `"a\nb":{"action":"accept" , "content":{"n":98765432109876543210}}`
		sent := w.bodies()
		if strings.Index(sent[1], `"r":`) < strings.Index(sent[1], `"a\nb"`) { // they came in any order
			sent[1] = strings.Replace(sent[1], `"r":{"roots":[ ]},`+elicited, elicited+`,"r":{"roots":[ ]}`, 1)
		}
		want := []string{
			head(1) + `}}`,
			head(2) + `,"inputResponses":{` + elicited + `,"r":{"roots":[ ]}},"requestState":""}}`,
			head(3) + `,"inputResponses":{"u":{"action":"accept" , "content":{"n":98765432109876543210}}}}}`,
			head(4) + `,"requestState":"\u0041 state"}}`,
		}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		for i, q := range asked {
			m, err := jsonrpc.Parse([]byte(q))
			if err != nil || m.Kind != jsonrpc.Request {
				t.Errorf("asked %s: %v", q, err)
			}
			if url := strings.Contains(q, `"url"`); url != strings.Contains(q, `"elicitationId":"`) || i < 2 && url {
				t.Errorf("asked %s", q)
			}
		}
	})
}

func TestInputThatIsNotGiven(t *testing.T) {
	form := `"requestState":"s","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"?"}}}`
	for _, c := range []struct{ name, result, answer, want, retry string }{
		{"a client that cannot show a form", form, `{"code":-32601,"message":"no"}`, "", `"inputResponses":{"a":{"action":"cancel"}}`},
		{"a person who declines", form, `{"action":"decline"}`, "", `"inputResponses":{"a":{"action":"decline"}}`},
		{"sampling refused", `"inputRequests":{"a":{"method":"sampling/createMessage","params":{}}}`, `{"code":-1,"message":"the user said no"}`, `input: it asked for sampling/createMessage, and the client answered with error -1: "the user said no"`, ""},
		{"no method", `"inputRequests":{"a":{"params":{}}}`, "", `malformed: the input request "a" has no method`, ""},
		{"a key twice", `"inputRequests":{"a":{"method":"roots/list"},"a":{"method":"roots/list"}}`, "", `malformed: inputRequests has the key "a" twice`, ""},
		{"no object", `"inputRequests":[]`, "", "malformed: inputRequests is no object", ""},
		{"nothing said", `"x":1`, "", "malformed: it requires input and does not say which", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				w := newFakeWay(func(context.Context, string, string) (string, error) {
					if first {
						first = false
						return needs(c.result), nil
					}
					return `{}`, nil
				})
				l, _ := modernOver(t, w, `{}`)
				r := call(t)
				r.Peer = askedWith(t.Context(), func(*Question) string { return c.answer })
				_, err := l.Do(t.Context(), r)
				if c.want == "" {
					if sent := w.bodies(); err != nil || len(sent) != 2 || !strings.Contains(sent[1], c.retry) {
						t.Errorf("%v, sent %s", err, sent)
					}
					return
				}
				var way *TransportError
				if !errors.As(err, &way) || way.Executed != ExecutedUnknown || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %s", err, c.want)
				}
			})
		})
	}
}

func TestInputRoundsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			return needs(`"inputRequests":{"a":{"method":"roots/list"}}`), nil
		})
		l, _ := modernOver(t, w, `{}`)
		r := call(t)
		asked := 0
		r.Peer = askedWith(t.Context(), func(*Question) string { asked++; return `{"roots":[]}` })
		_, err := l.Do(t.Context(), r)
		if reasonOf(err) != "input" || asked != maxRounds || len(w.bodies()) != maxRounds+1 {
			t.Errorf("%v after %d questions", err, asked)
		}
		if judge(err.(*TransportError)) != success {
			t.Error("a server that answers counts as a failing one")
		}
	})
}

// TestInputPausesWithoutQuestions: a busy server asks only to be asked again.
func TestInputPausesWithoutQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			if n++; n == 3 {
				return `{}`, nil
			}
			return needs(`"requestState":"s"`), nil
		})
		l, _ := modernOver(t, w, `{}`)
		begun := time.Now()
		if _, err := l.Do(t.Context(), call(t)); err != nil || n != 3 || time.Since(begun) < 200*time.Millisecond {
			t.Errorf("%v, %d times in %v", err, n, time.Since(begun))
		}
	})
}

// TestInputCancelled: the questions of a call that is cancelled are taken back,
// and an answer that comes all the same goes nowhere.
func TestInputCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			return needs(`"inputRequests":{"a":{"method":"roots/list"},"b":{"method":"roots/list"}}`), nil
		})
		l, _ := modernOver(t, w, `{}`)
		ctx, cancel := context.WithCancelCause(t.Context())
		r := call(t)
		questions := make(chan *Question, 2)
		r.Peer = peerFunc(func(q *Question) { questions <- q })
		done := make(chan error, 1)
		go func() { _, err := l.Do(ctx, r); done <- err }()
		a, b := <-questions, <-questions
		why := errors.New("the client is gone")
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
		<-a.Gone
		<-b.Gone
		if err := a.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`)); !errors.Is(err, errWithdrawn) {
			t.Errorf("an answer too late: %v", err)
		}
		if n := len(w.bodies()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

// TestInputLostOnRetry: a call that has asked its client is not made again from
// the beginning, whatever becomes of the retry.
func TestInputLostOnRetry(t *testing.T) {
	for _, fault := range []*TransportError{
		{Executed: ExecutedNo, Reason: "dial", Err: errors.New("refused")},
		{Executed: ExecutedNo, Reason: "rate_limited", Status: 429, RetryAfter: time.Second, Err: errors.New("later")},
	} {
		n := 0
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			if n++; n == 2 {
				return "", fault
			}
			return needs(`"inputRequests":{"a":{"method":"roots/list"}}`), nil
		})
		l, _ := modernOver(t, w, `{}`)
		r := call(t)
		r.Peer = askedWith(t.Context(), func(*Question) string { return `{"roots":[]}` })
		_, err := l.Do(t.Context(), r)
		var way *TransportError
		if !errors.As(err, &way) || way.Executed != ExecutedUnknown || way.Reason == "rate_limited" || fault.Executed != ExecutedNo {
			t.Errorf("error %+v of %+v", way, fault)
		}
	}
}

// TestInputForModernClients goes to them as it is, and so do their retries.
func TestInputForModernClients(t *testing.T) {
	w := newFakeWay(func(context.Context, string, string) (string, error) {
		return needs(`"requestState":"s"`), nil
	})
	l, _ := modernOver(t, w, `{}`)
	raw := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","requestState":"","inputResponses":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	r := request(t, raw)
	r.Modern = true
	m, err := l.Do(t.Context(), r)
	if err != nil || string(m.Result.Of(m.Raw)) != needs(`"requestState":"s"`) {
		t.Errorf("%s, %v", m.Raw, err)
	}
	if diff := cmp.Diff([]string{raw}, w.bodies()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}
