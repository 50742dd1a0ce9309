package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/spf13/cobra"
)

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", GroupID: "file", Args: cobra.NoArgs,
		Short: "Verify the audit that telemetry.audit.path writes",
		Example: `  interlock audit verify audit.jsonl
  interlock audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.auditVerifyCommand())
	return cmd
}

// verified is the outcome of audit verify.
type verified struct {
	OK bool `json:"ok"`
	telemetry.AuditReport
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	Fault string `json:"fault,omitempty"`
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use: "verify FILE...", Args: cobra.MinimumNArgs(1),
		Short: "Verify that no line was changed, removed or added",
		Long: `Verifies the hashes that chain the lines of the audit: that none was changed, removed,
inserted or moved. Several files are one chain, the oldest first; - is stdin.

Lines that were cut off the end leave no trace in the file itself: keep the hash of the last
line elsewhere now and then, and say with --contains that it must be there.`,
		Example: `  interlock audit verify audit.jsonl
  interlock audit verify audit.jsonl.1 audit.jsonl
  interlock audit verify --contains 5d1c3a... audit.jsonl
  ssh gate cat /var/log/interlock/audit.jsonl | interlock audit verify -`,
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&head, "contains", "", "a `HASH` that one of the lines must have")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		if raw, err := hex.DecodeString(head); head != "" && (err != nil || len(raw) != sha256.Size) {
			return usage("interlock audit verify says it of the last line", "--contains %q is no hash of a line: those have 64 hexadecimal digits", head)
		}
		r, err := a.verify(files, head)
		v := verified{OK: err == nil, AuditReport: r.Report, First: stamp(r.Report.First), Last: stamp(r.Report.Last)}
		fault := new(telemetry.AuditFault)
		if err != nil && !errors.As(err, &fault) {
			return failed(err)
		}
		if *output != asTable {
			if err != nil {
				v.Fault = err.Error()
			}
			if werr := a.write(*output, v); werr != nil {
				return failed(werr)
			}
		} else if err == nil {
			a.tellVerified(v)
		}
		if err != nil {
			return &failure{exitFailed, err, beforeFault(fault, r.Report.Lines)}
		}
		return nil
	}
	return cmd
}

// beforeFault says what holds although there is a fault, "" for nothing.
func beforeFault(f *telemetry.AuditFault, lines int) string {
	switch {
	case f.File == "" && lines > 0:
		return "what is there is as it was written"
	case lines > 0:
		return "all before that line is as it was written; what comes after it cannot be told"
	}
	return ""
}

// verify reads the files as one chain.
func (a *app) verify(files []string, head string) (*telemetry.AuditReader, error) {
	r := &telemetry.AuditReader{Contains: head}
	for _, name := range files {
		err := func() error {
			if name == "-" {
				return r.Read("stdin", a.in)
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return r.Read(name, io.Reader(f))
		}()
		if err != nil {
			return r, err
		}
	}
	return r, r.Close()
}

func (a *app) tellVerified(v verified) {
	if v.Lines == 0 {
		a.out.printf("ok: there is no line yet\n")
		return
	}
	a.out.printf("ok: %s, %s to %s\n", count(v.Lines, "line"), v.First, v.Last)
	a.out.printf("last hash %s (line %d)\n", v.Hash, v.Seq)
	var more []string
	if v.Begins != "" {
		more = append(more, "it goes on from a line that is not here: "+v.Begins)
	}
	if v.Lost > 0 {
		more = append(more, plural(int(v.Lost), "line")+" could not be written when the time came")
	}
	if v.Torn > 0 {
		more = append(more, count(v.Torn, "line")+" cut short by a crash or a full disk")
	}
	for _, m := range more {
		a.out.printf("note: %s\n", strings.TrimSpace(m))
	}
}

// stamp is a time as a log has it, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
