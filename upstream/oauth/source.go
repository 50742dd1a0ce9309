package oauth

import (
	"context"
	"net/http"
)

// Source gives the requests of one upstream and principal their header
// Authorization. It is safe for concurrent use.
type Source interface {
	// Authorization returns the header's value, "" to send none. It blocks while there
	// is no valid token and one is being fetched, which is done once for all who wait,
	// and is quick else. The error is a *NeedsAuth, or says why a token could not be
	// had for now.
	Authorization(ctx context.Context) (string, error)
	// Refused says that a request which was sent with the value sent (as Authorization
	// returned it, "" for none) was answered 401, or 403 for want of scope, with the
	// header h. nil means that it may be sent once more: there is another value now.
	// Else the error is that of Authorization. It blocks as Authorization does.
	Refused(ctx context.Context, sent string, status int, h http.Header) error
	// Accepted says that a request which was sent once more after Refused, with the value
	// sent, was not refused again: the next refusal of it is of a token that was good. Of
	// a token that was issued by hand (Bearer), which is not sent once more, it says that
	// any request was not refused, and once for each link that one without a token ("")
	// was not: where nobody has signed in, the server itself says then what it wants a
	// token for. It does not block.
	Accepted(sent string)
}
