package telemetry

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A line of the audit is a JSON object that begins with "seq" and "prev", the hash
// of the line before it, and ends with "hash": the SHA-256, in hexadecimal, of the
// line's bytes up to the comma before that member. So nobody can change, remove or
// insert a line without all later ones showing it. Only what was cut off the end
// leaves no trace in the file itself: keep the last hash elsewhere.

const hashMember = `,"hash":"`

// tornKind is the kind of a line that accounts for the one before it, which was cut
// short.
const tornKind = "torn"

// append appends the line that comes next in the chain to dst, with its end, and
// returns where the chain has come to then.
func (h auditHead) append(dst []byte, l *AuditLine) ([]byte, auditHead, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, h, err
	}
	next := auditHead{seq: h.seq + 1}
	dst = fmt.Appendf(dst, `{"seq":%d,"prev":%q,`, next.seq, h.hash)
	dst = append(dst, body[1:len(body)-1]...)
	sum := sha256.Sum256(dst)
	next.hash = hex.EncodeToString(sum[:])
	dst = append(append(append(dst, hashMember...), next.hash...), '"', '}', '\n')
	return dst, next, nil
}

// link is what holds a line in its chain.
type link struct {
	Seq  uint64    `json:"seq"`
	Prev string    `json:"prev"`
	Hash string    `json:"hash"`
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	Lost uint64    `json:"lost"`
}

var errNoLine = errors.New("it is not a line of the audit")

// readLink reads a line, without its end, and checks its own hash.
func readLink(line []byte) (link, error) {
	var l link
	i := bytes.LastIndex(line, []byte(hashMember))
	if i < 0 || json.Unmarshal(line, &l) != nil {
		return l, errNoLine
	}
	sum := sha256.Sum256(line[:i])
	if want := hex.EncodeToString(sum[:]); l.Hash != want || string(line[i:]) != hashMember+want+`"}` {
		return l, errors.New("it was changed: its hash is not that of its bytes")
	}
	return l, nil
}

// maxAuditLine is more than a line can have.
const maxAuditLine = 1 << 20

// endOfAudit returns where the chain in the file ends, and how many bytes of a line
// without an end come after it. The error says that the last line is none of ours.
func endOfAudit(f *os.File) (head auditHead, torn int, err error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return head, 0, err // a pipe or a terminal has no past
	}
	from := max(0, info.Size()-2*maxAuditLine)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return head, 0, err
	}
	if i := bytes.LastIndexByte(tail, '\n'); i >= 0 {
		torn = len(tail) - i - 1
		tail = tail[:i]
	} else {
		return head, len(tail), nil
	}
	for len(tail) > 0 {
		line := tail
		if i := bytes.LastIndexByte(tail, '\n'); i >= 0 {
			line, tail = tail[i+1:], tail[:i]
		} else {
			tail = nil
		}
		l, err := readLink(line)
		if errors.Is(err, errNoLine) && len(tail) > 0 {
			continue // what a crash left
		}
		if err != nil {
			return head, 0, fmt.Errorf("its last line cannot be gone on from: %w: move the file away, or see `interlock audit verify`", err)
		}
		return auditHead{seq: l.Seq, hash: l.Hash}, torn, nil
	}
	return head, torn, nil
}

// AuditReport is what VerifyAudit found.
type AuditReport struct {
	// Lines are those that are whole, from First to Last.
	Lines       int       `json:"lines"`
	First, Last time.Time `json:"-"`
	// Seq and Hash are of the last line: what to keep elsewhere.
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
	// Begins is the hash that the first line goes on from, "" for a beginning.
	Begins string `json:"begins,omitempty"`
	// Lost are lines that could not be written, as the audit itself says.
	Lost uint64 `json:"lost,omitempty"`
	// Torn are lines that a crash cut short, as the audit itself says.
	Torn int `json:"torn,omitempty"`
}

// AuditFault is where a chain is broken.
type AuditFault struct {
	File string // "" for the whole
	Line int    // from 1
	Text string
}

func (e *AuditFault) Error() string {
	if e.File == "" {
		return e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// AuditReader verifies a chain, over several files in their order.
type AuditReader struct {
	Report AuditReport
	// Contains is a hash that one of the lines must have, "" for none.
	Contains string
	found    bool
	torn     *AuditFault // a line that the next one must account for
}

// Read verifies what is in r, which goes on from what was read before. It blocks
// until the end of r. The error is an *AuditFault for the first line that does not
// hold, or of reading.
func (a *AuditReader) Read(name string, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		fault := func(text string) error { return &AuditFault{File: name, Line: n, Text: text} }
		whole := bytes.HasSuffix(line, []byte("\n"))
		l, bad := readLink(bytes.TrimSuffix(line, []byte("\n")))
		rep := &a.Report
		switch {
		case !whole:
			return fault("it has no end: it was cut short, or is being written")
		case errors.Is(bad, errNoLine) && a.torn == nil:
			a.torn = &AuditFault{File: name, Line: n, Text: bad.Error()}
			continue
		case bad != nil:
			return fault(bad.Error())
		case a.torn != nil && l.Kind != tornKind:
			return a.torn
		case rep.Lines == 0:
			rep.Begins, rep.First = l.Prev, l.Time
		case l.Prev != rep.Hash:
			return fault("it does not go on from the line before it: " + gap(rep.Seq, l.Seq))
		case l.Seq != rep.Seq+1:
			return fault(fmt.Sprintf("it is number %d, and %d was expected", l.Seq, rep.Seq+1))
		}
		if a.torn != nil {
			a.torn = nil
			rep.Torn++
		}
		rep.Lines++
		a.found = a.found || l.Hash == a.Contains
		rep.Lost += l.Lost
		rep.Seq, rep.Hash, rep.Last = l.Seq, l.Hash, l.Time
	}
}

// gap says what may lie between two lines that do not follow each other.
func gap(before, at uint64) string {
	switch {
	case at <= before:
		return fmt.Sprintf("it is number %d, and comes after number %d (several files are given the oldest first)", at, before)
	case at == before+1:
		return "one of the two was changed, or they are of two audits"
	case at == before+2:
		return fmt.Sprintf("number %d is missing, or lines were changed", before+1)
	}
	return fmt.Sprintf("numbers %d to %d are missing, or lines were changed", before+1, at-1)
}

// Close ends the reading. The error is an *AuditFault if the last line was none, or
// if the hash that had to be there was not.
func (a *AuditReader) Close() error {
	switch {
	case a.torn != nil:
		return a.torn
	case a.Contains != "" && !a.found:
		return &AuditFault{Text: "no line has the hash " + a.Contains + ": lines were cut off the end, or it is another audit"}
	}
	return nil
}
