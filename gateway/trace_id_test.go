package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// Each span of a request has the id under which the request was sent: the SERVER span
// the client's, the CLIENT span that which the server got.
func TestSpansHaveTheirRequestsIDs(t *testing.T) {
	r, _ := fourUpstreams(t, nil)
	var ids traceOf
	type want struct{ what, trace, id string }
	var wants []want
	for _, c := range fourClients(t, r.rig) {
		for _, up := range upstreamNames {
			w := want{what: c.name + ", " + up, trace: ids.next()}
			// A link puts the id in the place of the progress token, too, and the tool gives
			// back what it got.
			raw, _ := echoed(t, c.call(`{"_meta":{"traceparent":"`+parentOf(w.trace, metaSpan, "01")+`","progressToken":"p"},"name":"`+up+`__echo"}`, nil))
			_, w.id, _ = strings.Cut(raw, `"progressToken":`)
			w.id, _, _ = strings.Cut(strings.TrimSuffix(w.id, "}"), ",")
			wants = append(wants, w)
		}
	}
	c := r.connect(`{}`)
	for _, up := range []string{"oldpipe", "oldweb"} {
		c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"interlock://` + up + `/file%3A%2F%2F%2Fx"}}`)
	}
	r.end()
	subscribed := r.Named("resources/subscribe")
	for _, s := range subscribed {
		if n, err := strconv.Atoi(s.Attr(telemetry.AttrRequestID)); s.Failed || err != nil || s.Kind == "CLIENT" && n < 2 {
			t.Errorf("a subscription is told so: %+v", s)
		}
	}
	if len(subscribed) != 4 {
		t.Errorf("%d spans are of subscriptions, want 4", len(subscribed))
	}
	for _, w := range wants {
		for _, s := range r.Trace(w.trace) {
			id := s.Attr(telemetry.AttrRequestID)
			if s.Kind == "CLIENT" && (id == "" || id != w.id) {
				t.Errorf("%s: the request to the server is told as %q, and was %q", w.what, id, w.id)
			}
			if n, err := strconv.Atoi(id); s.Kind == "SERVER" && (err != nil || n == 0) {
				t.Errorf("%s: the client's request is told as %q", w.what, id)
			}
		}
	}
}

// Of a request that was sent twice the last id is told: that is the one that was
// answered. One that was never sent has none.
func TestRequestSentAgainHasItsLastID(t *testing.T) {
	fake := upstreamtest.NewRemote("session", nil)
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte(`"method":"tools/call"`)) && sent.Add(1) == 1 {
			w.WriteHeader(http.StatusNotFound) // the session is not known any more
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	cfg := settings(t)
	u := upstream.Defaults()
	u.Name, u.URL = "web", srv.URL
	cfg.Upstreams = append(cfg.Upstreams, u)
	r := traces(t, cfg, Options{}, nil)
	c := r.connect(`{}`)
	got := c.post(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"_meta":{"progressToken":1},"name":"web__echo"}}`)
	if err := r.set.Upstream("web").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.post(`{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"web__echo"}}`)
	r.end()
	raw, _ := echoed(t, got.body)
	n := 0
	for _, s := range r.Named("tools/call echo") {
		n++
		id := s.Attr(telemetry.AttrRequestID)
		if s.Failed && id != "" {
			t.Errorf("what was never sent is told as %s", id)
		}
		if !s.Failed && !strings.Contains(raw, `"progressToken":`+id+`}`) {
			t.Errorf("it is told as %q, and the server answered what had %s", id, raw)
		}
	}
	if n != 2 || sent.Load() != 2 {
		t.Errorf("%d requests are told of, %d were sent", n, sent.Load())
	}
}
