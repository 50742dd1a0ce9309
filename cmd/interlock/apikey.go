package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/spf13/cobra"
)

func (a *app) apikeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apikey", GroupID: "file", Args: cobra.NoArgs,
		Short: "Make API keys for server.auth",
		Example: `  interlock apikey new --principal ci --name laptop
  interlock apikey hash < key.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.apikeyNewCommand(), a.apikeyHashCommand())
	return cmd
}

// entry is an item of server.auth.api_keys.
type entry struct {
	Principal string   `json:"principal"`
	Name      string   `json:"name,omitempty"`
	Hash      string   `json:"hash"`
	Scopes    []string `json:"scopes,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Expires   string   `json:"expires,omitempty"`
}

func (a *app) apikeyNewCommand() *cobra.Command {
	var k identity.APIKey
	cmd := &cobra.Command{
		Use: "new --principal NAME", Args: cobra.NoArgs,
		Short: "Make a key, and what the configuration says of it",
		Long: `Makes a key of 256 random bits and writes it, with the lines for server.auth.api_keys of the
configuration. Those hold a hash of the key and not the key, which is shown this once and kept
nowhere. Clients send it as Authorization: Bearer KEY, or as X-API-Key.

Give each program and each machine a key of its own, so that one that is lost can be taken back
alone: remove its lines, and reload.`,
		Example: `  interlock apikey new --principal ci --name laptop
  interlock apikey new --principal ci --name runner --scopes mcp,github.write --expires 90d
  interlock apikey new --principal ci -o json | jq -r .key | gh secret set INTERLOCK_KEY`,
	}
	flags := cmd.Flags()
	flags.StringVar(&k.Principal, "principal", "", "`NAME` of who uses it")
	flags.StringVar(&k.Name, "name", "", "`NAME` of the key among those of the principal, for the log and the audit")
	flags.StringSliceVar(&k.Scopes, "scopes", nil, "the `SCOPES` it allows, divided by commas")
	flags.StringSliceVar(&k.Groups, "groups", nil, "the `GROUPS` its principal is in, divided by commas")
	flags.StringVar(&k.Expires, "expires", "", "`WHEN` it ends: 90d, 2027-01-31 (with that day, in UTC) or 2027-01-31T12:00:00Z")
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		if k.Principal == "" {
			return usage("interlock apikey new --principal ci", "whose key is it? say --principal NAME")
		}
		if days, ok := strings.CutSuffix(k.Expires, "d"); ok {
			if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 36500 {
				k.Expires = time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly)
			}
		}
		key, hash := identity.NewKey()
		k.Hash = hash
		c := identity.Config{APIKeys: []identity.APIKey{k}}
		if end, err := identity.Expiry(k.Expires); err != nil || !end.IsZero() && !end.After(time.Now()) {
			return usage("write it like 90d, 2027-01-31 or 2027-01-31T12:00:00Z", "--expires %q is no time to come", k.Expires)
		}
		if fe, ok := errors.AsType[*policy.FieldError](c.Validate()); ok {
			return usage("", "--%s %s", fe.Path[len(fe.Path)-1], fe.Text)
		}
		e := entry(k)
		if *output != asTable {
			return failed(a.write(*output, struct {
				Key   string `json:"key"`
				Entry entry  `json:"api_key"`
			}{key, e}))
		}
		lines, err := encode(asYAML, []entry{e})
		if err != nil {
			return failed(err)
		}
		a.out.printf("The key, which is shown this once:\n\n  %s\n\nFor server.auth.api_keys of the configuration:\n\n%s\n",
			key, indent(lines, "  "))
		return nil
	}
	return cmd
}

func indent(lines []byte, by string) string {
	return by + strings.ReplaceAll(string(bytes.TrimRight(lines, "\n")), "\n", "\n"+by)
}

func (a *app) apikeyHashCommand() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Args: cobra.NoArgs,
		Short: "Write the hash of a key that is read from stdin",
		Long: `Reads a key that interlock apikey new has made from stdin, and writes its hash as the
configuration has it. A key on the command line would be seen by every user of the machine.`,
		Example: `  interlock apikey hash < key.txt
  pass show interlock/ci | interlock apikey hash`,
		RunE: func(*cobra.Command, []string) error {
			raw, err := io.ReadAll(io.LimitReader(a.in, 4096))
			if err != nil {
				return failed(fmt.Errorf("stdin: %w", err))
			}
			hash, err := identity.HashKey(strings.TrimSpace(string(raw)))
			if err != nil {
				return usage("make one with: interlock apikey new --principal NAME", "what was read: %w", err)
			}
			a.out.printf("%s\n", hash)
			return nil
		},
	}
}
