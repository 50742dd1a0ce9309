package main

import (
	"os"

	"github.com/interlock-mcp/interlock/examples/demo"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/spf13/cobra"
)

// watchCommand is the process that ends what is left of the servers when the
// gateway was killed. The gateway starts it.
func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use: upstream.WatchCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if code := upstream.WatcherMain(a.in); code != 0 {
				return &failure{code: code}
			}
			return nil
		},
	}
}

// demoServerCommand is one of the servers behind `interlock demo`.
func (a *app) demoServerCommand() *cobra.Command {
	var notes string
	cmd := &cobra.Command{
		Use: "__demo SERVER", Hidden: true, Args: cobra.ExactArgs(1), ValidArgs: demo.Names(),
		RunE: func(_ *cobra.Command, args []string) error {
			return failed(demo.Serve(args[0], notes, a.in, os.Stdout))
		},
	}
	cmd.Flags().StringVar(&notes, "notes", "", "the file of the notes")
	return cmd
}
