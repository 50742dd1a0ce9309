package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// entry is one call as its client saw it.
type entry struct {
	nonce string
	fault string // that was at work at its server when it was sent
	said  verdict
}

// ledger is what clients were told, and what is wrong with it. It is safe for
// concurrent use.
type ledger struct {
	mu      sync.Mutex // guards the rest
	entries []entry
	rows    map[string]*row
	wrong   []string // the first of them, in words
	wrongs  int
}

func newLedger() *ledger { return &ledger{rows: make(map[string]*row)} }

// of returns the row of a fault. The caller holds mu.
func (l *ledger) of(fault string) *row {
	r := l.rows[fault]
	if r == nil {
		r = &row{Fault: fault}
		l.rows[fault] = r
	}
	return r
}

// injected counts a fault.
func (l *ledger) injected(fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(fault).Injected++
}

// violation notes what breaks a promise.
func (l *ledger) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violated(format, args...)
}

func (l *ledger) violated(format string, args ...any) {
	if l.wrongs++; len(l.wrong) < 20 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

// err is nil if no promise was broken.
func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrongs == 0 {
		return nil
	}
	return fmt.Errorf("%d violations, among them:\n%s", l.wrongs, strings.Join(l.wrong, "\n"))
}

// judge enters what a client got for a call of the tool nonce: messages that came
// under its request, in err's absence all there are. gaveUp says that the client
// itself ended it, which excuses the lack of an answer and nothing else.
func (l *ledger) judge(e entry, id int, all []message, took time.Duration, err error, gaveUp bool) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.of(e.fault)
	r.Calls++
	r.Worst = max(r.Worst, took)
	own, answers := fmt.Sprint(id), 0
	for _, m := range all {
		if m.Method != "" {
			if m.Method == "notifications/progress" && (m.Params.Message != "" && m.Params.Message != e.nonce || string(m.Params.ProgressToken) != own) {
				r.Crossed++
				l.violated("P2: %s heard progress of %s", e.nonce, m.Params.Message)
			}
			continue
		}
		if string(m.ID) != own {
			r.Crossed++
			l.violated("P2: %s with id %s got the answer to %s", e.nonce, own, m.ID)
			continue
		}
		answers++
		e.said = l.read(r, e, m)
	}
	switch {
	case answers > 1:
		r.Doubled++
		l.violated("P1: %s was answered %d times", e.nonce, answers)
	case answers == 0 && gaveUp:
		e.said = quit
		r.Quit++
	case answers == 0:
		e.said = lost
		r.Lost++
		l.violated("P1: %s, with the fault %q, got no answer in %v: %v", e.nonce, e.fault, took.Round(time.Millisecond), err)
	}
	l.entries = append(l.entries, e)
	return e.said
}

// read is the verdict of one answer.
func (l *ledger) read(r *row, e entry, m message) verdict {
	var f *fault
	switch {
	case m.Result != nil && m.Result.Meta.Error != nil:
		f = m.Result.Meta.Error
	case m.Result != nil:
		r.OK++
		if m.Result.StructuredContent.Nonce != e.nonce {
			r.Crossed++
			l.violated("P2: %s got the answer of %q", e.nonce, m.Result.StructuredContent.Nonce)
		}
		return answered
	case m.Error != nil && m.Error.Data != nil && m.Error.Data.Executed != "":
		f = m.Error.Data
	case m.Error != nil && m.Error.Code == -32602: // no such tool: its server was stopped or removed
		f = &fault{Executed: "no"}
	default:
		l.violated("%s got an answer that says nothing: %+v", e.nonce, m.Error)
		f = &fault{Executed: "unknown"}
	}
	if f.Executed == "no" {
		r.Refused++
		return refused
	}
	r.Unknown++
	return unknown
}

// settle compares what clients were told with what the servers recorded in their
// files: no nonce ran twice; what was answered ran once; what was said not to
// have run did not.
func (l *ledger) settle(files ...string) error {
	ran := make(map[string]int)
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was never called
		}
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			nonce, _, _ := strings.Cut(lines.Text(), " ")
			ran[nonce]++
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		n := ran[e.nonce]
		switch {
		case n > 1:
			l.of(e.fault).Doubled++
			l.violated("P3: %s ran %d times", e.nonce, n)
		case n == 0 && e.said == answered:
			l.of(e.fault).Lost++
			l.violated("P3: %s was answered and did not run", e.nonce)
		case n == 1 && e.said == refused:
			l.violated("P3: %s was said not to have run, and ran", e.nonce)
		}
	}
	return nil
}

// report returns the rows by name.
func (l *ledger) report() []*row {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*row
	for _, r := range l.rows {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *row) int { return strings.Compare(a.Fault, b.Fault) })
	return out
}
