package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// echoLines answers each line with itself until in ends or ctx is done, and
// says how it ended.
func echoLines(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			_, err := io.WriteString(out, "drained\n")
			return err
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			if _, err := io.WriteString(out, "heard "+line+"\n"); err != nil {
				return err
			}
		}
	}
}

// attachable serves clients over a unix socket until stop is called, or the
// test ends.
func attachable(t *testing.T, o Options) (c *Client, stop func()) {
	t.Helper()
	dir := stateDir(t)
	l, err := Listen("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	o.State = &fakeState{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Handler(o)) }()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	if c, err = NewClient("", "", dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, stop
}

func TestAttach(t *testing.T) {
	var asked []string
	var profile string
	c, stop := attachable(t, Options{Background: true, Attach: func(files []string, p string) (func(context.Context, io.Reader, io.Writer) error, error) {
		asked, profile = files, p
		return echoLines, nil
	}})
	files := []string{"/a folder/100%.yaml", "/é\n.yaml"}
	one, err := c.Attach(t.Context(), files...)
	if err != nil {
		t.Fatal(err)
	}
	if !one.Background || !slices.Equal(asked, files) {
		t.Errorf("background %v, files %q", one.Background, asked)
	}
	if other, err := c.AttachIn(t.Context(), "a %"); err != nil || profile != "a %" {
		t.Errorf("profile %q, %v", profile, err)
	} else {
		_ = other.Close()
	}
	other, err := c.Attach(t.Context())
	if err != nil || profile != "" {
		t.Fatalf("profile %q, %v", profile, err)
	}
	defer other.Close()
	hear := bufio.NewReader(other)
	for _, line := range []string{"x\n", strings.Repeat("y", 60_000) + "\n"} {
		if _, err := io.WriteString(other, line); err != nil {
			t.Fatal(err)
		}
		if got, err := hear.ReadString('\n'); got != "heard "+line {
			t.Errorf("got %.30q, %v", got, err)
		}
	}
	_ = one.Close()
	stop() // returns once the handlers have
	if got, err := io.ReadAll(hear); string(got) != "drained\n" || err != nil {
		t.Errorf("at the end: %q, %v", got, err)
	}
	if _, err := c.Attach(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after the end: %v", err)
	}
}

// What follows the request at once is the client's first line.
func TestAttachEagerClient(t *testing.T) {
	srv := httptest.NewServer(Handler(Options{State: &fakeState{}, Attach: echoing}))
	defer srv.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /v1/attach HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: MCP-stdio\r\n\r\nearly\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "mcp-stdio" || res.Header.Get("Interlock-Background") != "" {
		t.Fatalf("%v, %v", res, err)
	}
	if got, _ := r.ReadString('\n'); got != "heard early\n" {
		t.Errorf("got %q", got)
	}
}

func TestAttachRefuses(t *testing.T) {
	refusal := &Error{Code: CodeOtherConfig, Detail: "other files", Mend: "move"}
	c, _ := attachable(t, Options{Attach: func([]string, string) (func(context.Context, io.Reader, io.Writer) error, error) { return nil, refusal }})
	_, err := c.Attach(t.Context())
	if e := new(Error); !errors.As(err, &e) || e.Code != CodeOtherConfig || e.Detail != "other files" || e.Mend != "move" {
		t.Errorf("got %v", err)
	}
	for _, tt := range []struct {
		name   string
		attach Attach
		header http.Header
		status int
	}{
		{"no upgrade", echoing, nil, 426},
		{"another protocol", echoing, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, 426},
		{"no Connection", echoing, http.Header{"Upgrade": {"mcp-stdio"}}, 426},
		{"a broken path", echoing, http.Header{"Connection": {"upgrade"}, "Upgrade": {"mcp-stdio"}, "Interlock-Config": {"%zz"}}, 400},
		{"nothing to attach to", nil, http.Header{"Connection": {"upgrade"}, "Upgrade": {"mcp-stdio"}}, 404},
		{"a broken profile", echoing, http.Header{"Connection": {"upgrade"}, "Upgrade": {"mcp-stdio"}, "Interlock-Profile": {"%zz"}}, 400},
		{"no connection to take", echoing, http.Header{"Connection": {"upgrade"}, "Upgrade": {"mcp-stdio"}}, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/attach", nil)
			if tt.header != nil {
				r.Header = tt.header
			}
			w := httptest.NewRecorder()
			Handler(Options{State: &fakeState{}, Attach: tt.attach}).ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), `"code":`) {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}

func echoing([]string, string) (func(context.Context, io.Reader, io.Writer) error, error) {
	return echoLines, nil
}

// Over TCP nobody attaches without the token.
func TestAttachNeedsToken(t *testing.T) {
	l, err := Listen("127.0.0.1:0", "right", stateDir(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Handler(Options{State: &fakeState{}, Attach: echoing})) }()
	t.Cleanup(func() { cancel(); <-done })
	for token, want := range map[string]string{"right": "", "wrong": CodeUnauthorized} {
		c, err := NewClient(l.Target, token, "")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.Attach(t.Context())
		if e := new(Error); want != "" && (!errors.As(err, &e) || e.Code != want) || want == "" && err != nil {
			t.Errorf("token %q: %v", token, err)
		}
		if conn != nil {
			_ = conn.Close()
		}
		c.Close()
	}
}
