package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// modernRemote is a streamable HTTP server of 2026-07-28 whose calls a test
// scripts.
func modernRemote(t *testing.T, call func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message)) (*fakeRemote, *Dial) {
	t.Helper()
	f := new(fakeRemote)
	f.post = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool {
		if m.MethodName() == "server/discover" {
			reply(w, m, discovered)
			return true
		}
		if call != nil && m.Kind == jsonrpc.Request {
			call(w, r, m)
			return true
		}
		return false
	}
	d := serve(t, f)
	d.Config.Protocol = AutoProtocol
	d.Era = new(Era)
	return f, d
}

// TestModernHTTPRequest: what of a request is not ours to change arrives byte for
// byte, without a session, under headers that mirror it.
func TestModernHTTPRequest(t *testing.T) {
	f, d := modernRemote(t, nil)
	d.Config.Headers = map[string]string{"Authorization": "Bearer x", "Mcp-Session-Id": "no"}
	l := connect(t, d)
	r := request(t, `{"id":"theirs", "jsonrpc":"2.0","method":"tools/call","params":{ "name":"a__b","arguments":{"n":1.0e0,"u":"\u00fc"},"x":[ 1,2 ],"_meta":{"progressToken":7,"k":9007199254740993}}}`)
	r.Edits = new(jsonrpc.Edits)
	r.Edits.Replace(r.Message.Name, []byte(`"b"`))
	r.Client.Capabilities = []byte(`{"sampling":{ }}`)
	r.Params = http.Header{"Mcp-Param-Theirs": {"v"}}
	r.TraceParent = "00-1-2-3"
	r.Peer = newRecorder()
	if _, err := l.Do(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	bodies, headers := f.sent("tools/call")
	want := `{"id":2, "jsonrpc":"2.0","method":"tools/call","params":{ "name":"b","arguments":{"n":1.0e0,"u":"\u00fc"},"x":[ 1,2 ],"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"interlock","version":"0"},` +
		`"io.modelcontextprotocol/clientCapabilities":{"sampling":{ }},"progressToken":2,"k":9007199254740993}}}`
	if diff := cmp.Diff(want, bodies[0]); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	for k, v := range map[string]string{
		"Mcp-Method": "tools/call", "Mcp-Name": "b", "Mcp-Protocol-Version": latestModern, "Mcp-Session-Id": "", "Traceparent": "00-1-2-3",
		"Mcp-Param-Theirs": "v", "Authorization": "Bearer x", "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
	} {
		if got := headers[0].Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	if got := f.methods; strings.Contains(strings.Join(got, " "), "initialize") || len(f.deleted) > 0 {
		t.Errorf("posted %s, deleted %s", got, f.deleted)
	}
}

func TestModernHTTPStream(t *testing.T) {
	_, d := modernRemote(t, func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
		id := string(m.ID.Of(m.Raw))
		send := events(w)
		send(": comment")
		send(`id: 7%sdata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"x":12345678901234567890}}`, "\n", id)
		send(`data: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}`) // it must not
		send(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1.0}}`)
		send(`data: {"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","n":1e2}}`, id)
	})
	l := connect(t, d)
	r := request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"p"}}}`)
	p := newRecorder()
	r.Peer = p
	m, err := l.Do(t.Context(), r)
	if err != nil || string(m.Result.Of(m.Raw)) != `{"resultType":"complete","n":1e2}` {
		t.Errorf("%s, %v", m.Raw, err)
	}
	want := []string{
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1,"x":12345678901234567890}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1.0}}`,
	}
	if diff := cmp.Diff(want, p.all()); diff != "" || len(p.asked) > 0 {
		t.Errorf("told (-want +got):\n%s\nasked %d times", diff, len(p.asked))
	}
}

// TestModernHTTPFaults: errors under any status are answers, and what is cut is
// never resumed.
func TestModernHTTPFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		call    func(w http.ResponseWriter, id string)
		failure string // the answer's error
		reason  string
		exec    Executed
	}{
		{"an error under 400", func(w http.ResponseWriter, id string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32020,"message":"m","data":{"n":1.0}}}`)
		}, `{"code":-32020,"message":"m","data":{"n":1.0}}`, "", ""},
		{"unknown method under 404", func(w http.ResponseWriter, id string) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32601,"message":"m"}}`)
		}, `{"code":-32601,"message":"m"}`, "", ""},
		{"404 of something else", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }, "", "http_status", ExecutedNo},
		{"500", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) }, "", "http_status", ExecutedUnknown},
		{"503 to come back later", func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "", "rate_limited", ExecutedNo},
		{"202 without an answer", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusAccepted) }, "", "malformed", ExecutedUnknown},
		{"killed in the call", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, "", "reset", ExecutedUnknown},
		{"stream cut after an event with an id", func(w http.ResponseWriter, _ string) {
			events(w)("id: 1\ndata: ")
			panic(http.ErrAbortHandler)
		}, "", "reset", ExecutedUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, d := modernRemote(t, func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
				c.call(w, string(m.ID.Of(m.Raw)))
			})
			f.get = func(http.ResponseWriter, *http.Request) { t.Error("a GET") }
			l := connect(t, d)
			m, err := l.Do(t.Context(), call(t))
			if c.failure != "" {
				if err != nil || string(m.Error.Of(m.Raw)) != c.failure {
					t.Errorf("%s, %v", m.Raw, err)
				}
				return
			}
			var way *TransportError
			if !errors.As(err, &way) || way.Reason != c.reason || way.Executed != c.exec || way.Lost {
				t.Errorf("error %+v", err)
			}
			if n := len(f.awaitSent("tools/call", 1)); n != 1 {
				t.Errorf("posted %d times", n)
			}
		})
	}
}

// TestModernHTTPHeadersChange: a server whose tools want other headers than they
// did refuses a call, which is sent once more with those.
func TestModernHTTPHeadersChange(t *testing.T) {
	for _, c := range []struct {
		name, later string // the schema at first has no annotation
		calls       int
	}{
		{"changed", `{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}`, 2},
		{"refused for something else", `{"type":"object"}`, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			lists := 0
			f, d := modernRemote(t, func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
				id := string(m.ID.Of(m.Raw))
				switch {
				case m.MethodName() == "tools/list":
					schema := `{"type":"object"}`
					if lists++; lists > 1 {
						schema = c.later
					}
					reply(w, m, `{"tools":[{"name":"x","inputSchema":`+schema+`}]}`)
				case r.Header.Get("Mcp-Param-A") == "1":
					reply(w, m, `{"content":[]}`)
				default:
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32020,"message":"m"}}`)
				}
			})
			l := connect(t, d)
			if _, err := learn(t.Context(), l, 0); err != nil {
				t.Fatal(err)
			}
			r := request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"1"}}}`)
			m, err := l.Do(t.Context(), r)
			if bodies, _ := f.sent("tools/call"); err != nil || len(bodies) != c.calls || (m.Kind == jsonrpc.Result) != (c.calls == 2) {
				t.Errorf("%s, %v after %d calls", m.Raw, err, len(bodies))
			}
			if got := d.Inbox.(*recorder).all(); len(got) != 1 || !strings.Contains(got[0], "list_changed") {
				t.Errorf("the lists are not what they were, and %q was told", got)
			}
			if c.calls == 2 {
				return
			}
			if _, err := l.Do(t.Context(), r); err != nil || lists != 2 {
				t.Errorf("%v, listed %d times for two refusals", err, lists)
			}
		})
	}
}

// TestModernHTTPCancel: the end of the response is all that a server is told.
func TestModernHTTPCancel(t *testing.T) {
	gone, begun := make(chan struct{}), make(chan struct{})
	f, d := modernRemote(t, func(w http.ResponseWriter, r *http.Request, _ jsonrpc.Message) {
		events(w)(": begun")
		close(begun)
		<-r.Context().Done()
		close(gone)
	})
	l := connect(t, d)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the client is gone")
	go func() { <-begun; cancel(why) }()
	if _, err := l.Do(ctx, call(t)); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	<-gone
	l.Close(t.Context()) // which waits for what is still to be told
	if b, _ := f.sent("notifications/cancelled"); len(b) > 0 {
		t.Errorf("posted %s", b)
	}
}

// TestModernHTTPListensInJSON: some servers send the messages of a stream one to
// a line.
func TestModernHTTPListensInJSON(t *testing.T) {
	_, d := modernRemote(t, func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
		if m.MethodName() != "subscriptions/listen" {
			reply(w, m, `{}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		id := string(m.ID.Of(m.Raw))
		meta := `"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `}`
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{`+meta+`,"notifications":{"resourceSubscriptions":["a:b"]}}}`+"\n\n")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{`+meta+`,"uri":"a:b"}}`+"\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	l := connect(t, d)
	ctx, stop := context.WithTimeout(t.Context(), patient)
	defer stop()
	if m, err := l.Do(ctx, newRequest("resources/subscribe", uriParams("a:b"))); err != nil || m.Kind != jsonrpc.Result {
		t.Fatalf("%s, %v", m.Raw, err)
	}
	if got := <-d.Inbox.(*recorder).noted; got != `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":{},"uri":"a:b"}}` {
		t.Errorf("told %s", got)
	}
}
