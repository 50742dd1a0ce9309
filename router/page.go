package router

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"

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
	pages  []page
	digest string
}

// page is the result of one cursor, "" for the first.
type page struct {
	cursor string
	// pieces are what it is made of, one for the whole catalog: then nothing is made
	// when a client asks. Those of a profile are parts of the whole's pages, so that
	// any number of profiles takes no more room than their differences.
	pieces [][]byte
}

// at returns the page of a cursor.
func (l *list) at(cursor string) ([]byte, error) {
	for i := range l.pages {
		if p := &l.pages[i]; p.cursor == cursor {
			if len(p.pieces) == 1 {
				return p.pieces[0], nil
			}
			return bytes.Join(p.pieces, nil), nil
		}
	}
	return nil, ErrCursor
}

// itemSum identifies the bytes of an item.
type itemSum [16]byte

func sumOf(item []byte) (s itemSum) {
	sum := sha256.Sum256(item)
	copy(s[:], sum[:])
	return s
}

// listSum identifies a list by its items, in their order.
func listSum(sums []itemSum) [sha256.Size]byte {
	h := sha256.New()
	for i := range sums {
		h.Write(sums[i][:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// newList makes the pages of items, which sum identifies. The items are replaced by
// the same bytes within the pages.
func newList(k Kind, items [][]byte, sum [sha256.Size]byte) list {
	l := list{digest: hex.EncodeToString(sum[:16])}
	eachPage(k, items, sum, func(cursor, next string, from, to, size int) {
		b := append(make([]byte, 0, size+len(next)), head(k)...)
		for i, it := range items[from:to] {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, it...)
		}
		b = append(b, tail(next)...)
		at := len(head(k))
		for i, it := range items[from:to] {
			items[from+i] = b[at : at+len(it)]
			at += len(it) + 1
		}
		l.pages = append(l.pages, page{cursor, [][]byte{b}})
	})
	return l
}

// sharedList is newList for items that are parts of other pages, for the most part.
// What lies together there is one piece.
func sharedList(k Kind, items [][]byte, sum [sha256.Size]byte) list {
	l := list{digest: hex.EncodeToString(sum[:16])}
	eachPage(k, items, sum, func(cursor, next string, from, to, _ int) {
		pieces := append(make([][]byte, 0, 3), head(k))
		for i, it := range items[from:to] {
			last := &pieces[len(pieces)-1]
			switch n := len(*last); {
			case i == 0:
				pieces = append(pieces, it)
			case n+1 < cap(*last) && &(*last)[:n+2][n+1] == &it[0]:
				*last = (*last)[:n+1+len(it)]
			default:
				pieces = append(pieces, comma, it)
			}
		}
		l.pages = append(l.pages, page{cursor, append(pieces, tail(next))})
	})
	return l
}

var comma = []byte{','}[:1:1]

var heads, end = func() (h [kinds][]byte, end []byte) {
	for _, k := range Kinds() {
		h[k] = slices.Clip([]byte(`{"` + k.String() + `":[`))
	}
	return h, slices.Clip([]byte("]}"))
}()

func head(k Kind) []byte { return heads[k] }

// tail ends a page that the one of cursor next follows, "" for none.
func tail(next string) []byte {
	if next == "" {
		return end
	}
	return append(jsonrpc.AppendString([]byte(`],"nextCursor":`), next), '}')
}

// eachPage calls page for the items from one place to another, which are at most as
// many as a page may have; size is about what it takes.
func eachPage(k Kind, items [][]byte, sum [sha256.Size]byte, page func(cursor, next string, from, to, size int)) {
	cursor := ""
	for i := 0; ; {
		from, size := i, len(k.String())+64
		for i < len(items) && i-from < pageItems && (i == from || size+len(items[i]) < pageBytes) {
			size += len(items[i]) + 1
			i++
		}
		next := ""
		if i < len(items) {
			next = cursorAt(sum[:], k, i)
		}
		page(cursor, next, from, i, size)
		if cursor = next; cursor == "" {
			return
		}
	}
}

// cursorAt names the page that begins at item i of the list with digest sum.
func cursorAt(sum []byte, k Kind, i int) string {
	b := append([]byte{byte(k)}, sum[:11]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i))
	return base64.RawURLEncoding.EncodeToString(b)
}
