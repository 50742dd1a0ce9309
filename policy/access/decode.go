package access

import (
	"bytes"
	"strconv"
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// decode returns a JSON value as CEL's. Integers are exact as far as CEL has them:
// int up to 64 bits, uint beyond; all other numbers are doubles. It is an error value
// for what is malformed, has a key twice or does not fit into a double.
func decode(raw []byte) ref.Val {
	if len(raw) == 0 {
		return types.NewErr("%s", malformed)
	}
	switch raw[0] {
	case '{', '[':
		d := decoders.Get().(*decoder)
		defer decoders.Put(d)
		d.reader.Reset(raw)
		d.tokens.Reset(&d.reader)
		return d.value()
	case '"':
		return types.String(jsonrpc.Text(raw, jsonrpc.Between(0, len(raw))))
	}
	return scalar(raw)
}

// scalar decodes what is not a string and holds nothing.
func scalar(raw []byte) ref.Val {
	switch string(raw) {
	case "true":
		return types.True
	case "false":
		return types.False
	case "null":
		return types.NullValue
	}
	text := string(raw)
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return types.Uint(u)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return types.Double(f)
	}
	return types.NewErr("%s", malformed)
}

// decoder reads objects and lists in one pass, however deeply they nest.
type decoder struct {
	reader bytes.Reader
	tokens jsontext.Decoder
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) value() ref.Val {
	token, err := d.tokens.ReadToken()
	if err != nil {
		return types.NewErr("%s", malformed)
	}
	switch token.Kind() {
	case '{':
		return d.object()
	case '[':
		return d.list()
	case '"':
		return types.String(token.String())
	}
	return scalar([]byte(token.String()))
}

func (d *decoder) object() ref.Val {
	m := make(map[string]any)
	for d.tokens.PeekKind() != '}' {
		key, err := d.tokens.ReadToken()
		if err != nil {
			return types.NewErr("%s", malformed)
		}
		name := key.String() // before it is overwritten
		v := d.value()
		if types.IsError(v) {
			return v
		}
		m[name] = v
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return types.NewErr("%s", malformed)
	}
	return types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
}

func (d *decoder) list() ref.Val {
	var all []ref.Val
	for d.tokens.PeekKind() != ']' {
		v := d.value()
		if types.IsError(v) {
			return v
		}
		all = append(all, v)
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return types.NewErr("%s", malformed)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all)
}
