package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// protected is a server that wants OAuth, with its own authorization server
// (drivers/protected.mjs), in a process of its own.
type protected struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	// addr is the MCP server's, issuer the authorization server.
	addr, issuer string
}

func newProtected(ctx context.Context, t *testing.T, dir string) *protected {
	t.Helper()
	issuer := addrtest.Free(t)
	p := &protected{t, ctx, addrtest.Free(t), "http://" + issuer}
	ports := make([]string, 2)
	for i, addr := range []string{p.addr, issuer} {
		var err error
		if _, ports[i], err = net.SplitHostPort(addr); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(node22(), append([]string{"drivers/protected.mjs"}, ports...)...)
	said := &watcher{word: "listening on port", seen: make(chan struct{})}
	cmd.Stdout = said
	startSaying(ctx, t, dir, cmd, said)
	return p
}

// url is the MCP endpoint.
func (p *protected) url() string { return "http://" + p.addr + "/mcp" }

// seen is what has happened at a protected server.
type seen struct {
	Registered int
	Asked      []string       // the scopes of each authorization request
	Granted    map[string]int // by the type of the grant
	Refused    map[string]int // by the token endpoint's error
	Revoked    int            // requests
	Held       int            // token requests that have to wait
	Alive      int            // access tokens that are valid
	Resources  []string       // that token requests were for
	Secrets    []string
	Replayed   struct{ Error string }
}

// counts is what a failure may show.
func (s seen) counts() seen {
	s.Secrets = nil
	return s
}

// control changes how it behaves, nil for nothing, and returns what it has seen. What
// there is to change is in drivers/protected.mjs.
func (p *protected) control(change fields) seen {
	p.t.Helper()
	method, body := http.MethodGet, []byte(nil)
	if change != nil {
		var err error
		if body, err = json.Marshal(change); err != nil {
			p.t.Fatal(err)
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(p.ctx, method, "http://"+p.addr+"/control", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Close = true // as in issuer.post
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var s seen
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// renewals are how often tokens were renewed.
func (p *protected) renewals() int {
	p.t.Helper()
	return p.control(nil).Granted["refresh_token"]
}

// gateway configures one in front of it, whose only upstream is "work" and which keeps its
// sign-ins in a file.
func (p *protected) gateway(dir string, auth fields) *gateway {
	p.t.Helper()
	work := fields{"url": p.url()}
	if auth != nil {
		work["auth"] = auth
	}
	g := configure(p.ctx, p.t, dir, fields{"work": work})
	g.edit(func(whole map[string]any) {
		whole["sign_in"] = fields{"store": "file"}
		whole["telemetry"] = fields{"logs": fields{"level": "debug"}, "audit": fields{"path": filepath.Join(dir, "audit.jsonl")}}
	})
	return g
}

// keepsSecrets checks that no token, code or secret that was ever made is in the log of
// the gateway or in a file.
func (p *protected) keepsSecrets(g *gateway) {
	p.t.Helper()
	places := map[string]string{"the log": g.log.String()}
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		places[path] = string(text)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	secrets := p.control(nil).Secrets
	if len(secrets) < 4 || len(places) < 3 {
		p.t.Errorf("only %d secrets in %d places", len(secrets), len(places))
	}
	for where, text := range places {
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				p.t.Errorf("%s holds secret %d", where, i)
			}
		}
	}
}

// settled waits until an upstream has started, or has not.
func (g *gateway) settled(name string) upstream {
	g.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if u := g.list()[name]; u.State != "not_started" && u.State != "starting" {
			return u
		}
		select {
		case <-again.C:
		case <-g.ctx.Done():
			g.t.Fatal(context.Cause(g.ctx))
		}
	}
}

// login signs in at "work" and checks that it runs then.
func (g *gateway) login() {
	g.t.Helper()
	g.run("login", "work", "--headless")
	if work := g.list()["work"]; work.State != "running" {
		g.t.Fatalf("after the sign-in: %+v", work)
	}
}

// says calls a tool of "work" and checks that want is in what comes back.
func (r *raw) says(tool, want string) {
	r.t.Helper()
	if got := r.calls(tool); !strings.Contains(got, want) {
		r.t.Errorf("%s: %s, want %q in it", tool, got, want)
	}
}

// calls calls a tool of "work".
func (r *raw) calls(tool string) string {
	r.t.Helper()
	return string(r.post("tools/call", fields{"name": "work__" + tool, "arguments": fields{}}))
}

// until calls a tool of "work" again and again until done says so of the answer.
func (r *raw) until(what, tool string, done func(answer string) bool) {
	r.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		answer := r.calls(tool)
		if done(answer) {
			return
		}
		select {
		case <-again.C:
		case <-r.ctx.Done():
			r.t.Fatalf("%s: still %s", what, answer)
		}
	}
}
