package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// odd makes JSON that a reader which decodes and encodes again would change.
type odd struct{ *rand.Rand }

func (o odd) pick(from ...string) string { return from[o.IntN(len(from))] }

func (o odd) space() string { return o.pick("", "", "", " ", "\t", "  ") }

func (o odd) value(depth int) string {
	if depth <= 0 || o.IntN(3) > 0 {
		return o.pick("null", "true", "1.0", "-0", "1e2", "12345678901234567890123", "9007199254740993", `""`, `"\u00fc"`, `"ü"`, `"\/"`, `"a\nb"`, `"<&>"`)
	}
	if o.IntN(2) == 0 {
		items := make([]string, o.IntN(4))
		for i := range items {
			items[i] = o.value(depth - 1)
		}
		return "[" + o.space() + strings.Join(items, o.space()+","+o.space()) + "]"
	}
	return o.object(depth-1, nil)
}

// object has the members given, and others, in any order.
func (o odd) object(depth int, members []string) string {
	members = slices.Clone(members)
	for i := range o.IntN(4) {
		members = append(members, fmt.Sprintf(`"k%d\u0041"%s:%s%s`, i, o.space(), o.space(), o.value(depth)))
	}
	o.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + o.space() + strings.Join(members, o.space()+","+o.space()) + o.space() + "}"
}

// carried lists the members of the object at s, in order, as they are, but those
// that are ours.
func carried(raw []byte, s jsonrpc.Span, ours ...string) []string {
	var out []string
	for key, v := range jsonrpc.Members(raw, s) {
		if !slices.Contains(ours, key) {
			out = append(out, key+"="+string(v.Of(raw)))
		}
	}
	return out
}

// TestModernCarriesBytes: whatever passes between a legacy client and a modern
// server and has no meaning to the link arrives byte for byte: arguments, _meta,
// questions, answers, states and results.
func TestModernCarriesBytes(t *testing.T) {
	for seed := range uint64(500) {
		o := odd{rand.New(rand.NewPCG(seed, 1))}
		meta := o.object(2, []string{`"progressToken":` + o.pick("1", `"t"`)})
		params := o.object(3, []string{`"name":"x"`, `"arguments":` + o.object(3, nil), `"_meta":` + meta})
		raw := `{"jsonrpc":"2.0",` + o.space() + `"id":` + o.pick("1", `"c"`, "12345678901234567890") + `,"method":"tools/call","params":` + params + o.space() + `}`
		asks := o.object(2, []string{`"message":"?"`})
		state := o.pick(`""`, `"\u0073tate"`, `"s"`)
		answer, result := o.object(2, []string{`"action":"accept"`}), o.object(3, []string{`"content":[]`})
		first := true
		w := newFakeWay(func(context.Context, string, string) (string, error) {
			if !first {
				return result, nil
			}
			first = false
			return needs(`"inputRequests":{"q\u0041":{"method":"elicitation/create","params":` + asks + `}},"requestState":` + state), nil
		})
		l, _ := modernOver(t, w, `{}`)
		r := request(t, raw)
		r.Client.Capabilities = []byte(o.object(2, nil))
		var asked string
		r.Peer = askedWith(t.Context(), func(q *Question) string {
			asked = string(q.Message.Params.Of(q.Message.Raw))
			return answer
		})
		m, err := l.Do(t.Context(), r)
		if err != nil || string(m.Result.Of(m.Raw)) != result || asked != asks {
			t.Fatalf("seed %d: asked %s for %s, result %s for %s, %v", seed, asked, asks, m.Result.Of(m.Raw), result, err)
		}
		for i, body := range w.bodies() {
			b := []byte(body)
			sent, err := jsonrpc.Parse(b)
			if err != nil {
				t.Fatalf("seed %d: sent %s: %v", seed, body, err)
			}
			ours := []string{metaProtocolVersion, metaClientInfo, metaClientCapabilities, "progressToken"}
			if diff := cmp.Diff(carried([]byte(meta), jsonrpc.Whole([]byte(meta)), ours...), carried(b, sent.Meta, ours...)); diff != "" {
				t.Errorf("seed %d: _meta (-was +sent):\n%s", seed, diff)
			}
			if diff := cmp.Diff(carried([]byte(params), jsonrpc.Whole([]byte(params)), "_meta"), carried(b, sent.Params, "_meta", "inputResponses", "requestState")); diff != "" {
				t.Errorf("seed %d: params (-was +sent):\n%s", seed, diff)
			}
			at, _ := jsonrpc.Lookup(b, sent.Meta, metaClientCapabilities)
			if string(at.Of(b)) != string(r.Client.Capabilities) {
				t.Errorf("seed %d: capabilities %s, want %s", seed, at.Of(b), r.Client.Capabilities)
			}
			if i == 0 {
				continue
			}
			gave, _ := jsonrpc.Lookup(b, sent.Params, "inputResponses", "qA")
			echo, _ := jsonrpc.Lookup(b, sent.Params, "requestState")
			if string(gave.Of(b)) != answer || string(echo.Of(b)) != state {
				t.Errorf("seed %d: gave %s for %s, echoed %s for %s", seed, gave.Of(b), answer, echo.Of(b), state)
			}
		}
	}
}
