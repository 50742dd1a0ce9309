//go:build jaeger

package e2e

import (
	"strings"
	"testing"
	"time"
)

// thinks is how long the person at the client takes.
const thinks = 300 * time.Millisecond

// asksThrough connects a client whose person thinks before they answer, and has it
// call what asks them.
func asksThrough(c *client, o origin, f fields) {
	c.t.Helper()
	answers := f["answers"].(fields)
	answers["elicitation/create"] = fields{"$after": thinks.Milliseconds(), "$answer": answers["elicitation/create"]}
	c.connect(f)
	c.must("listTools", nil, nil)
	if got := c.textIn(o, "every__trigger-elicitation-request", nil); !strings.Contains(got, "Name: Ada") {
		c.t.Errorf("the form came back as %q", got)
	}
	c.must("close", nil, nil)
}

// A server asks the person at the client: the trace of the call has for how long, and
// what they said. A client of the newer protocol asks again with the answer: its two
// requests are linked.
func TestJaegerQuestion(t *testing.T) {
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	j := newJaeger(ctx, t, dir)
	g := configure(ctx, t, dir, fields{"every": everythingStdio()})
	g.traced(j)
	g.start()
	older, newer := newOrigin(), newOrigin()
	asksThrough(newClient(ctx, t, dir), older, capable(g.url()))
	pinned := capable(g.url())
	pinned["mode"] = clients["pinned"]["mode"]
	asksThrough(newClient(ctx, t, dir), newer, pinned)
	g.stop()

	const exposed, own = "tools/call every__trigger-elicitation-request", "tools/call trigger-elicitation-request"
	asked := j.trace(t, older.trace, has(exposed, own, "elicitation/create"))
	root := asked.below(t, older.span, serverSpan, exposed)
	up := asked.below(t, root.SpanID, clientSpan, own)
	question := asked.below(t, up.SpanID, clientSpan, "elicitation/create")
	question.says(t, map[string]string{"mcp.method.name": "elicitation/create", "interlock.question.outcome": "accept", "error.type": ""})
	question.within(t, up)
	if took := time.Duration(nanos(question.End) - nanos(question.Start)); took < thinks {
		t.Errorf("the question took %v, and the person %v", took, thinks)
	}

	parked := j.trace(t, newer.trace, func(got tree) bool {
		n := 0
		for _, s := range got.spans {
			if s.Name == exposed {
				n++
			}
		}
		return n == 2 && has(own)(got)
	})
	var requests []*otlpSpan
	for _, s := range parked.spans {
		if s.Name == exposed && s.ParentSpanID == newer.span {
			requests = append(requests, s)
		}
	}
	if len(requests) != 2 {
		t.Fatalf("the client made %d requests, want 2:\n%s", len(requests), parked)
	}
	requests[0].says(t, map[string]string{"interlock.result.type": "input_required", "error.type": ""})
	requests[1].says(t, map[string]string{"interlock.result.type": "", "error.type": ""})
	if to := requests[1].link(t, "parked"); to.trace != newer.trace || to.span != requests[0].SpanID {
		t.Errorf("the second request is linked to %v, want the first, %s", to, requests[0].SpanID)
	}
	if between := nanos(requests[1].Start) - nanos(requests[0].End); between < thinks.Nanoseconds() {
		t.Errorf("between the two were %d ns, and the person took %v", between, thinks)
	}
	// One call of the server's tool, which began with the first and ended before the
	// second did.
	call := parked.below(t, requests[0].SpanID, clientSpan, own)
	if nanos(call.End) < nanos(requests[1].Start) || nanos(call.End) > nanos(requests[1].End) {
		t.Errorf("the server's call ended at %s, and the second request lasted from %s to %s", call.End, requests[1].Start, requests[1].End)
	}
}
