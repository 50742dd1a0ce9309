package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// opened opens an audit that is closed with the test.
func opened(t *testing.T, path string) *auditLog {
	t.Helper()
	a, err := openAudit(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	return a
}

func verify(t *testing.T, files ...string) (AuditReport, error) {
	t.Helper()
	var r AuditReader
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = r.Read(filepath.Base(name), f)
		_ = f.Close()
		if err != nil {
			return r.Report, err
		}
	}
	return r.Report, r.Close()
}

// Lines that many write at once, over several openings, are one chain.
func TestAuditIsOneChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "audit.jsonl")
	for range 3 {
		a := opened(t, path)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { a.write(AuditLine{Kind: "call", Target: fmt.Sprint("t", i), Reason: `a "hash":"x"} and <b>`}) })
		}
		all.Wait()
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := verify(t, path)
	if err != nil || r.Lines != 60 || r.Seq != 60 || r.Begins != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Whatever is done to the file but to its end is found, and where.
func TestAuditShowsWhatWasDone(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	a := opened(t, whole)
	for i := range 5 {
		a.write(AuditLine{Kind: "call", Principal: "ann", Target: fmt.Sprint("t", i)})
	}
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(raw), "\n")[:5]
	for name, c := range map[string]struct {
		lines []string
		want  string // in the error; "" for none
	}{
		"nothing":             {lines, ""},
		"the end cut off":     {lines[:3], ""},
		"one changed":         {[]string{lines[0], strings.Replace(lines[1], "ann", "bob", 1), lines[2]}, "f:2: it was changed"},
		"its hash changed":    {[]string{lines[0], strings.Replace(lines[1], `"hash":"`, `"hash":"0`, 1)}, "f:2: it was changed"},
		"something after it":  {[]string{strings.Replace(lines[0], "\"}\n", "\", \"x\":1}\n", 1)}, "f:1: it was changed"},
		"one taken out":       {[]string{lines[0], lines[2], lines[3]}, "f:2: it does not go on from the line before it: number 2 is missing"},
		"two exchanged":       {[]string{lines[0], lines[2], lines[1], lines[3]}, "f:2: it does not go on"},
		"one twice":           {[]string{lines[0], lines[0]}, "f:2: it does not go on from the line before it: it is number 1, and comes after number 1"},
		"one of another file": {[]string{lines[0], "{}\n", lines[1]}, "f:2: it is not a line of the audit"},
		"cut in the middle":   {[]string{lines[0], lines[1][:30]}, "f:2: it has no end"},
		"the beginning taken": {lines[2:], ""}, // what it goes on from is in the report
		"nothing at the end":  {[]string{lines[0], "junk\n"}, "f:2: it is not a line of the audit"},
	} {
		var r AuditReader
		err := errors.Join(r.Read("f", strings.NewReader(strings.Join(c.lines, ""))), r.Close())
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if name == "the beginning taken" && r.Report.Begins == "" {
			t.Errorf("%s: the report says it is a beginning", name)
		}
	}
}

// What a crash left of a line stays, and is accounted for.
func TestAuditAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	a := opened(t, path)
	a.write(AuditLine{Kind: "call"})
	_ = a.close()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"seq":2,"prev":"`)
	_ = f.Close()
	b := opened(t, path)
	b.write(AuditLine{Kind: "call"})
	r, err := verify(t, path)
	if err != nil || r.Lines != 3 || r.Torn != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	raw, _ := os.ReadFile(path)
	if !bytes.Contains(raw, []byte("cut short at 17 bytes")) {
		t.Errorf("not accounted for:\n%s", raw)
	}
}

// A file whose end is not ours is not gone on from.
func TestAuditRefusesAForeignEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	for _, text := range []string{"hello\n", `{"seq":1,"prev":"","hash":"00"}` + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openAudit(path, nil, nil); err == nil || !strings.Contains(err.Error(), "cannot be gone on from") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAuditHasOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	opened(t, path)
	if _, err := openAudit(path, nil, nil); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("a second writer: %v", err)
	}
}

// After the file was moved away, the next one goes on from its last line.
func TestAuditRotates(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "audit"), filepath.Join(dir, "audit.1")
	a := opened(t, path)
	a.write(AuditLine{Kind: "call"})
	a.reopen() // nothing happened
	a.write(AuditLine{Kind: "call"})
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	a.write(AuditLine{Kind: "call"}) // still into the old one
	a.reopen()
	a.write(AuditLine{Kind: "call"})
	if r, err := verify(t, old, path); err != nil || r.Lines != 4 || r.Begins != "" {
		t.Errorf("both: %+v, %v", r, err)
	}
	if r, err := verify(t, path); err != nil || r.Lines != 1 || r.Begins == "" || r.Seq != 4 {
		t.Errorf("the new one: %+v, %v", r, err)
	}
}

// fickle takes n bytes and then no more, until it is well.
type fickle struct {
	bytes.Buffer
	n    int
	well bool
}

func (f *fickle) Write(p []byte) (int, error) {
	if f.well || len(p) <= f.n {
		f.n -= len(p)
		return f.Buffer.Write(p)
	}
	n, _ := f.Buffer.Write(p[:f.n])
	f.n = 0
	return n, io.ErrShortWrite
}

// A full disk loses lines, and the audit itself says how many.
func TestAuditOnAFullDisk(t *testing.T) {
	f := &fickle{n: 400}
	a, err := openAudit("-", f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		a.write(AuditLine{Kind: "call"})
	}
	f.well = true
	a.write(AuditLine{Kind: "call"})
	var r AuditReader
	if err := errors.Join(r.Read("f", &f.Buffer), r.Close()); err != nil || r.Report.Lost == 0 || r.Report.Torn != 1 {
		t.Errorf("%+v, %v", r.Report, err)
	}
	if whole := r.Report.Lines - 1; whole+int(r.Report.Lost) != 6 {
		t.Errorf("%d lines written and %d lost of 6", whole, r.Report.Lost)
	}
}

func BenchmarkAudit(b *testing.B) {
	a, err := openAudit(filepath.Join(b.TempDir(), "audit"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer a.close()
	b.ReportAllocs()
	for b.Loop() {
		a.write(AuditLine{
			Kind: "call", Principal: "ann", Issuer: "https://idp.example.com", Method: "tools/call", Upstream: "files", Target: "read", Exposed: "files__read",
			Definition: "sha256:0000000000000000000000000000000000000000000000000000000000000000", Effect: "allow", Executed: "yes", Seconds: 0.01, RequestBytes: 200, AnswerBytes: 4000,
		})
	}
}
