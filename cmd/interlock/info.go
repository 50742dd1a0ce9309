package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) infoCommand() *cobra.Command {
	var (
		r reach
		t targets
	)
	cmd := &cobra.Command{
		Use: "info (NAME... | --all)", GroupID: "ask",
		Short: "Say all there is to know of a server",
		Long: `Says all there is to know of a server: its state, process with CPU time and memory of the
whole tree, protocol revision, what it offers, the stages of its last start, its last
failure, what depends on it, and its configuration with *** for what may be secret.

JSON and YAML have an object for one name, and a list for several or --all.`,
		Example: `  interlock info files
  interlock info files -o json | jq .usage.memory_bytes
  interlock info --all -o yaml`,
	}
	r.flags(cmd)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.given("info", names); err != nil {
			return err
		}
		one := len(names) == 1
		ups, err := picked(ctx, c, names)
		if err != nil {
			return err
		}
		infos := make([]*admin.Info, len(ups))
		for i, u := range ups {
			if infos[i], err = c.Info(ctx, u.Name); err != nil {
				return err
			}
		}
		switch {
		case *output != asTable && one:
			return a.write(*output, infos[0])
		case *output != asTable:
			return a.write(*output, infos)
		}
		for i, info := range infos {
			if i > 0 {
				a.out.printf("\n")
			}
			a.out.info(info)
		}
		return nil
	})
	return cmd
}

// info writes what is known of an upstream, a fact a line.
func (s *screen) info(i *admin.Info) {
	s.printf("%s  %s\n", s.bold(i.Name), s.stateColour(i.Upstream)(strings.TrimRight(i.State+"  "+i.Health, " ")))
	for _, f := range facts(i) {
		if f[1] != "" {
			s.fact(f[0], f[1])
		}
	}
	if f := i.LastFailure; f != nil {
		s.fact("last failure", why(i.Upstream)+", "+age(f.At)+" ago"+retry(i.Upstream))
		for _, line := range f.Stderr {
			s.printf("  %14s  %s\n", "", s.faint(printable(line)))
		}
	}
	for _, list := range []struct {
		word  string
		names []string
	}{{"tool", i.Offers.Tools}, {"prompt", i.Offers.Prompts}, {"resource", i.Offers.Resources}} {
		if len(list.names) > 0 {
			s.fact(list.word+"s", count(len(list.names), list.word)+": "+strings.Join(list.names, ", "))
		}
	}
	if config := yamlLines(i.Config); len(config) > 0 {
		s.fact("config", "from the "+map[bool]string{true: "file", false: "command line: added at run time"}[i.Source != "added"])
		for _, line := range config {
			s.printf("  %14s  %s\n", "", s.faint(line))
		}
	}
}

// fact writes a word and what is to be said of it, in lines that fit.
func (s *screen) fact(word, text string) {
	for n, line := range wrapped(printable(text), s.width-18) {
		if n > 0 {
			word = ""
		}
		s.printf("  %s  %s\n", s.faint(fmt.Sprintf("%14s", word)), line)
	}
}

// facts are what an upstream has in one line each; "" for what does not apply.
func facts(i *admin.Info) [][2]string {
	positive := func(n int, text string) string {
		if n == 0 {
			return ""
		}
		return text
	}
	usage := ""
	if u := i.Usage; u != nil {
		usage = fmt.Sprintf("%s CPU, %s in %s", seconds(u.CPU), size(u.Memory), processes(u.Processes))
	}
	server := ""
	if i.Server != nil {
		server = strings.TrimSpace(i.Server.Name + " " + i.Server.Version)
	}
	uptime := ""
	if i.Uptime > 0 {
		uptime = seconds(i.Uptime)
	}
	var edges []string
	for _, d := range i.DependsOn {
		edges = append(edges, edge(d))
	}
	var stages []string
	for _, st := range i.Stages {
		stages = append(stages, st.Name+" "+seconds(st.Took))
	}
	breaker := i.Breaker
	if i.Exhausted {
		breaker += ", exhausted: tried again every 10 minutes"
	}
	return [][2]string{
		{"since", age(i.Since) + " ago"},
		{"waits for", i.WaitingFor},
		{"uptime", uptime},
		{"pid", positive(i.PID, strconv.Itoa(i.PID))},
		{"usage", usage},
		{"server", server},
		{"protocol", i.Protocol},
		{"transport", i.Transport},
		{"sign-in", signInFact(i.SignIn)},
		{"breaker", breaker},
		{"attempts", positive(i.Attempts, fmt.Sprintf("%d failed in a row", i.Attempts))},
		{"generation", strconv.FormatUint(i.Generation, 10)},
		{"last start", strings.Join(stages, ", ")},
		{"last stop", i.LastStop},
		{"depends on", strings.Join(edges, ", ")},
		{"dependents", strings.Join(i.Dependents, ", ")},
		{"calls", positive(i.InFlight+i.Queued, fmt.Sprintf("%d in flight, %d queued", i.InFlight, i.Queued))},
		{"skipped lines", positive(int(min(i.SkippedLines, 1<<31)), fmt.Sprintf("%d on stdout that are no messages", i.SkippedLines))},
	}
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// edge is a dependency in words.
func edge(d admin.Dependency) string {
	text := d.Name
	if d.Condition == "started" {
		text += " (started)"
	}
	if d.Restart {
		text += " (restarts with it)"
	}
	return text
}

// yamlLines is an object of JSON as lines of YAML.
func yamlLines(raw json.RawMessage) []string {
	text, err := yaml.JSONToYAML(raw)
	if err != nil || len(raw) == 0 {
		return nil
	}
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	return lines
}

// wrapped breaks text at its spaces into lines of at most width columns; a width
// of 0 and less is endless.
func wrapped(text string, width int) []string {
	if width <= 0 || cells(text) <= width {
		return []string{text}
	}
	width = max(width, 20)
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && cells(line)+1+cells(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
