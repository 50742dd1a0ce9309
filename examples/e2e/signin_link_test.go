package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestSignInByLink: a client that can show links is shown one where the gateway has to be
// signed in anew, a person uses it, and the call goes on by itself.
func TestSignInByLink(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, nil)
	g.start()
	g.login()
	for _, name := range []string{"sdk", "pinned"} {
		c := newClient(ctx, t, dir)
		f := capable(g.url())
		f["mode"] = clients[name]["mode"]
		c.connect(f)
		before := p.control(fields{"forget": "grants"}).Granted["authorization_code"]
		if got := c.signsIn("ada"); got != "ada" {
			t.Errorf("%s: the call was ada's after %q signed in", name, got)
		}
		if got := c.text("work__whoami", nil); got != "ada" {
			t.Errorf("%s: the next call was %q's", name, got)
		}
		if now := p.control(nil); now.Granted["authorization_code"] != before+1 {
			t.Errorf("%s: one link made %+v", name, now.counts())
		}
	}
	plain := newRaw(ctx, t, g.url(), legacy) // can show no links
	p.control(fields{"forget": "grants"})
	plain.says("whoami", command)
	g.stop()
	p.keepsSecrets(g)
}

// TestSignInOfEach: with server.auth, who calls signs in for himself, and nobody calls
// with another's token.
func TestSignInOfEach(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, fields{"per": "principal"})
	keys, entries := map[string]string{}, []fields{}
	for _, who := range []string{"bob", "eve"} {
		var made struct {
			Key   string `json:"key"`
			Entry fields `json:"api_key"`
		}
		text := output(ctx, t, dir, interlock, "apikey", "new", "--principal", who, "--name", who, "-o", "json")
		if err := json.Unmarshal(text, &made); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		keys[who], entries = made.Key, append(entries, made.Entry)
	}
	g.auth(fields{"api_keys": entries})
	g.start()
	g.login() // what lists are made with
	all := map[string]*client{}
	for who, key := range keys {
		c := newClient(ctx, t, dir)
		f := capable(g.url())
		f["headers"] = fields{"Authorization": "Bearer " + key}
		if who == "eve" {
			f["mode"] = clients["pinned"]["mode"]
		}
		c.connect(f)
		if got := c.signsIn(who); got != who {
			t.Errorf("the call of %s was %q's", who, got)
		}
		all[who] = c
	}
	for who, c := range all {
		if got := c.text("work__whoami", nil); got != who {
			t.Errorf("the next call of %s was %q's", who, got)
		}
	}
	p.control(fields{"forget": "access"})
	g.stop()
	g.start()
	for who, key := range keys {
		c := newClient(ctx, t, dir)
		f := capable(g.url())
		f["headers"] = fields{"Authorization": "Bearer " + key}
		c.connect(f)
		if got := c.text("work__whoami", nil); got != who {
			t.Errorf("after the restart the call of %s was %q's", who, got)
		}
	}
	if now := p.control(nil); now.Granted["authorization_code"] != 3 {
		t.Errorf("three sign-ins made %+v", now.counts())
	}
	g.stop()
	p.keepsSecrets(g)
}

// signsIn calls whoami, opens the link that it is shown with a browser in which somebody
// signs in as who, and returns what the call answers then.
func (c *client) signsIn(who string) string {
	c.t.Helper()
	asked := func(e event) bool { return e.Method == "elicitation/create" }
	id := c.send("callTool", tool("work__whoami", nil))
	e := c.seen("request", "to sign in", asked)
	var link struct{ Mode, URL, Message string }
	if err := json.Unmarshal(e.Params, &link); err != nil || link.Mode != "url" || !strings.Contains(link.Message, "work") {
		c.t.Fatalf("asked for %s, %v; want a link to sign in to work", e.Params, err)
	}
	browse(c.ctx, c.t, link.URL, who)
	raw, err := c.wait(id)
	if err != nil {
		c.t.Fatalf("the call after the sign-in: %v", err)
	}
	if n := c.count("request", asked); n != 1 {
		c.t.Errorf("asked %d times", n)
	}
	var result struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(raw, &result); err != nil || len(result.Content) != 1 {
		c.t.Fatalf("the call after the sign-in: %s, %v", raw, err)
	}
	return result.Content[0].Text
}

// browse is a person who opens a link, sees what it is for, presses its button, and signs
// in as who. The link is good once.
func browse(ctx context.Context, t *testing.T, link, who string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		r.Header.Set("X-Account", who)
		return nil
	}}
	visit := func(method string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			from, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(text)
	}
	if res, text := visit(http.MethodGet); res.StatusCode != http.StatusOK || !strings.Contains(text, "work") {
		t.Fatalf("the link: %s\n%s", res.Status, text)
	}
	if res, text := visit(http.MethodPost); res.StatusCode != http.StatusOK || !strings.Contains(text, "signed in to work") {
		t.Fatalf("signing in as %s: %s at %s\n%s", who, res.Status, res.Request.URL.Path, text)
	}
	if res, _ := visit(http.MethodPost); res.StatusCode < 400 {
		t.Errorf("the link was good twice: %s", res.Status)
	}
}
