package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/commands.md anew")

// TestDocs keeps docs/commands.md equal to what --help says and to the table of
// what doctor finds; go test ./cmd/interlock -run Docs -update writes it anew.
func TestDocs(t *testing.T) {
	file := filepath.Join(root(t), "docs", "commands.md")
	want := commandsPage()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a page of the repository
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("docs/commands.md is not what --help says; go test ./cmd/interlock -run Docs -update mends it:\n%s", diff)
	}
}

// TestHelp wants of each command what its reader needs: what it does, and an
// example that begins with its name.
func TestHelp(t *testing.T) {
	for _, cmd := range withSub(visible(plainApp().root())) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: what it does in a few words, without a full stop: %q", cmd.Name(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of itself", cmd.Name())
		}
		for line := range strings.Lines(cmd.Long) {
			if cells(strings.TrimRight(line, "\n")) > 100 {
				t.Errorf("%s: a line of its help is longer than 100 columns: %s", cmd.Name(), line)
			}
		}
	}
}

func plainApp() *app {
	return &app{in: new(bytes.Buffer), out: newScreen(new(bytes.Buffer)), errs: newScreen(new(bytes.Buffer)), version: "dev"}
}

// visible are the commands that help shows, in its order.
func visible(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, g := range append(slices.Clip(root.Groups()), &cobra.Group{}) {
		for _, c := range root.Commands() {
			if c.GroupID == g.ID && !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
				out = append(out, c)
			}
		}
	}
	return out
}

// commandsPage is docs/commands.md.
func commandsPage() string {
	root := plainApp().root()
	var b strings.Builder
	b.WriteString("# Commands\n\nWhat `interlock COMMAND --help` says, on one page. It is made from the program itself: `go test ./cmd/interlock -run Docs -update`.\n\n")
	about, _, _ := strings.Cut(root.Long, "\n\nExit codes")
	b.WriteString(about + "\n\n")
	b.WriteString("| exit code | meaning |\n|---|---|\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", c.code, c.means)
	}
	b.WriteString("\nAn error of the gateway has a stable code, in brackets behind its text, and says what to do about it.\n")
	for _, g := range append(slices.Clip(root.Groups()), &cobra.Group{Title: "Other:"}) {
		fmt.Fprintf(&b, "\n## %s\n\n| command | does |\n|---|---|\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range visible(root) {
			if c.GroupID == g.ID {
				fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.Name(), c.Name(), c.Short)
			}
		}
		if g.ID == "" {
			b.WriteString("| `completion bash\\|zsh\\|fish\\|powershell` | Write the script with which a shell completes commands, names of servers and tools |\n")
		}
	}
	for _, c := range withSub(visible(root)) {
		level := strings.Repeat("#", strings.Count(c.CommandPath(), " ")+1)
		_, name, _ := strings.Cut(c.CommandPath(), " ")
		fmt.Fprintf(&b, "\n%s %s\n\n```\n%s\n```\n\n", level, name, c.UseLine())
		about := c.Long
		if about == "" {
			about = c.Short + "."
		}
		b.WriteString(about + "\n\n")
		flagTable(&b, c)
		fmt.Fprintf(&b, "```\n%s\n```\n", unindented(c.Example))
		if c.Name() == "doctor" {
			doctorTable(&b)
		}
	}
	return b.String()
}

// withSub is each command and behind it those below it.
func withSub(all []*cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range all {
		out = append(out, c)
		if c.Name() != "completion" {
			out = append(out, withSub(c.Commands())...)
		}
	}
	return out
}

func flagTable(b *strings.Builder, c *cobra.Command) {
	var rows []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		name, about := pflag.UnquoteUsage(f)
		word := "--" + f.Name
		if f.Shorthand != "" {
			word = "-" + f.Shorthand + ", " + word
		}
		if name != "" {
			word += " " + name
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
			about += " (default " + d + ")"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", word, strings.ReplaceAll(about, "|", `\|`)))
	})
	if len(rows) == 0 {
		return
	}
	slices.Sort(rows)
	b.WriteString("| flag | |\n|---|---|\n" + strings.Join(rows, "") + "\n")
}

func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), "  "))
	}
	return strings.Join(lines, "\n")
}

// doctorTable is what doctor finds.
func doctorTable(b *strings.Builder) {
	b.WriteString("\n| code | severity | means |\n|---|---|---|\n")
	for _, a := range ailments {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", a.Code, a.Severity, a.Means)
	}
}
