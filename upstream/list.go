package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxPages is how many pages of one list are followed.
const maxPages = 1000

// maxListBytes bounds the memory that one list of one server may cost.
const maxListBytes = 64 << 20

// learn asks a server, page by page, for every list that its capabilities
// promise, and blocks until all are read. A list that the server does not know
// (-32601) is empty. A list is cut, and named in Truncated, after max pages (0
// means 1,000), after 64 MiB, and when its cursor comes back to one that was
// followed already. The error is a *StartError of the stage list; when ctx ended
// it wraps context.Cause(ctx).
func learn(ctx context.Context, l Link, max int) (*Inventory, error) {
	if max <= 0 {
		max = maxPages
	}
	h := l.Hello()
	inv := &Inventory{
		Version: h.Version, Capabilities: h.Capabilities, ServerInfo: h.ServerInfo, Instructions: h.Instructions,
		Private: !h.Modern(),
	}
	fresh := freshness{inv: inv}
	for _, list := range []struct {
		capability, method, member string
		into                       *[]json.RawMessage
	}{
		{"tools", "tools/list", "tools", &inv.Tools},
		{"prompts", "prompts/list", "prompts", &inv.Prompts},
		{"resources", "resources/list", "resources", &inv.Resources},
		{"resources", "resources/templates/list", "resourceTemplates", &inv.Templates},
	} {
		c, ok := jsonrpc.Lookup(h.Capabilities, jsonrpc.Whole(h.Capabilities), list.capability)
		if !ok || h.Capabilities[c.Start] != '{' {
			continue
		}
		items, cut, err := pages(ctx, l, list.method, list.member, max, fresh.page)
		if err != nil {
			return nil, startError("list", fmt.Errorf("%s: %w", list.method, err))
		}
		*list.into = items
		if cut {
			inv.Truncated = append(inv.Truncated, list.member)
		}
	}
	inv.Learnt = time.Now()
	if x, ok := l.(interface{ listed(*Inventory) }); ok {
		x.listed(inv)
	}
	return inv, nil
}

// pages follows one list (server/utilities/pagination). Items alias the pages,
// each of which seen is told.
func pages(ctx context.Context, l Link, method, member string, max int, seen func(jsonrpc.Message)) (items []json.RawMessage, cut bool, err error) {
	var params, last []byte
	var size int
	followed := make(map[string]bool)
	for range max {
		answer, err := l.Do(ctx, onBehalf(ctx, newRequest(method, params)))
		if err != nil {
			return nil, false, err
		}
		if answer.Kind == jsonrpc.Failure {
			if e := newServerError(answer); e.Code != jsonrpc.CodeMethodNotFound {
				return nil, false, e
			}
			return items, false, nil
		}
		if answer, err = wellFormed(answer); err != nil {
			return nil, false, err
		}
		list, cursor, err := page(answer, member)
		if err != nil {
			return nil, false, err
		}
		seen(answer)
		// Some servers take the empty cursor for none and send page one for ever.
		if last != nil && bytes.Equal(list.Of(answer.Raw), last) {
			return items, false, nil
		}
		last = list.Of(answer.Raw)
		for s := range jsonrpc.Elements(answer.Raw, list) {
			items = append(items, s.Of(answer.Raw))
		}
		size += len(last)
		switch {
		case cursor == nil:
			return items, false, nil
		case followed[string(cursor)] || size > maxListBytes:
			return items, true, nil
		}
		followed[string(cursor)] = true
		params = append(append([]byte(`{"cursor":`), cursor...), '}')
	}
	return items, true, nil
}

// wellFormed returns m as it is, or, if there are bytes in it that are not UTF-8,
// with those replaced: no client could be sent them, and one description in the
// wrong encoding is no reason to lose a list.
func wellFormed(m jsonrpc.Message) (jsonrpc.Message, error) {
	if jsonrpc.Valid(m.Raw) {
		return m, nil
	}
	mended, err := jsonrpc.ParseServer(bytes.ToValidUTF8(m.Raw, []byte("\ufffd")))
	if err != nil || !jsonrpc.Valid(mended.Raw) {
		return m, errors.New("the result is not well-formed JSON")
	}
	return mended, nil
}

// page reads one page: where its items are, and the next cursor as JSON, nil
// for the last page.
func page(m jsonrpc.Message, member string) (list jsonrpc.Span, cursor []byte, err error) {
	for key, s := range jsonrpc.Members(m.Raw, m.Result) {
		switch {
		case key == member:
			list = s
		case key == "nextCursor" && m.Raw[s.Start] == '"':
			cursor = s.Of(m.Raw)
		}
	}
	if !list.Ok() || m.Raw[list.Start] != '[' {
		return list, nil, fmt.Errorf("the result has no array %q", member)
	}
	return list, cursor, nil
}
