package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// troubles are the accounts of which it was told that something is wrong, so that it is
// told once. The zero value is ready.
type troubles struct {
	mu    sync.Mutex // guards known
	known map[oauth.Key]oauth.EventKind
}

// news reports whether an event is another one than the last of its account, and
// whether that was one of trouble.
func (t *troubles) news(e *oauth.Event) (fresh, recovered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, bad := t.known[e.Key]
	switch e.Kind {
	case oauth.Failed, oauth.Needed:
		if t.known == nil {
			t.known = make(map[oauth.Key]oauth.EventKind)
		}
		if len(t.known) >= maxTroubles && !bad {
			t.forget()
		}
		t.known[e.Key] = e.Kind
		return was != e.Kind, false
	}
	delete(t.known, e.Key)
	return true, bad
}

// maxTroubles bounds how many accounts are remembered. Of one that was forgotten it is
// told again that something is wrong.
const maxTroubles = 10_000

// forget forgets half of them, those of principals first. The caller holds mu.
func (t *troubles) forget() {
	for _, all := range []bool{false, true} {
		for k := range t.known {
			if len(t.known) > maxTroubles/2 && (all || k.Principal != "") {
				delete(t.known, k)
			}
		}
	}
}

// retain forgets all upstreams but those for which there is true.
func (t *troubles) retain(there func(upstream string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.known, func(k oauth.Key, _ oauth.EventKind) bool { return !there(k.Upstream) })
}

// reported is told what happens to accounts, and makes lines of the log, events,
// figures and lines of the audit of it. It does not block, but for the audit.
func (s *signIns) reported(e oauth.Event) {
	g := s.g
	fresh, recovered := s.trouble.news(&e)
	whose := ""
	attrs := []any{"upstream", e.Upstream}
	if e.Principal != "" {
		p := principalOf(e.Principal)
		whose = " for " + p.Subject
		attrs = append(attrs, "principal", p.Subject)
	}
	if e.Issuer != "" {
		attrs = append(attrs, "issuer", e.Issuer)
	}
	happened := func(kind, text string) {
		g.happened(admin.Event{Kind: kind, Upstream: e.Upstream, Text: text})
	}
	ctx := context.Background()
	switch e.Kind {
	case oauth.SignedInEvent:
		g.tel.SignIn(e.Upstream, telemetry.SignInDone)
		g.log.InfoContext(ctx, "signed in to an upstream", append(attrs, telemetry.EventName, telemetry.LogSignedIn)...)
		happened("signed_in", "signed in to "+e.Upstream+whose)
		s.audit(&e, "signed_in", "")
	case oauth.SignedOutEvent:
		g.log.InfoContext(ctx, "signed out of an upstream", append(attrs, telemetry.EventName, telemetry.LogSignedOut)...)
		happened("signed_out", "signed out of "+e.Upstream+whose)
		s.audit(&e, "signed_out", "")
	case oauth.Renewed:
		g.tel.TokenRenewal(e.Upstream, telemetry.RenewalDone)
		level := slog.LevelDebug
		if recovered {
			level = slog.LevelInfo
			happened("token_renewed", "the token of "+e.Upstream+whose+" is renewed again")
		}
		g.log.Log(ctx, level, "a token was renewed", append(attrs, telemetry.EventName, telemetry.LogTokenRenewed)...)
	case oauth.Failed:
		g.tel.TokenRenewal(e.Upstream, telemetry.RenewalFailed)
		switch {
		case !fresh:
		case errors.Is(e.Err, oauth.ErrUnstored):
			g.log.WarnContext(ctx, "a renewed token could not be stored, and is lost if the gateway ends before; it is tried again", append(attrs, telemetry.EventName, telemetry.LogTokenFailed, "error", e.Err)...)
			happened("token_failed", "the token of "+e.Upstream+whose+" was renewed, and is lost if the gateway ends: "+text(e.Err))
		default:
			g.log.WarnContext(ctx, "no token could be had; it is tried again", append(attrs, telemetry.EventName, telemetry.LogTokenFailed, "error", e.Err)...)
			happened("token_failed", "no token could be had for "+e.Upstream+whose+": "+text(e.Err))
		}
	case oauth.Needed:
		need := needsAuth(e.Err)
		if need != nil && (need.Why == oauth.Expired || need.Why == oauth.Revoked || need.Why == oauth.BadClient) {
			g.tel.TokenRenewal(e.Upstream, telemetry.RenewalOver)
		}
		if fresh && need != nil {
			how := need.Mend(s.configOf(e.Upstream).Flow)
			g.log.WarnContext(ctx, "an upstream needs a sign-in", append(attrs, telemetry.EventName, telemetry.LogNeedsAuth, "error", e.Err, "mend", how)...)
			happened("needs_auth", e.Upstream+" needs a sign-in"+whose+": "+strings.TrimPrefix(text(e.Err), "needs_auth: ")+"; "+how)
		}
	}
}

func text(err error) string {
	if err == nil {
		return "it was not said why"
	}
	return err.Error()
}

// failed tells of a sign-in of a person that came to nothing, and ends what waits for
// it.
func (s *signIns) failed(ctx context.Context, a *attempt, from string, err error) {
	g := s.g
	outcome, kind := telemetry.SignInFailed, "failed"
	if refusal, ok := errors.AsType[*oauth.Refusal](err); ok {
		outcome, kind = telemetry.SignInRefused, refusal.Code
	}
	g.tel.SignIn(a.of.Upstream, outcome)
	g.log.WarnContext(ctx, "a sign-in to an upstream failed", telemetry.EventName, telemetry.LogSignInFailed, "upstream", a.of.Upstream, "issuer", a.Issuer, "error", err)
	g.happened(admin.Event{Kind: "sign_in_failed", Upstream: a.of.Upstream, Text: "a sign-in to " + a.of.Upstream + " failed: " + err.Error()})
	s.auditFrom(&oauth.Event{Key: a.of.Key, Issuer: a.Issuer}, "sign_in_failed", kind, from)
	s.offers.conclude(a.of, err)
}

// audit writes down what became of an account. failure is a word for what went wrong,
// "" for nothing.
func (s *signIns) audit(e *oauth.Event, action, failure string) {
	s.auditFrom(e, action, failure, "")
}

func (s *signIns) auditFrom(e *oauth.Event, action, failure, client string) {
	if !s.g.tel.Auditing() {
		return
	}
	p := principalOf(e.Principal)
	l := telemetry.AuditLine{
		Kind: auditAccount, Issuer: p.Issuer, Principal: p.Subject, Client: client,
		Action: action, Upstream: e.Upstream, Effect: string(policy.Allow), Error: failure,
	}
	if failure != "" {
		l.Effect = string(policy.Failed)
	}
	if e.Issuer != "" {
		l.Reason = "at " + e.Issuer
	}
	s.g.tel.Audit(l)
}
