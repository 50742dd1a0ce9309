package jsonrpc

import "strconv"

// MaxBatch is how many messages a batch may have.
const MaxBatch = 1000

// Batch splits the JSON-RPC batch (section 6) in raw into its messages, which
// alias raw and are for Parse to judge. ok is false if raw is not an array. An
// array that is empty, malformed or longer than MaxBatch gives an *Error.
func Batch(raw []byte) (parts [][]byte, ok bool, err error) {
	sc := scanner{b: raw}
	sc.space()
	if sc.peek() != '[' {
		return nil, false, nil
	}
	n := 0
	for more := sc.enter(']'); more; more = sc.more(']') {
		part, ok := sc.span()
		if !ok {
			break
		}
		if n++; n <= MaxBatch {
			parts = append(parts, part.Of(raw))
		}
	}
	switch {
	case sc.fault != "" || !sc.end():
		return nil, true, &Error{Code: CodeParse, Message: "parse error: " + sc.err()}
	case n == 0:
		return nil, true, &Error{Code: CodeInvalidRequest, Message: "invalid request: empty batch"}
	case n > MaxBatch:
		return nil, true, &Error{Code: CodeInvalidRequest, Message: "invalid request: batch of more than " + strconv.Itoa(MaxBatch) + " messages"}
	}
	return parts, true, nil
}
