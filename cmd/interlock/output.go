package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// format is a value of the flag -o.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
	asYAML  format = "yaml"
	asText  format = "text" // a drawing
	asDOT   format = "dot"  // Graphviz
)

// formatFlag is the flag -o.
type formatFlag struct {
	value   *format
	allowed []format
}

func (f formatFlag) String() string { return string(*f.value) }

func (formatFlag) Type() string { return "FORMAT" }

// words are the formats there are, as in "table, json or yaml".
func (f formatFlag) words() string {
	var words []string
	for _, w := range f.allowed {
		words = append(words, string(w))
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Set implements pflag.Value.
func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.allowed, format(s)) {
		return fmt.Errorf("%q is not %s", s, f.words())
	}
	*f.value = format(s)
	return nil
}

// outputFlag adds -o for table, JSON and YAML, and what else a command has. The
// first of that, if there is any, is the default.
func outputFlag(cmd *cobra.Command, more ...format) *format {
	f := formatFlag{new(format), append([]format{asTable, asJSON, asYAML}, more...)}
	*f.value = append(more, asTable)[0]
	cmd.Flags().VarP(f, "output", "o", f.words())
	choices := make([]string, len(f.allowed))
	for i, c := range f.allowed {
		choices[i] = string(c)
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	return f.value
}

// write writes v as JSON or YAML. A json.RawMessage that v is goes out as JSON
// byte for byte.
func (a *app) write(f format, v any) error {
	raw, err := encode(f, v)
	if err != nil {
		return err
	}
	a.out.printf("%s\n", bytes.TrimRight(raw, "\n"))
	return nil
}

// showList writes a list that was asked for: as it is in JSON or YAML, else as table
// draws it. none is said where a table would be empty. It returns err, if there is
// one.
func showList[T any](a *app, f format, all []T, err error, none string, table func([]T)) error {
	switch {
	case err != nil:
		return err
	case f != asTable:
		return a.write(f, all)
	case len(all) == 0:
		a.errs.printf("%s\n", none)
		return nil
	}
	table(all)
	return nil
}

func encode(f format, v any) ([]byte, error) {
	raw, isRaw := v.(json.RawMessage)
	if !isRaw {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return nil, err
		}
		raw = b.Bytes()
	}
	if f == asYAML {
		converted, err := yaml.JSONToYAML(raw)
		if err != nil {
			return nil, fmt.Errorf("yaml: %w", err)
		}
		raw = converted
	}
	return raw, nil
}

// writeOne writes v as one of a stream: a line of JSON, or a document of YAML.
func (a *app) writeOne(f format, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if f != asYAML {
		a.out.printf("%s\n", raw)
		return nil
	}
	if raw, err = encode(asYAML, json.RawMessage(raw)); err != nil {
		return err
	}
	a.out.printf("---\n%s\n", bytes.TrimRight(raw, "\n"))
	return nil
}
