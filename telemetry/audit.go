package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Audit is where decisions are written down: the `telemetry.audit` section.
type Audit struct {
	// Path is a file, to which lines are added, "-" for stdout, "" for nowhere.
	Path string `koanf:"path"`
}

// AuditLine is one line of the audit: who asked for what, and what was decided. It
// holds names and sizes, never values. What is empty or 0 is left out.
type AuditLine struct {
	Time time.Time `json:"time"` // now, if it is zero
	// Kind is what the line is about: call (a client's request), definition (what a
	// policy did to what an upstream offers), action (an operator's), reload, sign_in
	// (a credential that was refused), upstream_sign_in (somebody signed in to an
	// upstream, or out, or failed to), torn (the line before has no end).
	Kind string `json:"kind"`

	// Who: the issuer and subject, what people call it, which key or token was used
	// and from which address.
	Issuer     string `json:"issuer,omitempty"`
	Principal  string `json:"principal,omitempty"`
	Name       string `json:"name,omitempty"`
	Credential string `json:"credential,omitempty"`
	Session    string `json:"session,omitempty"`
	Client     string `json:"client,omitempty"`

	// What: Target is the upstream's own name, Exposed the client's, Definition the
	// hash of what the upstream says of it.
	Action     string `json:"action,omitempty"`
	Method     string `json:"method,omitempty"`
	Profile    string `json:"profile,omitempty"`
	Upstream   string `json:"upstream,omitempty"`
	Target     string `json:"target,omitempty"`
	Exposed    string `json:"exposed,omitempty"`
	Definition string `json:"definition,omitempty"`

	// Effect is allow, deny, change, report, hide or error; Policy is whose it is,
	// and Reason what it said.
	Effect string `json:"effect,omitempty"`
	Policy string `json:"policy,omitempty"`
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	// Decisions are those of all policies that did something.
	Decisions []AuditDecision `json:"decisions,omitempty"`

	// Executed is yes, no or unknown, Error the kind of error, "" for none.
	Executed string  `json:"executed,omitempty"`
	Error    string  `json:"error,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	// RequestBytes and AnswerBytes are the sizes of the messages.
	RequestBytes int    `json:"request_bytes,omitempty"`
	AnswerBytes  int    `json:"answer_bytes,omitempty"`
	Trace        string `json:"trace,omitempty"`
	// Lost is how many lines could not be written before this one.
	Lost uint64 `json:"lost,omitempty"`
}

// AuditDecision is what one policy did.
type AuditDecision struct {
	Policy string `json:"policy"`
	Phase  string `json:"phase"`
	Effect string `json:"effect"`
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// Auditing reports whether lines are written, so that they need not be made.
func (t *Telemetry) Auditing() bool { return t != nil && t.audit != nil }

// Audit writes a line, and blocks until the system has it. One that cannot be
// written is counted: the next that can be says how many were lost.
func (t *Telemetry) Audit(l AuditLine) {
	if t.Auditing() {
		t.audit.write(l)
	}
}

// ReopenAudit goes on in a new file if the one at the path was moved or removed,
// as programs do that rotate logs.
func (t *Telemetry) ReopenAudit() {
	if t.Auditing() {
		t.audit.reopen()
	}
}

// auditLog is an open audit. Each line carries the hash of the one before it.
type auditLog struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex // guards all below
	out    io.Writer
	file   *os.File // nil for stdout
	head   auditHead
	buf    []byte
	torn   int // bytes of a line that the file took before it took no more
	lost   uint64
	silent bool // the log was told that lines are lost
}

// auditHead is where a chain has come to.
type auditHead struct {
	seq  uint64
	hash string // of the last line, "" before the first
}

// openAudit opens the audit at a path, "" for none, and goes on where it ends. The
// error says why it cannot be had: an audit that was asked for is not left out.
func openAudit(path string, stdout io.Writer, log *slog.Logger) (*auditLog, error) {
	a := &auditLog{path: path, log: log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	switch path {
	case "":
		return nil, nil
	case "-":
		if stdout == nil {
			return nil, errors.New("telemetry.audit.path: stdout is the client's here: name a file")
		}
		a.out = stdout
		return a, nil
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("telemetry.audit.path: %w", err)
	}
	return a, nil
}

// open opens the file and reads where its chain ends. A file that is new goes on
// from the one before it, if there was one.
func (a *auditLog) open() error {
	if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("%s is written by another gateway: give each its own file", a.path)
	}
	head, torn, err := endOfAudit(f)
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("%s: %w", a.path, err)
	}
	if head.seq > 0 {
		a.head = head
	}
	a.file, a.out, a.torn = f, f, torn
	return nil
}

func (a *auditLog) write(l AuditLine) {
	if l.Time.IsZero() {
		l.Time = time.Now()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l.Lost = a.lost
	err := a.mend()
	if err == nil {
		err = a.put(&l)
	}
	switch {
	case err != nil:
		a.lost++
		if !a.silent {
			a.silent = true
			a.log.Error("the audit cannot be written: lines are lost until it can be", "path", a.path, "error", err)
		}
		return
	case a.silent:
		a.log.Warn("the audit is written again", "path", a.path, "lost", a.lost)
	}
	a.lost, a.silent = 0, false
}

// mend gives what a crash or a full disk left of a line an end, so that it stays as
// evidence, and accounts for it. The caller holds mu.
func (a *auditLog) mend() error {
	if a.torn == 0 {
		return nil
	}
	if _, err := a.out.Write([]byte("\n")); err != nil {
		return err
	}
	torn := a.torn
	a.torn = 0
	return a.put(&AuditLine{Time: time.Now(), Kind: tornKind, Reason: fmt.Sprintf("the line before this one was cut short at %d bytes", torn)})
}

// put writes the line that comes next in the chain. The caller holds mu.
func (a *auditLog) put(l *AuditLine) error {
	l.Time = l.Time.UTC()
	line, next, err := a.head.append(a.buf[:0], l)
	if err != nil {
		return err
	}
	a.buf = line
	if n, err := a.out.Write(line); err != nil {
		a.torn += n
		return err
	}
	a.head = next
	return nil
}

func (a *auditLog) reopen() {
	a.mu.Lock()
	old := a.file
	a.mu.Unlock()
	if old == nil {
		return
	}
	now, err := os.Stat(a.path)
	if was, werr := old.Stat(); err == nil && werr == nil && os.SameFile(was, now) {
		return
	}
	next := &auditLog{path: a.path, log: a.log}
	a.mu.Lock()
	defer a.mu.Unlock()
	next.head = a.head // a new file goes on from the old one's last line
	if err := next.open(); err != nil {
		a.log.Error("the audit goes on in the old file", "path", a.path, "error", err)
		return
	}
	a.file, a.out, a.head, a.torn = next.file, next.out, next.head, next.torn
	_ = old.Close()
}

// close ends the audit.
func (a *auditLog) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.out = closedWriter{}
	return err
}

// closedWriter takes nothing.
type closedWriter struct{}

func (closedWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }
