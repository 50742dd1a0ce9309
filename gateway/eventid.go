package gateway

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// eventID is unique in the session and tells, after a restart of the gateway,
// which request the stream was the answer to.
func (s *stream) eventID(n uint64) string {
	if s.bare {
		return ""
	}
	return s.id + "-" + strconv.FormatUint(n, 10) + s.suffix
}

// suffixFor encodes a request's id for event ids. Ids too long to be carried in
// a header again and again are left out.
func suffixFor(id []byte) string {
	if len(id) == 0 || len(id) > 64 {
		return ""
	}
	return "-" + base64.RawURLEncoding.EncodeToString(id)
}

// parseEventID takes an event id apart. ok is false for one we did not make.
func parseEventID(s string) (id string, n uint64, request []byte, ok bool) {
	id, rest, ok := strings.Cut(s, "-")
	if !ok || id == "" {
		return "", 0, nil, false
	}
	num, req, has := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(num, 10, 64)
	if err != nil {
		return "", 0, nil, false
	}
	if has {
		if request, err = base64.RawURLEncoding.DecodeString(req); err != nil {
			return "", 0, nil, false
		}
	}
	return id, n, request, true
}
