package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is the `alerts` section. The zero value
// tells nobody.
type Config struct {
	// Webhooks are told, each for itself.
	Webhooks []Webhook `koanf:"webhooks"`
}

// Webhook is one receiver.
type Webhook struct {
	// URL is what is POSTed to, http or https. Its path and query are kept out of
	// logs, since many receivers know who asks by them alone.
	URL URL `koanf:"url"`
	// Events are what it is told of; none stands for all.
	Events []Event `koanf:"events"`
	// MinDown is how long an outage must last for it to be told of at all.
	MinDown time.Duration `koanf:"min_down"`
	// Headers go with each request, e.g. Authorization.
	Headers map[string]Secret `koanf:"headers"`
	// Timeout is how long one attempt may take, 10s if 0.
	Timeout time.Duration `koanf:"timeout"`
	// InsecureHTTP allows credentials over http:// beyond loopback.
	InsecureHTTP bool `koanf:"insecure_http"`
}

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
)

// Event is a word for what happened.
type Event string

// The events.
const (
	Error         Event = "error"          // an upstream is down, and that is news
	Exhausted     Event = "exhausted"      // its restart attempts are used up
	Recovered     Event = "recovered"      // one that Error told of is running again
	BreakerOpened Event = "breaker_opened" // it gets no calls
	BreakerClosed Event = "breaker_closed" // it gets calls again
	ToolChanged   Event = "tool_changed"   // the tools that it lists are not the ones it had
)

// Events returns all there are.
func Events() []Event {
	return []Event{Error, Exhausted, Recovered, BreakerOpened, BreakerClosed, ToolChanged}
}

// FieldError is a fault of one key. Path is the key's path below `alerts`, with
// the indexes of items in it.
type FieldError struct {
	Path []string
	Text string
	// Mend says how to mend it, "" where that is plain.
	Mend string
	// Event is a word that is none of the events, "" if that is not the fault.
	Event string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// Validate returns every fault of c, joined, each a *FieldError. No text
// repeats an address or a header's value.
func (c Config) Validate() error {
	var errs []error
	for i := range c.Webhooks {
		c.Webhooks[i].validate(func(e FieldError, path ...string) {
			e.Path = append([]string{"webhooks", strconv.Itoa(i)}, path...)
			errs = append(errs, &e)
		})
	}
	return errors.Join(errs...)
}

func (w *Webhook) validate(bad func(e FieldError, path ...string)) {
	const clear = "use https://, or set insecure_http: true"
	u, err := url.Parse(string(w.URL))
	switch {
	case w.URL == "":
		bad(FieldError{Text: "needs a url"})
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad(FieldError{Text: "must be an address such as https://alerts.example.com/hook"}, "url")
	case u.Scheme == "http" && !loopback(u.Hostname()) && !w.InsecureHTTP:
		if u.User != nil {
			bad(FieldError{Text: "would send its password in the clear", Mend: clear}, "url")
		}
		for name := range w.Headers {
			if strings.EqualFold(name, "Authorization") {
				bad(FieldError{Text: "would be sent in the clear", Mend: clear}, "headers", name)
			}
		}
	}
	for i, e := range w.Events {
		if !slices.Contains(Events(), e) {
			bad(FieldError{Text: fmt.Sprintf("%q is not an event", string(e)), Event: string(e)}, "events", strconv.Itoa(i))
		}
	}
	for name, v := range w.Headers {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(string(v), "\r\n\x00") {
			bad(FieldError{Text: "is not an HTTP header"}, "headers", name)
		}
	}
	if w.MinDown < 0 {
		bad(FieldError{Text: "must not be negative"}, "min_down")
	}
	if w.Timeout < 0 || w.Timeout > maxTimeout {
		bad(FieldError{Text: "must be between 0s and " + maxTimeout.String()}, "timeout")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// wants reports whether the webhook is told of e.
func (w *Webhook) wants(e Event) bool { return len(w.Events) == 0 || slices.Contains(w.Events, e) }

func (w *Webhook) timeout() time.Duration {
	if w.Timeout == 0 {
		return defaultTimeout
	}
	return w.Timeout
}

// URL is an address that prints as its scheme and host, wherever it is
// formatted, logged or marshalled. string(u) is its value.
type URL string

// String returns the address without its user, path and query.
func (u URL) String() string {
	at, err := url.Parse(string(u))
	switch {
	case u == "":
		return ""
	case err != nil || at.Host == "":
		return masked
	case strings.Trim(at.Path, "/") == "" && at.RawQuery == "" && at.User == nil && at.Fragment == "":
		return string(u)
	}
	return at.Scheme + "://" + at.Host + "/" + masked
}

// host is what logs call the receiver.
func (u URL) host() string {
	if at, err := url.Parse(string(u)); err == nil {
		return at.Host
	}
	return masked
}

// GoString is String: %#v must not show the value either.
func (u URL) GoString() string { return u.String() }

// LogValue implements slog.LogValuer.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Secret is a string that prints as *** wherever it is formatted, logged or
// marshalled. string(s) is its value.
type Secret string

const masked = "***"

// String returns *** for any value but the empty one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString is String: %#v must not show the value either.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
