package identity

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Challenge is how a request is refused for what it lacks.
type Challenge struct {
	// Status is 401 for no credential or a bad one, 403 for one that does not allow
	// enough, 503 for one that cannot be checked now.
	Status int
	// Code is the error of RFC 6750 section 3.1: invalid_token, insufficient_scope, or
	// "" where nothing was presented.
	Code string
	// Scopes are what the request needs, all of them.
	Scopes []string
	// RetryAfter says when to ask again, with 503.
	RetryAfter time.Duration

	a *Authenticator
}

// Reason is a word for the metrics and the audit: unauthenticated, invalid_token,
// insufficient_scope or unavailable.
func (c *Challenge) Reason() string {
	switch {
	case c.Status == http.StatusServiceUnavailable:
		return "unavailable"
	case c.Code == "":
		return "unauthenticated"
	}
	return c.Code
}

// description is what the answer says of each reason. It is the same for all that
// can be wrong with a credential.
func (c *Challenge) description() string {
	switch c.Reason() {
	case "unavailable":
		return "the token cannot be checked now, since its issuer does not answer"
	case "insufficient_scope":
		return "the credential does not allow this: " + c.Needs()
	case "invalid_token":
		return "the credential is not valid here"
	}
	return "a credential is needed"
}

// Needs says which scopes are needed, as a part of a sentence.
func (c *Challenge) Needs() string {
	if len(c.Scopes) == 1 {
		return "it needs the scope " + c.Scopes[0]
	}
	return "it needs the scopes " + strings.Join(c.Scopes, " ")
}

// Error returns what the answer says.
func (c *Challenge) Error() string { return c.description() }

// Write answers the request with the challenge: WWW-Authenticate with
// resource_metadata (RFC 6750 section 3, RFC 9728 section 5.1), and a JSON object
// like those of OAuth.
func (c *Challenge) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if c.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((c.RetryAfter+time.Second-1)/time.Second)))
	}
	if c.Status != http.StatusServiceUnavailable {
		h.Set("WWW-Authenticate", c.header(r))
		h.Add("Access-Control-Expose-Headers", "WWW-Authenticate")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Scope       string `json:"scope,omitempty"`
	}{c.Reason(), c.description(), strings.Join(c.Scopes, " ")}
	text, err := json.Marshal(body)
	if err != nil { // strings can be marshalled
		text = []byte("{}")
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone is told nothing
}

// header is the value of WWW-Authenticate. Nothing in it needs quoting: neither
// scopes nor escaped URLs hold a quote.
func (c *Challenge) header(r *http.Request) string {
	var b strings.Builder
	b.WriteString(`Bearer resource_metadata="` + c.a.resource.metadataURL(r) + `"`)
	if len(c.Scopes) > 0 {
		b.WriteString(`, scope="` + strings.Join(c.Scopes, " ") + `"`)
	}
	if c.Code != "" {
		b.WriteString(`, error="` + c.Code + `", error_description="` + c.description() + `"`)
	}
	return b.String()
}
