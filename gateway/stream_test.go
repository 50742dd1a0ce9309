package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// carried starts carrying st to a recorder and returns what stops it.
func carry(t *testing.T, st *stream, from uint64, resumed bool) (*httptest.ResponseRecorder, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	done := make(chan error, 1)
	go func() { done <- st.carry(ctx, w, from, resumed) }()
	return w, func() error { cancel(); return <-done }
}

func TestStreamReplaysWhatTheClientHasNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream("r1", suffixFor([]byte(`"a"`)), true)
		_, stop := carry(t, st, 0, false)
		st.send([]byte(`{"n":1}`), optional)
		st.send([]byte(`{"n":2}`), optional)
		synctest.Wait()
		if err := stop(); err != context.Canceled {
			t.Fatalf("carry = %v, want the context's end", err)
		}
		st.send([]byte("{\"n\":\n3}"), optional) // while nobody is there
		st.finish([]byte(`{"result":{}}`))

		id, n, request, ok := parseEventID(st.eventID(1))
		if !ok || id != "r1" || n != 1 || string(request) != `"a"` {
			t.Fatalf("event id %q gives %q %d %q %v", st.eventID(1), id, n, request, ok)
		}
		w, _ := carry(t, st, 1, true)
		synctest.Wait()
		want := []string{`data: {"n":2}`, `data: {"n": 3}`, `data: {"result":{}}`}
		var got []string
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(line, "data: ") && strings.TrimSpace(line) != "data:" {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("resumed after event 1 got %q, want %q", got, want)
		}
	})
}

func TestStreamIsTakenOverByTheNewestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream("s1", "", false)
		ctx := t.Context()
		old := make(chan error, 1)
		go func() { old <- st.carry(ctx, httptest.NewRecorder(), 0, false) }()
		synctest.Wait()
		w, stop := carry(t, st, 0, false)
		synctest.Wait()
		if err := <-old; err != errReplaced {
			t.Errorf("the first connection ended with %v, want %v", err, errReplaced)
		}
		st.send([]byte(`{"here":1}`), needed)
		synctest.Wait()
		if !strings.Contains(w.Body.String(), `{"here":1}`) {
			t.Errorf("the newer connection got %q", w.Body)
		}
		if !st.live() {
			t.Error("the end of the first connection detached the second")
		}
		_ = stop()
	})
}

func TestStreamSendsKeepAlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream("s1", "", false)
		w, stop := carry(t, st, 0, false)
		time.Sleep(4*keepAlive + time.Second) // the bubble's clock
		synctest.Wait()
		if n := strings.Count(w.Body.String(), ": keep-alive"); n != 4 {
			t.Errorf("%d keep-alives in four periods", n)
		}
		_ = stop()
	})
}

// F24, F25: what nobody reads is bounded; the answer is kept all the same.
func TestStreamIsBounded(t *testing.T) {
	st := newStream("s1", "", false)
	big := []byte(`{"x":"` + strings.Repeat("y", 64<<10) + `"}`)
	for range 1000 {
		st.send(big, optional)
	}
	if st.size > maxUnsent+len(big) {
		t.Errorf("holds %d bytes of progress, want at most %d", st.size, maxUnsent)
	}
	taken := 0
	for range 3 * maxWaiting {
		if st.send([]byte(`{"q":1}`), needed) {
			taken++
		}
	}
	if taken > maxWaiting {
		t.Errorf("%d questions wait, want at most %d", taken, maxWaiting)
	}
	st.finish(big)
	if last := st.events[len(st.events)-1]; !last.answer {
		t.Error("the answer was dropped")
	}
}

func TestStreamForgetsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream("s1", "", false)
		_, stop := carry(t, st, 0, false)
		for range 20 {
			for range 100 {
				st.send([]byte(`{"n":"`+strings.Repeat("x", 1000)+`"}`), optional)
			}
			synctest.Wait()
		}
		st.mu.Lock()
		n, size := len(st.events), st.size
		st.mu.Unlock()
		if n > replayCount || size > maxReplay {
			t.Errorf("keeps %d events, %d bytes", n, size)
		}
		_ = stop()
	})
}

// A stream on a real connection ends with the connection, and a client that
// stops reading does not hold it beyond the write deadline.
func TestStreamOverHTTP(t *testing.T) {
	st := newStream("s1", "", true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = st.carry(r.Context(), w, 0, false)
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	st.send([]byte(`{"a":1}`), optional)
	st.finish(nil)
	body, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil {
		t.Fatal(err)
	}
	want := "id: s1-0\ndata: \n\nevent: message\nid: s1-1\ndata: {\"a\":1}\n\n"
	if string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestParseEventIDOfOthers(t *testing.T) {
	for _, s := range []string{"", "-", "x", "x-", "x-y", "x-1-!", "-1", "a-18446744073709551616"} {
		if _, _, _, ok := parseEventID(s); ok {
			t.Errorf("parseEventID(%q) took it for one of ours", s)
		}
	}
}

// Nothing is heaped up for a client that listens to no stream: what it can do
// without is kept for as long as somebody may come back.
func TestStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream("s1", "", false)
		time.Sleep(resumeWindow)
		if !st.send([]byte(`{"n":1}`), optional) {
			t.Error("dropped within the window")
		}
		time.Sleep(time.Second)
		if st.send([]byte(`{"n":2}`), optional) || !st.send([]byte(`{"n":3}`), needed) || !st.send([]byte(`{"n":4}`), answering) {
			t.Error("after the window a log line was kept, or a question or an answer not")
		}
	})
}
