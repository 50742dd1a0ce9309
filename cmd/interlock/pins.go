package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) pinsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pins", GroupID: "order", Args: cobra.NoArgs,
		Short: "Review what servers offer, and approve it",
		Long: `Shows and approves the definitions of tools and prompts, and the instructions, that a policy
of kind pin holds against a lock file: what was approved, what is new, and what has changed
since.`,
		Example: `  interlock pins list
  interlock pins diff
  interlock pins approve files/read_file`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.pinsListCommand(), a.pinsDiffCommand(), a.pinsApproveCommand())
	return cmd
}

func (a *app) pinsListCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "list [NAME...]", Aliases: []string{"ls"},
		Short: "List what was approved, and what was not",
		Long: `Lists all definitions that are pinned: approved, new, changed, gone (approved once, and not
offered now) or unfit (a key is there twice: it cannot be approved), and what clients see of
each: served, hidden, or blocked, which is listed as it was approved and cannot be called.

A NAME is a server's, or UPSTREAM/TOOL as it is listed. When no gateway runs, what the lock
file holds is listed.`,
		Example: `  interlock pins list
  interlock pins list files
  interlock pins list -o json | jq -r '.pins[] | select(.state == "changed") | .name'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(pinNames(anyPin))
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		list, err := c.Pins(ctx, names...)
		if errors.Is(err, admin.ErrUnreachable) && r.admin == "" {
			if kept, keptErr := r.keptPins(names); kept != nil || keptErr != nil {
				if list, err = kept, keptErr; err == nil && *output == asTable {
					a.errs.printf("%s\n", a.errs.faint("no gateway runs: this is what "+list.File+" holds"))
				}
			}
		}
		if err != nil {
			return err
		}
		if *output != asTable {
			return a.write(*output, list)
		}
		a.out.pins(list.Pins)
		return nil
	})
	return cmd
}

// pinNames are names of pins and of the servers that have them.
func pinNames(which func(admin.Pin) bool) func(context.Context, *admin.Client) []string {
	return func(ctx context.Context, c *admin.Client) []string {
		list, err := c.Pins(ctx)
		if err != nil {
			return nil
		}
		var names []string
		upstream := ""
		for _, p := range list.Pins {
			if !which(p) {
				continue
			}
			if p.Upstream != upstream {
				upstream = p.Upstream
				names = append(names, upstream)
			}
			names = append(names, cobra.CompletionWithDesc(p.Name, p.State))
		}
		return names
	}
}

func anyPin(admin.Pin) bool { return true }

// pending are pins that can be approved.
func pending(p admin.Pin) bool { return p.State == "new" || p.State == "changed" }

// pins writes a line for each.
func (s *screen) pins(pins []admin.Pin) {
	rows := make([][]cell, len(pins))
	for i, p := range pins {
		paint := s.pinColour(p.State)
		approved := ""
		if !p.At.IsZero() {
			approved = p.At.Local().Format(time.DateOnly)
		}
		rows[i] = []cell{{p.Name, s.bold}, {p.State, paint}, {orDash(p.Now), paint}, plain(orDash(approved)), plain(orDash(p.By)), {pinRemark(p), s.faint}}
	}
	s.table([]column{{"NAME", 24, 0}, {"STATE", 0, 0}, {"NOW", 0, 0}, {"APPROVED", 0, 2}, {"BY", 10, 3}, {"REMARK", 20, 1}}, rows)
}

func (s *screen) pinColour(state string) func(string) string {
	switch state {
	case "changed", "unfit":
		return s.red
	case "new":
		return s.yellow
	case "gone":
		return s.faint
	}
	return s.green
}

// pinRemark is what is odd about a pin, and whose twin it is.
func pinRemark(p admin.Pin) string {
	if p.Same == "" {
		return p.Reason
	}
	return strings.TrimPrefix(p.Reason+"; the same was approved as "+p.Same, "; ")
}

func (a *app) pinsDiffCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use:   "diff [NAME...]",
		Short: "Show what is not as it was approved",
		Long: `Shows what is new, and how what changed differs from what was approved: line by line, with
escapes such as \u200b for characters that nobody sees. Below each is the name with its hash,
which interlock pins approve takes.

It exits with 0 when all is as it was approved, and with 1 when something is not.`,
		Example: `  interlock pins diff
  interlock pins diff files
  interlock pins diff files/read_file -o json`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(pinNames(func(p admin.Pin) bool { return p.State != "approved" }))
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		diffs, err := c.PinDiffs(ctx, names...)
		if err != nil {
			return err
		}
		if *output != asTable {
			if diffs == nil {
				diffs = []admin.PinDiff{}
			}
			if err := a.write(*output, diffs); err != nil {
				return err
			}
		} else {
			a.out.pinDiffs(diffs)
		}
		if len(diffs) > 0 {
			return &failure{code: exitFailed}
		}
		return nil
	})
	return cmd
}

// hiddenMark finds the escapes of characters that nobody sees.
var hiddenMark = regexp.MustCompile(`\\u[0-9a-f]{4}`)

func (s *screen) pinDiffs(diffs []admin.PinDiff) {
	var b strings.Builder
	for i, d := range diffs {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s  %s\n", s.bold(printable(d.Name)), s.pinColour(d.State)(strings.TrimSuffix(d.State+", "+d.Now, ", ")))
		switch {
		case d.State == "new":
			if d.Same != "" {
				fmt.Fprintf(&b, "%s\n", s.faint("the same was approved as "+printable(d.Same)))
			}
		case !d.At.IsZero():
			fmt.Fprintf(&b, "%s\n", s.faint("approved "+d.At.Local().Format(time.DateOnly)+" by "+printable(d.By)))
		}
		if d.State == "unfit" {
			fmt.Fprintf(&b, "%s\n", s.red(printable(d.Reason)))
		}
		for _, l := range d.Lines {
			s.pinLine(&b, l)
		}
		if pending(d.Pin) {
			fmt.Fprintf(&b, "%s\n", s.faint("approve it: interlock pins approve "+shellWord(d.Name+"@"+short(d.Hash))))
		}
	}
	s.printf("%s", b.String())
}

// pinLine writes a line of a comparison. What nobody sees stands out.
func (s *screen) pinLine(b *strings.Builder, l admin.PinLine) {
	paint := s.faint
	switch l.Op {
	case "-":
		paint = s.red
	case "+":
		paint = s.green
	case "…":
		fmt.Fprintf(b, "  %s\n", s.faint(l.Text))
		return
	}
	text, from := l.Op+" "+l.Text, 0
	for _, at := range hiddenMark.FindAllStringIndex(text, -1) {
		b.WriteString(paint(text[from:at[0]]) + s.paint("7", text[at[0]:at[1]]))
		from = at[1]
	}
	b.WriteString(paint(text[from:]) + "\n")
}

// short is as much of a hash as tells what was seen.
func short(hash string) string {
	const digits = len("sha256:") + 32
	return hash[:min(len(hash), digits)]
}

// shellWord quotes a word for a shell if it needs that.
func shellWord(w string) string {
	w = printable(w)
	if strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@=+-") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
