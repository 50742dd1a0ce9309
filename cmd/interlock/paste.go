package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
)

// maxPasted is the longest address that is read, in bytes.
const maxPasted = 64 << 10

// pasted reads lines of in until one is the address that a browser came back to
// with state, and gives visits its query. amiss is told why a line is none. It ends
// with the input, and then nothing is given. A read of a terminal cannot be broken
// off: it is left behind when ctx is done, and takes no line after that.
func pasted(ctx context.Context, in io.Reader, state string, visits chan<- visit, amiss func(string)) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxPasted)
	for lines.Scan() && ctx.Err() == nil {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		query, err := comeBack(line, state)
		if err != nil {
			amiss(err.Error())
			continue
		}
		select {
		case visits <- visit{query, make(chan farewell, 1)}:
		case <-ctx.Done():
		}
		return
	}
}

// comeBack returns the query of the address that a browser came back to, as it was
// copied: whole, or from its question mark on.
func comeBack(line, state string) (url.Values, error) {
	line = strings.Trim(line, `"'<>`)
	if _, after, ok := strings.Cut(line, "?"); ok {
		line = after
	}
	line, _, _ = strings.Cut(line, "#")
	query, err := url.ParseQuery(line)
	switch {
	case err != nil || !query.Has("state") && !query.Has("code") && !query.Has("error"):
		return nil, errors.New("that is not the address: the one that is wanted has state=... in it, and code=... or error=... beside that")
	case query.Has("client_id") || query.Has("code_challenge"):
		return nil, errors.New("that is where the sign-in begins: the address that is wanted is the one at which the browser ends")
	case !query.Has("state"):
		return nil, errors.New("that is a part of the address: copy the whole of it")
	case !sameState(query, state):
		return nil, errors.New("that is the address of another sign-in, an earlier one perhaps")
	}
	return query, nil
}
