package upstreamtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Remote is the fake over streamable HTTP, in the process of whoever serves it.
// Its modes are those of Main that make sense there, and:
//
//	session         gives sessions, and knows those that Forget did not take
//	status=N        answers calls with that status and no JSON-RPC
//	retry=TEXT      answers calls with 429 and that Retry-After
//	html            answers calls with a page
//	wrongid         answers calls under another id
//	cutbefore       begins a stream and cuts it before the result
//	cutin           cuts it inside the result
//	cutafter        cuts it after the result
//	reset           closes the connection without a response; so does the tool exit
//
// It is safe for concurrent use.
type Remote struct {
	vars       map[string]string
	rounds     rounds
	asked      atomic.Int64 // calls that came
	inits      atomic.Int64
	early      atomic.Int64
	gate       atomic.Int64 // when calls may come again, in nanoseconds since 1970
	generation atomic.Int64
	session    atomic.Int64
	mu         sync.Mutex // guards modes
	modes      modes
}

// NewRemote makes a Remote with a list of modes, as in Mode, and the other
// variables that it is to heed, NonceFile and the like.
func NewRemote(list string, vars map[string]string) *Remote {
	return &Remote{vars: maps.Clone(vars), rounds: rounds{now: newRound()}, modes: parseModes(list)}
}

// SetModes replaces the modes, a list as in Mode.
func (r *Remote) SetModes(list string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.modes = parseModes(list)
}

// Forget forgets the session.
func (r *Remote) Forget() { r.session.Add(1) }

// Restarted makes what is served from now on another generation.
func (r *Remote) Restarted() { r.generation.Add(1); r.Forget() }

// Asked is how many calls came, also those that were refused.
func (r *Remote) Asked() int { return int(r.asked.Load()) }

// Early is how many calls came before the time that a Retry-After in whole
// seconds had named.
func (r *Remote) Early() int { return int(r.early.Load()) }

// Initialized is how many times a client said initialize.
func (r *Remote) Initialized() int { return int(r.inits.Load()) }

// ServeHTTP serves MCP at any path.
func (r *Remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(req.Body)
	var m message
	if err != nil || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	now := maps.Clone(r.modes)
	r.mu.Unlock()
	switch {
	case r.elsewhere(w, req, m, now):
	case m.ID == nil || m.Method == "":
		w.WriteHeader(http.StatusAccepted)
	case now.on("hang"), now.on("deaf") && m.Method != "initialize" && m.Method != "server/discover":
		<-req.Context().Done()
	case m.Method == "tools/call":
		r.asked.Add(1)
		r.call(w, req, m, now)
	default:
		r.answer(w, req, m, now)
	}
}

// elsewhere answers a request of a session that is not known.
func (r *Remote) elsewhere(w http.ResponseWriter, req *http.Request, m message, now modes) bool {
	if !now.on("session") {
		return false
	}
	id := strconv.FormatInt(r.session.Load(), 10)
	if m.Method == "initialize" {
		r.inits.Add(1)
		w.Header().Set("Mcp-Session-Id", "session-"+id)
		return false
	}
	if req.Header.Get("Mcp-Session-Id") == "session-"+id {
		return false
	}
	w.WriteHeader(http.StatusNotFound)
	return true
}

// call answers a tools/call, as badly as the modes say.
func (r *Remote) call(w http.ResponseWriter, req *http.Request, m message, now modes) {
	if time.Now().UnixNano() < r.gate.Load() {
		r.early.Add(1)
	}
	switch {
	case now.on("retry"):
		r.gate.Store(time.Now().Add(time.Duration(now.number("retry")) * time.Second).UnixNano())
		w.Header().Set("Retry-After", now["retry"])
		w.WriteHeader(http.StatusTooManyRequests)
	case now.on("status"):
		w.WriteHeader(now.number("status"))
	case now.on("reset"), strings.Contains(string(m.Params), `"name":"exit"`):
		panic(http.ErrAbortHandler)
	case now.on("html"):
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>welcome</body></html>")
	default:
		r.answer(w, req, r.rounds.enter(m), now)
	}
}

// answer runs a request and writes what comes of it: JSON if that is one
// message, else a stream.
func (r *Remote) answer(w http.ResponseWriter, req *http.Request, m message, now modes) {
	if ms := now.number("slow"); ms > 0 && m.Method == "tools/call" {
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-req.Context().Done():
		}
		delete(now, "slow")
	}
	var lines []string
	s := &server{modes: now, vars: func(name string) string { return r.vars[name] }, generation: int(r.generation.Load()), rounds: &r.rounds}
	s.write = func(line string) { lines = append(lines, line) }
	s.handle(m)
	last := len(lines) - 1
	if now.on("wrongid") && m.Method == "tools/call" {
		lines[last] = strings.Replace(lines[last], `"id":`+string(m.ID), `"id":4711`, 1)
	}
	cut := now.on("cutbefore") || now.on("cutin") || now.on("cutafter")
	if len(lines) == 1 && !(cut && m.Method == "tools/call") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, lines[0])
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i, line := range lines {
		event := "data: " + line + "\n\n"
		if i == last && now.on("cutbefore") {
			event = ": nothing follows\n\n"
		}
		if i == last && now.on("cutin") {
			event = event[:len(event)-2]
		}
		_, _ = fmt.Fprint(w, event)
	}
	if cut {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}
