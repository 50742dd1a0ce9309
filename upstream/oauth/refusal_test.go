package oauth

import (
	"strings"
	"testing"
)

// What is to be done is said in one way, and names the command only where it helps.
func TestMend(t *testing.T) {
	for _, c := range []struct {
		flow      Flow
		principal string
		want      string // the end of it
		login     bool
	}{
		{"", "", "interlock login up", true},
		{AuthorizationCode, "", "interlock login up", true},
		{AuthorizationCode, "https://issuer.example\x00alice", "interlock login up --principal alice", true},
		{ClientCredentials, "", "at its authorization server", false},
		{Bearer, "", "under auth.token", false},
	} {
		got := (&NeedsAuth{Key: Key{"up", c.principal}, Why: Revoked}).Mend(c.flow)
		if !strings.HasSuffix(got, c.want) || strings.Contains(got, "interlock login") != c.login {
			t.Errorf("%s %q: %q", c.flow, c.principal, got)
		}
	}
}
