package gateway

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// callNamed serves tools/call and prompts/get: something with a name, called with
// arguments. find is the catalog's way from such a name to its route.
func (g *Gateway) callNamed(ctx context.Context, x *exchange, kind router.Kind, find func(*router.Catalog, string) (*router.Route, bool)) (answer, outcome) {
	if x.kindOf(x.msg.Name) != '"' {
		return x.badParams("params.name must be a string")
	}
	if k := x.kindOf(x.msg.Arguments); k != 0 && k != '{' {
		return x.badParams("params.arguments must be an object")
	}
	name := x.text(x.msg.Name)
	r, ok := find(x.catalog, name)
	if !ok {
		// A gateway that has just begun may not know it yet.
		g.awaitLists(ctx, x)
		if r, ok = find(x.catalog, name); !ok {
			return g.unknown(x, kind, name)
		}
	}
	return g.forward(ctx, x, r, x.replace(x.msg.Name, r))
}

// unlearnt returns the upstream that a name which nobody lists may belong to: one
// that has never listed what it offers, and whose prefix the name has; one without
// a prefix may have any name. It decides what the caller is told, never where a
// call goes.
func (x *exchange) unlearnt(k router.Kind, name string) *upstream.Upstream {
	var unnamed *upstream.Upstream
	whole := x.catalog.Former(name)
	for _, u := range x.view.order {
		if u.Inventory() != nil || !x.catalog.MayHave(k, u.Name(), name) {
			continue
		}
		switch p := u.Config().NamePrefix(); {
		case x.catalog.Own(), p == "":
			if unnamed == nil {
				unnamed = u
			}
		case strings.HasPrefix(whole, p+x.view.cfg.Names.Separator):
			return u
		}
	}
	return unnamed
}

// unknown answers a request for a name that nobody lists.
func (g *Gateway) unknown(x *exchange, k router.Kind, name string) (answer, outcome) {
	if u := x.unlearnt(k, name); u != nil {
		return g.failed(x, &router.Route{Upstream: u.Name()}, neverListed(u))
	}
	return x.badParams("unknown " + k.Noun() + " " + clipName(name))
}

func neverListed(u *upstream.Upstream) error {
	st := u.Status()
	e := &upstream.CallError{
		Upstream: u.Name(), Reason: string(st.State), Executed: upstream.ExecutedNo,
		Text: "it has not listed what it offers yet, and is in state " + string(st.State),
	}
	if st.Failure != nil && st.State == upstream.Errored {
		e.Text += ": " + st.Failure.Stage + ": " + st.Failure.Message
	}
	if !st.NextRetry.IsZero() {
		e.RetryAfter = max(time.Until(st.NextRetry), 0)
	} else if st.State == upstream.Starting {
		e.RetryAfter = time.Second
	}
	return e
}

// replace returns the edit that gives the upstream its own name or URI, in the
// place of the one at s.
func (x *exchange) replace(s jsonrpc.Span, r *router.Route) *jsonrpc.Edits {
	if r.Target != r.Exposed {
		x.edits.Replace(s, r.Quoted)
	}
	return &x.edits
}

// readResource serves resources/read.
func (g *Gateway) readResource(ctx context.Context, x *exchange) (answer, outcome) {
	r, a, out := g.resource(ctx, x)
	switch {
	case r == nil:
		return a, out
	case r.Upstream == "": // the gateway's own: all instructions in full
		own := instructionsResult(x.catalog.FullInstructions())
		if x.modern != nil {
			own = append(appendCaching(nil, x.catalog.Caching()), own[1:len(own)-1]...)
			return x.madeHere(own), outcome{}
		}
		return resultOf(x.id(), own), outcome{}
	}
	return g.forward(ctx, x, r, x.replace(x.msg.URI, r))
}

func instructionsResult(text string) []byte {
	b := append([]byte(nil), `{"contents":[{"uri":"`+router.InstructionsURI+`","mimeType":"text/markdown","text":`...)
	b = jsonrpc.AppendString(b, text)
	return append(b, "}]}"...)
}

// resource finds the route of params.uri; without one it gives the answer.
func (g *Gateway) resource(ctx context.Context, x *exchange) (*router.Route, answer, outcome) {
	if x.kindOf(x.msg.URI) != '"' {
		a, out := x.badParams("params.uri must be a string")
		return nil, a, out
	}
	uri := x.text(x.msg.URI)
	r, err := x.catalog.Resource(uri)
	if err != nil {
		g.awaitLists(ctx, x)
		r, err = x.catalog.Resource(uri)
	}
	if err != nil {
		// -32002 is resource-not-found in the legacy revisions (server/resources).
		data := append(jsonrpc.AppendString([]byte(`{"uri":`), clipURI(uri)), '}')
		code := codeResourceNotFound
		if x.modern != nil {
			code = jsonrpc.CodeInvalidParams
		}
		a, out := refused(errorOf(x.id(), code, err.Error(), data), code)
		return nil, a, out
	}
	return r, answer{}, outcome{}
}

const codeResourceNotFound = -32002

func clipURI(uri string) string {
	if len(uri) > 512 {
		return uri[:512]
	}
	return uri
}

// passwordOf finds the password in a URI, also in one that stands encoded in one of
// ours (interlock://SERVER/URI).
var passwordOf = regexp.MustCompile(`(?i)((?::|%3a)(?:/|%2f){2}[^/?#@:]*?(?::|%3a))[^/?#]*(@|%40)`)

// toldURI is a URI as spans and the log have it: cut, and without a password.
func toldURI(uri string) string {
	const most = 4096 // nobody has a longer password
	if len(uri) > most {
		uri = uri[:most]
	}
	if strings.Contains(uri, "@") || strings.Contains(uri, "%40") {
		uri = passwordOf.ReplaceAllString(uri, "${1}xxxxx${2}")
	}
	return clipURI(uri)
}

// complete serves completion/complete (server/utilities/completion).
func (g *Gateway) complete(ctx context.Context, x *exchange) (answer, outcome) {
	raw, ref := x.msg.Raw, x.msg.Ref
	if x.kindOf(ref) != '{' {
		return x.badParams("params.ref must be an object")
	}
	kind, _ := jsonrpc.Lookup(raw, ref, "type")
	name, _ := jsonrpc.Lookup(raw, ref, "name")
	uri, _ := jsonrpc.Lookup(raw, ref, "uri")
	switch x.text(kind) {
	case "ref/prompt":
		if x.kindOf(name) != '"' {
			return x.badParams("params.ref.name must be a string")
		}
		r, ok := x.catalog.Prompt(x.text(name))
		if !ok {
			return g.unknown(x, router.Prompts, x.text(name))
		}
		return g.forward(ctx, x, r, x.replace(name, r))
	case "ref/resource":
		if x.kindOf(uri) != '"' {
			return x.badParams("params.ref.uri must be a string")
		}
		r, err := x.catalog.Resource(x.text(uri))
		if err != nil {
			return x.badParams(err.Error())
		}
		return g.forward(ctx, x, r, x.replace(uri, r))
	}
	return x.badParams("params.ref.type must be ref/prompt or ref/resource")
}

// levels are the severities of RFC 5424 that MCP's logging uses, mildest first.
var levels = map[string]int{
	"debug": 0, "info": 1, "notice": 2, "warning": 3, "error": 4, "critical": 5, "alert": 6, "emergency": 7,
}

// setLevel serves logging/setLevel (server/utilities/logging). The links that
// the session owns are told, now and whenever they are made. Shared ones are asked
// for whatever any client wants to see, and the gateway filters.
func (g *Gateway) setLevel(ctx context.Context, x *exchange) (answer, outcome) {
	level := x.text(x.msg.Level)
	if _, ok := levels[level]; !ok {
		return x.badParams("params.level must be one of debug, info, notice, warning, error, critical, alert, emergency")
	}
	s := x.session
	s.mu.Lock()
	s.level = level
	s.mu.Unlock()
	// One that does not answer keeps neither the others nor the client waiting.
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	ups := x.inView()
	refused := make([]error, len(ups))
	var told sync.WaitGroup
	for i, u := range ups {
		scope, wanted := s.scope(u), level
		if !scope.Exclusive {
			wanted = g.levels.with(linkName{u.Name(), scope.Key}, g.mildest(u, scope, level))
		}
		told.Go(func() {
			rec := new(record)
			refused[i] = g.permitted(ctx, x, &router.Route{Upstream: u.Name()}, rec, func() error {
				u.SetLevel(ctx, scope, wanted)
				return nil
			})
		})
	}
	told.Wait()
	if i := slices.Index(refused, nil); i < 0 && len(refused) > 0 && ctx.Err() == nil { // nobody was told
		return g.failed(x, &router.Route{Upstream: ups[0].Name()}, refused[0])
	}
	return resultOf(x.id(), []byte("{}")), outcome{}
}

// logLevel returns the level that the client set, "" for none.
func (s *session) logLevel() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// wants reports whether a log message passes the level that the client set.
func (s *session) wants(m jsonrpc.Message) bool {
	level := s.logLevel()
	return level == "" || levels[m.Text(m.Level)] >= levels[level]
}
