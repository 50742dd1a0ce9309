package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// attachProtocol is what POST /v1/attach upgrades to (RFC 9110 section 7.8):
// messages of MCP one to a line, as on stdio, in both directions.
const attachProtocol = "mcp-stdio"

// Headers besides those of HTTP.
const (
	// headerConfig names a configuration file that the gateway must have been
	// started with, path-escaped; there is one for each.
	headerConfig = "Interlock-Config"
	// headerProfile names the profile that the client is to see, path-escaped.
	headerProfile = "Interlock-Profile"
	// headerBackground is in the answer of a gateway that was started in the
	// background.
	headerBackground = "Interlock-Background"
)

// Attach lets a client in whose connection will be taken over. files are the
// absolute paths of the configuration files that the client means, none for
// any, and profile is the profile that it is to see, "" for what it gets without.
// It returns what serves the client until in ends or ctx is done, or an
// *Error.
type Attach func(files []string, profile string) (serve func(ctx context.Context, in io.Reader, out io.Writer) error, err error)

// attach turns the connection into a byte stream on which one client is served
// as on stdio.
func (a *api) attach(w http.ResponseWriter, r *http.Request) error {
	if a.Attach == nil {
		return &Error{Code: CodeNotFound, Detail: "this gateway serves no clients here"}
	}
	if !upgrades(r) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", attachProtocol)
		return &Error{
			Code: CodeUpgradeRequired, Detail: "this route wants the connection to itself",
			Mend: "send Connection: Upgrade and Upgrade: " + attachProtocol,
		}
	}
	files, err := filesOf(r)
	if err != nil {
		return err
	}
	profile, err := url.PathUnescape(r.Header.Get(headerProfile))
	if err != nil {
		return &Error{Code: CodeBadRequest, Detail: headerProfile + " is not path-escaped"}
	}
	serve, err := a.Attach(files, profile)
	if err != nil {
		return err
	}
	took, ctx := takenOver(r.Context())
	if took != nil {
		if !took.enter() {
			return &Error{Code: CodeDraining, Detail: "the gateway is shutting down"}
		}
		defer took.all.Done()
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return &Error{Code: CodeBadRequest, Detail: "only a connection of HTTP/1.1 can be upgraded"}
	}
	defer conn.Close()
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + attachProtocol + "\r\n"
	if a.Background {
		head += headerBackground + ": 1\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil // the client is gone: there is nobody to tell
	}
	var in io.Reader = conn
	if buffered.Reader.Buffered() > 0 { // it did not wait for the answer
		in = buffered.Reader
	}
	if err := serve(ctx, in, conn); err != nil {
		a.Log.DebugContext(ctx, "attached client ended", "error", err)
	}
	return nil
}

// filesOf are the configuration files that a request names.
func filesOf(r *http.Request) ([]string, error) {
	var files []string
	for _, v := range r.Header.Values(headerConfig) {
		file, err := url.PathUnescape(v)
		if err != nil {
			return nil, &Error{Code: CodeBadRequest, Detail: headerConfig + " is not path-escaped"}
		}
		files = append(files, file)
	}
	return files, nil
}

// upgrades tells whether a request asks for the protocol.
func upgrades(r *http.Request) bool {
	connection := false
	for _, v := range r.Header.Values("Connection") {
		for token := range strings.SplitSeq(v, ",") {
			connection = connection || strings.EqualFold(strings.TrimSpace(token), "upgrade")
		}
	}
	return connection && strings.EqualFold(r.Header.Get("Upgrade"), attachProtocol)
}

// taken are the connections that a server no longer knows of, since handlers
// took them over.
type taken struct {
	ctx context.Context //nolint:containedctx // done when all of them must end

	mu     sync.Mutex // guards closed, and all's counter against it
	closed bool
	all    sync.WaitGroup
}

type takenKey struct{}

// within returns the context that the requests of a server get.
func (t *taken) within(net.Listener) context.Context {
	return context.WithValue(context.Background(), takenKey{}, t)
}

// takenOver returns where a request notes that it takes its connection, nil for
// nowhere, and the context in which it goes on.
func takenOver(ctx context.Context) (*taken, context.Context) {
	if t, ok := ctx.Value(takenKey{}).(*taken); ok {
		return t, t.ctx
	}
	return nil, ctx
}

// enter counts one, unless all are to end. Each true needs an all.Done.
func (t *taken) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.all.Add(1)
	}
	return !t.closed
}

// wait lets no more in and blocks until all have ended.
func (t *taken) wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.all.Wait()
}
