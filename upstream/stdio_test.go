package upstream

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// fakeDial returns what dials the fake server in these modes. vars are more of
// its environment, as name, value, ...
func fakeDial(t testing.TB, modes string, vars ...string) *Dial {
	t.Helper()
	c := Defaults()
	c.Protocol = LegacyProtocol
	c.Name, c.Command = "fake", os.Args[0]
	c.Env = map[string]string{upstreamtest.Mode: modes, "GORACE": "atexit_sleep_ms=0"}
	for i := 0; i < len(vars); i += 2 {
		c.Env[vars[i]] = vars[i+1]
	}
	return &Dial{Config: &c, Stderr: new(Tail)}
}

// patient is how long a test waits for what must come: it never decides on a
// test of code that works, however slow the machine.
const patient = time.Minute

func testReaper() *reaper { return newReaper(slog.New(slog.DiscardHandler), nil) }

// startFake dials d and closes the link when the test ends.
func startFake(t testing.TB, d *Dial) *stdioLink {
	t.Helper()
	return startFakeWith(t, d, testReaper())
}

func startFakeWith(t testing.TB, d *Dial, r *reaper) *stdioLink {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	l, err := dialStdio(ctx, d, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l.(*stdioLink)
}

// toolCall returns a request for a tool of the fake.
func toolCall(t testing.TB, name, arguments, meta string) *Request {
	t.Helper()
	params := `{"name":"` + name + `","arguments":` + arguments
	if meta != "" {
		params += `,"_meta":` + meta
	}
	m, err := jsonrpc.Parse(jsonrpc.AppendRequest(nil, []byte(`"client's own"`), "tools/call", []byte(params+"}")))
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Message: m, Owner: "a client"}
}

func reasonOf(err error) string {
	var e *TransportError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Reason
}

func TestStdioCallsAndStops(t *testing.T) {
	l := startFake(t, fakeDial(t, "ok"))
	if h := l.Hello(); h.Version != latestLegacy || h.PID != l.proc.pid {
		t.Errorf("hello = %+v", h)
	}
	m, err := l.Do(t.Context(), toolCall(t, "echo", "{\n\"n\":12345678901234567890}", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Result.Of(m.Raw)); !strings.Contains(got, `"n":12345678901234567890`) {
		t.Errorf("result = %s", got)
	}
	if kind := l.Close(t.Context()); kind != Graceful {
		t.Errorf("stopped %s, want graceful", kind)
	}
	if _, err := l.Do(t.Context(), toolCall(t, "echo", "{}", "")); reasonOf(err) != "closed" || !errors.Is(err, ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}
