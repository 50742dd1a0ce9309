package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxRounds is how often one call may be answered with a requirement of input.
const maxRounds = 10

// requiresInput reports whether an answer says that the server needs something
// of the client first (InputRequiredResult). Only three requests may be answered
// so.
func requiresInput(method string, m jsonrpc.Message) bool {
	if m.Kind != jsonrpc.Result || method != "tools/call" && method != "prompts/get" && method != "resources/read" {
		return false
	}
	return m.Text(m.ResultType) == "input_required"
}

// fulfil puts what the server requires to the client, as a legacy server would
// have asked, and sends the request again with the answers and the server's state
// as it came, until there is a result. r is the request as it was sent.
func (l *modernLink) fulfil(ctx context.Context, r *Request, m jsonrpc.Message) (jsonrpc.Message, error) {
	for range maxRounds {
		requests, ok := jsonrpc.Lookup(m.Raw, m.Result, "inputRequests")
		state, stated := jsonrpc.Lookup(m.Raw, m.Result, "requestState")
		if !ok && !stated {
			return jsonrpc.Message{}, malformed(errors.New("it requires input and does not say which"))
		}
		responses, err := l.round(ctx, r.Peer, m.Raw, requests)
		if err != nil {
			return jsonrpc.Message{}, err
		}
		next := *r
		next.Edits = r.Edits.Clone()
		if err := answerInput(&next, responses, state.Of(m.Raw)); err != nil {
			return jsonrpc.Message{}, err
		}
		if m, err = l.send(ctx, &next); err != nil {
			return m, begunBefore(err)
		}
		if !requiresInput(r.Message.MethodName(), m) {
			return m, nil
		}
	}
	return jsonrpc.Message{}, inputError(fmt.Errorf("it required input more than %d times for one request", maxRounds))
}

// inputError is a call that ended because the server did not get the input that
// it required. The server did answer; what it did before is not known.
func inputError(err error) *TransportError {
	return &TransportError{Executed: ExecutedUnknown, Reason: "input", Err: err}
}

// begunBefore is the failure of a retry: whatever became of that, the call had
// begun, and its client was asked. So it is not made again from the beginning.
func begunBefore(err error) error {
	way, ok := errors.AsType[*TransportError](err)
	if !ok {
		return err
	}
	e := *way
	e.Executed = ExecutedUnknown
	if e.Reason == "rate_limited" {
		e.Reason = "http_status"
	}
	return &e
}

// answerInput adds the retry's members to the params of r. state is JSON as it
// came, nil for none: then none is sent.
func answerInput(r *Request, responses, state []byte) error {
	raw, at := r.Message.Raw, r.Message.Params
	if !r.Message.Name.Ok() && !r.Message.URI.Ok() {
		return malformed(errors.New("it requires input for a request without a name"))
	}
	var b []byte
	set := func(name string, value []byte) {
		if old, ok := jsonrpc.Lookup(raw, at, name); ok {
			r.Edits.Replace(old, value)
			return
		}
		b = append(append(b, `,"`+name+`":`...), value...)
	}
	if responses != nil {
		set("inputResponses", responses)
	}
	if state != nil {
		set("requestState", state)
	}
	if b != nil {
		r.Edits.Insert(int(at.End)-1, b) // behind the name or the uri
	}
	return nil
}

// round asks all that one InputRequests object at s asks for, at the same time,
// and returns the InputResponses. It blocks until all is answered or one cannot
// be, or ctx is done; open questions are taken back then. Nothing to ask is nil
// after a moment: the server wants to be asked again.
func (l *modernLink) round(ctx context.Context, peer Peer, raw []byte, s jsonrpc.Span) ([]byte, error) {
	if s.Ok() && raw[s.Start] != '{' {
		return nil, malformed(errors.New("inputRequests is no object"))
	}
	asked := make(map[string]jsonrpc.Span)
	for key, v := range jsonrpc.Members(raw, s) {
		if _, twice := asked[key]; twice || len(asked) == maxOpen {
			return nil, malformed(fmt.Errorf("inputRequests has the key %.40q twice, or more than %d keys", key, maxOpen))
		}
		asked[key] = v
	}
	if len(asked) == 0 {
		return nil, pauseRound(ctx)
	}
	gone := make(chan struct{})
	defer close(gone)
	replies := make(chan inputReply, len(asked))
	var questions []*Question
	for key := range jsonrpc.Members(raw, s) { // in their order
		q, err := l.question(key, asked[key].Of(raw), gone, replies)
		if err != nil {
			return nil, err
		}
		if peer == nil {
			return nil, inputError(fmt.Errorf("it asked for %s, and there is nobody to ask", q.Message.MethodName()))
		}
		questions = append(questions, q)
	}
	for _, q := range questions {
		peer.Asked(q)
	}
	b := []byte{'{'}
	for range questions {
		select {
		case a := <-replies:
			if a.err != nil {
				return nil, a.err
			}
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(jsonrpc.AppendString(b, a.key), ':')
			b = append(b, a.response...)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.Lost():
			return nil, unsent(l.Err())
		}
	}
	return append(b, '}'), nil
}

// pauseRound blocks for a moment in which a busy server may get less so.
func pauseRound(ctx context.Context) error {
	if !rest(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond)) {
		return context.Cause(ctx)
	}
	return nil
}

// inputReply is a client's answer to one input request.
type inputReply struct {
	key      string
	response []byte // its result
	err      error
}

// question makes the request that a legacy server would have sent of the input
// request raw. Its answer goes to replies.
func (l *modernLink) question(key string, raw []byte, gone <-chan struct{}, replies chan<- inputReply) (*Question, error) {
	method, _ := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), "method")
	name := jsonrpc.Text(raw, method)
	if name == "" {
		return nil, malformed(fmt.Errorf("the input request %.40q has no method", key))
	}
	params, _ := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), "params")
	id := strconv.AppendUint(nil, l.asked.Add(1), 10)
	m, err := jsonrpc.ParseServer(jsonrpc.AppendRequest(nil, id, name, l.legacyParams(name, params.Of(raw), id)))
	if err != nil {
		return nil, malformed(fmt.Errorf("the input request %.40q: %w", key, err))
	}
	q := &Question{Message: m, Gone: gone}
	var answered atomic.Bool
	q.Answer = func(_ context.Context, response []byte) error {
		select {
		case <-gone:
			return errWithdrawn
		default:
		}
		if answered.Swap(true) {
			return errWithdrawn
		}
		replies <- readReply(key, name, response) // there is room for all
		return nil
	}
	return q, nil
}

// legacyParams returns the params of an input request as 2025-11-25 wants them:
// an elicitation by URL has an id there.
func (l *modernLink) legacyParams(method string, params, id []byte) []byte {
	if method != "elicitation/create" || len(params) < 2 || params[0] != '{' {
		return params
	}
	whole := jsonrpc.Whole(params)
	mode, _ := jsonrpc.Lookup(params, whole, "mode")
	if _, has := jsonrpc.Lookup(params, whole, "elicitationId"); has || jsonrpc.Text(params, mode) != "url" {
		return params
	}
	b := append([]byte(`{"elicitationId":"`), elicitationPrefix()...)
	b = append(append(b, id...), `",`...)
	return append(b, params[1:]...)
}

// elicitationPrefix makes an id unique among those of all servers.
func elicitationPrefix() string { return strconv.FormatUint(rand.Uint64(), 36) + "-" }

// readReply reads a client's answer. What the client did not do is, for an
// elicitation, the same as a dialogue that was closed; other input requests have
// no answer that says so, and the call ends.
func readReply(key, method string, response []byte) inputReply {
	m, err := jsonrpc.ParseServer(response)
	switch {
	case err == nil && m.Kind == jsonrpc.Result:
		return inputReply{key: key, response: bytes.Clone(m.Result.Of(m.Raw))}
	case err == nil && m.Kind == jsonrpc.Failure && method == "elicitation/create":
		return inputReply{key: key, response: []byte(`{"action":"cancel"}`)}
	case err == nil && m.Kind == jsonrpc.Failure:
		e := newServerError(m)
		err = fmt.Errorf("it asked for %s, and the client answered with error %d: %.200q", method, e.Code, e.Message)
	default:
		err = fmt.Errorf("it asked for %s, and the client's answer cannot be read", method)
	}
	return inputReply{key: key, err: inputError(err)}
}
