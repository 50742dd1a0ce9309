package jsonrpc

import "bytes"

// AppendEvent appends one server-sent event with single-line data to dst. id
// and event may be "". Neither they nor data may hold a line break; JSON-RPC
// messages are rid of them by the caller with OneLine.
func AppendEvent(dst []byte, id, event string, data []byte) []byte {
	dst = append(AppendEventHead(dst, id, event), data...)
	return append(dst, EventEnd...)
}

// EventEnd is what ends an event after its data.
const EventEnd = "\n\n"

// AppendEventHead appends what comes before the data of an event: a large one
// need not be copied to be sent.
func AppendEventHead(dst []byte, id, event string) []byte {
	if event != "" {
		dst = append(append(append(dst, "event: "...), event...), '\n')
	}
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	return append(dst, "data: "...)
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
