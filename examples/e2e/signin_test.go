package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// whose is what the tool whoami answers where ada has signed in, command what a refusal
// names for who has to sign in.
const (
	whose   = `"text":"ada"`
	command = "interlock login work"
)

// TestSignInLasts: somebody signs in once. The token ends and is renewed again and again,
// each time with a refresh token that was never used before; the gateway is started
// anew; the authorization server has a bad minute.
func TestSignInLasts(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, nil)
	g.start()
	client := newRaw(ctx, t, g.url(), modern)
	if work := g.settled("work"); work.SignIn.State != "needs_auth" || work.SignIn.Why != "not_signed_in" || !strings.Contains(work.SignIn.How, command) {
		t.Errorf("before the sign-in: %+v", work)
	}
	g.login()
	client.says("whoami", whose)

	p.control(fields{"lifetime": 1})
	p.control(fields{"forget": "access"})
	client.until("two renewals before the end", "whoami", func(answer string) bool {
		if !strings.Contains(answer, whose) {
			t.Fatalf("during renewals: %s", answer)
		}
		return p.renewals() >= 3
	})
	p.control(fields{"lifetime": 600})

	g.stop()
	p.control(fields{"forget": "access"})
	g.start()
	newRaw(ctx, t, g.url(), legacy).says("whoami", whose)

	p.control(fields{"status": 500, "forget": "access"})
	if got := client.calls("whoami"); strings.Contains(got, whose) || strings.Contains(got, command) {
		t.Errorf("while the authorization server fails: %s, want an error that asks nobody to sign in", got)
	}
	p.control(fields{"status": 0})
	client.until("after that", "whoami", func(answer string) bool { return strings.Contains(answer, whose) })

	now := p.control(nil)
	if now.Registered != 1 || len(now.Asked) != 1 || now.Granted["authorization_code"] != 1 || len(now.Refused) > 0 {
		t.Errorf("one sign-in made %+v", now.counts())
	}
	if slices.ContainsFunc(now.Resources, func(r string) bool { return r != p.url() }) {
		t.Errorf("tokens were asked for %q, want %s only", now.Resources, p.url())
	}
	g.stop()
	p.keepsSecrets(g)
}

// TestRenewedOnce: when fifty clients call while the token has to be renewed, it is
// renewed once, and all of them are served.
func TestRenewedOnce(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, nil)
	g.start()
	g.login()
	const many = 50
	clients := make([]*raw, many)
	for i := range clients {
		clients[i] = newRaw(ctx, t, g.url(), modern)
	}
	clients[0].says("whoami", whose)
	before := p.control(fields{"hold": true, "forget": "access"}).Granted["refresh_token"]
	var all sync.WaitGroup
	for _, client := range clients {
		all.Go(func() { client.says("whoami", whose) })
	}
	waiting := time.NewTicker(20 * time.Millisecond)
	defer waiting.Stop()
	for work := g.list()["work"]; work.InFlight+work.Queued < many || p.control(nil).Held == 0; work = g.list()["work"] {
		select {
		case <-waiting.C:
		case <-ctx.Done():
			t.Fatalf("only %d calls wait", work.InFlight+work.Queued)
		}
	}
	p.control(fields{"hold": false})
	all.Wait()
	now := p.control(nil)
	if got := now.Granted["refresh_token"] - before; got != 1 || now.Held != 1 || len(now.Refused) > 0 {
		t.Errorf("%d calls at once made %+v, want one renewal", many, now.counts())
	}
}

// TestSignInEnds: a tool wants more than was granted; an administrator takes back what
// was; a refresh token was stolen; somebody signs out. Each time the caller is told what
// to do, and that helps.
func TestSignInEnds(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, nil)
	g.start()
	g.login()
	client := newRaw(ctx, t, g.url(), modern)
	ends := func(why string) {
		t.Helper()
		client.says("whoami", command)
		if work := g.list()["work"]; work.SignIn.State != "needs_auth" || work.SignIn.Why != why {
			t.Errorf("%s: %+v", why, work)
		}
		g.login()
		client.says("whoami", whose)
	}

	client.says("publish", command)
	client.says("whoami", whose) // it still may what it could
	g.login()
	client.says("publish", whose)
	if asked := p.control(nil).Asked; len(asked) != 2 || strings.Contains(asked[0], "write") ||
		!strings.Contains(asked[1], "write") || !strings.Contains(asked[1], "mcp") {
		t.Errorf("asked for %q, want mcp and then write too", asked)
	}

	p.control(fields{"forget": "grants"})
	ends("revoked")

	p.control(fields{"forget": "access"})
	client.says("whoami", whose)
	if now := p.control(fields{"replay": true}); now.Replayed.Error != "invalid_grant" {
		t.Fatalf("a refresh token that was used: %+v", now.Replayed)
	}
	ends("revoked")

	g.run("logout", "work")
	if now := p.control(nil); now.Revoked == 0 || now.Alive != 0 {
		t.Errorf("after the sign-out: %+v", now.counts())
	}
	ends("not_signed_in")
	if now := p.control(nil); now.Registered != 2 {
		t.Errorf("registered %d times, want once for mcp and once for write too", now.Registered)
	}
	g.stop()
	p.keepsSecrets(g)
}

// TestSignInTrustsNoOtherIssuer: metadata that says it is somebody else's, and a person
// who comes back from somebody else, end the sign-in before anything is given away.
func TestSignInTrustsNoOtherIssuer(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, nil)
	fails := func(what string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, interlock, "login", "work", "--headless", "-c", g.config)
		cmd.Env, cmd.Dir = environ(dir), dir
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "https://evil.example.com") {
			t.Errorf("%s: %v, %s; want a failure that names the other issuer", what, err, out)
		}
	}
	p.control(fields{"issuer": "https://evil.example.com"})
	fails("metadata of another issuer")
	if now := p.control(nil); now.Registered > 0 || len(now.Asked) > 0 {
		t.Errorf("with metadata of another issuer: %+v", now.counts())
	}
	p.control(fields{"issuer": p.issuer, "iss": "https://evil.example.com"})
	fails("an answer of another issuer")
	if now := p.control(nil); len(now.Asked) != 1 || len(now.Granted)+len(now.Refused) > 0 {
		t.Errorf("with an answer of another issuer: %+v", now.counts())
	}
	p.control(fields{"iss": ""})
	g.run("login", "work", "--headless") // without a gateway
	if now := p.control(nil); now.Alive != 1 || now.Registered != 1 {
		t.Errorf("with none of that: %+v", now.counts())
	}
}

// TestServiceAccount: nobody signs in, and the token is fetched anew whenever it has
// ended, once for all who call.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	p := newProtected(ctx, t, dir)
	g := p.gateway(dir, fields{
		"flow": "client_credentials", "issuer": p.issuer, "client_id": "robot", "client_secret": "robot-secret",
	})
	g.start()
	g.settled("work")
	client := newRaw(ctx, t, g.url(), legacy)
	client.says("whoami", `"text":"robot"`)
	before := p.control(fields{"forget": "access"}).Granted["client_credentials"]
	var all sync.WaitGroup
	for range 10 {
		one := newRaw(ctx, t, g.url(), modern)
		all.Go(func() { one.says("whoami", `"text":"robot"`) })
	}
	all.Wait()
	if now := p.control(nil); now.Granted["client_credentials"] != before+1 || now.Alive != 1 {
		t.Errorf("ten calls with a token that had ended made %+v, want one more request", now.counts())
	}
}
