package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

// How an issuer is asked for its keys.
const (
	// refreshEvery is how soon a key that it withdraws is no longer accepted.
	refreshEvery = 10 * time.Minute
	// keepKeys is how long keys are used that could not be refreshed since.
	keepKeys = 24 * time.Hour
	// askTimeout is how long the issuer may take, and a request waits.
	askTimeout = 5 * time.Second
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// A signature that no key fits has the issuer asked, for it may have a new one.
	// Anybody can send such, so that is limited.
	unknownEvery = 10 * time.Second
	unknownBurst = 2
)

// issuer is one whose tokens are accepted, and what is known of it.
type issuer struct {
	config OIDC
	log    *slog.Logger
	client *http.Client

	keys atomic.Pointer[keySet]
	// asked is when the keys were those of the issuer, as nanoseconds of Unix time.
	asked atomic.Int64
	// unknown limits asking for keys that are not known.
	unknown *rate.Limiter

	// turn is held by whoever asks the issuer, which one request at a time does for
	// all. It has room for one; it guards what follows.
	turn     chan struct{}
	jwksURL  string // "" until it is known
	failures int    // in a row
	retryAt  time.Time
	lastErr  error
}

func newIssuer(o OIDC, log *slog.Logger) *issuer {
	return &issuer{
		config: o, log: log.With("issuer", o.Issuer), client: newClient(),
		unknown: rate.NewLimiter(rate.Every(unknownEvery), unknownBurst),
		turn:    make(chan struct{}, 1), jwksURL: o.JWKSURL,
	}
}

// unavailable says that keys cannot be had, and when to ask again.
type unavailable struct {
	retry time.Duration
	cause error
}

func (e *unavailable) Error() string {
	if e.cause == nil {
		return "the issuer does not answer"
	}
	return "the keys of the issuer cannot be had: " + e.cause.Error()
}

func (e *unavailable) Unwrap() error { return e.cause }

var (
	errSignature  = errors.New("its signature is wrong")
	errUnknownKey = errors.New("signed with a key that the issuer does not have")
)

// current returns the keys that are known and young enough, nil for none.
func (i *issuer) current(now time.Time) *keySet {
	if now.UnixNano()-i.asked.Load() > int64(keepKeys) {
		return nil
	}
	return i.keys.Load()
}

// verify checks a signature and returns the keys that it was checked with. If none
// fits, the issuer is asked, once. The error is an *unavailable where it cannot be
// told whether the signature is good.
func (i *issuer) verify(ctx context.Context, signed *jose.JSONWebSignature) (*keySet, error) {
	set := i.current(time.Now())
	fresh := set == nil
	if fresh {
		var err error
		if set, err = i.ask(ctx, nil); err != nil {
			return nil, err
		}
	}
	ok, named := set.verify(signed)
	if ok {
		return set, nil
	}
	if fresh || !i.unknown.Allow() {
		return nil, wrong(named)
	}
	next, err := i.ask(ctx, set)
	if err != nil {
		if named {
			return nil, errSignature
		}
		return nil, err
	}
	if next != set {
		if ok, named = next.verify(signed); ok {
			return next, nil
		}
	}
	return nil, wrong(named)
}

func wrong(named bool) error {
	if named {
		return errSignature
	}
	return errUnknownKey
}

// ask gets the keys from the issuer, unless somebody else has got them since old was
// known. It waits for its turn and for the issuer, no longer than ctx and askTimeout;
// the asking itself goes on for the others when ctx ends. The error is an *unavailable.
func (i *issuer) ask(ctx context.Context, old *keySet) (*keySet, error) {
	wait, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case i.turn <- struct{}{}:
	case <-wait.Done():
		return nil, &unavailable{retry: firstRetry}
	}
	defer func() { <-i.turn }()
	if set := i.current(time.Now()); set != nil && set != old {
		return set, nil
	}
	if rest := time.Until(i.retryAt); rest > 0 {
		return nil, &unavailable{retry: rest, cause: i.lastErr}
	}
	return i.fetch(context.WithoutCancel(ctx))
}

// fetch asks the issuer. The caller has the turn. That outer ends says nothing of the
// issuer, and nothing is remembered of it.
func (i *issuer) fetch(outer context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(outer, askTimeout)
	defer cancel()
	set, err := i.download(ctx)
	if err != nil && outer.Err() != nil {
		return nil, &unavailable{retry: firstRetry, cause: outer.Err()}
	}
	if err != nil {
		i.failures++
		i.lastErr, i.jwksURL = err, i.config.JWKSURL // it may have moved
		pause := min(firstRetry<<min(i.failures-1, 10), lastRetry)
		i.retryAt = time.Now().Add(pause)
		if i.failures == 1 {
			i.log.WarnContext(ctx, "the keys of an issuer cannot be had", "error", err, "known_keys", i.current(time.Now()) != nil)
		}
		return nil, &unavailable{retry: pause, cause: err}
	}
	if i.failures > 0 {
		i.log.InfoContext(ctx, "the keys of an issuer can be had again")
	}
	i.failures, i.lastErr, i.retryAt = 0, nil, time.Time{}
	old := i.keys.Load()
	i.asked.Store(time.Now().UnixNano())
	if old != nil && bytes.Equal(old.raw, set.raw) {
		return old, nil // and what was verified with it stays known
	}
	i.keys.Store(set)
	return set, nil
}

// run gets the keys at once and keeps them young until ctx ends.
func (i *issuer) run(ctx context.Context) {
	pause := time.NewTimer(i.refresh(ctx))
	defer pause.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-pause.C:
			pause.Reset(i.refresh(ctx))
		}
	}
}

// refresh asks the issuer if that is due, and returns when it is next.
func (i *issuer) refresh(ctx context.Context) time.Duration {
	select {
	case i.turn <- struct{}{}:
	case <-ctx.Done():
		return refreshEvery // which nobody waits for
	}
	defer func() { <-i.turn }()
	if rest := time.Until(i.retryAt); rest > 0 {
		return rest
	}
	if rest := time.Until(time.Unix(0, i.asked.Load()).Add(refreshEvery)); rest > 0 {
		return rest
	}
	if _, err := i.fetch(ctx); err != nil && ctx.Err() == nil {
		return time.Until(i.retryAt)
	}
	return refreshEvery
}
