package upstreamtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The tools that the server offers, each with all arguments optional:
//
//	echo       returns its arguments and _meta as structuredContent
//	hold       sends progress, and answers when release is called
//	release    has hold answer, and answers when all calls before it are answered
//	exit       {code, signal}: ends without an answer
//	progress   {n, after}: n progress messages, then the answer, then after more
//	elicit     asks elicitation/create and returns the client's answer as structuredContent
//	sample     the same with sampling/createMessage
//	roots      the same with roots/list
//	giveup     asks elicitation/create, cancels that, and answers at once
//	nonce      {nonce}: sends it as the message of progress, records it in NonceFile, and returns it with the pid
//	env        returns the environment as structuredContent
//	big        {bytes}: an answer of at least that size
//	deep       {depth}: an answer nested so deep
//	log        sends a log message that belongs to no call
//	changed    sends notifications/tools/list_changed
//	fail       answers with isError
//	flood      {bytes}: as big, but of any size: it is made while it is written
//	keys       {n}: an answer with an object of so many members
//	spew       {bytes}: writes so much on stderr, without a line's end
//	burst      {n}: sends notifications/tools/list_changed so often
var tools = []string{
	"echo", "hold", "release", "exit", "progress", "elicit", "sample", "roots", "giveup", "nonce", "env", "big", "deep", "log",
	"changed", "fail", "flood", "keys", "spew", "burst",
}

// result returns the result of a request, or the message of an error, or neither
// if it has answered.
func (s *server) result(m message) (result, fault string) {
	switch m.Method {
	case "server/discover":
		if m.now.on("modern") {
			return `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"A fake."}`, ""
		}
	case "initialize":
		if m.now.on("modern") {
			break
		}
		var p struct {
			ProtocolVersion string `json:"protocolVersion"`
		}
		_ = json.Unmarshal(m.Params, &p)
		return `{"protocolVersion":` + strconv.Quote(p.ProtocolVersion) +
			`,"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{}}` +
			`,"serverInfo":{"name":"fake","version":"1"},"instructions":"A fake."}`, ""
	case "ping", "resources/subscribe", "resources/unsubscribe", "logging/setLevel":
		return "{}", ""
	case "tools/list":
		if name := s.vars(ListFile); name != "" {
			appendLine(name, "listed")
		}
		return s.list(m, "tools", func(i int) string {
			name := "tool" + strconv.Itoa(i)
			switch {
			case i < len(tools):
				name = tools[i]
			case m.now.on("extra") && i == len(tools):
				name = "extra"
			}
			return `{"name":` + strconv.Quote(name) + `,"inputSchema":{"type":"object"}}`
		}), ""
	case "prompts/list":
		return s.list(m, "prompts", func(i int) string { return fmt.Sprintf(`{"name":"prompt%d"}`, i) }), ""
	case "resources/list":
		return s.list(m, "resources", func(i int) string { return fmt.Sprintf(`{"uri":"fake://%d","name":"r%d"}`, i, i) }), ""
	case "resources/templates/list":
		return `{"resourceTemplates":[{"uriTemplate":"fake://t/{x}","name":"t"}]}`, ""
	case "resources/read":
		return `{"contents":[{"uri":"fake://0","text":"read"}]}`, ""
	case "prompts/get":
		return `{"messages":[{"role":"user","content":{"type":"text","text":"got"}}]}`, ""
	case "tools/call":
		return s.call(m)
	}
	return "", "method not found: " + m.Method
}

// list returns a page of a list: all tools on one, or as many pages of ten items
// as Pages says.
func (s *server) list(m message, key string, item func(int) string) string {
	var p struct {
		Cursor string `json:"cursor"`
	}
	_ = json.Unmarshal(m.Params, &p)
	page, _ := strconv.Atoi(p.Cursor)
	pages, _ := strconv.Atoi(s.vars(Pages))
	from, to, next := 0, len(tools), ""
	if m.now.on("extra") && key == "tools" {
		to++
	}
	if pages > 0 {
		from, to = page*10, page*10+10
		if page+1 < pages {
			next = `,"nextCursor":"` + strconv.Itoa(page+1) + `"`
		}
	}
	var items []string
	for i := from; i < to; i++ {
		items = append(items, item(i))
	}
	return `{` + strconv.Quote(key) + `:[` + strings.Join(items, ",") + `]` + next + `}`
}

// call runs a tool.
func (s *server) call(m message) (result, fault string) {
	var p struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      json.RawMessage `json:"_meta"`
	}
	_ = json.Unmarshal(m.Params, &p)
	var a struct {
		N, Code, Bytes, Depth int
		Signal, Nonce         string
	}
	_ = json.Unmarshal(p.Arguments, &a)
	switch p.Name {
	case "echo":
		return structured(`{"arguments":` + orNull(p.Arguments) + `,"_meta":` + orNull(p.Meta) + `}`), ""
	case "hold":
		s.progress(p.Meta, 0, 1)
		<-m.round.released
		return text("held"), ""
	case "release":
		m.round.calls.Wait()
		return text("released"), ""
	case "exit":
		die(a.Signal, a.Code)
	case "progress":
		s.progress(p.Meta, 0, a.N)
		return text("done"), ""
	case "elicit":
		return s.askFor("elicitation/create", `{"message":"who?","requestedSchema":{"type":"object","properties":{}}}`), ""
	case "sample":
		return s.askFor("sampling/createMessage", `{"messages":[],"maxTokens":1}`), ""
	case "roots":
		return s.askFor("roots/list", `{}`), ""
	case "giveup":
		s.write(`{"jsonrpc":"2.0","id":"given-up","method":"elicitation/create","params":{"message":"who?"}}`)
		s.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"given-up"}}`)
		return text("gave up"), ""
	case "nonce":
		s.say(p.Meta, a.Nonce)
		if name := s.vars(NonceFile); name != "" {
			appendLine(name, fmt.Sprintf("%s %d %d", a.Nonce, os.Getpid(), s.generation))
		}
		return structured(`{"nonce":` + strconv.Quote(a.Nonce) + `,"pid":` + strconv.Itoa(os.Getpid()) + `}`), ""
	case "env":
		b, _ := json.Marshal(os.Environ())
		return structured(`{"env":` + string(b) + `}`), ""
	case "big":
		return text(strings.Repeat("x", a.Bytes)), ""
	case "deep":
		return structured(`{"d":` + strings.Repeat("[", a.Depth) + strings.Repeat("]", a.Depth) + `}`), ""
	case "log":
		s.write(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a log line"}}`)
		return text("logged"), ""
	case "changed":
		s.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		return text("changed"), ""
	case "flood":
		s.flood(m, a.Bytes)
		return "", ""
	case "burst":
		for range a.N {
			s.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		}
		return text("sent"), ""
	case "keys":
		return members(a.N), ""
	case "spew":
		for n := a.Bytes; n > 0; n -= len(junk) {
			_, _ = os.Stderr.Write(junk[:min(n, len(junk))])
		}
		return text("spewed"), ""
	case "fail":
		return `{"content":[{"type":"text","text":"it failed"}],"isError":true}`, ""
	}
	return "", "unknown tool " + p.Name
}

// junk is what the modes and tools that flood stderr write.
var junk = bytes.Repeat([]byte("\x00\xff noise"), 1<<17)

// members is a result with n members in an object.
func members(n int) string {
	var b []byte
	for i := range n {
		b = append(strconv.AppendInt(append(b, `,"k`...), int64(i), 10), `":1`...)
	}
	return structured("{" + strings.TrimPrefix(string(b), ",") + "}")
}

// flood prints an answer of so many bytes.
func (s *server) flood(m message, n int) {
	s.out.Lock()
	defer s.out.Unlock()
	_, _ = io.WriteString(os.Stdout, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"content":[{"type":"text","text":"`)
	for x := strings.Repeat("x", 1<<20); n > 0; n -= len(x) {
		_, _ = io.WriteString(os.Stdout, x[:min(n, len(x))])
	}
	_, _ = io.WriteString(os.Stdout, "\"}]}}\n")
}

// modernResult adds what 2026-07-28 wants in a result.
func modernResult(method, result string) string {
	more := `"resultType":"complete"`
	if strings.HasSuffix(method, "/list") || method == "server/discover" {
		more += `,"ttlMs":3600000,"cacheScope":"public"`
	}
	if result != "{}" {
		more += ","
	}
	return "{" + more + result[1:]
}

// after does what a tool does once it has answered.
func (s *server) after(m message) {
	if m.Method == "tools/list" && m.now.on("again") {
		s.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	}
	var p struct {
		Name      string
		Arguments struct{ N, After int }
		Meta      json.RawMessage `json:"_meta"`
	}
	_ = json.Unmarshal(m.Params, &p)
	if p.Name == "progress" {
		s.progress(p.Meta, p.Arguments.N, p.Arguments.After)
	}
}

// progress sends the messages from+1 to from+n of the call with this _meta.
func (s *server) progress(meta json.RawMessage, from, n int) {
	var p struct {
		ProgressToken json.RawMessage `json:"progressToken"`
	}
	_ = json.Unmarshal(meta, &p)
	if p.ProgressToken == nil {
		return
	}
	for i := range n {
		s.write(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`,
			p.ProgressToken, from+i+1))
	}
}

// say sends progress with a message of the call with this _meta.
func (s *server) say(meta json.RawMessage, message string) {
	var p struct {
		ProgressToken json.RawMessage `json:"progressToken"`
	}
	if _ = json.Unmarshal(meta, &p); p.ProgressToken != nil {
		s.write(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"message":%q}}`, p.ProgressToken, message))
	}
}

// askFor asks the client and returns its whole answer as a tool result.
func (s *server) askFor(method, params string) string {
	answer, _ := json.Marshal(s.ask(method, params))
	return structured(string(answer))
}

func text(t string) string {
	return `{"content":[{"type":"text","text":` + strconv.Quote(t) + `}]}`
}

func structured(v string) string { return `{"content":[],"structuredContent":` + v + `}` }

func orNull(raw json.RawMessage) string {
	if raw == nil {
		return "null"
	}
	return string(raw)
}
