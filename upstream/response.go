package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// response is what a server said to one HTTP request: what is read of its
// header, and its body. Whoever gets one gives it up once, with leave, close or
// drain; its body may not be read afterwards.
type response struct {
	status   int
	length   int64       // of the body, -1 if that is not known
	kind     string      // the Content-Type, less its parameters and in lower case
	encoding string      // the Content-Encoding
	session  string      // the Mcp-Session-Id
	header   http.Header // the whole of it, but nil where status is 2xx
	body     body        // nil once it was given up
}

// body is what follows the header of a response.
type body interface {
	io.Reader
	// leave gives the body up. answered says that it held what was wanted, so
	// that the rest, most often nothing but its end, is worth waiting for a
	// moment: then the connection can be used again.
	leave(answered bool)
}

func (r *response) ok() bool { return r.status/100 == 2 }

// stream reports whether the body is a stream of events.
func (r *response) stream() bool { return r.status == http.StatusOK && r.kind == "text/event-stream" }

func (r *response) leave(answered bool) {
	if b := r.body; b != nil {
		r.body = nil
		b.leave(answered)
	}
}

func (r *response) close() { r.leave(false) }

// drain reads what little an uninteresting response holds, so that its
// connection can be used again, and gives it up.
func (r *response) drain() {
	if r.body != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.body, 64<<10))
		r.close()
	}
}

// beginning reads the body, but no more than limit bytes of it.
func (r *response) beginning(limit int64) []byte {
	b, _ := io.ReadAll(io.LimitReader(r.body, limit))
	return b
}

// location resolves the Location of a redirect of a request to asked.
func (r *response) location(asked *url.URL) (*url.URL, error) {
	to := r.header.Get("Location")
	if to == "" {
		return nil, http.ErrNoLocation
	}
	return asked.Parse(to)
}

// mediaType returns a Content-Type less its parameters.
func mediaType(v string) string {
	if i := strings.IndexByte(v, ';'); i >= 0 {
		v = v[:i]
	}
	return strings.ToLower(strings.TrimSpace(v))
}

// incoming is the body of a response that net/http reads. It knows whether it
// was read to its end: only then can the connection be used again.
type incoming struct {
	body io.ReadCloser
	life *life
	done func() // ends the context of the round trip
	eof  bool
}

func (r *response) take(resp *http.Response, in *incoming) {
	*r = response{
		status: resp.StatusCode, length: resp.ContentLength, kind: mediaType(resp.Header.Get("Content-Type")),
		encoding: resp.Header.Get("Content-Encoding"), session: resp.Header.Get("Mcp-Session-Id"), body: in,
	}
	if !r.ok() {
		r.header = resp.Header
	}
}

func (in *incoming) Read(p []byte) (int, error) {
	n, err := in.body.Read(p)
	in.eof = in.eof || errors.Is(err, io.EOF)
	return n, err
}

// leave reads what is left after an answer in the background: throwing a
// connection away for that would cost a new one for each call.
func (in *incoming) leave(answered bool) {
	rest := func() {
		patience := time.AfterFunc(tailPatience, in.done)
		defer patience.Stop()
		_, _ = io.Copy(io.Discard, io.LimitReader(in.body, maxTail))
		in.close()
	}
	if in.eof || !answered || !in.life.spawn(rest) {
		in.close()
	}
}

func (in *incoming) close() {
	in.body.Close()
	in.done()
}

// What follows an answer on its stream is waited for so long, and so much of it
// is read, before its connection is given up.
const (
	tailPatience = time.Second
	maxTail      = 64 << 10
)
