package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

// addFlags are what `add NAME` says of a server.
type addFlags struct {
	file, url, transport, cwd string
	env, headers, dependsOn   []string
	onDemand                  bool
}

func (a *app) addCommand() *cobra.Command {
	var (
		r reach
		p patience
		f addFlags
	)
	cmd := &cobra.Command{
		Use: "add (NAME -- COMMAND [ARG...] | NAME --url URL | --file FILE)", GroupID: "order",
		Short: "Add servers to the running gateway",
		Long: `Adds servers to the running gateway: a command after --, a remote one by its URL, or those in
a JSON file as MCP clients write it ({"mcpServers": {...}}; - is standard input). All are
validated before anything changes.

They stay over a reload and a restart of the gateway; a server of the same name in the
configuration wins. A command can be added over the unix socket alone.

A remote server may want you to sign in: then it is in error with needs_auth, and interlock
login NAME does it.

${VAR} in a value is the gateway's environment; quote it to keep it from the shell.

It returns when the servers are added; with --wait it waits for their start and writes each
outcome as it comes. It exits with 2 when what is to be added is no valid configuration, and
then adds nothing, with 1 when one failed.`,
		Example: `  interlock add memory -- npx -y @modelcontextprotocol/server-memory
  interlock add linear --url https://mcp.linear.app/mcp
  interlock add files --env LOG_LEVEL=warn --wait -- npx -y @modelcontextprotocol/server-filesystem /srv
  interlock add issues --url https://mcp.example.com/mcp --header 'Authorization=Bearer ${TOKEN}'
  interlock add --file ~/.cursor/mcp.json
  pbpaste | interlock add --file -`,
	}
	r.flags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "add what this JSON `FILE` has, - for standard input")
	flags.StringVar(&f.url, "url", "", "the `URL` of a remote server")
	flags.StringArrayVar(&f.headers, "header", nil, "a header `NAME=VALUE` for a remote server; may be repeated")
	flags.StringArrayVar(&f.env, "env", nil, "a variable `NAME=VALUE` for a command; may be repeated")
	flags.StringVar(&f.cwd, "cwd", "", "the `FOLDER` that a command runs in")
	flags.StringVar(&f.transport, "transport", "", "stdio, http or sse; by default from what is given")
	flags.StringArrayVar(&f.dependsOn, "depends-on", nil, "the `NAME` of a server that must run before; may be repeated")
	flags.BoolVar(&f.onDemand, "on-demand", false, "start it at its first call")
	choices(cmd, "transport", transportWords)
	_ = cmd.MarkFlagFilename("file", "json")
	_ = cmd.MarkFlagDirname("cwd")
	_ = cmd.RegisterFlagCompletionFunc("depends-on", r.completing(upstreamNames))
	p.flags(cmd)
	output := outputFlag(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usage("a command comes after --: "+howToAdd, "%w", err)
	})
	r.asks(cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		if err := p.check(cmd); err != nil {
			return err
		}
		added, err := a.addition(args, cmd.ArgsLenAtDash(), &f)
		if err != nil {
			return err
		}
		added.Wait, added.Timeout = p.wait, p.seconds()
		err = a.order(ctx, c, "add", &p, *output, func(ctx context.Context, each func(admin.Outcome)) ([]admin.Outcome, error) {
			return c.Add(ctx, *added, each)
		})
		if err == nil && f.url != "" && !p.wait && *output == asTable {
			a.errs.printf("%s\n", a.errs.faint("  if it wants you to sign in: interlock login "+args[0]))
		}
		return err
	})
	return cmd
}

const howToAdd = "interlock add NAME -- COMMAND ARG..., interlock add NAME --url URL, or interlock add --file FILE.json"

// addition is what the command line asks to add. dash is how many words come
// before --, -1 without one.
func (a *app) addition(args []string, dash int, f *addFlags) (*admin.Addition, error) {
	if f.file != "" {
		if len(args) > 0 || f.url != "" || len(f.env)+len(f.headers)+len(f.dependsOn) > 0 || f.cwd+f.transport != "" || f.onDemand {
			return nil, usage("", "--file says all of the servers: it takes neither names nor other flags of a server")
		}
		return a.additionOf(f.file)
	}
	var command []string
	if dash >= 0 {
		args, command = args[:dash], args[dash:]
	}
	switch {
	case len(args) == 0:
		return nil, usage(howToAdd, "add what? give the server a name")
	case len(args) == 2 && (strings.HasPrefix(args[1], "https://") || strings.HasPrefix(args[1], "http://")):
		return nil, usage("interlock add "+args[0]+" --url "+args[1], "an address comes after --url")
	case len(args) > 1:
		return nil, usage("the command comes after --: interlock add "+args[0]+" -- "+strings.Join(args[1:], " "), "add takes one name, not %d", len(args))
	case len(command) == 0 && f.url == "":
		return nil, usage(howToAdd, "what is %s? give a command after --, or --url", args[0])
	case len(command) > 0 && f.url != "":
		return nil, usage("", "a server is a command or a --url, not both")
	}
	entry := map[string]any{}
	set := func(key string, value any, given bool) {
		if given {
			entry[key] = value
		}
	}
	// The gateway has a working folder of its own, and means another one by these.
	for _, path := range []*string{&f.cwd, first(command)} {
		named := strings.ContainsRune(*path, filepath.Separator) || path == &f.cwd && *path != ""
		if named && !strings.HasPrefix(*path, "$") {
			if abs, err := filepath.Abs(*path); err == nil {
				*path = abs
			}
		}
	}
	if len(command) > 0 {
		entry["command"] = command[0]
		set("args", command[1:], len(command) > 1)
	}
	env, err := pairs("--env", f.env)
	if err != nil {
		return nil, err
	}
	headers, err := pairs("--header", f.headers)
	if err != nil {
		return nil, err
	}
	set("url", f.url, f.url != "")
	set("env", env, len(env) > 0)
	set("headers", headers, len(headers) > 0)
	set("cwd", f.cwd, f.cwd != "")
	set("transport", f.transport, f.transport != "")
	set("depends_on", f.dependsOn, len(f.dependsOn) > 0)
	set("start", "on_demand", f.onDemand)
	raw, err := json.Marshal(map[string]any{args[0]: entry})
	if err != nil {
		return nil, err
	}
	return &admin.Addition{Upstreams: raw}, nil
}

// first returns the first word, an empty one for none.
func first(words []string) *string {
	if len(words) == 0 {
		return new(string)
	}
	return &words[0]
}

// pairs reads NAME=VALUE.
func pairs(flag string, words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return nil, usage("write "+flag+" NAME=VALUE", "%s %q is no NAME=VALUE", flag, w)
		}
		out[name] = value
	}
	return out, nil
}

// clientBlocks are the keys under which clients keep their servers.
var clientBlocks = []string{"mcpServers", "servers", "mcp_servers", "context_servers"}

// additionOf reads a file as clients write it: all of it, or the block alone.
func (a *app) additionOf(path string) (*admin.Addition, error) {
	name := path
	read := func() ([]byte, error) { return os.ReadFile(path) }
	if path == "-" {
		name = "standard input"
		read = func() ([]byte, error) { return io.ReadAll(a.in) }
	}
	raw, err := read()
	if err != nil {
		return nil, usage("", "%w", err)
	}
	const how = `write {"mcpServers": {"NAME": {"command": "...", "args": []}}}`
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, usage(how, "%s is no JSON object: %w", name, err)
	}
	if own, ok := whole["upstreams"]; ok {
		return &admin.Addition{Upstreams: own}, nil
	}
	for _, key := range clientBlocks {
		if block, ok := whole[key]; ok {
			return &admin.Addition{MCPServers: block}, nil
		}
	}
	for key, value := range whole {
		var entry struct{ Command, URL, HTTPURL, ServerURL string }
		if json.Unmarshal(value, &entry) != nil || entry.Command+entry.URL+entry.HTTPURL+entry.ServerURL == "" {
			return nil, usage(how, "%s has no mcpServers, and its %q is no server", name, key)
		}
	}
	if len(whole) == 0 {
		return nil, usage(how, "%s names no server", name)
	}
	return &admin.Addition{MCPServers: raw}, nil
}
