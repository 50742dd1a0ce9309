package gateway

import (
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxMessageEvents is how many log messages of a call are events of its span.
const maxMessageEvents = 8

// talk is what a server said on behalf of a call whose CLIENT span somebody will
// see: counted, and little of it told.
type talk struct {
	mu                        sync.Mutex // guards the rest
	progress, messages, other int64
	last                      [2]telemetry.Attr // of progress: the value and the total
	at                        time.Time         // when it came
}

// saying returns what was said so far.
func (c *call) saying() *talk {
	if s := c.talk.Load(); s != nil {
		return s
	}
	c.talk.CompareAndSwap(nil, new(talk))
	return c.talk.Load()
}

// note takes note of a notification. It is called where the call's span is recorded.
func (c *call) note(m jsonrpc.Message) {
	s := c.saying()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.MethodName() {
	case "notifications/progress":
		s.last, s.at = progressOf(m), time.Now()
		if s.progress++; s.progress == 1 {
			c.span.EventAt(s.at, telemetry.EventProgress, s.last[:]...)
		}
	case "notifications/message":
		if s.messages++; s.messages <= maxMessageEvents {
			c.span.Event(telemetry.EventMessage, messageOf(m)...)
		}
	default:
		s.other++
	}
}

// sum tells the span how much was said, before its end.
func (c *call) sum() {
	s := c.talk.Load()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress > 1 {
		c.span.EventAt(s.at, telemetry.EventProgress, s.last[:]...)
	}
	if s.progress > 0 {
		c.span.Set(telemetry.Int(telemetry.AttrProgressCount, s.progress))
	}
	if s.messages > 0 {
		c.span.Set(telemetry.Int(telemetry.AttrMessagesCount, s.messages))
	}
	if s.other > 0 {
		c.span.Set(telemetry.Int(telemetry.AttrNotificationsCount, s.other))
	}
}

// progressOf are the numbers of a progress message as they were written.
func progressOf(m jsonrpc.Message) [2]telemetry.Attr {
	return [2]telemetry.Attr{
		telemetry.String(telemetry.AttrProgress, numberIn(m, "progress")), telemetry.String(telemetry.AttrProgressTotal, numberIn(m, "total")),
	}
}

// maxNumber is how long a number may be that is told.
const maxNumber = 32

// numberIn is the number of that name in params, "" for none.
func numberIn(m jsonrpc.Message, name string) string {
	at, ok := jsonrpc.Lookup(m.Raw, m.Params, name)
	if !ok || at.Len() > maxNumber || m.Raw[at.Start] != '-' && (m.Raw[at.Start] < '0' || m.Raw[at.Start] > '9') {
		return ""
	}
	return string(at.Of(m.Raw))
}

// maxLogger is how much of a logger's name is told.
const maxLogger = 64

// messageOf is what may be told of a log message: what it says may be anything.
func messageOf(m jsonrpc.Message) []telemetry.Attr {
	level, logger := m.Text(m.Level), ""
	if _, ok := levels[level]; !ok {
		level = telemetry.Other
	}
	if at, ok := jsonrpc.Lookup(m.Raw, m.Params, "logger"); ok {
		logger = m.Text(at)
	}
	return []telemetry.Attr{
		telemetry.String(telemetry.AttrMessageLevel, level), telemetry.String(telemetry.AttrMessageLogger, logger[:min(len(logger), maxLogger)]),
	}
}
