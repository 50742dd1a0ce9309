package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cannedConn is a connection on which all that comes is known.
type cannedConn struct {
	net.Conn
	r io.Reader
}

func (c cannedConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c cannedConn) Close() error                { return nil }
func (c cannedConn) SetDeadline(time.Time) error { return nil }

func received(r io.Reader) *conn {
	return &conn{net: cannedConn{r: r}, home: &conns{}, life: newLife()}
}

// heardResponse is what is compared of a response.
type heardResponse struct {
	Status                  int
	Length                  int64
	Kind, Encoding, Session string
	Header                  http.Header // of failures
	Body                    string
	Cut                     bool // the body ended with an error
	Close                   bool
}

func ours(raw []byte, small bool) (*heardResponse, error) {
	var r io.Reader = bytes.NewReader(raw)
	if small {
		r = iotest.OneByteReader(r)
	}
	c := received(r)
	var resp response
	if err := c.readHead(&resp); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.body)
	return &heardResponse{resp.status, resp.length, resp.kind, resp.encoding, resp.session, resp.header, string(b), err != nil, !c.keep}, nil
}

// theirs is what net/http makes of the same bytes.
func theirs(raw []byte) (*heardResponse, error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: http.MethodPost})
	if err != nil {
		return nil, err
	}
	h := resp.Header
	b, err := io.ReadAll(resp.Body)
	o := &heardResponse{resp.StatusCode, resp.ContentLength, mediaType(h.Get("Content-Type")), h.Get("Content-Encoding"), h.Get("Mcp-Session-Id"), nil, string(b), err != nil, resp.Close}
	if o.Status/100 != 2 {
		// It moves what frames the body out of the header.
		o.Header = h
	}
	return o, nil
}

// same reports what ours says of raw and theirs does not. Ours may refuse more.
func same(raw []byte) string {
	got, err := ours(raw, false)
	small, smallErr := ours(raw, true)
	if (err == nil) != (smallErr == nil) || cmp.Diff(got, small) != "" {
		return fmt.Sprintf("byte by byte it is another: %v, %v\n%s", err, smallErr, cmp.Diff(got, small))
	}
	if err != nil {
		return ""
	}
	want, err := theirs(raw)
	if err != nil {
		return fmt.Sprintf("accepted, but net/http says %v", err)
	}
	for _, h := range []http.Header{got.Header, want.Header} {
		for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Trailer"} {
			h.Del(name)
		}
	}
	if len(got.Header) == 0 && len(want.Header) == 0 {
		got.Header, want.Header = nil, nil
	}
	if got.Cut { // how much of it comes before the error is no matter
		got.Body = want.Body
	}
	// Where a length stands beside chunks ours does not use the connection again.
	want.Close = want.Close || got.Close && got.Length < 0
	if want.Status == http.StatusNoContent || want.Status == http.StatusNotModified {
		want.Length = 0
	}
	return cmp.Diff(want, got)
}

func TestResponsesAreReadLikeNetHTTP(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		raw    string
		refuse bool
	}{
		{ok + "Content-Length: 3\r\nContent-Type: Application/JSON; charset=utf-8\r\n\r\nabc", false},
		{ok + "content-length:3\r\nMCP-session-ID: \t s1 \r\n\r\nabcd", false},
		{ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false},
		{ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", true},
		{ok + "Content-Length: 3, 3\r\n\r\nabc", true},
		{ok + "Content-Length: +3\r\n\r\nabc", true},
		{ok + "Content-Length: -3\r\n\r\nabc", true},
		{ok + "Content-Length:\r\n\r\nabc", true},
		{ok + "Content-Length: 9223372036854775808\r\n\r\nabc", true},
		{ok + "Content-Length: 5\r\n\r\nabc", false},
		{ok + "\r\nto the end", false},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false},
		{"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", false},
		{ok + "Connection: keep-alive, Close\r\nContent-Length: 1\r\n\r\nx", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n", false},
		{ok + "Transfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", false},
		{ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n\r\n", false},
		{ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", true},
		{ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{ok + "Transfer-Encoding: identity\r\n\r\nabc", true},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nabcd", false},
		{"HTTP/1.1 429 No\r\nretry-after: 7\r\nDate: today\r\nX: 1\r\nX: 2\r\nContent-Length: 1\r\n\r\nx", false},
		{"HTTP/1.1 307 No\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", false},
		{ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", true}, // a continuation
		{ok + "X : a\r\nContent-Length: 0\r\n\r\n", true},
		{ok + ": a\r\nContent-Length: 0\r\n\r\n", true},
		{ok + "X\r\nContent-Length: 0\r\n\r\n", true},
		{ok + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", true},
		{ok + "X: a\rb\r\nContent-Length: 0\r\n\r\n", true},
		{ok + "X: " + strings.Repeat("x", 9<<10) + "\r\nContent-Length: 1\r\n\r\nx", false},
		{ok + "X: " + strings.Repeat("x", maxHead) + "\r\nContent-Length: 1\r\n\r\nx", true},
		{ok + strings.Repeat("X: x\r\n", maxFields+1) + "\r\n", true},
		{"HTTP/1.1 99 No\r\n\r\n", true},
		{"HTTP/1.1 2000 No\r\n\r\n", true},
		{"HTTP/1.1 +20 No\r\n\r\n", true},
		{"HTTP/2.0 200 OK\r\n\r\n", true},
		{"SSH-2.0-OpenSSH\r\n\r\n", true},
		{"\r\n" + ok + "\r\n", true},
		{ok + "Content-Length: 1\r\n", true},
		{"", true},
	} {
		if diff := same([]byte(c.raw)); diff != "" {
			t.Errorf("%.100q: %s", c.raw, diff)
		}
		if _, err := ours([]byte(c.raw), false); (err != nil) != c.refuse {
			t.Errorf("%.100q: %v, want refused %v", c.raw, err, c.refuse)
		}
	}
}

func TestResponsesMadeUpAreReadLikeNetHTTP(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"HTTP/1.1 200 OK\r\n", "HTTP/1.0 404 No\r\n", "HTTP/1.1 204\r\n", "Content-Length: 3\r\n", "Content-Length: 10\r\n", "content-length: 3 \r\n",
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: x\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Content-Type: a/B;c\r\n",
		"Mcp-Session-Id: 1\r\n", " x\r\n", "X: \t\r\n", "\r\n", "\n", "\r", "3\r\nabc\r\n", "0\r\n", "a", ":", " ", "\x00", "\xff", "3;x=\"\r\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(piece, 0, 12).Draw(t, "parts")
		raw := strings.Join(parts, "")
		if rapid.Bool().Draw(t, "begins well") {
			raw = "HTTP/1.1 200 OK\r\n" + raw
		}
		if diff := same([]byte(raw)); diff != "" {
			t.Fatalf("%q: %s", raw, diff)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if diff := same(raw); diff != "" {
			t.Fatalf("%q: %s", raw, diff)
		}
	})
}

func TestInterimResponsesAreSkipped(t *testing.T) {
	interim := "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	end := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
	for raw, ok := range map[string]bool{
		strings.Repeat(interim, maxInterim) + end:                      true,
		strings.Repeat(interim, maxInterim+1) + end:                    false,
		"HTTP/1.1 100 Continue\r\n\r\n" + end:                          true,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + end: false,
	} {
		var resp response
		err := received(strings.NewReader(raw)).readHead(&resp)
		if (err == nil) != ok || ok && resp.status != http.StatusOK {
			t.Errorf("%.30q: %v, want accepted %v", raw, err, ok)
		}
	}
}

func TestEndBeforeAResponse(t *testing.T) {
	for raw, want := range map[string]error{"": errNothing, "HTTP/1.1 2": io.ErrUnexpectedEOF} {
		if err := received(strings.NewReader(raw)).readHead(new(response)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", raw, err, want)
		}
	}
}
