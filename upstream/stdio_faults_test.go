package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// resultOf calls a tool and returns the result's bytes.
func resultOf(t testing.TB, l Link, r *Request) string {
	t.Helper()
	m, err := l.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Result.Of(m.Raw))
}

func TestStdioSkipsWhatIsNoMessage(t *testing.T) {
	for _, mode := range []string{"noise", "glued", "noise,glued"} {
		t.Run(mode, func(t *testing.T) {
			d := fakeDial(t, mode)
			inbox := newPeer()
			d.Inbox = inbox
			l := startFake(t, d)
			for i := range 50 {
				want := fmt.Sprintf(`"arguments":{"n":%d}`, i)
				if got := resultOf(t, l, toolCall(t, "echo", fmt.Sprintf(`{"n":%d}`, i), "")); !strings.Contains(got, want) {
					t.Fatalf("call %d: %s", i, got)
				}
			}
			if l.Skipped() < 50 {
				t.Errorf("skipped %d lines", l.Skipped())
			}
			if mode == "noise" { // a byte order mark is no reason to lose a notification
				resultOf(t, l, toolCall(t, "log", "{}", ""))
				<-inbox.notes
			}
			if mode == "noise" && !slices.Contains(d.Stderr.Lines(1000), "stdout: server: listening on stdio") {
				t.Error("what was skipped is not to be read anywhere")
			}
		})
	}
}

// An answer that cannot be used fails its own call, and no other.
func TestStdioFaultOfOneAnswer(t *testing.T) {
	for _, test := range []struct{ modes, tool, arguments, reason string }{
		{"ok", "big", `{"bytes":3000000}`, "too_large"},
		{"ok", "flood", `{"bytes":100000000}`, "too_large"}, // F6
		{"ok", "deep", `{"depth":200000}`, "malformed"},     // F7
		{"both", "echo", `{}`, "malformed"},
		{"neither", "echo", `{}`, "malformed"},
	} {
		t.Run(test.modes+" "+test.tool, func(t *testing.T) {
			d := fakeDial(t, test.modes)
			d.Config.MaxMessage = 1 << 20
			l := startFake(t, d)
			other := make(chan error, 1)
			go func() {
				_, err := l.Do(t.Context(), newRequest("ping", nil))
				other <- err
			}()
			_, err := l.Do(t.Context(), toolCall(t, test.tool, test.arguments, ""))
			var e *TransportError
			if !errors.As(err, &e) || e.Reason != test.reason || e.Executed != ExecutedUnknown || e.Lost {
				t.Errorf("error %+v, want %s", err, test.reason)
			}
			if err := <-other; err != nil {
				t.Errorf("another call: %v", err)
			}
			if _, err := l.Do(t.Context(), newRequest("ping", nil)); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// stuff begins calls that are more than a child that stopped reading takes.
func stuff(t *testing.T, l Link) <-chan error {
	t.Helper()
	errs := make(chan error, 50)
	for range cap(errs) {
		request := toolCall(t, "echo", largeArguments, "")
		go func() {
			_, err := l.Do(t.Context(), request)
			errs <- err
		}()
	}
	return errs
}

var largeArguments = `{"x":"` + strings.Repeat("x", 8000) + `"}`

// A child that stops reading: its link is lost at the write deadline, and calls
// of which nothing was written say so.
func TestStdioChildStopsReading(t *testing.T) {
	r := testReaper()
	r.writeTimeout = 100 * time.Millisecond
	l := startFakeWith(t, fakeDial(t, "nostdin"), r)
	errs := stuff(t, l)
	count := map[Executed]int{}
	for range cap(errs) {
		err := <-errs
		var e *TransportError
		if !errors.As(err, &e) || e.Reason != "write" || !e.Lost {
			t.Fatalf("error %+v", err)
		}
		count[e.Executed]++
	}
	// The pipe holds 64 KiB: eight of these calls, and a part of one.
	if count[ExecutedUnknown] == 0 || count[ExecutedNo] < 30 {
		t.Errorf("executed: %v", count)
	}
	<-l.Lost()
}

// Until that deadline, which is an hour here, a caller with one of its own need
// not wait for it, and another child's calls notice nothing.
func TestStdioChildStopsReadingAlone(t *testing.T) {
	r := testReaper()
	r.writeTimeout = time.Hour
	d := fakeDial(t, "nostdin")
	d.Config.StopTimeout = time.Millisecond
	sick := startFakeWith(t, d, r)
	healthy := startFakeWith(t, fakeDial(t, "ok"), r)
	errs := stuff(t, sick)
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := sick.Do(impatient, toolCall(t, "echo", largeArguments, "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with a deadline of its own got %v", err)
	}
	for range 100 {
		resultOf(t, healthy, toolCall(t, "echo", "{}", ""))
	}
	sick.Close(t.Context())
	for range cap(errs) {
		if err := <-errs; reasonOf(err) != "closed" {
			t.Errorf("error %v", err)
		}
	}
}

// 64 callers in a row of calls each against a server that answers three times,
// in any order, and answers what nobody asked.
func TestStdioDuplicateAnswers(t *testing.T) {
	l := startFake(t, fakeDial(t, "dup"))
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for j := range 30 {
				nonce := fmt.Sprintf("%d-%d", i, j)
				m, err := l.Do(t.Context(), toolCall(t, "nonce", `{"nonce":"`+nonce+`"}`, ""))
				if err != nil || !strings.Contains(string(m.Raw), `"nonce":"`+nonce+`"`) {
					t.Errorf("%s: %s, %v", nonce, m.Raw, err)
				}
			}
		})
	}
	callers.Wait()
}

func TestStdioKilledDuringCalls(t *testing.T) {
	l := startFake(t, fakeDial(t, "ok"))
	errs := make(chan error, 20)
	for range cap(errs) {
		request := toolCall(t, "hold", "{}", "")
		go func() {
			_, err := l.Do(t.Context(), request)
			errs <- err
		}()
	}
	resultOf(t, l, toolCall(t, "echo", "{}", ""))
	_, err := l.Do(t.Context(), toolCall(t, "exit", `{"signal":"kill"}`, ""))
	all := []error{err}
	for range cap(errs) {
		all = append(all, <-errs)
	}
	for _, err := range all {
		if reasonOf(err) != "exit" || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("error %v", err)
		}
	}
	<-l.Lost()
	if err := l.Err(); reasonOf(err) != "exit" {
		t.Errorf("lost because of %v", err)
	}
	var e *TransportError
	if _, err := l.Do(t.Context(), newRequest("ping", nil)); !errors.As(err, &e) || e.Executed != ExecutedNo || !e.Lost {
		t.Errorf("the next call: %v", err)
	}
	if err := l.Notify(t.Context(), jsonrpc.AppendRequest(nil, nil, "x", nil)); !errors.As(err, &e) || e.Executed != ExecutedNo {
		t.Errorf("the next notification: %v", err)
	}
}

func TestStdioFloodOnStderr(t *testing.T) {
	d := fakeDial(t, "stderrflood")
	l := startFake(t, d)
	resultOf(t, l, toolCall(t, "echo", "{}", ""))
	d.Stderr.mu.Lock()
	defer d.Stderr.mu.Unlock()
	if n := len(d.Stderr.ring); n > 2*tailSize {
		t.Errorf("kept %d bytes", n)
	}
}
