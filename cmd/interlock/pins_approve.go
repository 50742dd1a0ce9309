package main

import (
	"bufio"
	"context"
	"os"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) pinsApproveCommand() *cobra.Command {
	var (
		r   reach
		t   targets
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "approve (NAME[@sha256:HASH]... | --all)",
		Short: "Approve what servers offer now",
		Long: `Approves definitions that are new or changed: writes them to the lock file and has the gateway
serve them at once. It is noted who did that.

What is named with its hash, as interlock pins diff shows it, is approved as it was seen there.
For other names, and with --all, the differences are shown and a question is asked, which --yes
answers. If one of them is not what was seen any more, nothing is approved.`,
		Example: `  interlock pins approve files/read_file
  interlock pins approve files
  interlock pins approve files/read_file@sha256:9f86d081884c7d659a2feaa0c55ad015
  interlock pins approve --all --yes`,
	}
	r.flags(cmd)
	t.flags(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "approve without a question")
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(pinNames(pending))
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.given("pins approve", names); err != nil {
			return err
		}
		refs, err := a.seen(ctx, c, names, t.all, yes)
		if err != nil {
			return err
		}
		pins := []admin.Pin{}
		if len(refs) > 0 {
			if pins, err = c.ApprovePins(ctx, refs...); err != nil {
				return err
			}
		}
		if *output != asTable {
			return a.write(*output, pins)
		}
		if len(pins) == 0 {
			a.errs.printf("%s\n", a.errs.faint("there is nothing to approve"))
		}
		for _, p := range pins {
			a.out.printf("%s  %s%s\n", a.out.bold(printable(p.Name)), a.out.green(a.out.mark("✓ ")+"approved"), a.out.faint(" "+short(p.Hash)))
		}
		return nil
	})
	return cmd
}

// seen returns what is to be approved, each with the hash of what was looked at:
// as it is named, or as it was shown and agreed to.
func (a *app) seen(ctx context.Context, c *admin.Client, names []string, all, yes bool) ([]string, error) {
	var refs, open []string
	for _, n := range names {
		if strings.Contains(n, "@sha256:") {
			refs = append(refs, n)
		} else {
			open = append(open, n)
		}
	}
	if len(open) == 0 && !all {
		return refs, nil
	}
	if !yes && !a.asked() {
		return nil, usage("name them with their hashes, as interlock pins diff shows them, or say --yes", "nobody is there to ask whether what was not seen may be approved")
	}
	diffs, err := c.PinDiffs(ctx, open...)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, d := range diffs {
		if pending(d.Pin) {
			refs = append(refs, d.Name+"@"+d.Hash)
			n++
		}
	}
	if n == 0 {
		return refs, nil
	}
	a.errs.pinDiffs(diffs)
	if yes {
		return refs, nil
	}
	a.errs.printf("\n%s ", a.errs.bold("Approve "+count(n, "definition")+"? [y/N]"))
	switch answer, err := a.answer(ctx); {
	case err != nil:
		return nil, err
	case answer != "y" && answer != "yes":
		return nil, &failure{exitFailed, errNotApproved, ""}
	}
	return refs, nil
}

// asked reports whether a person can be asked.
func (a *app) asked() bool {
	f, ok := a.in.(*os.File)
	if !ok || !a.errs.terminal {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// answer is a line that a person writes, in small letters. It blocks until there
// is one, or ctx is done.
func (a *app) answer(ctx context.Context) (string, error) {
	line := make(chan string, 1) // nobody may wait for it any more
	go func() {
		text, _ := bufio.NewReader(a.in).ReadString('\n') // the end of the input is no
		line <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case text := <-line:
		return text, nil
	case <-ctx.Done():
		return "", errInterrupted
	}
}
