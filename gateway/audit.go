package gateway

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// The kinds of line that are written here.
const (
	auditCall   = "call"
	auditAction = "action"
	auditReload = "reload"
	auditSignIn = "sign_in"

	auditAccount = "upstream_sign_in"
)

// audited writes down a request that was answered, if it was one for an upstream. It
// blocks for the write.
func (g *Gateway) audited(ctx context.Context, x *exchange, a answer, out outcome) {
	if x.route == nil && !aimed(x.method) {
		return
	}
	l := g.auditLine(ctx, x, x.route, x.record)
	l.AnswerBytes = a.size()
	l.Error = out.Type
	if out.Code != 0 {
		l.Error = strconv.Itoa(out.Code)
	} else if out.ToolError && l.Error == "" {
		l.Error = "tool_error"
	}
	if l.Executed = x.executed; l.Executed == "" {
		switch {
		case x.route == nil:
			l.Executed = string(upstream.ExecutedNo)
		case a.empty():
			l.Executed = string(upstream.ExecutedUnknown)
		default:
			l.Executed = "yes"
		}
	}
	g.tel.Audit(l)
}

// aimed reports whether requests of the method are for an upstream, also when it is
// not known which.
func aimed(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "completion/complete", "resources/subscribe", "resources/unsubscribe":
		return true
	}
	return strings.HasPrefix(method, "tasks/")
}

// auditListen writes down what became of one resource of a subscriptions/listen.
func (g *Gateway) auditListen(x *exchange, r *router.Route, rec *record, err error) {
	if !g.tel.Auditing() {
		return
	}
	l := g.auditLine(context.Background(), x, r, rec)
	l.Executed = "yes"
	if err != nil {
		f := faultOf(r.Upstream, err)
		l.Executed, l.Error = f.Executed, f.Reason
	}
	g.tel.Audit(l)
}

// auditLine is what a line says of a request, but for its outcome. r and rec may be
// nil.
func (g *Gateway) auditLine(ctx context.Context, x *exchange, r *router.Route, rec *record) telemetry.AuditLine {
	p := x.principal
	l := telemetry.AuditLine{
		Kind: auditCall, Issuer: p.Issuer, Principal: p.Subject, Name: p.Name, Credential: p.Credential,
		Session: x.sessionKey(), Client: x.from, Method: x.method, Profile: x.catalog.ProfileName(),
		Effect: string(policy.Allow), Seconds: time.Since(x.begun).Seconds(), RequestBytes: len(x.msg.Raw),
		Trace: telemetry.FromContext(ctx).TraceID(),
	}
	if p.Issuer == operatorIssuer && p.Subject == operatorSubject {
		l.Client = by(ctx)
	}
	if r != nil {
		l.Upstream, l.Target, l.Exposed = r.Upstream, withoutQuery(r.Target), withoutQuery(r.Exposed)
		if r.Chosen {
			l.Target, l.Exposed = scheme(r.Target), scheme(r.Exposed)
		}
		if d := x.definition(r); d != nil {
			l.Definition = d.Hash()
		}
	} else {
		l.Exposed, l.Effect = auditName(x), "" // nobody decided: it does not exist
	}
	if rec == nil {
		return l
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	l.Decisions = append(l.Decisions, rec.all...)
	if rec.effect != "" {
		l.Effect, l.Policy, l.Reason = string(rec.effect), rec.policy, rec.reason
	}
	return l
}

// auditName is what a request asked for that is known by that name to nobody.
func auditName(x *exchange) string {
	if uri := x.text(x.msg.URI); uri != "" {
		return scheme(uri)
	}
	return clipURI(x.text(x.msg.Name))
}

// scheme is all of a URI that whoever made it did not fill in.
func scheme(uri string) string {
	if name, rest, ok := strings.Cut(uri, ":"); ok && rest != "" {
		return clipURI(name) + ":…"
	}
	return "…"
}

// withoutQuery is a name, or a URI without its query and without who signs in there,
// which hold values.
func withoutQuery(s string) string {
	if i := strings.Index(s, "://"); i >= 0 {
		i += len("://")
		host := s[i:]
		if end := strings.IndexAny(host, "/?#"); end >= 0 {
			host = host[:end]
		}
		if at := strings.LastIndexByte(host, '@'); at > 0 {
			s = s[:i] + "…" + s[i+at:]
		}
	}
	if path, query, ok := strings.Cut(s, "?"); ok && query != "" && strings.Contains(path, ":") {
		return path + "?…"
	}
	return s
}

// acted writes down what an operator did.
func (g *Gateway) acted(ctx context.Context, action, upstream string) {
	if g.tel.Auditing() {
		g.tel.Audit(telemetry.AuditLine{Kind: auditAction, Name: by(ctx), Action: action, Upstream: upstream, Effect: string(policy.Allow)})
	}
}

// reloadedBy writes down a reload, and why it was refused if it was.
func (g *Gateway) reloadedBy(ctx context.Context, what string, err error) {
	if !g.tel.Auditing() {
		return
	}
	l := telemetry.AuditLine{Kind: auditReload, Name: by(ctx), Action: "reload", Effect: string(policy.Allow), Reason: what}
	if err != nil {
		l.Effect, l.Error = string(policy.Failed), "refused"
		if e, ok := errors.AsType[*admin.Error](err); ok {
			l.Error = e.Code
		}
	}
	g.tel.Audit(l)
}

// inherit takes over what policies decided on the call that x is a retry of.
func (r *record) inherit(from *record) {
	if from == nil || from == r {
		return
	}
	from.mu.Lock()
	all, effect, name, reason := from.all, from.effect, from.policy, from.reason
	from.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, all...)
	if effect != "" {
		r.effect, r.policy, r.reason = effect, name, reason
	}
}
