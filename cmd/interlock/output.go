package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// format is the flag -o.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
	asYAML  format = "yaml"
)

func (f *format) String() string { return string(*f) }

func (*format) Type() string { return "FORMAT" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	switch v := format(s); v {
	case asTable, asJSON, asYAML:
		*f = v
		return nil
	}
	return fmt.Errorf("%q is not table, json or yaml", s)
}

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command) *format {
	f := asTable
	cmd.Flags().VarP(&f, "output", "o", "table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// write writes v as JSON or YAML. A json.RawMessage that v is goes out as JSON
// byte for byte.
func (a *app) write(f format, v any) error {
	raw, isRaw := v.(json.RawMessage)
	if !isRaw {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return err
		}
		raw = b.Bytes()
	}
	if f == asYAML {
		converted, err := yaml.JSONToYAML(raw)
		if err != nil {
			return fmt.Errorf("yaml: %w", err)
		}
		raw = converted
	}
	a.out.printf("%s\n", bytes.TrimRight(raw, "\n"))
	return nil
}
