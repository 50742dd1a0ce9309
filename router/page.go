package router

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Bounds of a page. Many clients never ask for a second one, so a page holds
// what any of them can be expected to use.
const (
	pageItems = 1000
	pageBytes = 4 << 20
)

// ErrCursor is what Page returns for a cursor that this catalog did not give,
// be it invented or of a list that has changed since: the pages of two lists do
// not fit together, so the client begins anew (MCP pagination: -32602).
var ErrCursor = errors.New("unknown or outdated cursor: ask for the list from its beginning")

// list is one of a catalog's lists, complete.
type list struct {
	pages  map[string][]byte // the result of each cursor, "" for the first
	digest string
}

// newList builds the pages of items. They are results in full: nothing is made
// when a client asks.
func newList(k Kind, items [][]byte) list {
	h := sha256.New()
	var n [8]byte
	for _, it := range items {
		binary.BigEndian.PutUint64(n[:], uint64(len(it)))
		h.Write(n[:])
		h.Write(it)
	}
	sum := h.Sum(nil)
	l := list{pages: make(map[string][]byte), digest: hex.EncodeToString(sum[:16])}
	cursor := ""
	for i := 0; ; {
		from, size := i, len(k.String())+64
		for i < len(items) && i-from < pageItems && (i == from || size+len(items[i]) < pageBytes) {
			size += len(items[i]) + 1
			i++
		}
		page := make([]byte, 0, size)
		page = append(page, `{"`+k.String()+`":[`...)
		for j, it := range items[from:i] {
			if j > 0 {
				page = append(page, ',')
			}
			page = append(page, it...)
		}
		page = append(page, ']')
		next := ""
		if i < len(items) {
			next = cursorAt(sum, k, i)
			page = append(page, `,"nextCursor":`...)
			page = jsonrpc.AppendString(page, next)
		}
		l.pages[cursor] = append(page, '}')
		if cursor = next; cursor == "" {
			return l
		}
	}
}

// cursorAt names the page that begins at item i of the list with digest sum.
func cursorAt(sum []byte, k Kind, i int) string {
	b := append([]byte{byte(k)}, sum[:11]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i))
	return base64.RawURLEncoding.EncodeToString(b)
}
