package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/examples/demo"
	"github.com/spf13/cobra"
)

// demoAddress is where the demo listens unless it is told.
const demoAddress = "127.0.0.1:7777"

func (a *app) demoCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "demo", GroupID: "run", Args: cobra.NoArgs,
		Short: "Show the gateway in front of three small servers",
		Long: `Runs the gateway in front of three small servers that are part of this program: clock
tells the time, notes keeps notes, report writes reports about them. Each is a process of its
own, spoken to over stdio like any other MCP server; report waits for notes.

It shows a call as a client makes it and how to connect yours, and stays up until Ctrl-C.
Everything it writes is in a folder that is gone afterwards.`,
		Example: `  interlock demo
  interlock demo --listen 127.0.0.1:9000`,
	}
	cmd.Flags().StringVar(&listen, "listen", demoAddress, "`ADDRESS` of the MCP endpoint")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("listen") {
			listen = a.freeAddress(cmd.Context(), listen)
		}
		return failed(a.demo(cmd.Context(), listen))
	}
	return cmd
}

// freeAddress returns address, or a free one beside it when it is taken.
func (a *app) freeAddress(ctx context.Context, address string) string {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		_ = l.Close()
		return address
	}
	a.errs.printf("%s\n", a.errs.yellow(address+" is taken, maybe by another gateway: this one takes a free port (--listen chooses one)"))
	return "127.0.0.1:0"
}

// demo runs the gateway in front of the demo's servers.
func (a *app) demo(ctx context.Context, listen string) error {
	dir, err := os.MkdirTemp("", "interlock-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the path of this program: %w", err)
	}
	file := filepath.Join(dir, "interlock.yaml")
	if err := os.WriteFile(file, demoConfig(listen, dir, self), 0o600); err != nil {
		return err
	}
	a.out.printf("%s\n\n", a.out.bold("One MCP endpoint in front of three servers."))
	err = a.serve(ctx, serveOptions{files: []string{file}, settled: func(ctx context.Context, endpoint string) {
		if err := a.showCall(ctx, endpoint); err != nil && ctx.Err() == nil {
			a.errs.printf("%s %v\n", a.errs.red("interlock: the call failed:"), err)
		}
		if ctx.Err() == nil {
			a.showClients(endpoint, file)
		}
	}})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// demoConfig is the configuration, as a person would write it.
func demoConfig(listen, dir, self string) []byte {
	notes := filepath.Join(dir, "notes.json")
	var b strings.Builder
	fmt.Fprintf(&b, "# the configuration of `interlock demo`\nserver:\n  listen: %s\nstate_dir: %s\ntelemetry:\n  logs: {level: warn}\nupstreams:\n", strconv.Quote(listen), strconv.Quote(filepath.Join(dir, "state")))
	for _, name := range demo.Names() {
		fmt.Fprintf(&b, "  %s:\n    command: %s\n    args: [%s]\n", name, strconv.Quote(self), strings.Join([]string{"__demo", name, "--notes", strconv.Quote(notes)}, ", "))
		if name == "report" {
			b.WriteString("    depends_on: [notes]\n")
		}
	}
	return []byte(b.String())
}

// showCall calls a tool through the endpoint as any client does.
func (a *app) showCall(ctx context.Context, endpoint string) error {
	p := a.out
	c, err := demo.Dial(ctx, endpoint)
	if err != nil {
		return err
	}
	defer c.Close()
	const tool, arguments = "report__write", `{"title": "Night shift", "seconds": 1}`
	p.printf("\n%s calls %s %s through the endpoint:\n\n", p.bold("A client"), p.cyan(tool), arguments)
	answer, err := c.Call(ctx, tool, []byte(arguments), func(done, total float64, text string) {
		p.printf("  %s\n", p.faint(fmt.Sprintf("[%g/%g] %s", done, total, printable(text))))
	})
	if err != nil {
		return err
	}
	for line := range strings.Lines(strings.TrimSpace(answer)) {
		p.printf("  %s %s\n", p.green("|"), printable(line))
	}
	return nil
}

// showClients says how to connect real clients, and what else to try.
func (a *app) showClients(endpoint, file string) {
	p := a.out
	p.printf("\n%s\n\n", p.bold("Connect yours:"))
	for _, c := range [][2]string{
		{"Claude Code", "claude mcp add --transport http interlock " + endpoint},
		{"Codex", "codex mcp add interlock --url " + endpoint},
		{"Gemini CLI", "gemini mcp add -s user -t http interlock " + endpoint},
		{"VS Code", fmt.Sprintf(`code --add-mcp '{"name":"interlock","type":"http","url":"%s"}'`, endpoint)},
		{"Cursor", fmt.Sprintf(`{"mcpServers": {"interlock": {"url": "%s"}}} in ~/.cursor/mcp.json`, endpoint)},
		{"Inspector", "npx -y @modelcontextprotocol/inspector --cli " + endpoint + " --transport http --method tools/list"},
	} {
		p.printf("  %-12s %s\n", c[0], p.cyan(c[1]))
	}
	p.printf("\n%s\n\n", p.bold("Look around, from another terminal:"))
	for _, line := range []string{"status", "tools", "call clock__now timezone=Asia/Tokyo", `call notes__search query="night train"`} {
		p.printf("  %s\n", p.cyan(asTyped(os.Args[0])+" "+line+" -c "+file))
	}
	p.printf("\nKill one of the servers and watch it come back. Ctrl-C ends the demo.\n")
}

// asTyped is how this program was probably started.
func asTyped(arg0 string) string {
	switch dir := filepath.Dir(arg0); {
	case strings.Contains(dir, "go-build"):
		return "go run ./cmd/interlock"
	case dir == ".":
		return "interlock"
	}
	return arg0
}
