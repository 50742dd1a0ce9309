package policy

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// scribe writes down when it is consulted, and refuses when told to.
type scribe struct {
	name          string
	before, after error
	log           *[]string
}

func (s scribe) Name() string { return s.name }

func (s scribe) Before(context.Context, *Call) error {
	*s.log = append(*s.log, "before "+s.name)
	return s.before
}

func (s scribe) After(context.Context, *Call, jsonrpc.Message) error {
	*s.log = append(*s.log, "after "+s.name)
	return s.after
}

func TestChain(t *testing.T) {
	no := &Denial{Policy: "b", Reason: "because"}
	for name, c := range map[string]struct {
		before, after error // of the policy in the middle
		want          []string
		err           error
	}{
		"passes":              {nil, nil, []string{"before a", "before b", "before c", "after c", "after b", "after a"}, nil},
		"refused before":      {no, nil, []string{"before a", "before b"}, no},
		"refused after":       {nil, no, []string{"before a", "before b", "before c", "after c", "after b"}, no},
		"any error is refuse": {context.DeadlineExceeded, nil, []string{"before a", "before b"}, context.DeadlineExceeded},
	} {
		var log []string
		chain := NewChain(scribe{"a", nil, nil, &log}, scribe{"b", c.before, c.after, &log}, scribe{"c", nil, nil, &log})
		err := chain.Before(t.Context(), &Call{})
		if err == nil {
			err = chain.After(t.Context(), &Call{}, jsonrpc.Message{})
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if !slices.Equal(log, c.want) {
			t.Errorf("%s: consulted %q, want %q", name, log, c.want)
		}
		if chain.Empty() {
			t.Errorf("%s: a chain of three is empty", name)
		}
	}
	var none *Chain
	if !none.Empty() || !NewChain().Empty() || none.Before(t.Context(), nil) != nil || none.After(t.Context(), nil, jsonrpc.Message{}) != nil {
		t.Error("an empty chain refuses")
	}
	if got, want := no.Error(), "denied by policy b: because"; got != want {
		t.Errorf("a denial says %q, want %q", got, want)
	}
}

func TestPrincipalKey(t *testing.T) {
	if got := (Principal{}).Key(); got != "" {
		t.Errorf("the anonymous user has the key %q", got)
	}
	if (Principal{"a", "bc"}).Key() == (Principal{"ab", "c"}).Key() {
		t.Error("two principals have one key")
	}
}
