package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// renamer is a proxy for a client that knows tools and prompts by the names that
// their server gave them, in front of a gateway that puts a prefix before them:
// what it asks for gets the prefix, and what is listed loses it, but for the names
// of other servers. Nothing else is changed, not even Host.
type renamer struct {
	prefix string
	others sync.Map // names that were listed without the prefix
}

// newRenamer starts one and returns its endpoint.
func newRenamer(t *testing.T, endpoint, prefix string) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r := &renamer{prefix: prefix}
	transport := new(http.Transport)
	s := httptest.NewServer(&httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			at := *to
			p.Out.URL, p.Out.Host = &at, p.In.Host
			r.request(p.Out)
		},
		ModifyResponse: func(res *http.Response) error {
			r.response(res)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(func() {
		s.CloseClientConnections() // a client may have left a stream open
		s.Close()
		transport.CloseIdleConnections()
	})
	return s.URL
}

// named are the methods whose params have a name of ours.
var named = map[string]bool{"tools/call": true, "prompts/get": true}

func (r *renamer) request(req *http.Request) {
	if req.Body == nil {
		return
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var m struct{ Method string }
	if json.Unmarshal(raw, &m) == nil {
		switch {
		case named[m.Method]:
			raw = edit(raw, r.add, "params", "name")
			// What the header says is the client's own affair, also when it is wrong.
			if h := req.Header.Get("Mcp-Name"); h != "" {
				req.Header.Set("Mcp-Name", r.header(h))
			}
		case m.Method == "completion/complete" && strings.Contains(string(raw), "ref/prompt"):
			raw = edit(raw, r.add, "params", "ref", "name")
		}
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
}

func (r *renamer) add(name string) string {
	if _, other := r.others.Load(name); other {
		return name
	}
	return r.prefix + name
}

func (r *renamer) cut(name string) string {
	own, ok := strings.CutPrefix(name, r.prefix)
	if !ok {
		r.others.Store(name, nil)
	}
	return own
}

// header adds the prefix to an Mcp-Name, which may be in Base64.
func (r *renamer) header(value string) string {
	const open, end = "=?base64?", "?="
	inner, ok := strings.CutPrefix(value, open)
	inner, closed := strings.CutSuffix(inner, end)
	if !ok || !closed {
		return r.add(value)
	}
	name, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return value
	}
	return open + base64.StdEncoding.EncodeToString([]byte(r.add(string(name)))) + end
}

func (r *renamer) response(res *http.Response) {
	switch media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media {
	case "application/json":
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		raw = r.strip(raw)
		res.Body = io.NopCloser(bytes.NewReader(raw))
		res.ContentLength = int64(len(raw))
		res.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	case "text/event-stream":
		res.Body = &lines{Closer: res.Body, from: bufio.NewReader(res.Body), each: func(line []byte) []byte {
			if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
				return append([]byte("data: "), append(r.strip(bytes.TrimSpace(data)), '\n')...)
			}
			return line
		}}
	}
}

// strip takes the prefix from the tools and prompts that a message lists.
func (r *renamer) strip(raw []byte) []byte {
	for _, list := range []string{"tools", "prompts"} {
		var m struct{ Result map[string]json.RawMessage }
		var items []json.RawMessage
		if json.Unmarshal(raw, &m) != nil || json.Unmarshal(m.Result[list], &items) != nil {
			continue
		}
		for i, item := range items {
			items[i] = edit(item, r.cut, "name")
		}
		all, _ := json.Marshal(items)
		raw = replace(raw, all, "result", list)
	}
	return raw
}

// edit changes the string at a path of members; raw stays as it is when there is
// none.
func edit(raw []byte, change func(string) string, path ...string) []byte {
	at := json.RawMessage(raw)
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			return raw
		}
		at = object[key]
	}
	var s string
	if json.Unmarshal(at, &s) != nil {
		return raw
	}
	changed, _ := json.Marshal(change(s))
	return replace(raw, changed, path...)
}

// replace puts a value in the place of the one at a path of members, all of which
// exist.
func replace(raw, value []byte, path ...string) []byte {
	if len(path) == 0 {
		return value
	}
	var object map[string]json.RawMessage
	_ = json.Unmarshal(raw, &object)
	object[path[0]] = replace(object[path[0]], value, path[1:]...)
	out, _ := json.Marshal(object)
	return out
}

// lines is a body that is changed line by line as it is read.
type lines struct {
	io.Closer
	from *bufio.Reader
	each func([]byte) []byte
	rest []byte
}

func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		line, err := l.from.ReadBytes('\n')
		if len(line) == 0 {
			return 0, err
		}
		l.rest = l.each(line)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
