package upstream

import "net/http"

// judge says what a request that failed on its way tells of the server.
func judge(e *TransportError) verdict {
	switch e.Reason {
	case "closed", "era": // by us
		return neutral
	case "input": // it answered
		return success
	case "timeout":
		return slow
	case "rate_limited", "unauthorized", "needs_auth", "token":
		return neutral
	case "session":
		if !e.Lost { // a new one is made, and that counts
			return neutral
		}
		return failure
	case "too_large", "malformed": // of one call, if the link lives
		if !e.Lost {
			return neutral
		}
		return failure
	case "http_status":
		return judgeStatus(e)
	}
	return failure // dial, write, reset, exit, and what is not known
}

func judgeStatus(e *TransportError) verdict {
	switch {
	case e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0:
		return neutral
	case e.Status == http.StatusBadGateway, e.Status == http.StatusServiceUnavailable, e.Status == http.StatusGatewayTimeout:
		return failure
	case e.Status >= 500:
		return badStatus
	}
	return neutral // it looked at this request and refused it
}
