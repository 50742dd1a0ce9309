package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// credential is the way of one link's requests to a remote: with the header
// Authorization of a sign-in, where there is a source of one (basic/authorization of
// 2025-11-25 and 2026-07-28, Access Token Usage).
type credential struct {
	remote *remote
	source oauth.Source           // nil for none: requests go as they are
	byHand bool                   // its token was issued by hand: it is told of all that is taken
	good   atomic.Pointer[string] // the last value that was looked through
	open   atomic.Bool            // the source was told that the server takes requests without a token
}

// credential returns the way to r for x. What is configured as Authorization, or as
// a user in the url, is sent as it is: then nobody signs in.
func (d *dialer) credential(r *remote, x *Dial) *credential {
	c := &credential{remote: r}
	if d.credentials != nil && r.header.Get("Authorization") == "" {
		c.source = d.credentials(x.Config, x.Principal)
		c.byHand = x.Config.Auth.Flow == oauth.Bearer
	}
	return c
}

// send is that of remote. It blocks besides while there is no valid token and one is
// fetched. A request that the server refuses for its token was not executed, and is
// sent once more if there is another token then. The error has the reason needs_auth
// if somebody has to sign in, and wraps the *oauth.NeedsAuth; token, if none could be
// had for now, or before ctx was done; closed, if l ended before.
func (c *credential) send(ctx context.Context, l *life, q *outgoing) (*response, *TransportError) {
	if c.source == nil {
		return c.remote.send(ctx, l, q)
	}
	for again := false; ; again = true {
		value, err := c.token(ctx, l)
		if err != nil {
			return nil, unsigned(ctx, l, err, 0)
		}
		q.authorization = value
		resp, failed := c.remote.send(ctx, l, q)
		if failed != nil {
			return nil, failed
		}
		if !refusesToken(resp) {
			if again || c.byHand || value == "" && !c.open.Load() && !c.open.Swap(true) {
				c.source.Accepted(value)
			}
			return resp, nil
		}
		status, header := resp.status, resp.header
		resp.drain()
		if err := c.refused(ctx, l, value, status, header); err != nil {
			return nil, unsigned(ctx, l, err, status)
		}
		if again {
			return nil, &TransportError{
				Executed: ExecutedNo, Reason: "unauthorized", Status: status,
				Err: fmt.Errorf("HTTP status %d to a token that was just renewed", status),
			}
		}
	}
}

// ready blocks until there is a token, so that what follows does not wait for one.
func (c *credential) ready(ctx context.Context) *TransportError {
	if c.source == nil {
		return nil
	}
	if _, err := c.value(ctx); err != nil {
		return unsigned(ctx, nil, err, 0)
	}
	return nil
}

// impatient is a context that has ended: who asks with it gets what is there.
var impatient = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// token is value, and waits no longer than ctx and l last. That takes a context for
// both, which is made only for who has to wait.
func (c *credential) token(ctx context.Context, l *life) (string, error) {
	v, err := c.value(impatient)
	if !errors.Is(err, context.Canceled) {
		return v, err
	}
	ctx, done := bindContext(ctx, l.ctx)
	defer done()
	return c.value(ctx)
}

// refused tells the source of a refusal, and waits no longer than ctx and l last.
func (c *credential) refused(ctx context.Context, l *life, sent string, status int, h http.Header) error {
	ctx, done := bindContext(ctx, l.ctx)
	defer done()
	return c.source.Refused(ctx, sent, status, h)
}

// errUnsendable does not say what it is that cannot be sent.
var errUnsendable = errors.New("the token holds characters that a header must not have")

// value returns what to send, which is looked through when it is another one than
// before (RFC 9110 section 5.5).
func (c *credential) value(ctx context.Context) (string, error) {
	v, err := c.source.Authorization(ctx)
	if err != nil || v == "" {
		return "", err
	}
	if last := c.good.Load(); last == nil || *last != v {
		if !isFieldValue(v) {
			return "", errUnsendable
		}
		kept := v // which is on the heap, unlike v
		c.good.Store(&kept)
	}
	return v, nil
}

// refusesToken reports whether the server refuses a request for its token, or for
// the lack of one: 401, and 403 for want of scope (RFC 6750 section 3.1). It ran
// nothing then.
func refusesToken(resp *response) bool {
	switch resp.status {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		return oauth.WantsScope(resp.header)
	}
	return false
}

// unsigned is the error of a request that was not sent, or refused, since there was
// no token for it. l is whose request it was, nil for nobody's; status is that of the
// refusal, 0 for none.
func unsigned(ctx context.Context, l *life, err error, status int) *TransportError {
	e := &TransportError{Executed: ExecutedNo, Reason: "token", Status: status, Err: err}
	switch {
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	case l != nil && l.ctx.Err() != nil:
		e.Reason, e.Lost, e.Err = "closed", true, ErrClosed
	case needsAuth(err) != nil:
		e.Reason = "needs_auth"
	}
	return e
}

// signInPause is how long a stream rests that the server refuses until somebody has
// signed in, which a stream is not told.
func signInPause(failures int) time.Duration {
	return reconnectPause(failures, time.Minute, 10*time.Minute)
}

// noToken reports whether a request was not sent because no token could be had for
// it, also in its time: that tells nothing of the server.
func noToken(err error) bool {
	e, ok := errors.AsType[*TransportError](err)
	return ok && e.Reason == "token"
}

// needsAuth returns the *oauth.NeedsAuth behind err, nil if there is none.
func needsAuth(err error) *oauth.NeedsAuth {
	needs, _ := errors.AsType[*oauth.NeedsAuth](err)
	return needs
}
