// Package policytest is what tests of policies have in common: a policy made of its
// configuration, and the calls and answers that it decides on.
package policytest

import (
	"io"
	"log/slog"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Config is the configuration of one kind of policy.
type Config interface {
	Validate() error
	New(policy.Env) (policy.Policy, error)
}

// New returns the policy that c describes. Its log goes to log as text; nil for
// nowhere.
func New(t testing.TB, c Config, log io.Writer) policy.Policy {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if log == nil {
		log = io.Discard
	}
	p, err := c.New(policy.Env{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Request returns a client's request with those params, which are JSON.
func Request(t testing.TB, method, params string) *jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

// Sent returns a message of a server, which is JSON.
func Sent(t testing.TB, raw string) *jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.ParseServer([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

// Answer returns what a server answered: raw is a whole message.
func Answer(t testing.TB, raw string) *policy.Answer {
	t.Helper()
	return &policy.Answer{Message: *Sent(t, raw)}
}
