package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// fakeWay is a way to a scripted server, without a process or a network.
type fakeWay struct {
	// answer returns the result of a request, or an error object. body is the
	// message as it would be sent.
	answer func(ctx context.Context, method, body string) (string, error)
	// stream, if not nil, is told of each request to listen, and ends it.
	stream func(ctx context.Context, id string, r *Request) error

	lost chan struct{}
	mu   sync.Mutex // guards the rest
	err  error
	sent []string // bodies
	next uint64
}

func newFakeWay(answer func(ctx context.Context, method, body string) (string, error)) *fakeWay {
	return &fakeWay{answer: answer, lost: make(chan struct{})}
}

func (w *fakeWay) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	w.mu.Lock()
	w.next++
	id := w.next
	body := string(requestBody(r, id))
	w.sent = append(w.sent, body)
	lost := w.err
	w.mu.Unlock()
	if lost != nil {
		return jsonrpc.Message{}, unsent(lost)
	}
	r.sending(id)
	method := r.Message.MethodName()
	if method == "subscriptions/listen" && w.stream != nil {
		if err := w.stream(ctx, string(appendID(nil, id)), r); err != nil {
			return jsonrpc.Message{}, err
		}
		return emptyResult(), nil
	}
	a, err := w.answer(ctx, method, body)
	if err != nil {
		return jsonrpc.Message{}, err
	}
	member := "result"
	if len(a) > 7 && a[:7] == `{"code"` {
		member = "error"
	}
	return jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":` + string(appendID(nil, id)) + `,"` + member + `":` + a + `}`))
}

func (w *fakeWay) Notify(_ context.Context, raw []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, string(raw))
	return nil
}

func (w *fakeWay) Hello() *Hello         { return nil }
func (w *fakeWay) Lost() <-chan struct{} { return w.lost }

func (w *fakeWay) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *fakeWay) giveUp(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.lost)
	}
}

func (w *fakeWay) Close(context.Context) StopKind {
	w.giveUp(ErrClosed)
	return Graceful
}

// bodies returns what was sent, and forgets it.
func (w *fakeWay) bodies() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// methods returns the methods of the requests sent so far.
func (w *fakeWay) methods(t *testing.T) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, body := range w.sent {
		m, err := jsonrpc.Parse([]byte(body))
		if err != nil {
			t.Errorf("sent %s: %v", body, err)
		}
		out = append(out, m.MethodName())
	}
	return out
}

// modernOver makes a link over w to a server with these capabilities.
func modernOver(t *testing.T, w *fakeWay, capabilities string) (*modernLink, *recorder) {
	t.Helper()
	c := Defaults()
	inbox := newRecorder()
	d := &Dial{Config: &c, Era: new(Era), ClientInfo: json.RawMessage(`{"name":"gw","version":"1"}`)}
	in := &eraInbox{next: inbox}
	h := &Hello{Version: latestModern, Capabilities: json.RawMessage(capabilities), ServerInfo: json.RawMessage(`{}`)}
	l := newModernLink(w, d, in, h, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { l.Close(context.Background()) })
	return l, inbox
}

// errScript is a fault of the network.
var errScript = &TransportError{Executed: ExecutedUnknown, Reason: "reset", Err: errors.New("cut")}
