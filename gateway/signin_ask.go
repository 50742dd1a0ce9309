package gateway

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// maxSignIns is how often one call may wait for a sign-in: the second may be for more
// scopes, or because the first was with the wrong account.
const maxSignIns = 3

// errNoSignIn says that a person does not want to sign in.
var errNoSignIn = errors.New("signing in was declined")

// needsAuth returns the sign-in that a call needs which failed with err, nil for none.
func needsAuth(err error) *oauth.NeedsAuth {
	n, _ := errors.AsType[*oauth.NeedsAuth](err)
	return n
}

// reach is ask, for a call that may need a person to sign in first. A client of an
// older revision that can show a link is shown one, and the call is made once that was
// used: it blocks until then. Other clients get the error.
func (g *Gateway) reach(ctx context.Context, c *call, u *upstream.Upstream, edits *jsonrpc.Edits) (jsonrpc.Message, error) {
	m, err := g.ask(ctx, c, u, edits)
	if err == nil || c.x.modern != nil {
		return m, err
	}
	for range maxSignIns {
		need := needsAuth(err)
		if need == nil || !c.x.session.opensLinks() || !takesInput(c.x.method) {
			return m, err
		}
		link, refused := g.signIns.offer(c.x, need)
		if refused != nil {
			return m, err
		}
		if waited := g.awaitSignIn(ctx, c, link); waited != nil {
			return m, unsigned(ctx, c.route.Upstream, waited)
		}
		g.awake(ctx, u)
		msg := c.x.ask.Request.Message // a Call is made once
		c.x.ask = upstream.Call{}
		c.x.ask.Request.Message = msg
		if m, err = g.ask(ctx, c, u, edits); err == nil {
			break
		}
	}
	return m, err
}

// opensLinks reports whether the client of a session can be shown a link
// (2025-11-25 client/elicitation, "URL Mode").
func (s *session) opensLinks() bool {
	return s.capabilities().elicitURL && s.negotiated() >= "2025-11-25"
}

// link is a page of ours on which an account can be signed in to.
type link struct {
	*offer
	url, text string
}

// errNotOffered says that a client is not offered a sign-in.
var errNotOffered = errors.New("not offered")

// offer returns a link for the sign-in that a request needs, if the account would be
// the caller's own. The error says why there is none.
func (s *signIns) offer(x *exchange, need *oauth.NeedsAuth) (link, error) {
	u := s.g.set.Upstream(need.Upstream)
	base := s.g.pageBase()
	if u == nil || base == "" || !s.own(x, need, u.Config()) {
		return link{}, errNotOffered
	}
	who := ""
	if need.Principal != "" {
		who = nameOf(x.principal)
	}
	o, ticket, err := s.offers.open(need.Key, who)
	if err != nil {
		return link{}, err
	}
	// Somebody may have signed in between the refusal and now: whoever does so from now
	// on ends the offer.
	if st := s.accounts.State(need.Key); st.Signed && st.Needs == nil {
		s.offers.conclude(o, nil)
	}
	return link{o, base + signInPath + ticket, invitationText(need)}, nil
}

// own reports whether the account that needs a sign-in would be the caller's own: a
// principal's where each has one, or that of a gateway which one person uses.
func (s *signIns) own(x *exchange, need *oauth.NeedsAuth, c *upstream.Config) bool {
	if c.Auth.Flow != "" && c.Auth.Flow != oauth.AuthorizationCode {
		return false
	}
	if x.principal.Issuer == operatorIssuer && x.principal.Subject == operatorSubject {
		return false
	}
	if need.Principal != "" {
		return need.Principal == x.session.account
	}
	server := &s.g.cfg.Load().Server
	return c.Auth.Per != oauth.PerPrincipal && !server.Asks() && !server.InsecureListen
}

// nameOf is how a page calls a principal: by what people call it, and by what it is.
// Issuers let people choose their names, so what would turn or hide the rest is left out.
func nameOf(p *policy.Principal) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, p.Name)
	if r := []rune(name); len(r) > 80 {
		name = string(r[:80]) + "..."
	}
	if name == "" || name == p.Subject {
		return p.Subject
	}
	return name + " (" + p.Subject + ")"
}

// invitationText is what a person is told with the link.
func invitationText(need *oauth.NeedsAuth) string {
	why := "Sign in to " + strconv.Quote(need.Upstream) + " to go on"
	switch need.Why {
	case oauth.MoreScope:
		why = strconv.Quote(need.Upstream) + " wants more permissions: sign in again to go on"
	case oauth.Expired, oauth.Revoked, oauth.Rejected, oauth.Lost:
		why = "The sign-in to " + strconv.Quote(need.Upstream) + " is not valid any more: sign in again to go on"
	}
	return why + ". The link is good once, for 10 minutes."
}

// awaitSignIn has the client of a call open a link, unless another call of its session
// does, and blocks until the sign-in is done (nil), came to nothing or is not wanted,
// or ctx is done.
func (g *Gateway) awaitSignIn(ctx context.Context, c *call, l link) error {
	s := c.x.session
	select {
	case <-l.over: // somebody was faster
		return l.err
	default:
	}
	for {
		i, mine := g.signIns.offers.invite(l.offer, s)
		if mine {
			err := g.inviteTo(ctx, c, l)
			refused := err
			if ctx.Err() != nil {
				refused = nil // another call may ask
			}
			g.signIns.offers.withdraw(l.offer, s, refused)
			return err
		}
		select {
		case <-l.over:
			return l.err
		case <-i.done:
			if i.refused != nil {
				return i.refused
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inviteTo asks the client to open the link, as a server would ask it, and blocks as
// awaitSignIn does. Once it is done the client is told so (2025-11-25
// client/elicitation, "Completion Notifications").
func (g *Gateway) inviteTo(ctx context.Context, c *call, l link) error {
	id := randomHex(16)
	params := appendLink([]byte(`{"elicitationId":"`+id+`",`), l)
	m, err := jsonrpc.ParseServer(jsonrpc.AppendRequest(nil, []byte("0"), "elicitation/create", append(params, '}')))
	if err != nil {
		return err
	}
	gone, reply := make(chan struct{}), make(chan []byte, 1)
	defer close(gone)
	g.putTo(c.x.session, &upstream.Question{Message: m, Gone: gone, Answer: func(_ context.Context, response []byte) error {
		select {
		case reply <- response:
		default: // it was answered already
		}
		return nil
	}}, c.x.out, c, c.route.Upstream)
	for {
		select {
		case <-l.over:
			if l.err == nil {
				c.x.out.send(jsonrpc.AppendRequest(nil, nil, "notifications/elicitation/complete", []byte(`{"elicitationId":"`+id+`"}`)), needed)
			}
			return l.err
		case response := <-reply:
			if !accepted(response) {
				return errNoSignIn
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// appendLink appends the members of an elicitation in URL mode.
func appendLink(b []byte, l link) []byte {
	b = jsonrpc.AppendString(append(b, `"mode":"url","message":`...), l.text)
	return jsonrpc.AppendString(append(b, `,"url":`...), l.url)
}

// accepted reports whether a response to an elicitation is a yes.
func accepted(response []byte) bool {
	action, _ := jsonrpc.Lookup(response, jsonrpc.Whole(response), "result", "action")
	return jsonrpc.Text(response, action) == "accept"
}

// unsigned is the error of a call whose sign-in came to nothing.
func unsigned(ctx context.Context, up string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &upstream.CallError{Upstream: up, Executed: upstream.ExecutedNo, Reason: "needs_auth", Text: "it needs a sign-in first: " + err.Error()}
	switch {
	case errors.Is(err, errNoSignIn):
		e.Reason, e.Text = "declined", "it needs a sign-in first, and that was declined"
	case errors.Is(err, errDraining):
		e.Reason, e.Text = "shutdown", "the gateway is shutting down"
	}
	return e
}

// awake has an upstream that waited for the sign-in started, and blocks until it runs,
// has failed, or ctx is done. What became of it the call finds out.
func (g *Gateway) awake(ctx context.Context, u *upstream.Upstream) {
	if u.Status().State != upstream.Errored || !u.Status().Desired {
		return
	}
	for _, o := range g.set.Order(upstream.VerbStart, u.Name()) {
		_ = o.Wait(ctx)
	}
}
