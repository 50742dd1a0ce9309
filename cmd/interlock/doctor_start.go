package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// slowStart is how long a start may take before it is worth a word.
const slowStart = 10 * time.Second

// start starts the upstreams that it is about once, beside the gateway, and
// notes how that went. Those that are not in runnable are known not to start.
func (d *doctor) start(ctx context.Context, runnable []string) error {
	if len(runnable) == 0 {
		return nil
	}
	infos, problems, err := d.try(ctx, d.closure(func(*upstream.Config) {}))
	if err != nil {
		return err
	}
	var quiet []string // those that did not say of which revision they are
	for _, i := range infos {
		if !slices.Contains(runnable, i.Name) {
			continue
		}
		t := trialOf(i)
		d.told.Starts = append(d.told.Starts, t)
		u := d.cfg.Upstream(i.Name)
		if !t.OK {
			d.failed(u, i)
			continue
		}
		d.succeeded(u, t)
		if u.Protocol == upstream.AutoProtocol && u.Kind() == upstream.Stdio && t.Protocol < modernEra && t.stage("handshake") >= 0.9 {
			quiet = append(quiet, i.Name)
		}
	}
	for _, p := range problems {
		if d.about(p.Upstream) {
			d.find(finding{Code: nameCode(p), Upstream: p.Upstream, Text: p.Text, Mend: p.Mend})
		}
	}
	return d.asLegacy(ctx, quiet)
}

// modernEra is the first revision that is told by server/discover.
const modernEra = "2026-07-28"

// closure is the configuration with nothing enabled but the upstreams that it is
// about and what they depend on, each changed by change.
func (d *doctor) closure(change func(*upstream.Config)) *config.Config {
	want := map[string]bool{}
	var visit func(u *upstream.Config)
	visit = func(u *upstream.Config) {
		if u == nil || !u.Enabled || want[u.Name] {
			return
		}
		want[u.Name] = true
		for _, dep := range u.DependsOn {
			visit(d.cfg.Upstream(dep.On))
		}
	}
	for i := range d.cfg.Upstreams {
		if u := &d.cfg.Upstreams[i]; d.about(u.Name) {
			visit(u)
		}
	}
	mine := *d.cfg
	mine.Upstreams = nil
	for _, u := range d.cfg.Upstreams {
		if want[u.Name] {
			change(&u)
			mine.Upstreams = append(mine.Upstreams, u)
		}
	}
	return &mine
}

// try starts the upstreams of cfg and returns what became of them.
func (d *doctor) try(ctx context.Context, cfg *config.Config) (infos []admin.Info, problems []admin.Problem, err error) {
	waiting := map[string]bool{}
	for _, u := range cfg.Upstreams {
		waiting[u.Name] = true
	}
	line := d.app.awaiting("starting " + count(len(waiting), "server"))
	defer line.stop()
	each := func(u admin.Upstream) {
		delete(waiting, u.Name)
		line.say("starting: " + strings.Join(sortedNames(waiting), ", "))
	}
	err = d.app.beside(ctx, cfg, each, func(gw *gateway.Gateway) error {
		for _, u := range cfg.Upstreams {
			i, err := gw.Info(u.Name)
			if err != nil {
				return err
			}
			infos = append(infos, i)
		}
		problems = gw.Problems()
		return nil
	})
	return infos, problems, err
}

func sortedNames(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// succeeded notes what is worth a word of a start that went well.
func (d *doctor) succeeded(u *upstream.Config, t trial) {
	d.find(finding{Code: "era", Upstream: u.Name, Text: "it speaks " + t.Protocol})
	if t.Tools+t.Prompts+t.Resources == 0 {
		d.find(finding{Code: "offers_nothing", Upstream: u.Name, Text: "it lists no tools, prompts or resources", Mend: "see whether it wants arguments, credentials or a folder: interlock logs " + u.Name})
	}
	took := time.Duration(t.Took * float64(time.Second))
	downloads := ""
	if took > 2*time.Second {
		downloads = downloader(u)
	}
	if downloads != "" {
		d.find(finding{
			Code: "start_downloads", Upstream: u.Name, Text: fmt.Sprintf("its start took %s, and %s looks for its package at each, and downloads it at the first", seconds(t.Took), downloads),
			Mend: "install the package and name its own command; or leave start_timeout (now " + u.StartTimeout.String() + ") as long as a download takes",
		})
	} else if took > min(slowStart, u.StartTimeout/2) {
		d.find(finding{
			Code: "start_slow", Upstream: u.Name, Text: fmt.Sprintf("its start took %s of the %s that start_timeout gives it, most of it at the stage %s", seconds(t.Took), u.StartTimeout, t.longest()),
			Mend: "raise start_timeout if that is how it is; interlock logs " + u.Name + " may say what it does",
		})
	}
}

// downloader is the program that fetches the package of an upstream, "" if its
// command is its own.
func downloader(u *upstream.Config) string {
	base := strings.ToLower(strings.TrimSuffix(filepath.Base(u.Command), filepath.Ext(u.Command)))
	switch base {
	case "npx", "bunx", "uvx", "pipx":
		return base
	case "npm", "pnpm", "yarn", "bun", "deno", "uv", "docker", "podman":
		for _, verb := range []string{"exec", "dlx", "x", "run", "tool"} {
			if len(u.Args) > 0 && u.Args[0] == verb {
				return base + " " + verb
			}
		}
	}
	return ""
}

// asLegacy starts those again that were slow to say of which revision they are,
// without asking them, and says what that saves.
func (d *doctor) asLegacy(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	again := &doctor{app: d.app, names: names, cfg: d.cfg}
	shakes := func(p upstream.Protocol) (map[string]float64, error) {
		infos, _, err := again.try(ctx, again.closure(func(u *upstream.Config) {
			if slices.Contains(names, u.Name) {
				u.Protocol = p
			}
		}))
		took := map[string]float64{}
		for _, i := range infos {
			if t := trialOf(i); t.OK && slices.Contains(names, t.Name) {
				took[t.Name] = t.stage("handshake")
			}
		}
		return took, err
	}
	asked := map[string]float64{}
	for _, t := range d.told.Starts {
		asked[t.Name] = t.stage("handshake")
	}
	if slices.ContainsFunc(names, func(name string) bool { return downloader(d.cfg.Upstream(name)) != "" }) {
		var err error // what was downloaded is there now
		if asked, err = shakes(upstream.AutoProtocol); err != nil {
			return err
		}
	}
	told, err := shakes(upstream.LegacyProtocol)
	if err != nil {
		return err
	}
	for _, name := range names {
		after, ok := told[name]
		if before := asked[name]; ok && before-after >= 0.5 {
			d.find(finding{
				Code: "protocol_worth_setting", Upstream: name,
				Text: fmt.Sprintf("its handshake takes %s with protocol: legacy, and %s without: it does not answer server/discover", seconds(after), seconds(before)),
				Mend: "set protocol: legacy; it is remembered after the first start in any case",
			})
		}
	}
	return nil
}

// nameCode is the code of something odd about a name.
func nameCode(p admin.Problem) string {
	switch p.Kind {
	case "collision":
		return "name_collision"
	case "hidden":
		return "name_hidden"
	case "shortened":
		return "name_too_long"
	case "replaced":
		return "name_replaced"
	case "unaccepted":
		return "name_unaccepted"
	case "cut":
		return "instructions_cut"
	}
	return "definition_malformed"
}
