package main

import (
	"context"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
)

// finding is something that doctor found. Its code is one of ailments.
type finding struct {
	Code     string   `json:"code"`
	Severity severity `json:"severity"`
	Upstream string   `json:"upstream,omitempty"`
	// At is file:line:column or the path of a key, "" for neither.
	At   string `json:"at,omitempty"`
	Text string `json:"text"`
	Mend string `json:"mend,omitempty"`
	// Stderr are the last lines that a server wrote.
	Stderr []string `json:"stderr,omitempty"`
}

// diagnosis is what doctor says in the end.
type diagnosis struct {
	// Healthy says that no finding is an error.
	Healthy bool `json:"healthy"`
	// Files are those of the configuration; Gateway is the address of the one that
	// runs, "" for none.
	Files    []string  `json:"files"`
	Gateway  string    `json:"gateway"`
	Starts   []trial   `json:"starts"`
	Findings []finding `json:"findings"`
}

// doctor is one examination.
type doctor struct {
	app   *app
	names []string // the upstreams it is about, nil for all
	cfg   *config.Config
	told  diagnosis
}

func (a *app) doctorCommand() *cobra.Command {
	var (
		r       reach
		noStart bool
	)
	cmd := &cobra.Command{
		Use: "doctor [NAME...]", GroupID: "file",
		Short: "Find out what is wrong, and say how to mend it",
		Long: `Looks at the configuration, this machine, the running gateway if there is one, and the
servers, all or those named: each is started once more, beside the gateway, with the time that
every stage takes, and stopped again. It works without a gateway, too.

Each finding has a stable code, what was found, and what to do about it. It exits with 4 when
one of them is an error; warnings and notes are none.`,
		Example: `  interlock doctor
  interlock doctor files
  interlock doctor --no-start
  interlock doctor -o json | jq -r '.findings[] | select(.severity == "error") | .code'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&noStart, "no-start", false, "start no server")
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		ctx, stop := interruptible(cmd.Context())
		defer stop()
		d := &doctor{app: a, names: names}
		d.told = diagnosis{Files: []string{}, Starts: []trial{}, Findings: []finding{}}
		if err := d.examine(ctx, &r, !noStart); err != nil {
			if ctx.Err() != nil {
				err = errInterrupted
			}
			return failed(err)
		}
		d.told.Healthy = !slices.ContainsFunc(d.told.Findings, func(f finding) bool { return f.Severity == isError })
		if *output != asTable {
			if err := a.write(*output, d.told); err != nil {
				return failed(err)
			}
		} else {
			a.out.diagnosis(&d.told)
		}
		if !d.told.Healthy {
			return &failure{code: exitUnhealthy}
		}
		return nil
	}
	return cmd
}

// examine looks at all there is. The error is that it could not look.
func (d *doctor) examine(ctx context.Context, r *reach, start bool) error {
	if r.admin == "" {
		d.config(r.files)
	}
	known, err := d.gateway(ctx, r)
	if err != nil {
		return err
	}
	for _, name := range d.names {
		if !slices.Contains(known, name) && (d.cfg == nil || d.cfg.Upstream(name) == nil) {
			return usage("interlock list shows the names", "no upstream is named %q", name)
		}
	}
	if d.cfg == nil {
		return nil
	}
	d.machine(ctx)
	runnable := d.programs()
	if start {
		return d.start(ctx, runnable)
	}
	return nil
}

// about tells whether an upstream is among those that are looked at.
func (d *doctor) about(name string) bool { return len(d.names) == 0 || slices.Contains(d.names, name) }

// find notes a finding. Code and Upstream, At, Text and Mend are given.
func (d *doctor) find(f finding) {
	f.Severity = severityOf(f.Code)
	f.Text, f.Mend = printable(f.Text), printable(f.Mend)
	d.told.Findings = append(d.told.Findings, f)
}
