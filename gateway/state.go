package gateway

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// State returns what the admin API sees of the gateway and does to it.
func (g *Gateway) State() admin.State { return g }

// Ready reports whether clients are served and every required upstream runs, or
// will as soon as it is needed, and names what is waited for if not.
func (g *Gateway) Ready() (bool, []string) {
	if g.Draining() {
		return false, []string{"draining"}
	}
	var waiting []string
	for _, u := range g.set.Upstreams() {
		st := u.Status()
		// Of one in unknown too little is known to turn clients away: calls pass.
		up := st.State == upstream.Running || st.State == upstream.Unknown || st.Idle
		if st.Required && !up {
			waiting = append(waiting, st.Name)
		}
	}
	return len(waiting) == 0, waiting
}

// Draining reports whether the gateway is about to end.
func (g *Gateway) Draining() bool { return g.draining.Load() }

// List returns the upstreams that s selects, in the order of the file.
func (g *Gateway) List(s admin.Select) []admin.Upstream {
	var out []admin.Upstream
	for _, u := range g.set.Upstreams() {
		if v := g.upstreamView(u); s.Passes(&v) {
			out = append(out, v)
		}
	}
	return out
}

func (g *Gateway) upstreamView(u *upstream.Upstream) admin.Upstream {
	st := u.Status()
	a := admin.Upstream{
		Name: st.Name, State: string(st.State), Health: st.Health, Breaker: string(st.Breaker),
		Transport: string(st.Transport), PID: st.PID, Since: st.Since, Started: st.Started,
		Generation: st.Generation, Attempts: st.Attempts, Exhausted: st.Exhausted, NextRetry: st.NextRetry,
		LastStop: string(st.LastStop), WaitingFor: st.WaitingFor, InFlight: st.InFlight, Queued: st.Queued,
		SkippedLines: st.Skipped, Required: st.Required, OnDemand: st.OnDemand, Idle: st.Idle, Because: st.Because,
	}
	info := json.RawMessage(nil)
	if inv := u.Inventory(); inv != nil {
		a.Tools, a.Prompts, a.Resources = len(inv.Tools), len(inv.Prompts), len(inv.Resources)+len(inv.Templates)
		a.Protocol, info = inv.Version, inv.ServerInfo
	}
	if st.Hello != nil {
		a.Protocol, info = st.Hello.Version, st.Hello.ServerInfo
	}
	if info != nil {
		var server admin.Server
		if json.Unmarshal(info, &server) == nil {
			a.Server = &server
		}
	}
	if f := st.Failure; f != nil {
		a.LastFailure = &admin.Failure{Stage: f.Stage, Message: f.Message, Exit: f.Exit, Stderr: f.Stderr, At: f.At}
	}
	a.SignIn = g.signIns.view(u.Config())
	return a
}

// Tools returns the catalog's tools: those that clients are listed, in their order,
// then those that are known but not listed.
func (g *Gateway) Tools() []admin.Tool { return toolsOf(g.view.Load().catalog) }

func toolsOf(c *router.Catalog) []admin.Tool {
	entries := c.Entries(router.Tools)
	out := make([]admin.Tool, len(entries))
	for i, e := range entries {
		var item struct {
			InputSchema json.RawMessage `json:"inputSchema"`
		}
		_ = json.Unmarshal(e.Item, &item) // it is in the catalog, so it is an object
		out[i] = admin.Tool{
			Name: e.Exposed, Upstream: e.Upstream, Target: e.Name, Description: e.Description, Listed: e.Listed, InputSchema: item.InputSchema,
		}
	}
	return out
}

// Problems returns what clients see differently from what the upstreams say.
func (g *Gateway) Problems() []admin.Problem {
	v := g.view.Load()
	out := adminProblems(v.catalog.Problems())
	for i := range v.cfg.Profiles {
		if c, ok := v.catalog.Profile(v.cfg.Profiles[i].Name); ok {
			out = append(out, adminProblems(c.Problems())...)
		}
	}
	for i := range v.verdicts {
		out = append(out, problemOf(&v.verdicts[i]))
	}
	return out
}

func adminProblems(problems []router.Problem) []admin.Problem {
	out := make([]admin.Problem, len(problems))
	for i, p := range problems {
		out[i] = admin.Problem{
			Kind: string(p.Kind), Upstream: p.Upstream, Profile: p.Profile, Name: p.Name, Exposed: p.Exposed, Other: p.Other, Text: p.Text, Mend: p.Mend,
		}
	}
	return out
}

// Who makes an operator's calls, as policies know it.
const (
	operatorIssuer  = "interlock"
	operatorSubject = "operator"
)

// operator is the session of calls that the admin API makes: a client that can
// be asked nothing.
func operator(profile string) *session {
	s := newSession(ticket{Nonce: "operator-" + randomHex(8), Version: legacyVersions[0], Capabilities: json.RawMessage("{}"), View: givenProfile + profile}, "")
	s.principal = &policy.Principal{Issuer: operatorIssuer, Subject: operatorSubject, Name: operatorSubject}
	s.home = nowhere{}
	return s
}

// Call calls a tool under the name that clients use, the same way that a client's
// call takes, and blocks for the bytes of its result. A client that asks so can
// be asked nothing. The error is an *admin.Error, or ctx's.
func (g *Gateway) Call(ctx context.Context, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	return g.CallIn(ctx, "", tool, arguments)
}

// CallIn is Call for a client that sees a profile, "" for the whole.
func (g *Gateway) CallIn(ctx context.Context, profile, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	return g.callFor(ctx, nil, profile, tool, arguments)
}

// CallTraced is CallIn, and the call is recorded whatever is sampled. trace is the id
// of its trace, also with an error, "" if nothing is recorded.
func (g *Gateway) CallTraced(ctx context.Context, profile, tool string, arguments json.RawMessage) (result json.RawMessage, trace string, err error) {
	result, err = g.callFor(ctx, &trace, profile, tool, arguments)
	return result, trace, err
}

// callFor makes a call for an operator; trace gets the id of its trace if it is not
// nil.
func (g *Gateway) callFor(ctx context.Context, trace *string, profile, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	if _, err := g.catalogIn(profile); err != nil {
		return nil, err
	}
	params := append(jsonrpc.AppendString([]byte(`{"name":`), tool), `,"arguments":`...)
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	params = append(append(params, arguments...), '}')
	m, err := jsonrpc.Parse(jsonrpc.AppendRequest(nil, []byte("1"), "tools/call", params))
	if err != nil {
		return nil, &admin.Error{Code: admin.CodeBadRequest, Detail: err.Error()}
	}
	if !g.enter() {
		return nil, &admin.Error{Code: admin.CodeDraining, Detail: "the gateway is shutting down"}
	}
	defer g.leave()
	ses := operator(profile)
	defer g.release(ses)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.hard, func() { cancel(errDraining) })()
	x := g.exchange(ses, m, ses.home, visitor{}, cancel)
	x.traced = trace
	a := g.serve(ctx, x)
	if a.empty() {
		return nil, context.Cause(ctx)
	}
	reply, err := jsonrpc.ParseServer(a.bytes())
	if err != nil {
		return nil, &admin.Error{Code: admin.CodeInternal, Detail: err.Error()}
	}
	if reply.Kind == jsonrpc.Failure {
		return nil, rpcFailure(reply)
	}
	return reply.Result.Of(reply.Raw), nil
}

// rpcFailure is a JSON-RPC error as the admin API says it.
func rpcFailure(m jsonrpc.Message) error {
	code, _ := jsonrpc.Lookup(m.Raw, m.Error, "code")
	text, _ := jsonrpc.Lookup(m.Raw, m.Error, "message")
	n, _ := strconv.Atoi(string(code.Of(m.Raw)))
	e := &admin.Error{Code: admin.CodeUpstream, Detail: m.Text(text), RPC: m.Error.Of(m.Raw)}
	if n == jsonrpc.CodeInvalidParams {
		e.Code = admin.CodeInvalidArgument
		if strings.HasPrefix(e.Detail, "invalid params: unknown tool") {
			e.Code, e.Mend = admin.CodeUnknownTool, "interlock tools lists the names"
		}
	}
	return e
}
