package main

import (
	"github.com/spf13/cobra"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "interlock",
		Short: "One MCP server made of many",
		Long: `Interlock is one MCP server made of many: clients connect to a single endpoint,
and behind it Interlock starts, watches and restarts the servers that do the work.

Without -c a command reads ./interlock.yaml (.yml, .json, .toml), or
interlock/interlock.yaml in your configuration folder.

Exit codes: 0 fine, 1 failed, 2 bad configuration or usage, 3 no gateway can be reached,
4 some server is unhealthy.`,
		Example: `  interlock demo                        see it work, with nothing to install
  interlock serve -c interlock.yaml     run the gateway
  interlock list                        what runs behind it
  interlock call clock__now timezone=Europe/Paris`,
		Version:       a.version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errs)
	root.SetVersionTemplate("interlock {{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a gateway:"},
		&cobra.Group{ID: "ask", Title: "Ask a running gateway:"},
		&cobra.Group{ID: "order", Title: "Order a running gateway:"},
		&cobra.Group{ID: "sign", Title: "Sign in to remote servers:"},
		&cobra.Group{ID: "file", Title: "Work on a configuration:"},
	)
	root.AddCommand(
		a.serveCommand(), a.stdioCommand(), a.unitCommand(), a.demoCommand(),
		a.listCommand(), a.statusCommand(), a.infoCommand(), a.checkCommand(), a.statsCommand(), a.graphCommand(),
		a.logsCommand(), a.eventsCommand(), a.tracesCommand(), a.configCommand(), a.toolsCommand(), a.policiesCommand(), a.profilesCommand(), a.callCommand(),
		a.addCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(), a.removeCommand(), a.reloadCommand(),
		a.loginCommand(), a.logoutCommand(),
		a.validateCommand(), a.doctorCommand(), a.schemaCommand(), a.policyCommand(), a.apikeyCommand(), a.auditCommand(),
		a.pinsCommand(),
		a.versionCommand(), a.watchCommand(), a.backgroundCommand(), a.demoServerCommand(),
	)
	return root
}
