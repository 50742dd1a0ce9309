package jsonrpc

import "bytes"

// AppendEvent appends one server-sent event with single-line data to dst. id
// and event may be "". Neither they nor data may hold a line break; JSON-RPC
// messages are rid of them by the caller with OneLine.
func AppendEvent(dst []byte, id, event string, data []byte) []byte {
	if event != "" {
		dst = append(append(append(dst, "event: "...), event...), '\n')
	}
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, '\n', '\n')
}

// OneLine returns raw on one line: line breaks, which in JSON can stand only
// between tokens, become spaces. raw itself is returned if it has none.
func OneLine(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	out := bytes.Clone(raw)
	for i, c := range out {
		if c == '\n' || c == '\r' {
			out[i] = ' '
		}
	}
	return out
}
