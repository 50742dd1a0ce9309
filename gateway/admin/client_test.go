package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scripted is a gateway that answers what it is told to, and keeps what it was
// asked: method, path with query, and body. Who has not the client's token is a
// stranger: some test's client of a server that had this address before.
func scripted(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (*Client, *[]string) {
	t.Helper()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bearer(r) != "token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	c, err := NewClient(strings.TrimPrefix(s.URL, "http://"), "token", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &asked
}

// The requests are those of the contract.
func TestClientAsks(t *testing.T) {
	c, asked := scripted(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	ctx := t.Context()
	none := func(Outcome) {}
	for _, tt := range []struct {
		want string
		ask  func() error
	}{
		{"GET /v1/upstreams", func() error { _, err := c.Upstreams(ctx, Select{}); return err }},
		{"GET /v1/upstreams?name=f%2A&state=error&transport=http", func() error {
			_, err := c.Upstreams(ctx, Select{State: "error", Transport: "http", Name: "f*"})
			return err
		}},
		{"GET /v1/upstreams/a%2Fb", func() error { _, err := c.Info(ctx, "a/b"); return err }},
		{`POST /v1/check {"names":[]}`, func() error { _, err := c.Check(ctx); return err }},
		{`POST /v1/check {"names":["a","b"]}`, func() error { _, err := c.Check(ctx, "a", "b"); return err }},
		{"GET /v1/stats?window=5m0s", func() error { _, err := c.Stats(ctx, "", 5*time.Minute); return err }},
		{"GET /v1/upstreams/a/stats?window=1s", func() error { _, err := c.Stats(ctx, "a", time.Second); return err }},
		{"GET /v1/graph", func() error { _, err := c.Graph(ctx); return err }},
		{"GET /v1/config", func() error { _, err := c.Config(ctx); return err }},
		{"GET /v1/upstreams/a/logs?tail=7", func() error { _, err := c.Logs(ctx, "a", 7); return err }},
		{"GET /v1/events?after=9", func() error { _, err := c.Events(ctx, 9); return err }},
		{`POST /v1/stop {"names":["a"],"force":true,"wait":true,"timeout":1.5}`, func() error {
			_, err := c.Order(ctx, "stop", Order{Names: []string{"a"}, Force: true, Wait: true, Timeout: 1.5}, none)
			return err
		}},
		{`POST /v1/restart {"all":true}`, func() error { _, err := c.Order(ctx, "restart", Order{All: true}, none); return err }},
		{`POST /v1/upstreams {"mcpServers":{"b":{},"a":{}},"wait":true}`, func() error {
			_, err := c.Add(ctx, Addition{MCPServers: json.RawMessage(`{"b":{},"a":{}}`), Wait: true}, none)
			return err
		}},
		{`POST /v1/upstreams/a%2Fb/signed-in {"wait":true,"timeout":2}`, func() error {
			_, err := c.SignedIn(ctx, "a/b", Order{Wait: true, Timeout: 2})
			return err
		}},
		{"POST /v1/reload {}", func() error { _, err := c.Reload(ctx, false); return err }},
		{"POST /v1/reload?dry_run=true {}", func() error { _, err := c.Reload(ctx, true); return err }},
	} {
		*asked = nil
		if err := tt.ask(); err != nil {
			t.Errorf("%s: %v", tt.want, err)
		}
		if diff := cmp.Diff([]string{tt.want}, *asked); diff != "" {
			t.Error(diff)
		}
	}
}

// Outcomes are told one by one while others are waited for.
func TestOutcomesAsTheyCome(t *testing.T) {
	heard := make(chan string)
	c, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), lines) {
			t.Errorf("Accept: %s", r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", lines)
		for _, name := range []string{"a", "b"} {
			fmt.Fprintf(w, `{"name":%q,"ok":true,"done":true}`+"\n", name)
			_ = http.NewResponseController(w).Flush()
			if got := <-heard; got != name {
				t.Errorf("heard of %q while %q was told", got, name)
			}
		}
	})
	all, err := c.Order(t.Context(), "start", Order{All: true, Wait: true}, func(o Outcome) { heard <- o.Name })
	if err != nil || len(all) != 2 || !all[1].Done {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestOutcomesAtOnce(t *testing.T) {
	c, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"outcomes":[{"name":"a","error":{"code":"start_failed","detail":"no"}},{"name":"b","ok":true}]}`)
	})
	var told []string
	all, err := c.Order(t.Context(), "start", Order{All: true}, func(o Outcome) { told = append(told, o.Name) })
	if err != nil || len(all) != 2 || all[0].Error.Code != "start_failed" {
		t.Errorf("got %v, %v", all, err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, told); diff != "" {
		t.Error(diff)
	}
}

// An order that was sent may have been carried out by a gateway that is gone before
// it answers: that it was not there would be no honest word.
func TestOrderToAGatewayThatDies(t *testing.T) {
	c, _ := scripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.Order(t.Context(), "stop", Order{Names: []string{"a"}}, func(Outcome) {})
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "may have been done") {
		t.Errorf("got %v", err)
	}
}

func TestFollow(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		want         []string
		fails        bool
	}{
		{"ends", ": alive\n\nid: 1\ndata: {\"seq\":1,\"kind\":\"state\"}\n\ndata: {\"seq\":2}\n\n", []string{"1", "2"}, false},
		{"is cut", "data: {\"seq\":1}\n\ndata: {\"seq\"", []string{"1"}, true},
		{"no JSON", "data: hello\n\n", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, asked := scripted(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.stream) })
			var got []string
			var failed bool
			for e, err := range c.FollowEvents(t.Context(), 5) {
				if err != nil {
					failed = true
					if tt.name == "is cut" && !errors.Is(err, ErrUnreachable) {
						t.Errorf("the gateway is gone: %v", err)
					}
					continue
				}
				got = append(got, fmt.Sprint(e.Seq))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || failed != tt.fails {
				t.Errorf("failed %v: %s", failed, diff)
			}
			if (*asked)[0] != "GET /v1/events?follow=true&after=5" {
				t.Errorf("asked %v", *asked)
			}
		})
	}
}

// An error of the API keeps all that it says.
func TestClientErrors(t *testing.T) {
	c, _ := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, &Error{Code: CodeUnknownUpstream, Detail: "no upstream is named x", Mend: "list them"})
	})
	var e *Error
	if _, err := c.Info(t.Context(), "x"); !errors.As(err, &e) || e.Status != 404 || e.Code != CodeUnknownUpstream || e.Mend != "list them" {
		t.Errorf("got %#v", e)
	}
	for _, err := range c.FollowLogs(t.Context(), "x", 1) {
		if !errors.As(err, &e) {
			t.Errorf("follow: %v", err)
		}
	}
}
