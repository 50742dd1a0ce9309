package upstream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// station is a server that others listen to.
type station struct {
	t       *testing.T
	way     *fakeWay
	link    *modernLink
	inbox   *recorder
	refuses string // an error object for requests with this in them
	agrees  string // to this filter, "" for what is asked
	mute    bool   // it acknowledges nothing

	mu      sync.Mutex // guards the rest
	log     []string   // what happened to streams
	streams map[string]*tuned
}

// tuned is a stream that is open.
type tuned struct {
	peer Peer
	cut  chan error
}

func newStation(t *testing.T, capabilities string, script func(s *station)) *station {
	t.Helper()
	s := &station{t: t, streams: make(map[string]*tuned)}
	s.way = newFakeWay(func(context.Context, string, string) (string, error) { return `{}`, nil })
	s.way.stream = s.listen
	if script != nil {
		script(s)
	}
	s.link, s.inbox = modernOver(t, s.way, capabilities)
	return s
}

func (s *station) happened(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

// listen serves one request to listen.
func (s *station) listen(ctx context.Context, id string, r *Request) error {
	m := r.Message
	at, _ := jsonrpc.Lookup(m.Raw, m.Params, "notifications")
	filter := string(at.Of(m.Raw))
	if s.refuses != "" && strings.Contains(filter, s.refuses) {
		s.happened("refused " + filter)
		return &TransportError{Executed: ExecutedNo, Reason: "http_status", Status: 400, Err: errors.New("refused")}
	}
	x := &tuned{r.Peer, make(chan error, 1)}
	s.mu.Lock()
	s.log = append(s.log, "open "+filter)
	s.streams[id] = x
	mute := s.mute
	s.mu.Unlock()
	if s.agrees != "" {
		filter = s.agrees
	}
	if !mute {
		s.tell(r.Peer, id, "notifications/subscriptions/acknowledged", `,"notifications":`+filter)
	}
	defer func() {
		s.mu.Lock()
		delete(s.streams, id)
		s.mu.Unlock()
	}()
	select {
	case err := <-x.cut:
		s.happened("cut")
		return err
	case <-ctx.Done():
		s.happened("closed " + filter)
		return context.Cause(ctx)
	}
}

func (s *station) tell(p Peer, id, method, rest string) {
	m, err := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","method":"` + method + `","params":{"_meta":{"a":1,"io.modelcontextprotocol/subscriptionId":` + id + `}` + rest + `}}`))
	if err != nil {
		s.t.Fatal(err)
	}
	p.Notified(m)
}

// say sends a notification on all streams.
func (s *station) say(method, rest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, x := range s.streams {
		s.tell(x.peer, id, method, rest)
	}
}

// cut ends all streams.
func (s *station) cut(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.streams {
		x.cut <- err
	}
}

// since returns what happened since it was asked last.
func (s *station) since() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

func (s *station) ask(method, uri string) string {
	s.t.Helper()
	m, err := s.link.Do(s.t.Context(), newRequest(method, uriParams(uri)))
	switch {
	case err != nil:
		return err.Error()
	case m.Kind == jsonrpc.Failure:
		return string(m.Error.Of(m.Raw))
	}
	return string(m.Result.Of(m.Raw))
}

const tells = `{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{"listChanged":true,"subscribe":true}}`

func TestListensForListsAndResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, nil)
		lists := `{"toolsListChanged":true,"resourcesListChanged":true`
		check := func(what string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, s.since()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		check("at first", `open `+lists+`}`)
		if got := s.ask("resources/subscribe", "x:b"); got != "{}" {
			t.Errorf("subscribe: %s", got)
		}
		check("the new stream comes before the old one goes", `open `+lists+`,"resourceSubscriptions":["x:b"]}`, `closed `+lists+`}`)
		s.ask("resources/subscribe", "x:a")
		check("the union", `open `+lists+`,"resourceSubscriptions":["x:a","x:b"]}`, `closed `+lists+`,"resourceSubscriptions":["x:b"]}`)
		s.ask("resources/subscribe", "x:a")
		check("again")
		s.say("notifications/resources/updated", `,"uri":"x:a"`)
		s.say("notifications/tools/list_changed", "")
		want := []string{
			`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":{"a":1},"uri":"x:a"}}`,
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"a":1}}}`,
		}
		if diff := cmp.Diff(want, s.inbox.all()); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
		s.ask("resources/unsubscribe", "x:a")
		check("less", `open `+lists+`,"resourceSubscriptions":["x:b"]}`, `closed `+lists+`,"resourceSubscriptions":["x:a","x:b"]}`)
		s.link.Close(t.Context())
		check("closed", `closed `+lists+`,"resourceSubscriptions":["x:b"]}`)
	})
}

// TestListensUntilAcknowledged: as long as a new stream is not acknowledged the
// old one is there, and what it tells is handed on.
func TestListensUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, nil)
		s.since()
		s.mu.Lock()
		s.mute = true
		s.mu.Unlock()
		got := make(chan string, 1)
		go func() { got <- s.ask("resources/subscribe", "x:a") }()
		if log := s.since(); len(log) != 1 || !strings.HasPrefix(log[0], "open") {
			t.Errorf("%q", log)
		}
		s.say("notifications/tools/list_changed", "")
		if notes := s.inbox.all(); len(notes) != 2 { // told on both
			t.Errorf("told %q", notes)
		}
		<-got
		if log := s.since(); len(log) != 1 || !strings.HasSuffix(log[0], `["x:a"]}`) {
			t.Errorf("then %q", log)
		}
	})
}

func TestListensAgainAfterLoss(t *testing.T) {
	for _, err := range []error{errScript, nil} { // cut, or ended by the server with a result
		synctest.Test(t, func(t *testing.T) {
			s := newStation(t, tells, nil)
			s.ask("resources/subscribe", "x:a")
			s.since()
			begun := time.Now()
			s.cut(err)
			synctest.Wait()
			s.inbox.mu.Lock()
			told := len(s.inbox.notes)
			s.inbox.mu.Unlock()
			<-s.inbox.noted
			if took := time.Since(begun); told != 0 || took > time.Second || took < time.Second/2 {
				t.Errorf("listened again after %v", took)
			}
			log := s.since()
			if len(log) != 2 || log[0] != "cut" || !strings.Contains(log[1], `["x:a"]`) {
				t.Errorf("%q", log)
			}
			if notes := s.inbox.all(); len(notes) != 1 || !strings.Contains(notes[0], "list_changed") {
				t.Errorf("lists were not read again for what was missed, but %q told", notes)
			}
		})
	}
}

func TestListenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, func(s *station) { s.refuses = "x:bad" })
		s.since()
		if got := s.ask("resources/subscribe", "x:bad"); !strings.Contains(got, "refused") {
			t.Errorf("subscribe: %s", got)
		}
		if got := s.ask("resources/subscribe", "x:good"); got != "{}" {
			t.Errorf("the next one: %s", got)
		}
		<-time.After(10 * time.Minute)
		opened := 0
		for _, what := range s.since() {
			if strings.HasPrefix(what, "refused") {
				opened++
			}
		}
		if opened != 1 {
			t.Errorf("asked %d times for what was refused", opened)
		}
	})
}

func TestListenAgreesToLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, func(s *station) { s.agrees = `{"toolsListChanged":true}` })
		if got := s.ask("resources/subscribe", "x:a"); !strings.Contains(got, `"code":-32602`) {
			t.Errorf("subscribe: %s", got)
		}
		synctest.Wait()
		s.link.listen.mu.Lock()
		defer s.link.listen.mu.Unlock()
		if uris := s.link.listen.main.want.URIs; len(uris) != 0 {
			t.Errorf("still wanted: %s", uris)
		}
	})
}

// TestListenUnknown: a server that does not know how to be listened to is left
// alone, and says so to those who subscribe.
func TestListenUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, func(s *station) {
			s.way.stream = nil
			s.way.answer = func(context.Context, string, string) (string, error) { return unknown, nil }
		})
		<-time.After(time.Hour)
		if got := s.way.methods(t); !slices.Equal(got, []string{"subscriptions/listen"}) {
			t.Errorf("asked %s", got)
		}
		if got := s.ask("resources/subscribe", "x:a"); !strings.Contains(got, "-32601") {
			t.Errorf("subscribe: %s", got)
		}
	})
}

// TestListenNothingToTell: some servers end at once a stream on which they would
// say nothing.
func TestListenNothingToTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, tells, func(s *station) { s.agrees = `{}` })
		s.since()
		s.cut(nil)
		<-time.After(time.Hour)
		if got := s.since(); !slices.Equal(got, []string{"cut"}) {
			t.Errorf("then %q", got)
		}
	})
}

func TestListenUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, `{}`, func(s *station) { s.mute = true })
		begun := time.Now()
		if got := s.ask("resources/subscribe", "x:a"); !strings.Contains(got, errNoAck.Error()) || time.Since(begun) != ackLimit {
			t.Errorf("subscribe: %s after %v", got, time.Since(begun))
		}
	})
}

// TestListenEndsWithLink: nobody listens to a link that is lost, and who waits
// learns of it.
func TestListenEndsWithLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, `{}`, func(s *station) { s.mute = true })
		got := make(chan string, 1)
		go func() { got <- s.ask("resources/subscribe", "x:a") }()
		synctest.Wait()
		s.way.giveUp(errScript)
		s.cut(errScript)
		if g := <-got; !strings.Contains(g, "reset") {
			t.Errorf("subscribe: %s", g)
		}
		<-time.After(time.Hour)
		if log := s.since(); len(log) != 2 {
			t.Errorf("%q", log)
		}
	})
}

func TestWithoutSubscription(t *testing.T) {
	for in, want := range map[string]string{
		`{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"uri":"x"}`:              `{"_meta":{},"uri":"x"}`,
		`{"_meta":{ "io.modelcontextprotocol/subscriptionId" : "1" , "b":{"c":"," } }}`: `{"_meta":{ "b":{"c":"," } }}`,
		`{"_meta":{"a":[1],"io.modelcontextprotocol/subscriptionId":1,"b":2}}`:          `{"_meta":{"a":[1],"b":2}}`,
		`{"_meta":{"a":1 , "io.modelcontextprotocol/subscriptionId":1 }}`:               `{"_meta":{"a":1 }}`,
		`{"uri":"x"}`:                         `{"uri":"x"}`,
		`{"_meta":{"a":1}}`:                   `{"_meta":{"a":1}}`,
		`{"_meta":{"progressToken":1,"a":1}}`: `{"_meta":{"progressToken":1,"a":1}}`,
	} {
		whole := func(params string) string {
			return `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":` + params + `}`
		}
		m, err := jsonrpc.ParseServer([]byte(whole(in)))
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutSubscription(m); string(got.Raw) != whole(want) {
			t.Errorf("%s became %s, want %s", in, got.Raw, whole(want))
		}
	}
}
