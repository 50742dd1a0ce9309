package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
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

// config reads the configuration.
func (d *doctor) config(files []string) {
	cfg, err := config.Load(config.LoadOptions{Files: files})
	faults := new(config.Errors)
	switch {
	case errors.Is(err, config.ErrNoFile):
		d.find(finding{Code: "config_missing", Text: strings.SplitN(err.Error(), "\n", 2)[0], Mend: "write interlock.yaml, or name a file with -c; interlock validate says how to begin"})
		return
	case errors.As(err, &faults):
		for _, p := range faults.Problems {
			mend := p.Mend
			if mend == "" {
				mend = "correct it there; interlock schema describes every key"
			}
			d.find(finding{Code: faultCode(p), At: whereIs(p), Text: p.Text, Mend: mend})
		}
		return
	case err != nil:
		d.find(finding{Code: "config_invalid", Text: err.Error()})
		return
	}
	d.cfg, d.told.Files = cfg, cfg.Sources
	for _, p := range cfg.Warnings {
		if !strings.HasPrefix(p.Text, "command ") { // said better by programs
			d.find(finding{Code: "config_warning", At: whereIs(p), Text: p.Text, Mend: p.Mend})
		}
	}
}

// faultCode is the code of a fault of the configuration.
func faultCode(p config.Problem) string {
	if strings.HasPrefix(p.Text, "variable ") {
		return "variable_unset"
	}
	return "config_invalid"
}

// whereIs is where a problem of the configuration is.
func whereIs(p config.Problem) string {
	switch {
	case p.File == "":
		return p.Key
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// programs looks for the commands and folders of the upstreams, and returns the
// names of those that can be started.
func (d *doctor) programs() []string {
	var runnable []string
	for i := range d.cfg.Upstreams {
		u := &d.cfg.Upstreams[i]
		if !u.Enabled || !d.about(u.Name) {
			continue
		}
		if u.Kind() != upstream.Stdio {
			runnable = append(runnable, u.Name)
			continue
		}
		key := "upstreams." + u.Name
		if u.Cwd != "" {
			if info, err := os.Stat(u.Cwd); err != nil || !info.IsDir() {
				d.find(finding{Code: "cwd_missing", Upstream: u.Name, At: key + ".cwd", Text: "there is no folder " + u.Cwd, Mend: "make it, or set cwd to one that is there"})
				continue
			}
		}
		if _, err := u.Program(os.Environ()); err != nil {
			d.find(finding{
				Code: "command_missing", Upstream: u.Name, At: key + ".command", Text: err.Error(),
				Mend: "install it, write its full path, or have its folder in PATH where the gateway is started",
			})
			continue
		}
		runnable = append(runnable, u.Name)
	}
	return runnable
}

// diagnosis writes what was found, the worst first.
func (s *screen) diagnosis(told *diagnosis) {
	if len(told.Files) > 0 {
		s.printf("%s  %s\n", s.faint("configuration"), strings.Join(told.Files, ", "))
	}
	gateway := told.Gateway
	if gateway == "" {
		gateway = "none runs"
	}
	s.printf("%s        %s\n", s.faint("gateway"), gateway)
	s.trials(told.Starts)
	count := map[severity]int{}
	for _, level := range []severity{isError, isWarning, isNote} {
		for _, f := range told.Findings {
			if f.Severity == level && f.Code != "era" { // the table of the starts has it
				count[level]++
				s.finding(f)
			}
		}
	}
	text := fmt.Sprintf("%s, %s", plural(count[isError], "error"), plural(count[isWarning], "warning"))
	paint := s.green
	if count[isError] > 0 {
		paint = s.red
	} else if count[isWarning] > 0 {
		paint = s.yellow
	}
	s.printf("\n%s\n", paint(text))
}

func plural(n int, word string) string {
	if n == 0 {
		return "no " + word + "s"
	}
	return count(n, word)
}

// finding writes one.
func (s *screen) finding(f finding) {
	paint := map[severity]func(string) string{isError: s.red, isWarning: s.yellow, isNote: s.cyan}[f.Severity]
	text := f.Text
	if f.At != "" {
		text = f.At + ": " + text
	}
	if f.Upstream != "" {
		text = f.Upstream + ": " + text
	}
	s.printf("\n%s %s\n", paint(string(f.Severity)), s.bold(f.Code))
	for _, line := range wrapped(text, s.width-2) {
		s.printf("  %s\n", line)
	}
	for _, line := range f.Stderr {
		s.printf("  | %s\n", s.faint(printable(line)))
	}
	if f.Mend != "" {
		for n, line := range wrapped(f.Mend, s.width-6) {
			s.printf("  %s %s\n", map[bool]string{true: "→  ", false: "   "}[n == 0], line)
		}
	}
}

// errorCode is the code of an upstream in error.
func errorCode(u admin.Upstream) string {
	if u.Exhausted {
		return "upstream_exhausted"
	}
	return "upstream_error"
}
