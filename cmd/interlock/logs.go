package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) logsCommand() *cobra.Command {
	var (
		r      reach
		t      targets
		tail   int
		follow bool
	)
	cmd := &cobra.Command{
		Use: "logs [NAME... | --all]", GroupID: "ask",
		Short: "Show what servers wrote on stderr",
		Long: `Shows the last lines that servers wrote on stderr, of all without a name. With several, each
line begins with the name of its server.

With --follow it goes on until Ctrl-C, or until the gateway ends or the server is removed;
each of these is a success.`,
		Example: `  interlock logs files
  interlock logs files --tail 20 --follow
  interlock logs --all -f
  interlock logs files -o json | jq -r .text`,
	}
	r.flags(cmd)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().IntVar(&tail, "tail", 100, "how many `LINES` to begin with")
	choices(cmd, "tail", []string{"0", "10", "100"})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.either(names); err != nil {
			return err
		}
		if tail < 0 {
			return usage("", "--tail must not be negative")
		}
		ups, err := picked(ctx, c, names)
		if err != nil {
			return err
		}
		l := &logs{app: a, c: c, tail: tail, output: *output}
		for _, u := range ups {
			l.names = append(l.names, u.Name)
			l.width = max(l.width, cells(u.Name))
		}
		if follow {
			return l.follow(ctx)
		}
		return l.past(ctx)
	})
	return cmd
}

// logs shows lines of upstreams.
type logs struct {
	app    *app
	c      *admin.Client
	names  []string
	width  int // of the longest name
	tail   int
	output format
}

// namedLine is a line with its upstream, as JSON and YAML have it.
type namedLine struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// past shows what was written, in the order of time.
func (l *logs) past(ctx context.Context) error {
	all := []namedLine{}
	for _, name := range l.names {
		lines, err := l.c.Logs(ctx, name, l.tail)
		if err != nil {
			return err
		}
		for _, line := range lines {
			all = append(all, namedLine{name, line.At, line.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b namedLine) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name)) })
	for _, line := range all {
		if err := l.show(line); err != nil {
			return err
		}
	}
	return nil
}

// follow shows what is written until ctx is done or all streams have ended.
func (l *logs) follow(ctx context.Context) error {
	var (
		streams sync.WaitGroup
		mu      sync.Mutex // guards errs
		errs    []error
	)
	for _, name := range l.names {
		streams.Go(func() {
			for line, err := range l.c.FollowLogs(ctx, name, l.tail) {
				if err == nil {
					err = l.show(namedLine{name, line.At, line.Text})
				}
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	streams.Wait()
	return errors.Join(errs...)
}

func (l *logs) show(line namedLine) error {
	s := l.app.out
	switch {
	case l.output != asTable:
		return l.app.writeOne(l.output, line)
	case len(l.names) > 1:
		s.printf("%s %s\n", s.nameColour(slices.Index(l.names, line.Name))(pad(line.Name, l.width)+" |"), s.harmless(line.Text))
	default:
		s.text(line.Text)
	}
	return nil
}
