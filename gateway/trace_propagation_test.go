package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// traceOf makes a trace id that nobody else uses, and the traceparent of a span in it.
type traceOf struct{ n int }

const (
	metaSpan   = "b7ad6b7169203331"
	headerSpan = "00f067aa0ba902b7"
)

func (o *traceOf) next() string { o.n++; return fmt.Sprintf("%032x", 0xabcdef0000+o.n) }

func parentOf(trace, span, flags string) string { return "00-" + trace + "-" + span + "-" + flags }

// fourUpstreams adds a server of each era over each transport to a gateway.
func fourUpstreams(t *testing.T, change func(*telemetry.Config)) (*traced, map[string]*remoteKit) {
	t.Helper()
	cfg := settings(t)
	child(t, cfg, "oldpipe", nil)
	child(t, cfg, "newpipe", map[string]string{"INTERLOCK_FAKE": "modern"})
	kits := map[string]*remoteKit{
		"oldweb": remote(t, cfg, "oldweb", "session"),
		"newweb": remote(t, cfg, "newweb", "modern"),
	}
	return traces(t, cfg, Options{}, change), kits
}

var upstreamNames = []string{"oldpipe", "newpipe", "oldweb", "newweb"}

// The context of a client of each era over each transport reaches a server of each
// era over each transport: in _meta, and in headers where there are any. That in
// _meta is the parent, that in the header a link, or the parent if it is alone.
func TestContextReachesEveryServer(t *testing.T) {
	r, kits := fourUpstreams(t, nil)
	var ids traceOf
	type want struct {
		what, trace, parent, linked, state, baggage string
		seen                                        map[string]string
		header                                      http.Header
	}
	var wants []want
	for _, c := range fourClients(t, r.rig) {
		for _, up := range upstreamNames {
			for _, in := range []struct {
				name                   string
				meta, header, bagAlone bool
			}{{"_meta", true, false, false}, {"header", false, true, false}, {"both", true, true, false}, {"neither", false, false, false}, {"baggage alone", false, false, true}} {
				if in.header && !c.http {
					continue
				}
				meta, h := `"zz":{"a":[1.0,18446744073709551616]}`, http.Header{}
				w := want{what: c.name + ", " + up + ", " + in.name}
				if in.header {
					w.trace, w.parent, w.state, w.baggage = ids.next(), headerSpan, "head=1", "from=header"
					h.Set("Traceparent", parentOf(w.trace, headerSpan, "01"))
					h.Set("Tracestate", w.state)
					h.Set("Baggage", w.baggage)
				}
				if in.meta {
					if in.header {
						w.linked = w.trace
					}
					w.trace, w.parent, w.state, w.baggage = ids.next(), metaSpan, "m=1,n=2", "from=_meta;p=1,k=%20v"
					meta = `"traceparent":"` + parentOf(w.trace, metaSpan, "01") + `","tracestate":"` + w.state + `","baggage":"` + w.baggage + `",` + meta
				}
				if in.bagAlone {
					w.baggage = "lone=1"
					meta += `,"baggage":"lone=1"`
				}
				body := c.call(`{"_meta":{`+meta+`},"name":"`+up+`__echo","arguments":{"q":"`+w.what+`"}}`, h)
				raw, seen := echoed(t, body)
				if !strings.Contains(raw, `"zz":{"a":[1.0,18446744073709551616]}`) {
					t.Errorf("%s: of the client's own _meta there came %s", w.what, raw)
				}
				for _, name := range []string{"traceparent", "tracestate", "baggage"} {
					if n := strings.Count(raw, `"`+name+`"`); n > 1 {
						t.Errorf("%s: %s is there %d times: %s", w.what, name, n, raw)
					}
				}
				w.seen = seen
				if k := kits[up]; k != nil {
					w.header = k.last()
				}
				wants = append(wants, w)
			}
		}
	}
	r.end()
	for _, w := range wants {
		got := strings.Split(w.seen["traceparent"], "-")
		if len(got) != 4 || got[3] != "01" {
			t.Errorf("%s: the server was told %q", w.what, w.seen["traceparent"])
			continue
		}
		trace, below := got[1], got[2]
		if w.trace != "" && trace != w.trace {
			t.Errorf("%s: the trace is %s, want the client's, %s", w.what, trace, w.trace)
			continue
		}
		up := strings.Split(w.what, ", ")[1]
		want := "SERVER tools/call " + up + "__echo\n  CLIENT tools/call echo\n"
		// The first call of a client waits for a session of its own.
		if tree := strings.Replace(r.Tree(trace), "    INTERNAL queue wait\n", "", 1); tree != want {
			t.Errorf("%s: the trace is\n%swant\n%s", w.what, tree, want)
			continue
		}
		spans := r.Trace(trace)
		server, client := spans[0], spans[1]
		if server.Kind != "SERVER" {
			server, client = client, server
		}
		if server.Parent != w.parent || client.ID != below || server.TraceState != w.state {
			t.Errorf("%s: SERVER below %q (want %q) with tracestate %q (want %q); the server was told of %s, and the CLIENT span is %s",
				w.what, server.Parent, w.parent, server.TraceState, w.state, below, client.ID)
		}
		if w.seen["tracestate"] != w.state || w.seen["baggage"] != w.baggage {
			t.Errorf("%s: tracestate %q and baggage %q, want %q and %q", w.what, w.seen["tracestate"], w.seen["baggage"], w.state, w.baggage)
		}
		switch links := server.Links; {
		case w.linked == "" && len(links) > 0:
			t.Errorf("%s: links %v", w.what, links)
		case w.linked != "" && (len(links) != 1 || links[0].Trace != w.linked || links[0].ID != headerSpan || links[0].Attrs.Text(telemetry.AttrLink) != telemetry.LinkHeader):
			t.Errorf("%s: links %v, want one to the header's %s", w.what, links, w.linked)
		}
		if w.header != nil {
			for name, value := range map[string]string{"Traceparent": w.seen["traceparent"], "Tracestate": w.state, "Baggage": w.baggage} {
				if got := w.header.Get(name); got != value {
					t.Errorf("%s: header %s is %q, want %q", w.what, name, got, value)
				}
			}
		}
	}
}

// What a client says of sampling holds: what it does not sample is exported by
// nobody and goes on as it is, flags and all; what it samples is exported however
// little is otherwise. Without a word of its own the share decides.
func TestSamplingIsTheClients(t *testing.T) {
	for _, c := range []struct {
		name, flags string
		sample      float64
		exported    bool
	}{
		{"sampled, at none", "01", 0, true},
		{"not sampled, at all", "00", 1, false},
		{"no word, at none", "", 0, false},
		{"no word, at all", "", 1, true},
		{"a flag that is not known", "03", 0, true},
		{"only a flag that is not known", "02", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(t)
			kit := remote(t, cfg, "a", "")
			r := traces(t, cfg, Options{}, func(tc *telemetry.Config) { tc.Traces.Sample = c.sample })
			var ids traceOf
			trace, meta := ids.next(), `"x":1`
			if c.flags != "" {
				meta = `"traceparent":"` + parentOf(trace, metaSpan, c.flags) + `","tracestate":"a=b"`
			}
			client := fourClients(t, r.rig)[0]
			_, seen := echoed(t, client.call(`{"_meta":{`+meta+`},"name":"a__echo"}`, nil))
			r.end()
			if n := len(r.Named("tools/call a__echo")); n > 0 != c.exported {
				t.Errorf("%d spans were exported:\n%s", n, r.All())
			}
			told := strings.Split(seen["traceparent"], "-")
			if len(told) != 4 {
				t.Fatalf("the server was told %q", seen["traceparent"])
			}
			if sampled := strings.ContainsAny(told[3][1:], "1357"); sampled != c.exported {
				t.Errorf("the server was told %q", seen["traceparent"])
			}
			if c.flags != "" && (told[1] != trace || seen["tracestate"] != "a=b") {
				t.Errorf("the server was told %q with %q, want the client's trace %s", seen["traceparent"], seen["tracestate"], trace)
			}
			if got := kit.last().Get("Traceparent"); got != seen["traceparent"] {
				t.Errorf("the header is %q, and _meta says %q", got, seen["traceparent"])
			}
		})
	}
}

// states is a tracestate of about n bytes, all of it good.
func states(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, ",k%d=%s", i, strings.Repeat("v", 200))
	}
	return b.String()[1:]
}

// A context that is none is as good as none: the request gets a root span, and no
// part of it goes into a header.
func TestBadContextIsIgnored(t *testing.T) {
	r, kits := fourUpstreams(t, nil)
	const good = "0af7651916cd43dd8448eb211c80319c"
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ name, meta, parent string }{
		{"no traceparent", `"traceparent":"hello"`, ""},
		{"none for its tracestate", `"tracestate":"a=b"`, ""},
		{"a bad one for its tracestate", `"traceparent":"hello","tracestate":"a=b"`, ""},
		{"empty", `"traceparent":""`, ""},
		{"a number", `"traceparent":7`, ""},
		{"null", `"traceparent":null`, ""},
		{"an object", `"traceparent":{"a":1}`, ""},
		{"capital letters", `"traceparent":"00-` + strings.ToUpper(good) + `-` + metaSpan + `-01"`, ""},
		{"all zeroes", `"traceparent":"00-` + strings.Repeat("0", 32) + `-` + metaSpan + `-01"`, ""},
		{"a span of zeroes", `"traceparent":"00-` + good + `-0000000000000000-01"`, ""},
		{"version ff", `"traceparent":"ff-` + good + `-` + metaSpan + `-01"`, ""},
		{"too long for its version", `"traceparent":"00-` + good + `-` + metaSpan + `-01-x"`, ""},
		{"10 KB", `"traceparent":"00-` + good + `-` + metaSpan + `-01` + strings.Repeat("0", 10<<10) + `"`, ""},
		{"with a line's end", `"traceparent":"00-` + good + `-` + metaSpan + `-01\r\nX-Evil: 1"`, ""},
		{"escaped", `"traceparent":"\u0030\u0030-` + good + `-` + metaSpan + `-01"`, metaSpan},
		{"a later version", `"traceparent":"01-` + good + `-` + metaSpan + `-01-more"`, metaSpan},
		{"a tracestate that is none", `"traceparent":"00-` + good + `-` + metaSpan + `-01","tracestate":"no equals sign,,"`, metaSpan},
		{"a tracestate with a value of 300 characters", `"traceparent":"00-` + good + `-` + metaSpan + `-01","tracestate":"a=` + long + `,b=` + long + `,c=` + long[:80] + `"`, metaSpan},
		{"a tracestate of 5 KB", `"traceparent":"00-` + good + `-` + metaSpan + `-01","tracestate":"` + states(5<<10) + `"`, metaSpan},
		{"a tracestate with a line's end", `"traceparent":"00-` + good + `-` + metaSpan + `-01","tracestate":"a=b\r\nX-Evil: 1"`, metaSpan},
		{"a baggage that is none", `"traceparent":"00-` + good + `-` + metaSpan + `-01","baggage":"===,;"`, metaSpan},
		{"a baggage of 9 KB", `"traceparent":"00-` + good + `-` + metaSpan + `-01","baggage":"a=` + strings.Repeat("y", 9<<10) + `"`, metaSpan},
		{"a baggage with a line's end", `"traceparent":"00-` + good + `-` + metaSpan + `-01","baggage":"a=b\r\nX-Evil: 1"`, metaSpan},
		{"a baggage of no text", `"traceparent":"00-` + good + `-` + metaSpan + `-01","baggage":["a=b"]`, metaSpan},
	} {
		for _, client := range fourClients(t, r.rig)[:2] {
			_, seen := echoed(t, client.call(`{"_meta":{`+c.meta+`},"name":"oldweb__echo"}`, nil))
			told := strings.Split(seen["traceparent"], "-")
			if len(told) != 4 || told[0] != "00" {
				t.Errorf("%s, %s: the server was told %q", client.name, c.name, seen["traceparent"])
				continue
			}
			if (told[1] == good) != (c.parent != "") {
				t.Errorf("%s, %s: the trace is %s", client.name, c.name, told[1])
			}
			if seen["tracestate"] != "" && strings.Contains(c.meta, `"tracestate"`) {
				t.Errorf("%s, %s: the server was told the tracestate %.80q", client.name, c.name, seen["tracestate"])
			}
			h := kits["oldweb"].last()
			if h.Get("X-Evil") != "" || strings.ContainsAny(h.Get("Tracestate")+h.Get("Baggage"), "\r\n") || h.Get("Tracestate") != "" || h.Get("Baggage") != "" {
				t.Errorf("%s, %s: headers %v", client.name, c.name, h)
			}
			if h.Get("Traceparent") != seen["traceparent"] {
				t.Errorf("%s, %s: the header is %q", client.name, c.name, h.Get("Traceparent"))
			}
		}
	}
	// The same in headers, beside a good _meta and alone.
	client := fourClients(t, r.rig)[0]
	for _, bad := range []string{"hello", "00-" + good + "-" + metaSpan, "ff-" + good + "-" + metaSpan + "-01", strings.Repeat("0", 5000)} {
		h := http.Header{"Traceparent": {bad}, "Tracestate": {"a=b"}, "Baggage": {"ok=1"}}
		_, seen := echoed(t, client.call(`{"_meta":{},"name":"oldweb__echo"}`, h))
		if told := strings.Split(seen["traceparent"], "-"); len(told) != 4 || told[1] == good || seen["tracestate"] != "" {
			t.Errorf("header %.60q: the server was told %q, %q", bad, seen["traceparent"], seen["tracestate"])
		}
		var ids traceOf
		trace := ids.next()
		if seen["baggage"] != "ok=1" { // which is good by itself
			t.Errorf("header %.60q: the server was told of the baggage %q", bad, seen["baggage"])
		}
		_, seen = echoed(t, client.call(`{"_meta":{"traceparent":"`+parentOf(trace, metaSpan, "01")+`"},"name":"oldweb__echo"}`, h))
		if told := strings.Split(seen["traceparent"], "-"); len(told) != 4 || told[1] != trace {
			t.Errorf("header %.60q beside a good _meta: the server was told %q", bad, seen["traceparent"])
		}
	}
	// Two of what may be there once are none (W3C Trace Context, section 3.2).
	h := http.Header{"Traceparent": {parentOf(good, headerSpan, "01"), parentOf(good, metaSpan, "01")}}
	_, seen := echoed(t, client.call(`{"_meta":{},"name":"oldweb__echo"}`, h))
	if strings.Contains(seen["traceparent"], good) {
		t.Errorf("two headers: the server was told %q", seen["traceparent"])
	}
	// More than 512 characters, which are to be carried on at least (section 3.3.1.5).
	long600 := states(600)
	_, seen = echoed(t, client.call(`{"_meta":{"traceparent":"`+parentOf(good, metaSpan, "01")+`","tracestate":"`+long600+`"},"name":"oldweb__echo"}`, nil))
	if seen["tracestate"] != long600 || kits["oldweb"].last().Get("Tracestate") != long600 {
		t.Errorf("a tracestate of %d characters came as %q", len(long600), seen["tracestate"])
	}
	// Several lines of tracestate and baggage are one list.
	h = http.Header{"Traceparent": {parentOf(good, headerSpan, "01")}, "Tracestate": {"a=1", "b=2"}, "Baggage": {"c=3", "d=4"}}
	_, seen = echoed(t, client.call(`{"_meta":{},"name":"oldweb__echo"}`, h))
	if seen["tracestate"] != "a=1,b=2" || seen["baggage"] != "c=3,d=4" {
		t.Errorf("several lines: tracestate %q, baggage %q", seen["tracestate"], seen["baggage"])
	}
}

// Without an exporter the client's context goes on byte by byte, whatever it is,
// and what came in a header goes on in a header.
func TestUntracedContextPassesAsItCame(t *testing.T) {
	for _, off := range []bool{true, false} {
		t.Run(map[bool]string{true: "no telemetry", false: "no exporter"}[off], func(t *testing.T) {
			cfg := settings(t)
			child(t, cfg, "oldpipe", nil)
			kit := remote(t, cfg, "oldweb", "")
			var o Options
			if !off {
				tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{Version: "test"})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = tel.Shutdown(t.Context()) })
				o.Telemetry = tel
			}
			r := startWith(t, cfg, o).running()
			h := http.Header{"Traceparent": {parentOf("0af7651916cd43dd8448eb211c80319c", headerSpan, "01")}, "Tracestate": {"a=b"}, "Baggage": {"c=d"}}
			for _, client := range fourClients(t, r) {
				for _, meta := range []string{
					`{"x":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00","tracestate":"","baggage":"a=b"}`,
					`{"traceparent" : "nonsense","y":[ 1.0 ]}`, `{"baggage":{"a":1},"traceparent":null}`, `{"x":18446744073709551616}`,
				} {
					for _, up := range []string{"oldpipe", "oldweb"} {
						body := client.call(`{"_meta":`+meta+`,"name":"`+up+`__echo"}`, h)
						raw, _ := echoed(t, body)
						if !strings.Contains(raw, meta[1:len(meta)-1]) {
							t.Errorf("%s, %s: sent %s, it got %s", client.name, up, meta, raw)
						}
						if up != "oldweb" {
							continue
						}
						for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
							want := ""
							if client.http {
								want = h.Get(name)
							}
							if got := kit.last().Get(name); got != want {
								t.Errorf("%s: header %s is %q, want %q", client.name, name, got, want)
							}
						}
					}
				}
			}
		})
	}
}

// A call that comes before the first lists has a span with the name of its tool all
// the same: to a client that starts the gateway itself that is the first of all calls,
// and it was once _other.
func TestFirstCallHasItsName(t *testing.T) {
	r := tracedTool(t, nil, func(context.Context, *upstream.Request) (json.RawMessage, error) {
		return json.RawMessage(`{"content":[]}`), nil
	})
	s := operator("")
	m := serverMessage(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__do"}}`)
	x := r.exchange(s, m, s.home, visitor{}, func(error) {})
	before := *x.view
	before.catalog = emptyCatalog
	x.view, x.catalog = &before, emptyCatalog
	if got := string(r.serve(t.Context(), x).bytes()); !strings.Contains(got, `"content":[]`) {
		t.Errorf("answered %s", got)
	}
	r.end()
	if span := r.One("SERVER", "tools/call a__do"); span.Attr("gen_ai.tool.name") != "a__do" {
		t.Errorf("the span's tool is %q", span.Attr("gen_ai.tool.name"))
	}
}
