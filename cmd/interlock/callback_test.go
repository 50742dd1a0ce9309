package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// comesBack is a callback that waits for a state, and the visits it gets.
func comesBack(t *testing.T, uri, state string) (at string, visits <-chan visit) {
	t.Helper()
	c, err := newCallback(t.Context(), uri, true)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan visit, 1)
	c.serve(state, got)
	t.Cleanup(c.close)
	return c.uri.String(), got
}

// fetch makes a request as a browser does, and returns its status, body and headers.
func fetch(t *testing.T, method, url, host string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patient}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

// What a page of another site, or a lost browser, may send does not end the wait;
// the first that has the state does, and is told what became of it.
func TestCallback(t *testing.T) {
	at, visits := comesBack(t, "http://127.0.0.1:0/callback", "s1")
	base := strings.TrimSuffix(at, "/callback")
	for _, tt := range []struct {
		name, method, url, host string
		want                    int
	}{
		{"another state", "GET", at + "?code=c&state=s2", "", 400},
		{"no state", "GET", at + "?code=c", "", 400},
		{"two states", "GET", at + "?code=c&state=s1&state=s2", "", 400},
		{"another host", "GET", at + "?code=c&state=s1", "rebound.example", 421},
		{"another path", "GET", base + "/favicon.ico?state=s1", "", 404},
		{"a post", "POST", at + "?code=c&state=s1", "", 405},
		{"a head", "HEAD", at + "?code=c&state=s1", "", 405},
	} {
		if got, _, _ := fetch(t, tt.method, tt.url, tt.host); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
		}
	}
	select {
	case v := <-visits:
		t.Fatalf("it took %v", v.query)
	default:
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		v := <-visits
		if v.query.Get("code") != "c<d>" {
			t.Errorf("the code is %q", v.query.Get("code"))
		}
		v.tell <- farewell{Title: "Not signed in", Text: "it said <script>alert(1)</script>"}
	}()
	status, body, header := fetch(t, "GET", at+"?code=c%3Cd%3E&state=s1", "")
	<-told
	if status != 200 || strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") || strings.Contains(body, "c&lt;d") {
		t.Errorf("status %d, page:\n%s", status, body)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if !strings.Contains(header.Get(name), want) {
			t.Errorf("%s: %q", name, header.Get(name))
		}
	}
	if status, _, _ := fetch(t, "GET", at+"?code=again&state=s1", ""); status != 410 {
		t.Errorf("a second answer has status %d", status)
	}
}

// A port that is taken is given way to where that is allowed, and named else.
func TestCallbackPort(t *testing.T) {
	first, _ := comesBack(t, "http://127.0.0.1:0/callback", "s")
	second, _ := comesBack(t, first, "s")
	if first == second {
		t.Error("both listen at", first)
	}
	c, err := newCallback(t.Context(), first, false)
	if err == nil {
		c.close()
		t.Fatal("it listens where another does")
	}
	if !taken(err) || !strings.Contains(err.Error(), first) {
		t.Error(err)
	}
}

func TestCallbackAddress(t *testing.T) {
	for _, bad := range []string{
		"", "https://127.0.0.1:7780/", "http://192.0.2.1/cb", "http://example.com/", "http://me@127.0.0.1/", "http://127.0.0.1/?a=b", "http://127.0.0.1/#f", "127.0.0.1:80", "http://%zz/",
	} {
		if c, err := newCallback(context.Background(), bad, true); err == nil {
			c.close()
			t.Errorf("%q is taken", bad)
		}
	}
	at, _ := comesBack(t, "http://localhost:0", "s")
	if status, _, _ := fetch(t, "GET", at+"?state=other", ""); status != 400 {
		t.Errorf("localhost: status %d", status)
	}
}
