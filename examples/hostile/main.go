package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing is left to end
	}
}

// run serves, or plays the stories that are named, all if none is.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("hostile", flag.ContinueOnError)
	flags.SetOutput(errs)
	serve := flags.String("serve", "", "be the `server` of that name, on stdin and stdout, instead of playing")
	loot := flags.String("loot", "", "with -serve: the `file` to which it adds what it got hold of")
	binary := flags.String("interlock", "", "the interlock `binary`; built from this checkout by default")
	keep := flags.Bool("v", false, "show what the gateway says")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *serve != "" {
		return serveStdio(ctx, *serve, *loot)
	}
	all, err := named(flags.Args())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	st := &stage{dir: dir, binary: *binary, log: io.Discard}
	if *keep {
		st.log = errs
	}
	if st.self, err = os.Executable(); err != nil {
		return err
	}
	if st.binary == "" {
		st.binary = filepath.Join(dir, "interlock")
		if err := build(ctx, st.binary, errs); err != nil {
			return err
		}
	}
	return st.playAll(ctx, all, out)
}

// build makes the gateway's binary.
func build(ctx context.Context, binary string, errs io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/interlock-mcp/interlock/cmd/interlock")
	cmd.Stderr = errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build interlock: %w (or name one with -interlock)", err)
	}
	return nil
}

// named are the stories with these names.
func named(names []string) ([]story, error) {
	if len(names) == 0 {
		return stories, nil
	}
	var all []story
	for _, name := range names {
		i := slices.IndexFunc(stories, func(s story) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no story %q", name)
		}
		all = append(all, stories[i])
	}
	return all, nil
}

// playAll plays the stories and prints what became of each. The error says that one
// did not end as it should.
func (st *stage) playAll(ctx context.Context, all []story, out io.Writer) error {
	var wrong []error
	for _, s := range all {
		fmt.Fprintf(out, "%s: %s\n", s.name, s.about)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, guarded := range []bool{false, true} {
			end, err := st.play(ctx, s, guarded)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			how, mark := "without "+s.stop, "the attack works"
			if guarded {
				how = "with " + s.stop
			}
			if !end.worked {
				mark = "stopped"
			}
			if end.worked == guarded {
				wrong = append(wrong, fmt.Errorf("%s, %s: %s", s.name, how, mark))
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", how, mark, end.told)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	return errors.Join(wrong...)
}
