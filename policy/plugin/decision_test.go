package plugin

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// Only what says so passes, and what a plugin says is bounded.
func TestApply(t *testing.T) {
	const allow, deny = policyv1.Verdict_VERDICT_ALLOW, policyv1.Verdict_VERDICT_DENY
	long := strings.Repeat("é", 10*maxReason)
	for name, c := range map[string]struct {
		decision *policyv1.Decision
		denial   *policy.Denial
		wrong    string
		replaced string
	}{
		"nothing":             {nil, nil, "without a verdict", ""},
		"empty":               {new(policyv1.Decision), nil, "without a verdict", ""},
		"of another version":  {&policyv1.Decision{Verdict: 7}, nil, "without a verdict (7)", ""},
		"replaced, no word":   {&policyv1.Decision{Replace: []byte(`{}`)}, nil, "without a verdict", ""},
		"allowed":             {&policyv1.Decision{Verdict: allow}, nil, "", ""},
		"denied":              {&policyv1.Decision{Verdict: deny, Reason: "closed.", RetryAfterMs: 1500}, &policy.Denial{Reason: "closed", RetryAfter: 1500 * time.Millisecond}, "", ""},
		"denied, no reason":   {&policyv1.Decision{Verdict: deny}, &policy.Denial{Reason: "the policy refused it"}, "", ""},
		"denied, and changed": {&policyv1.Decision{Verdict: deny, Reason: "x", Replace: []byte(`{}`)}, &policy.Denial{Reason: "x"}, "", ""},
		"a negative time":     {&policyv1.Decision{Verdict: deny, Reason: "x", RetryAfterMs: -1}, &policy.Denial{Reason: "x"}, "", ""},
		"an endless time":     {&policyv1.Decision{Verdict: deny, Reason: "x", RetryAfterMs: 1 << 62}, &policy.Denial{Reason: "x", RetryAfter: maxRetry}, "", ""},
		"an endless reason":   {&policyv1.Decision{Verdict: deny, Reason: long}, &policy.Denial{Reason: long[:maxReason]}, "", ""},
		"a hostile reason":    {&policyv1.Decision{Verdict: deny, Reason: "a\x1b[2J\xff\nb"}, &policy.Denial{Reason: "a\ufffd[2J\ufffd\ufffdb"}, "", ""},
		"replaced":            {&policyv1.Decision{Verdict: allow, Replace: []byte(` {"a": 1.0}`)}, nil, "", ` {"a": 1.0}`},
		"with nothing":        {&policyv1.Decision{Verdict: allow, Replace: []byte{}}, nil, "no JSON object", ""},
		"with a number":       {&policyv1.Decision{Verdict: allow, Replace: []byte("1")}, nil, "no JSON object", ""},
		"with half":           {&policyv1.Decision{Verdict: allow, Replace: []byte(`{"a":`)}, nil, "no JSON object", ""},
		"with two":            {&policyv1.Decision{Verdict: allow, Replace: []byte(`{}{}`)}, nil, "no JSON object", ""},
		"with a key twice":    {&policyv1.Decision{Verdict: allow, Replace: []byte(`{"a":1,"a":2}`)}, nil, "no JSON object", ""},
		"with bad UTF-8":      {&policyv1.Decision{Verdict: allow, Replace: []byte("{\"a\":\"\xff\"}")}, nil, "no JSON object", ""},
	} {
		t.Run(name, func(t *testing.T) {
			replaced := ""
			err := apply(c.decision, func(raw []byte) error { replaced = string(raw); return nil })
			d, _ := errors.AsType[*policy.Denial](err)
			if diff := cmp.Diff(c.denial, d); diff != "" {
				t.Error(diff)
			}
			if c.wrong == "" && d == nil && err != nil || c.wrong != "" && (!undecided(err) || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("error %v, want one with %q", err, c.wrong)
			}
			if replaced != c.replaced {
				t.Errorf("replaced with %s, want %s", replaced, c.replaced)
			}
		})
	}
}

// undecided reports whether err says that there was no decision.
func undecided(err error) bool {
	_, denied := errors.AsType[*policy.Denial](err)
	return err != nil && !denied
}

func TestNotesAreBounded(t *testing.T) {
	d := new(policyv1.Decision)
	for range 1000 {
		d.Notes = append(d.Notes, &policyv1.Note{Name: strings.Repeat("n", 1000), Value: strings.Repeat("v", 1000)})
	}
	d.Notes[0] = &policyv1.Note{Value: "nameless"}
	all := notes(d)
	if len(all) != maxNotes-1 || len(all[0].Name) != maxNote || len(all[0].Value) != maxNote {
		t.Errorf("%d notes, the first has %d and %d bytes", len(all), len(all[0].Name), len(all[0].Value))
	}
}

func FuzzClip(f *testing.F) {
	f.Add("é\xff\x1b", 2)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n &= 0xff
		if got := clip(s, n); len(got) > n || !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("clip(%q, %d) = %q", s, n, got)
		}
	})
}
