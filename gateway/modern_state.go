package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// stateKind is what a requestState stands for.
type stateKind byte

const (
	stateParked   stateKind = 'p' // a call that is kept open here
	statePassed   stateKind = 's' // an upstream's own state
	stateSignedIn stateKind = 'u' // a call to make again once a page was visited
)

// How long each may be answered. A parked call holds a place at its upstream; the
// others hold nothing.
const (
	parkTTL  = 5 * time.Minute
	stateTTL = time.Hour
)

// requestState is what the gateway puts into a requestState (2026-07-28
// basic/patterns/mrtr, "Server Requirements"): sealed, so that whoever holds it
// learns nothing from it and can use it for nothing but a retry, in time, of the
// very request that it was given for, by whom it was given to.
type requestState struct {
	kind      stateKind
	expires   time.Time
	principal string
	method    string
	upstream  string
	digest    [sha256.Size]byte // of the request's params
	inner     []byte            // the name of the parked call, or the upstream's state as JSON
	made      telemetry.Ref     // the span of the request, zero for none
}

// A state that names a span is sealed in another way, and looks like none to a
// gateway that knows only the first.
const (
	stateContext       = "interlock request state 1"
	tracedStateContext = "interlock request state 2"
	tracedState        = "." // before the rest, whose plain text begins with the span
)

var errState = errors.New("not a request state of ours, or not for this request")

// sealState returns the string that carries t.
func (s *sealer) sealState(t requestState) string {
	var plain []byte
	prefix, context := "", stateContext
	if !t.made.IsZero() {
		prefix, context = tracedState, tracedStateContext
		plain = append(plain, t.made.Text()...)
	}
	plain = append(plain, byte(t.kind))
	plain = binary.AppendVarint(plain, t.expires.Unix())
	for _, field := range [...]string{t.principal, t.method, t.upstream} {
		plain = binary.AppendUvarint(plain, uint64(len(field)))
		plain = append(plain, field...)
	}
	plain = append(append(plain, t.digest[:]...), t.inner...)
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(context)))
}

// openState returns what a request state carries. The error is errState for one
// that this key did not seal.
func (s *sealer) openState(text string) (requestState, error) {
	var t requestState
	context := stateContext
	text, traced := strings.CutPrefix(text, tracedState)
	if traced {
		context = tracedStateContext
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	n := s.aead.NonceSize()
	if err != nil || len(b) < n {
		return t, errState
	}
	plain, err := s.aead.Open(nil, b[:n], b[n:], []byte(context))
	if err == nil && traced {
		const size = len("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if len(plain) < size {
			return t, errState
		}
		t.made, plain = telemetry.RefOf(string(plain[:size])), plain[size:]
	}
	if err != nil || len(plain) == 0 {
		return t, errState
	}
	t.kind = stateKind(plain[0])
	seconds, n := binary.Varint(plain[1:])
	if n <= 0 {
		return t, errState
	}
	t.expires = time.Unix(seconds, 0)
	rest := plain[1+n:]
	for _, field := range [...]*string{&t.principal, &t.method, &t.upstream} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || uint64(len(rest)-n) < size {
			return t, errState
		}
		*field, rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	if len(rest) < len(t.digest) {
		return t, errState
	}
	t.inner = rest[copy(t.digest[:], rest):]
	return t, nil
}

// stateFor begins a state for a retry of the request at that upstream.
func (x *exchange) stateFor(kind stateKind, upstream string, ttl time.Duration) requestState {
	s := requestState{
		kind: kind, expires: time.Now().Add(ttl), principal: x.session.principal.Key(),
		method: x.method, upstream: upstream, digest: digestOf(x.msg),
	}
	if kind != stateParked { // which knows its request
		s.made = x.span.Ref()
	}
	return s
}

// stateOf opens the request state of a retry. The error is errState whatever the
// fault is.
func (g *Gateway) stateOf(x *exchange) (requestState, error) {
	if x.kindOf(x.msg.RequestState) != '"' {
		return requestState{}, errState
	}
	t, err := g.seal.openState(x.text(x.msg.RequestState))
	switch {
	case err != nil:
		return t, err
	case !time.Now().Before(t.expires),
		t.principal != x.session.principal.Key(),
		t.method != x.method,
		t.digest != digestOf(x.msg):
		return t, errState
	}
	return t, nil
}

// digestOf identifies a request's params but for what a retry adds or changes.
func digestOf(m *jsonrpc.Message) [sha256.Size]byte {
	return sha256.Sum256(appendCanonical(nil, m.Raw, m.Params, "inputResponses", "requestState", "_meta"))
}

// appendCanonical appends the value at s in one spelling: members in the order of
// their names and those in except left out, strings without needless escapes, and
// no white space. Numbers stay as they are written.
func appendCanonical(b, raw []byte, s jsonrpc.Span, except ...string) []byte {
	if !s.Ok() {
		return b
	}
	switch raw[s.Start] {
	case '{':
		type member struct {
			name string
			at   jsonrpc.Span
		}
		var all []member
		for name, at := range jsonrpc.Members(raw, s) {
			if !slices.Contains(except, name) {
				all = append(all, member{name, at})
			}
		}
		slices.SortStableFunc(all, func(a, b member) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
		b = append(b, '{')
		for _, m := range all {
			b = append(jsonrpc.AppendString(b, m.name), ':')
			b = append(appendCanonical(b, raw, m.at), ',')
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for at := range jsonrpc.Elements(raw, s) {
			b = append(appendCanonical(b, raw, at), ',')
		}
		return append(b, ']')
	case '"':
		return jsonrpc.AppendString(b, jsonrpc.Text(raw, s))
	}
	return append(b, s.Of(raw)...)
}

// staleState is the answer to a state that cannot be used, one for all reasons.
func (x *exchange) staleState() (answer, outcome) {
	return x.badParams("params.requestState is not one to go on with: it was changed, used before, or given for another request or to another client, or its time is over. Send the request again without it and without inputResponses")
}
