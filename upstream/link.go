package upstream

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Link is a live connection to an MCP server. It is safe for concurrent use.
// A Link is made by a Dialer, past its handshake, and serves until Lost.
type Link interface {
	// Do sends a request and blocks until its answer, the end of ctx, or the
	// loss of the link. The answer is a Result or a Failure under the link's
	// own id, which the caller replaces. When ctx ends first, the server is told
	// with notifications/cancelled and context.Cause(ctx) is returned. Any other
	// error is a *TransportError, and so is what ended while there was no token to
	// send the request with (its reason is token).
	Do(ctx context.Context, r *Request) (jsonrpc.Message, error)

	// Notify sends a notification (or the answer to a server's request) as it
	// is. The error is a *TransportError.
	Notify(ctx context.Context, raw []byte) error

	// Hello says what the handshake agreed on.
	Hello() *Hello

	// Lost is closed when the link is dead; Err then says why (a *TransportError
	// or, after Close, ErrClosed).
	Lost() <-chan struct{}
	Err() error

	// Close ends the link and blocks until nothing of it is left: a process
	// group is gone, a session deleted. A done ctx means at once, by force.
	Close(ctx context.Context) StopKind
}

// Request is one request on its way to a server.
type Request struct {
	// Message is the request as the client sent it; Edits are the changes to
	// make (nil for none) besides the id and the progress token, which the link
	// replaces with its own and maps back. Neither is changed by the link.
	Message jsonrpc.Message
	Edits   *jsonrpc.Edits
	// Owner is the client session that the request belongs to, "" for the
	// supervisor. A server's request that does not name the call it belongs to
	// is relayed only while all calls in flight have one owner.
	Owner string
	// Peer receives what the server sends on behalf of this request. It may be
	// nil. Its methods are called on the link's reader and must not block.
	Peer Peer
	// TraceParent, TraceState and Baggage go into HTTP headers (W3C Trace
	// Context); "" for none. In _meta they are Edits.
	TraceParent, TraceState, Baggage string

	// Alone says that the client is asked by its calls and nowhere else, as those of
	// 2026-07-28 are. On a link of its own it gets through Peer what a server asks
	// without saying for which call, while there is only this.
	Alone bool

	// What follows is for links of the modern era; a legacy one ignores it.

	// Modern says that the client itself speaks 2026-07-28: the message has the
	// _meta that the revision requires, and an answer that requires input
	// (resultType input_required) goes back to it as it is. Without it a modern
	// link adds _meta from Client, and fulfils what the server requires by asking
	// Peer, as if the server had sent the requests.
	Modern bool
	// Client is what a legacy client declared at initialize: what a modern link
	// puts into _meta, exactly that and never more.
	Client Client
	// Params are the Mcp-Param-* headers that the client sent. A modern link over
	// HTTP sends on those that it does not make itself.
	Params http.Header

	// began, if not nil, is told the id that a link sends the request under,
	// before it does.
	began func(id uint64)
}

// sending tells whoever wants to know the id that a link is about to send r under.
func (r *Request) sending(id uint64) {
	if r.began != nil {
		r.began(id)
	}
	if f, ok := r.Peer.(*flight); ok && f.call.Witness != nil {
		f.call.Witness.Sent(id)
	}
}

// Client is what a legacy client said of itself, for servers that want to be
// told with each request.
type Client struct {
	// Capabilities and Info are JSON objects; nil declares nothing, and is the
	// gateway's own name.
	Capabilities, Info json.RawMessage
	// LogLevel is the least level of log messages it wants, "" for none.
	LogLevel string
}

// Peer is the client's side of a request.
type Peer interface {
	// Notified is a notification of the server that belongs to the request:
	// progress (with the client's own token restored), and on HTTP whatever
	// else came on the request's stream.
	Notified(m jsonrpc.Message)
	// Asked is a request of the server that belongs to the request.
	Asked(q *Question)
}

// Waiter is a Peer that can tell whether a person is being waited for: then
// silence does not count. Of any other Peer that is assumed while a question of
// the server is open.
type Waiter interface{ Waiting() bool }

// Question is a request that a server sent: sampling, elicitation, roots.
type Question struct {
	// Message is the request under the server's own id.
	Message jsonrpc.Message
	// Answer sends a response, complete with the server's id, back on the link
	// the question came from. It blocks for the write at most.
	Answer func(ctx context.Context, response []byte) error
	// Gone is closed when the server no longer waits: it cancelled the question
	// or the link was lost.
	Gone <-chan struct{}
}

// Inbox receives what a server sends that belongs to no request: list changes,
// resource updates, log messages, and requests on a link that one session owns.
// Its methods are called on the link's reader and must not block.
type Inbox interface {
	Notified(m jsonrpc.Message)
	Asked(q *Question)
}

// Hello is the outcome of a handshake.
type Hello struct {
	// Version is the agreed protocol revision, e.g. "2025-11-25".
	Version string
	// Capabilities and ServerInfo are JSON objects as the server sent them.
	Capabilities, ServerInfo json.RawMessage
	Instructions             string
	// PID is the child's process id, 0 for a remote.
	PID int
}

// Modern reports whether the revision is 2026-07-28 or later: no sessions, and
// all that a server must know is in each request.
func (h *Hello) Modern() bool { return h.Version >= latestModern }

// Dial is what a Dialer is asked for.
type Dial struct {
	Config *Config
	// Capabilities are the client capabilities to declare, a JSON object.
	Capabilities json.RawMessage
	// ClientInfo is the clientInfo to declare, a JSON object.
	ClientInfo json.RawMessage
	// Era is what is remembered of the server's; nil for nothing, so that it is
	// asked. Dial and the link write to it.
	Era *Era
	// Exclusive says that one client session owns the link, so that all the
	// server asks is for it.
	Exclusive bool
	// Principal is whose credentials a remote is sent, "" for the gateway's own.
	Principal string
	Inbox     Inbox
	// Stderr receives what a child writes on stderr, line by line, and what was
	// skipped on its stdout. It may be nil.
	Stderr *Tail
	// Renewed, if not nil, is called (on a goroutine of the link) when the link
	// made a new session with the server without being lost: subscriptions and
	// the log level of the old one are gone, and the lists may have changed.
	Renewed func(*Hello)
	// Ended, if not nil, is called once, when the link is lost or closed, with what
	// Err then says. It must not block.
	Ended func(err error)
	// Spawned, if not nil, is called once with the child's pid, or 0 for a
	// remote that answered, before the handshake: the condition `started`.
	Spawned func(pid int)
}

func (d *Dial) ended(err error) {
	if d.Ended != nil {
		d.Ended(err)
	}
}

// Dialer makes links. Dial blocks until the handshake is done, ctx is done (then
// nothing is left running) or it failed with a *StartError.
type Dialer interface {
	Dial(ctx context.Context, d *Dial) (Link, error)
}

// StopKind says how a link's end came about.
type StopKind string

// The ways a link ends.
const (
	Graceful   StopKind = "graceful"   // on closing stdin, or the session
	Terminated StopKind = "terminated" // on SIGTERM
	Killed     StopKind = "killed"     // on SIGKILL
	Survived   StopKind = "survived"   // not even that
)
