package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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

// modernClient is all clients of 2026-07-28 in one view that declare the same
// capabilities: they share sessions with servers that need sessions. The session
// in it stands in for the one that such a client does not have. It holds what its
// key says and nothing of any one client.
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

// maxModernClients bounds how many sets of capabilities are told apart.
const maxModernClients = 1024

// modernClients is the table of them.
type modernClients struct {
	mu     sync.RWMutex // guards the rest
	byView map[string]map[string]*modernClient
	count  int
}

// find returns the client of a view with these capabilities, a JSON object, with
// one more user. The one that made room for it, if there is one, is returned as
// out; the error is errFull.
func (t *modernClients) find(view string, caps []byte) (c, out *modernClient, err error) {
	t.mu.RLock()
	if c = t.byView[view][string(caps)]; c != nil {
		c.users.Add(1) // while the lock is held: none is forgotten meanwhile
	}
	t.mu.RUnlock()
	if c != nil {
		return c, nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c = t.byView[view][string(caps)]; c != nil {
		c.users.Add(1)
		return c, nil, nil
	}
	if t.count >= maxModernClients {
		if out = t.longestIdle(); out == nil {
			return nil, nil, errFull
		}
		t.forget(out)
	}
	c = newModernClient(view, caps)
	c.users.Add(1)
	if t.byView == nil {
		t.byView = make(map[string]map[string]*modernClient)
	}
	if t.byView[view] == nil {
		t.byView[view] = make(map[string]*modernClient)
	}
	t.byView[view][string(caps)] = c
	t.count++
	return c, out, nil
}

func newModernClient(view string, caps []byte) *modernClient {
	sum := sha256.Sum256(append(append([]byte(view), 0), caps...))
	t := ticket{Nonce: "modern-" + hex.EncodeToString(sum[:16]), Version: modernVersion, View: view, Capabilities: append([]byte(nil), caps...)}
	return &modernClient{session: newSession(t, ""), able: abilitiesOf(caps)}
}

// longestIdle returns the one that nobody has used for the longest time. The
// caller holds mu.
func (t *modernClients) longestIdle() *modernClient {
	var oldest *modernClient
	for _, clients := range t.byView {
		for _, c := range clients {
			if c.users.Load() == 0 && (oldest == nil || c.used.Load() < oldest.used.Load()) {
				oldest = c
			}
		}
	}
	return oldest
}

// forget takes c out of the table. The caller holds mu.
func (t *modernClients) forget(c *modernClient) {
	delete(t.byView[c.view], string(c.client.raw))
	t.count--
}

// expired takes those out of the table that nobody used for the timeout, and
// returns them.
func (t *modernClients) expired(now time.Time, timeout time.Duration) []*modernClient {
	t.mu.Lock()
	defer t.mu.Unlock()
	var idle []*modernClient
	for _, clients := range t.byView {
		for _, c := range clients {
			if c.users.Load() == 0 && now.Sub(time.Unix(0, c.used.Load())) > timeout {
				t.forget(c)
				idle = append(idle, c)
			}
		}
	}
	return idle
}

// lastUsed returns when one was used last, the zero time for never, unless one is
// now.
func (t *modernClients) lastUsed() (last time.Time, used bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, clients := range t.byView {
		for _, c := range clients {
			if c.users.Load() > 0 {
				return last, true
			}
			if at := time.Unix(0, c.used.Load()); at.After(last) {
				last = at
			}
		}
	}
	return last, false
}

// enterModern fills in what the exchange of a request of 2026-07-28 has besides.
// Each needs its leave. The error is errFull.
func (g *Gateway) enterModern(r *modernRequest, m *jsonrpc.Message, view, owner string, head http.Header) error {
	c, out, err := g.moderns.find(view, m.MetaCapabilities.Of(m.Raw))
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
