package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

const (
	// offerTTL is for how long a link to a page of ours is good, and a person may take
	// to sign in after that.
	offerTTL = 10 * time.Minute
	// maxOffers bounds how many sign-ins are open at once.
	maxOffers = 1000
	// maxAttempts is how many people, or tabs, may be at the authorization server for
	// one of them; the oldest makes room.
	maxAttempts = 8
	// maxBegins is how often the sign-in to one account may begin within beginSpan: each
	// asks the server and the authorization server, and may register a client there.
	maxBegins = 10
	beginSpan = time.Minute
)

// Why a sign-in that was offered came to nothing.
var (
	errOfferLate = errors.New("nobody signed in within " + offerTTL.String())
	errOfferGone = errors.New("the upstream was removed, or is configured in another way now")
	errOfferFull = errors.New("too many sign-ins are open already")
)

// offer is a sign-in that clients were offered: one for each account, however many
// calls wait for it.
type offer struct {
	oauth.Key
	// who says in words whose the account will be, "" for the gateway's own.
	who string
	// over is closed when it is done, or came to nothing; err says why, nil for done.
	over chan struct{}
	err  error

	// The table's mu guards the rest.
	name     string // of the offer itself, for request states
	ticket   string // of a page that nobody has used yet, "" for none
	expires  time.Time
	expiry   *time.Timer
	attempts []*attempt // oldest first
	asked    map[*session]*invitation
}

// attempt is a person at the authorization server.
type attempt struct {
	*oauth.Attempt
	of     *offer
	cookie string // what the person's browser has to show
}

// offerTable is the table of all that are open. The zero value is ready.
type offerTable struct {
	mu       sync.Mutex // guards the rest, and what is in it
	byKey    map[oauth.Key]*offer
	byName   map[string]*offer
	byTicket map[string]*offer
	byState  map[string]*attempt
	// begins are the last times at which a sign-in began, oldest first, by account and not
	// by offer: who ends one gets another.
	begins map[oauth.Key][]time.Time
}

// open returns the offer for an account, and a ticket of a page of its own. Those who
// ask before anybody used it get the same. The error is errOfferFull.
func (t *offerTable) open(k oauth.Key, who string) (o *offer, ticket string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o = t.byKey[k]; o == nil {
		if len(t.byKey) >= maxOffers {
			return nil, "", errOfferFull
		}
		if t.byKey == nil {
			t.byKey, t.byName = make(map[oauth.Key]*offer), make(map[string]*offer)
			t.byTicket, t.byState = make(map[string]*offer), make(map[string]*attempt)
		}
		o = &offer{Key: k, who: who, over: make(chan struct{}), name: randomHex(16), asked: make(map[*session]*invitation)}
		t.byKey[k], t.byName[o.name] = o, o
		o.expiry = time.AfterFunc(offerTTL, func() { t.conclude(o, errOfferLate) })
		o.expires = time.Now().Add(offerTTL)
	}
	if o.ticket == "" {
		o.ticket = randomHex(32)
		t.byTicket[o.ticket] = o
		t.extend(o)
	}
	return o, o.ticket, nil
}

// extend has the time for the offer begin anew. The caller holds mu.
func (t *offerTable) extend(o *offer) {
	o.expires = time.Now().Add(offerTTL)
	o.expiry.Reset(offerTTL)
}

// named returns the open offer of that name, nil for none.
func (t *offerTable) named(name string) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[name]
}

// page returns the offer whose page the ticket opens, nil for none.
func (t *offerTable) page(ticket string) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byTicket[ticket]
}

// use returns the offer of a ticket and makes the ticket worth nothing; nil if it is
// that already.
func (t *offerTable) use(ticket string) *offer {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.byTicket[ticket]
	if o != nil {
		delete(t.byTicket, ticket)
		o.ticket = ""
	}
	return o
}

// restore makes a ticket good again that led nowhere.
func (t *offerTable) restore(o *offer, ticket string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[o.Key] == o && o.ticket == "" {
		o.ticket = ticket
		t.byTicket[ticket] = o
	}
}

// admit notes that the sign-in to an account begins now. It returns for how long none may,
// zero if this one may.
func (t *offerTable) admit(k oauth.Key, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	times := t.begins[k]
	if len(times) == maxBegins {
		if wait = beginSpan - now.Sub(times[0]); wait > 0 {
			return wait
		}
		times = times[1:]
	}
	if len(t.begins) >= maxOffers { // as many as there are offers, but for those of the last minute
		maps.DeleteFunc(t.begins, func(_ oauth.Key, times []time.Time) bool { return now.Sub(times[len(times)-1]) >= beginSpan })
	}
	if t.begins == nil {
		t.begins = make(map[oauth.Key][]time.Time)
	}
	t.begins[k] = append(slices.Clip(times), now)
	return 0
}

// begun notes that a person is on the way to the authorization server. It reports
// false if the offer is over.
func (t *offerTable) begun(a *attempt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := a.of
	if t.byKey[o.Key] != o {
		return false
	}
	if len(o.attempts) == maxAttempts {
		delete(t.byState, o.attempts[0].State)
		o.attempts = append([]*attempt(nil), o.attempts[1:]...)
	}
	o.attempts = append(o.attempts, a)
	t.byState[a.State] = a
	t.extend(o)
	return true
}

// back returns the attempt that a person comes back with, and forgets it; nil if
// there is none with that state, or its cookie is another one, and then it stays.
func (t *offerTable) back(state, cookie string) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byState[state]
	if a == nil || subtle.ConstantTimeCompare([]byte(a.cookie), []byte(cookie)) != 1 {
		return nil
	}
	delete(t.byState, state)
	return a
}

// end ends the offer for an account, if there is one.
func (t *offerTable) end(k oauth.Key, err error) {
	t.mu.Lock()
	o := t.byKey[k]
	t.mu.Unlock()
	if o != nil {
		t.conclude(o, err)
	}
}

// endWhere ends those offers for which ends is true.
func (t *offerTable) endWhere(ends func(oauth.Key) bool, err error) {
	t.mu.Lock()
	var all []*offer
	for k, o := range t.byKey {
		if ends(k) {
			all = append(all, o)
		}
	}
	t.mu.Unlock()
	for _, o := range all {
		t.conclude(o, err)
	}
}

// conclude ends an offer, once: err says why it came to nothing.
func (t *offerTable) conclude(o *offer, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[o.Key] != o {
		return
	}
	delete(t.byKey, o.Key)
	delete(t.byName, o.name)
	delete(t.byTicket, o.ticket)
	for _, a := range o.attempts {
		delete(t.byState, a.State)
	}
	o.expiry.Stop()
	o.err = err
	close(o.over)
}

// invitation is how one session was asked to sign in: its calls share the question.
type invitation struct {
	done chan struct{} // closed when it was answered with a no, or taken back
	// refused says why the session does not sign in, nil if another call may ask it.
	refused error
}

// invite returns the invitation of a session; mine says that the caller is to ask it.
func (t *offerTable) invite(o *offer, s *session) (i *invitation, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i = o.asked[s]; i != nil {
		return i, false
	}
	i = &invitation{done: make(chan struct{})}
	o.asked[s] = i
	return i, true
}

// withdraw ends an invitation.
func (t *offerTable) withdraw(o *offer, s *session, refused error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := o.asked[s]
	delete(o.asked, s)
	i.refused = refused
	close(i.done)
}

// cookieName is that of an attempt: a browser may be at several.
func cookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return "interlock_sign_in_" + hex.EncodeToString(sum[:8])
}
