// Package upstreamtest is a scripted MCP server over stdio, for tests of what
// supervises one. It behaves as badly as its mode says.
//
// A test binary becomes the server by calling Main from TestMain when the
// variable Mode is set, and puts that variable into the child's environment:
//
//	func TestMain(m *testing.M) {
//		if mode := os.Getenv(upstreamtest.Mode); mode != "" {
//			os.Exit(upstreamtest.Main(mode))
//		}
//		...
//	}
//
// The server answers each request on a goroutine of its own and keeps no order.
package upstreamtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Variables of the server's environment.
const (
	// Mode names what the server does, and makes the test binary one. Several
	// modes may be joined with commas.
	Mode = "INTERLOCK_FAKE"
	// NonceFile is a file to which the tool nonce appends "<nonce> <pid> <generation>\n"
	// before it answers.
	NonceFile = "INTERLOCK_FAKE_NONCES"
	// EventFile is a file to which the server appends what it was told: each
	// notification as "<method> <params>\n".
	EventFile = "INTERLOCK_FAKE_EVENTS"
	// ListFile is a file to which the server appends a line for each tools/list.
	ListFile = "INTERLOCK_FAKE_LISTS"
	// PIDFile is a file to which the server appends the pid of each process
	// that it starts, one a line, its own first.
	PIDFile = "INTERLOCK_FAKE_PIDS"
	// Pages is a number of pages of ten items for every list.
	Pages = "INTERLOCK_FAKE_PAGES"
	// Control is a file with modes, which hold beside those of Mode as long as
	// they stand in it. It is read at each message; it need not exist.
	Control = "INTERLOCK_FAKE_CONTROL"
)

// server is one run of the fake, or one request to a Remote.
type server struct {
	modes      modes
	vars       func(name string) string // the variables above
	generation int                      // how many pids are in PIDFile, with its own
	rounds     *rounds
	write      func(line string) // prints a message and what the modes add to it
	out        sync.Mutex        // guards stdout, so that lines stay whole

	// asked counts the server's own requests, whose answers go to the channels
	// in answers, by id.
	asked   atomic.Int64
	mu      sync.Mutex // guards answers
	answers map[string]chan message
}

// modes says which modes a server is in, each with its value, "" if it has none.
type modes map[string]string

func parseModes(list string) modes {
	m := make(modes)
	for word := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		name, value, _ := strings.Cut(word, "=")
		m[name] = value
	}
	return m
}

func (m modes) on(name string) bool { _, on := m[name]; return on }

// number is the value of a mode, 0 for one that is off.
func (m modes) number(name string) int {
	n, _ := strconv.Atoi(m[name])
	return n
}

// rounds are the calls that come now.
type rounds struct {
	mu  sync.Mutex // guards now
	now *round
}

// round is the calls between one call of the tool release and the next.
type round struct {
	calls    sync.WaitGroup
	released chan struct{} // closed by the call that ends the round
}

func newRound() *round { return &round{released: make(chan struct{})} }

// message is any JSON-RPC message.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`

	round   *round
	counted bool  // among the round's calls
	now     modes // when it was handled
}

// Main serves MCP on stdin and stdout until stdin ends, and returns the exit
// code. The modes are:
//
//	ok              no trouble (so is any unknown word)
//	exit0, exit3    ends at once with that code and some words on stderr
//	segv, killself  ends at once by that signal
//	exitoninit      reads initialize and ends with 3
//	exitonprobe     reads anything else than initialize first and ends with 3
//	hang            reads and never answers
//	noise           prints what is no message between its messages
//	glued           prints without a line's end before its messages
//	nostdin         stops reading after the handshake
//	ignoreterm      ignores the end of stdin, and TERM
//	sh              has a child that ignores TERM
//	doublefork      has a grandchild whose parent is gone
//	setsid          has a grandchild in a session of its own, whose parent is gone
//	holdstderr      has a grandchild that holds stdout and stderr open
//	dup             sends each answer three times, and answers to unknown ids
//	both            answers calls with result and error
//	neither         answers calls with neither
//	stderrflood     writes 200 MB on stderr before it serves
//	pings           sends a ping before each answer
//	fast            after the handshake answers every request with {}, as fast as it can
//	modern          speaks 2026-07-28 and nothing older
//	deaf            reads and never answers, once the handshake is done
//	slow=MS         answers calls so much later
//	again           each list of tools is followed by word that it has changed
//	extra           offers one tool more, extra
//
// Those from hang to neither, but exitoninit, and those after fast may come and go
// with the file Control.
func Main(list string) int {
	s := &server{modes: parseModes(list), vars: os.Getenv, rounds: &rounds{now: newRound()}, answers: make(map[string]chan message)}
	s.write = func(line string) {
		s.out.Lock()
		defer s.out.Unlock()
		print(s.now(), line)
	}
	if code, ended := s.early(); ended {
		return code
	}
	return s.serve()
}

// now returns the modes of this moment.
func (s *server) now() modes {
	name := s.vars(Control)
	if name == "" {
		return s.modes
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return s.modes
	}
	both := parseModes(string(b))
	maps.Copy(both, s.modes)
	return both
}

func (s *server) serve() int {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			s.late()
			return 0
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		now := s.now()
		switch {
		case m.Method == "":
			s.mu.Lock()
			if c := s.answers[string(m.ID)]; c != nil {
				c <- m
			}
			s.mu.Unlock()
		case m.ID == nil:
			s.told(m)
			if m.Method == "notifications/initialized" && now.on("fast") {
				fast(in)
			}
			if m.Method == "notifications/initialized" && now.on("nostdin") {
				select {}
			}
		case now.on("hang"), now.on("deaf") && m.Method != "initialize" && m.Method != "server/discover":
		case now.on("exitonprobe") && m.Method == "server/discover":
			return 3
		case now.on("exitoninit"):
			fmt.Fprintln(os.Stderr, "no such database")
			return 3
		case m.Method == "initialize":
			s.handle(m)
		case m.Method == "tools/call":
			go s.handle(s.rounds.enter(m))
		default:
			go s.handle(m)
		}
	}
}

// enter puts a call into the round that it came in, in the order of stdin, of
// which its goroutine knows nothing.
func (r *rounds) enter(m message) message {
	var p struct{ Name string }
	_ = json.Unmarshal(m.Params, &p)
	r.mu.Lock()
	defer r.mu.Unlock()
	m.round = r.now
	if p.Name == "release" {
		r.now = newRound()
		close(m.round.released)
		return m
	}
	m.round.calls.Add(1)
	m.counted = true
	return m
}

// fast answers requests with next to no work, many at a time.
func fast(in *bufio.Reader) {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if m, err := jsonrpc.ParseServer(line); err == nil && m.Kind == jsonrpc.Request {
			_, _ = out.Write(jsonrpc.AppendResult(out.AvailableBuffer(), m.ID.Of(line), []byte("{}")))
			_ = out.WriteByte('\n')
		}
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}

// told records a notification.
func (s *server) told(m message) {
	if name := s.vars(EventFile); name != "" {
		appendLine(name, m.Method+" "+string(m.Params))
	}
}

func appendLine(name, line string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, line+"\n"); err != nil { // one write: lines stay whole
		panic(err)
	}
}

func (s *server) handle(m message) {
	now := s.now()
	m.now = now
	result, fault := s.result(m)
	if now.on("modern") && result != "" {
		result = modernResult(m.Method, result)
	}
	if now.on("pings") && m.Method != "initialize" { // which is handled by the reader
		s.ask("ping", "{}")
	}
	calls := m.Method == "tools/call"
	if ms := now.number("slow"); ms > 0 && calls {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	switch {
	case result == "" && fault == "": // answered already
	case now.on("both") && calls:
		s.write(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":{},"error":{"code":1,"message":"both"}}`)
	case now.on("neither") && calls:
		s.write(`{"jsonrpc":"2.0","id":` + string(m.ID) + `}`)
	case fault != "":
		s.write(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"error":{"code":-32601,"message":` + strconv.Quote(fault) + `}}`)
	default:
		s.write(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":` + result + `}`)
	}
	s.after(m)
	if m.counted {
		m.round.calls.Done()
	}
}

// noise is printed between messages in the mode noise.
var noise = []string{
	"", " ", "server: listening on stdio", "\x1b[32m[info]\x1b[0m ready", "{", `{"jsonrpc":"2.0","id":1,"resu`,
	"[1,2", "\xef\xbb\xbf", "null", "12", `"text"`, `{"level":"info","msg":"a log line in JSON"}`, "\x00\xff\xfe",
	`got {"jsonrpc":"2.0","id":"x","method":"sampling/createMessage","params":{}}`,
}

// print prints one message on stdout, and in some modes more than that.
func print(now modes, message string) {
	end := "\n"
	if now.on("noise") {
		for _, n := range noise {
			_, _ = io.WriteString(os.Stdout, n+"\n")
		}
		message, end = "\xef\xbb\xbf"+message, "\r\n"
	}
	if now.on("glued") {
		_, _ = io.WriteString(os.Stdout, "\x1b[2K\rloading {50%} ... ")
		end = "\x1b[0m\n"
	}
	_, _ = io.WriteString(os.Stdout, message+end)
	if now.on("dup") {
		_, _ = io.WriteString(os.Stdout, message+end+message+end)
		_, _ = io.WriteString(os.Stdout, `{"jsonrpc":"2.0","id":999999,"result":{"content":[]}}`+end)
		_, _ = io.WriteString(os.Stdout, `{"jsonrpc":"2.0","id":"1","result":{"content":[]}}`+end)
	}
}

// ask sends a request to the client and blocks until its answer.
func (s *server) ask(method, params string) message {
	id := strconv.Quote("s" + strconv.FormatInt(s.asked.Add(1), 10))
	c := make(chan message, 1)
	s.mu.Lock()
	s.answers[id] = c
	s.mu.Unlock()
	s.write(`{"jsonrpc":"2.0","id":` + id + `,"method":` + strconv.Quote(method) + `,"params":` + params + `}`)
	m := <-c
	s.mu.Lock()
	delete(s.answers, id)
	s.mu.Unlock()
	return m
}
