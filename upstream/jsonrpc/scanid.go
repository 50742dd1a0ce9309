package jsonrpc

import "bytes"

// ScanID finds the id of a message of which only the head and the tail are
// known. It looks at the members of the envelope before and after the long one,
// and returns nil if the id is in neither. What it returns aliases head or tail.
func ScanID(head, tail []byte) []byte {
	if id := headID(head); id != nil {
		return id
	}
	return tailID(bytes.TrimRight(tail, " \t\r\n"))
}

// headID reads the members of the envelope up to the one that is cut off.
func headID(head []byte) []byte {
	sc := scanner{b: head}
	sc.space()
	if sc.peek() != '{' {
		return nil
	}
	for more := sc.enter('}'); more; more = sc.more('}') {
		key, value, ok := sc.member()
		if !ok || sc.i >= len(head) { // at the cut a number may go on
			return nil
		}
		if string(key.Of(head)) == `"id"` && validID(value.Of(head)) {
			return value.Of(head)
		}
	}
	return nil
}

// tailID looks for an id from which on only members of the envelope follow, up
// to the brace that ends the message. The bytes "id" cannot stand within a
// string, whose quotes are escaped; and an object within the message is followed
// by another brace.
func tailID(tail []byte) []byte {
	for end := len(tail); ; {
		end = bytes.LastIndex(tail[:end], []byte(`"id"`))
		if end < 0 {
			return nil
		}
		before := bytes.TrimRight(tail[:end], " \t\r\n")
		if !bytes.HasSuffix(before, []byte(",")) {
			continue
		}
		sc := scanner{b: tail, i: end}
		_, id, ok := sc.member()
		if !ok || !validID(id.Of(tail)) {
			continue
		}
		for sc.more('}') {
			if _, _, ok := sc.member(); !ok {
				break
			}
		}
		if sc.fault == "" && sc.i == len(tail) {
			return id.Of(tail)
		}
	}
}
