package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// F25: many clients that do not read large answers hold a bounded amount of
// memory together: the ones that began first lose their connections. A client
// that reads is not touched.
func TestBacklogIsBounded(t *testing.T) {
	for i := range 2 * len(overs) {
		stream, over := i%2 == 1, overs[i/2]
		t.Run(fmt.Sprintf("%s stream=%v", over, stream), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, clients = 1 << 20, 100
				big := strings.Repeat("x", size)
				goodbye(t)
				r := toolOver(t, over, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
					if stream {
						q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
					}
					return json.RawMessage(`{"big":"` + big + `"}`), nil
				})
				var answers []*http.Response
				ask := func() *http.Response {
					resp, err := r.web.Do(r.connect(`{}`).request(t.Context(), "POST", calls("1", "a__do", "{}")))
					if err != nil {
						t.Fatal(err)
					}
					return resp
				}
				for range clients {
					answers = append(answers, ask())
				}
				defer func() {
					for _, a := range answers {
						_ = a.Body.Close()
					}
				}()
				time.Sleep(backlogGrace + time.Millisecond)
				synctest.Wait()
				if n := r.backlog.held; n > maxBacklog || n < maxBacklog-2*size {
					t.Errorf("%d MiB are held, want at most %d and nearly that", n>>20, maxBacklog>>20)
				}
				// One that reads comes by.
				if n := whole(ask()); n < size {
					t.Errorf("a client that reads got %d bytes", n)
				}
				lost := 0
				var mu sync.Mutex
				var all sync.WaitGroup
				for i, a := range answers {
					all.Go(func() {
						n := whole(a)
						mu.Lock()
						defer mu.Unlock()
						if n < size {
							lost++
							if i > clients/2 {
								t.Errorf("client %d of %d lost its answer to older ones", i, clients)
							}
						}
					})
				}
				all.Wait()
				if want := clients - maxBacklog/size; lost < want || lost > want+3 {
					t.Errorf("%d lost their answers, want %d", lost, want)
				}
				// Streams are kept for a while for those who come back; no longer.
				time.Sleep(2 * resumeWindow)
				synctest.Wait()
				if n := r.backlog.held; n != 0 {
					t.Errorf("%d bytes are still counted", n)
				}
			})
		})
	}
}

// whole reads an answer to its end, or to where it breaks off.
func whole(a *http.Response) int64 {
	n, _ := io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	return n
}
