package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// oddPeer makes the test binary, by testPeer, a modern server over stdio that
// does what only a bad or an old one does. Lines that it reads go to a file.
const oddPeer = "odd"

// latePeer makes it one of both eras that answers nothing before initialize, the
// first time that it is started.
const latePeer = "late"

// oddFile is where the odd peer writes what it reads.
const oddFile = "INTERLOCK_TEST_ODD"

func oddMain() int {
	listens, held := "", ""
	_, err := os.Stat(os.Getenv(oddFile))
	late := os.Getenv(testPeer) == latePeer && err != nil
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	for in.Scan() {
		m, err := jsonrpc.Parse(in.Bytes())
		if err != nil {
			return 1
		}
		f, err := os.OpenFile(os.Getenv(oddFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 1
		}
		_, _ = f.Write(append([]byte(in.Text()), '\n'))
		_ = f.Close()
		id := string(m.ID.Of(m.Raw))
		answer := func(result string) { say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result) }
		switch m.MethodName() {
		case "initialize":
			say(held)
			answer(`{"protocolVersion":"2025-11-25","capabilities":{}}`)
		case "server/discover":
			if late {
				held = `{"jsonrpc":"2.0","id":` + id + `,"result":{"supportedVersions":["2026-07-28"]}}`
				continue
			}
			answer(`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}`)
		case "subscriptions/listen":
			listens = id
			say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`, id)
		case "tools/call":
			switch m.Text(m.Name) {
			case "teardown":
				say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`, listens)
				answer(`{}`)
			case "asks":
				say(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
				say(`{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{}}`)
				answer(`{}`)
			case "exit":
				return 3
			case "hang":
			default:
				answer(`{}`)
			}
		}
	}
	return 0
}

// startOdd starts the odd peer. The function returned is what it has read.
func startOdd(t *testing.T) (Link, *Dial, func() string) {
	t.Helper()
	file := t.TempDir() + "/read"
	d := fakeDial(t, "")
	d.Config.Env = map[string]string{testPeer: oddPeer, oddFile: file, "GORACE": "atexit_sleep_ms=0"}
	d.Config.Protocol = AutoProtocol
	d.Inbox = newRecorder()
	ctx, stop := context.WithTimeout(t.Context(), patient)
	defer stop()
	l, err := dialStdio(ctx, d, testReaper())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l, d, func() string {
		b, _ := os.ReadFile(file)
		return string(b)
	}
}

// awaitRead waits until the peer has read so many lines with a word in them.
func awaitRead(t *testing.T, read func() string, word string, n int) {
	t.Helper()
	for end := time.Now().Add(patient); strings.Count(read(), word) < n; {
		if time.Now().After(end) {
			t.Fatalf("no %d x %s in %s", n, word, read())
		}
		<-time.After(time.Millisecond)
	}
}

func TestModernStdioIsNotAnswered(t *testing.T) {
	l, _, read := startOdd(t)
	r := toolCall(t, "asks", "{}", "")
	p := newRecorder()
	r.Peer = p
	if _, err := l.Do(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Do(t.Context(), toolCall(t, "done", "{}", "")); err != nil {
		t.Fatal(err)
	}
	if got := read(); strings.Contains(got, `"result"`) || strings.Contains(got, `"error"`) || len(p.asked) > 0 {
		t.Errorf("it asked, which it may not, and was answered: %s", got)
	}
}

// TestModernStdioTornDown: a server says that it stops to tell with a
// cancellation of the request to listen.
func TestModernStdioTornDown(t *testing.T) {
	l, d, read := startOdd(t)
	awaitRead(t, read, `"subscriptions/listen"`, 1)
	if _, err := l.Do(t.Context(), toolCall(t, "teardown", "{}", "")); err != nil {
		t.Fatal(err)
	}
	if got := <-d.Inbox.(*recorder).noted; !strings.Contains(got, "list_changed") { // for what was missed
		t.Errorf("told %s", got)
	}
	awaitRead(t, read, `"subscriptions/listen"`, 2)
}

// TestModernStdioCancel: the server is told, and since it does not answer any
// more, the call does not count against who may see its log lines.
func TestModernStdioCancel(t *testing.T) {
	l, _, read := startOdd(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the client is gone")
	go func() { defer cancel(why); awaitRead(t, read, `"hang"`, 1) }()
	if _, err := l.Do(ctx, toolCall(t, "hang", "{}", "")); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	awaitRead(t, read, `"notifications/cancelled"`, 1)
	way := l.(*modernLink).way.(*stdioLink)
	way.mu.Lock()
	defer way.mu.Unlock()
	if owner, sole := way.calls.sole(); sole {
		t.Errorf("still in flight: a call of %q", owner)
	}
}

func TestModernStdioExit(t *testing.T) {
	l, _, _ := startOdd(t)
	_, err := l.Do(t.Context(), toolCall(t, "exit", "{}", ""))
	var way *TransportError
	if !errors.As(err, &way) || way.Executed != ExecutedUnknown || !way.Lost {
		t.Errorf("error %v", err)
	}
	<-l.Lost()
}
