package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// said is what one attempt came to.
type said struct {
	err        error         // nil for a delivery
	final      bool          // another attempt would come to the same
	retryAfter time.Duration // that the receiver asked for
}

// maxAnswer is how much is read of what a receiver answers, which means nothing.
const maxAnswer = 16 << 10

// post makes one attempt, which takes no longer than the webhook's timeout. The
// error holds nothing of the address but its host.
func (s *Sender) post(ctx context.Context, w Webhook, a *Alert, body []byte) said {
	ctx, cancel := context.WithTimeout(ctx, w.timeout())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(w.URL), bytes.NewReader(body))
	if err != nil {
		return said{err: errors.New("the address is none"), final: true} // it was validated
	}
	for name, v := range w.Headers {
		r.Header.Set(name, string(v))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", strings.TrimSuffix("interlock/"+s.o.Version, "/"))
	r.Header.Set("Idempotency-Key", a.ID)
	resp, err := s.client.Do(r)
	switch way := (*url.Error)(nil); {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return said{err: fmt.Errorf("no answer within %v", w.timeout())}
	case errors.As(err, &way): // its text has the whole address
		return said{err: way.Err}
	default:
		return said{err: err}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	return judge(resp, time.Now())
}

// judge reads what a status means: 2xx is a delivery, and 408, 425, 429 and what
// is not 3xx or 4xx is worth another attempt.
func judge(resp *http.Response, now time.Time) said {
	code := resp.StatusCode
	out := said{err: fmt.Errorf("the receiver answered %s", strings.TrimSpace(strconv.Itoa(code)+" "+http.StatusText(code)))}
	switch {
	case code >= 200 && code < 300:
		return said{}
	case code >= 300 && code < 400:
		out.final = true
		if to, err := resp.Location(); err == nil {
			out.err = fmt.Errorf("%w to %s, which is not followed: set url to where it leads", out.err, to.Host)
		}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
	case code >= 400 && code < 500:
		out.final = true
	}
	out.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	return out
}

// retryAfter reads the header's two forms, 0 for neither (RFC 9110, 10.2.3).
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// sameHost follows a redirect that keeps the request what it is and where it
// goes; any other is the answer. What we send is for who was named.
func sameHost(r *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || r.Method != http.MethodPost || r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}
