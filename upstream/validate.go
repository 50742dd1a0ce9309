package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// FieldError is a fault of one key. Path is the key's path below the upstream.
type FieldError struct {
	Path []string
	Text string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// Validate returns every fault of c, joined, each a *FieldError. It changes
// nothing and touches no file.
func (c *Config) Validate() error {
	var errs []error
	bad := func(text string, path ...string) { errs = append(errs, &FieldError{path, text}) }
	switch {
	case c.Command == "" && c.URL == "":
		bad("needs a command (a process) or a url (a remote server)")
	case c.Command != "" && c.URL != "":
		bad("has both a command and a url: keep one", "url")
	}
	kind := c.Kind()
	switch {
	case c.Command != "" && c.URL != "": // said above; neither is the other's transport
	case kind != Stdio && kind != HTTP && kind != SSE:
		bad(fmt.Sprintf("%q is not a transport: use stdio, http or sse", c.Transport), "transport")
	case c.Command != "" && kind != Stdio:
		bad("a command is reached over stdio, not "+string(kind), "transport")
	case c.URL != "" && kind == Stdio:
		bad("a url is reached over http or sse, not stdio", "transport")
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		switch {
		case err != nil:
			bad("is not a URL", "url")
		case u.Scheme != "http" && u.Scheme != "https":
			bad("must begin with http:// or https://", "url")
		case u.Host == "":
			bad("has no host", "url")
		}
	}
	oneOf(bad, "on_dependency_failure", c.OnDependencyFailure, Wait, StartAnyway)
	oneOf(bad, "start", c.Start, Eager, OnDemand)
	oneOf(bad, "protocol", c.Protocol, AutoProtocol, ModernProtocol, LegacyProtocol)
	if kind == SSE && c.Protocol == ModernProtocol {
		bad("HTTP with SSE has no modern revision: use the transport http, or protocol auto", "protocol")
	}
	oneOf(bad, "isolation", c.Isolation, AutoIsolation, Shared, PerPrincipal, PerSession)
	for _, d := range []struct {
		v    time.Duration
		zero bool
		path []string
	}{
		{c.IdleStop, true, []string{"idle_stop"}},
		{c.StartTimeout, false, []string{"start_timeout"}},
		{c.CallTimeout, false, []string{"call_timeout"}},
		{c.MaxCallTimeout, false, []string{"max_call_timeout"}},
		{c.StopTimeout, false, []string{"stop_timeout"}},
		{c.ListGrace, true, []string{"list_grace"}},
		{c.Limits.QueueTimeout, false, []string{"limits", "queue_timeout"}},
		{c.Limits.Idle, true, []string{"limits", "idle"}},
		{c.Health.Interval, true, []string{"health", "interval"}},
		{c.Health.Timeout, false, []string{"health", "timeout"}},
		{c.Breaker.Window, false, []string{"breaker", "window"}},
		{c.Restart.Delay, true, []string{"restart", "delay"}},
		{c.Restart.MaxDelay, true, []string{"restart", "max_delay"}},
		{c.Restart.Stable, true, []string{"restart", "stable"}},
	} {
		switch {
		case d.v < 0:
			bad("must not be negative", d.path...)
		case d.v == 0 && !d.zero:
			bad("must be more than 0s", d.path...)
		}
	}
	for _, n := range []struct {
		v, least int64
		path     []string
	}{
		{c.MaxMessage, 1024, []string{"max_message"}},
		{int64(c.Limits.InFlight), 1, []string{"limits", "in_flight"}},
		{int64(c.Limits.Queue), 0, []string{"limits", "queue"}},
		{int64(c.Limits.Processes), 1, []string{"limits", "processes"}},
		{int64(c.Stats.Samples), 1, []string{"stats", "samples"}},
		{int64(c.Breaker.Failures), 1, []string{"breaker", "failures"}},
		{int64(c.Breaker.MinRequests), 1, []string{"breaker", "min_requests"}},
		{int64(c.Restart.MaxAttempts), 0, []string{"restart", "max_attempts"}},
	} {
		if n.v < n.least {
			bad(fmt.Sprintf("must be at least %d", n.least), n.path...)
		}
	}
	if c.Breaker.Ratio <= 0 || c.Breaker.Ratio > 1 {
		bad("must be more than 0 and at most 1", "breaker", "ratio")
	}
	oneOf(func(text string, _ ...string) { bad(text, "restart", "policy") }, "", c.Restart.Policy, OnFailure, Always, Never)
	for _, g := range []struct {
		key   string
		globs []string
	}{{"allow", c.Tools.Allow}, {"deny", c.Tools.Deny}, {"idempotent", c.Tools.Idempotent}} {
		for _, pattern := range g.globs {
			if _, err := path.Match(pattern, ""); err != nil {
				bad(fmt.Sprintf("%q is not a glob", pattern), "tools", g.key)
			}
		}
	}
	for _, d := range c.DependsOn {
		if d.Condition != ConditionStarted && d.Condition != ConditionRunning {
			bad(fmt.Sprintf("%q is not a condition: use started or running", d.Condition), "depends_on", d.On, "condition")
		}
	}
	return errors.Join(errs...)
}

func oneOf[T ~string](bad func(string, ...string), key string, v T, allowed ...T) {
	if slices.Contains(allowed, v) {
		return
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	bad(fmt.Sprintf("%q is not one of %s", v, strings.Join(words, ", ")), key)
}
