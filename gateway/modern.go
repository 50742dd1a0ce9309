package gateway

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// modernVersion is the revision from which on there is no handshake and no
// session: each request says what it needs.
const modernVersion = "2026-07-28"

// supportedVersions are the revisions that the face speaks, newest first.
var supportedVersions = append([]string{modernVersion}, legacyVersions...)

const (
	metaServerInfo   = jsonrpc.MetaPrefix + "serverInfo"
	metaSubscription = jsonrpc.MetaPrefix + "subscriptionId"
)

// modernRequest is what an exchange has besides if its client speaks 2026-07-28.
type modernRequest struct {
	client *modernClient
	// owner names the request's client to links that several share. Over HTTP
	// nothing tells two clients apart, so each request is taken for another one's.
	owner string
	level string      // the least level of log messages wanted, "" for none
	head  http.Header // the HTTP request's; nil on stdio
	// older says that the request goes on as one of an older revision.
	older bool
}

// modernClient is all clients of 2026-07-28 of one principal and in one view that
// declare the same capabilities: they share sessions with servers that need
// sessions. The session in it stands in for the one that such a client does not
// have. It holds what its key says and nothing of any one client.
type modernClient struct {
	*session
	able  abilities
	users atomic.Int64 // requests that are being served or parked
}

// abilities are what a client declared that it can be asked.
type abilities struct {
	form, url, sampling, samplingTools, roots bool
}

// any reports whether the client can be asked anything.
func (a abilities) any() bool { return a.form || a.url || a.sampling || a.roots }

// abilitiesOf reads client capabilities (2026-07-28 client/elicitation: an
// empty elicitation capability is form mode).
func abilitiesOf(caps []byte) abilities {
	has := func(path ...string) bool {
		at, ok := jsonrpc.Lookup(caps, jsonrpc.Whole(caps), path...)
		return ok && caps[at.Start] == '{'
	}
	a := abilities{
		form: has("elicitation", "form"), url: has("elicitation", "url"),
		sampling: has("sampling"), samplingTools: has("sampling", "tools"), roots: has("roots"),
	}
	a.form = a.form || has("elicitation") && !a.url
	return a
}

// enterModern fills in what the exchange of a request of 2026-07-28 has besides.
// Each needs its leave. The error is errFull.
func (g *Gateway) enterModern(r *modernRequest, m *jsonrpc.Message, p *policy.Principal, view, owner string, head http.Header) error {
	c, out, err := g.moderns.find(p, view, m.MetaCapabilities.Of(m.Raw))
	if out != nil {
		g.release(out.session)
	}
	if err != nil {
		return err
	}
	if owner == "" {
		owner = g.nextOwner()
	}
	r.client, r.owner, r.level, r.head = c, owner, m.Text(m.MetaLogLevel), head
	return nil
}

// leave ends the use of the client's stand-in.
func (r *modernRequest) leave() {
	r.client.touch()
	r.client.users.Add(-1)
}

// nextOwner returns a name that no other client has.
func (g *Gateway) nextOwner() string {
	return "r" + strconv.FormatUint(g.owners.Add(1), 36)
}

// modern reports whether a message of a client on stdio is of 2026-07-28 or later:
// it says so itself, or is of a method that no other revision has.
func modern(m *jsonrpc.Message) bool {
	if m.MetaVersion.Ok() {
		return sameText(m, m.MetaVersion, modernVersion) || !legacy(m.Text(m.MetaVersion))
	}
	switch m.MethodName() {
	case "server/discover", "subscriptions/listen":
		return m.Kind == jsonrpc.Request
	}
	return false
}

// modernOver is modern for a message over HTTP, whose header says it too.
func modernOver(h http.Header, m *jsonrpc.Message) bool {
	if v := h[headerVersion]; len(v) > 0 && v[0] >= modernVersion && !m.MetaVersion.Ok() {
		return true // also one that nobody speaks yet
	}
	return modern(m)
}
