package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// gateway asks the one that runs, if there is one, and returns the names of its
// upstreams.
func (d *doctor) gateway(ctx context.Context, r *reach) ([]string, error) {
	c, err := r.client()
	faults := new(config.Errors)
	switch {
	case err == nil:
	case errors.As(err, &faults) || errors.Is(err, config.ErrNoFile): // they are found already
		return nil, nil
	case r.admin != "":
		return nil, err
	default: // it has never run: there is no token
		d.find(finding{Code: "gateway_down", Text: err.Error(), Mend: "interlock serve runs it"})
		return nil, nil
	}
	defer c.Close()
	ready, err := c.Ready(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		d.unreachable(c, r.admin, err)
		return nil, nil
	}
	d.told.Gateway = c.Target()
	ups, err := c.Upstreams(ctx, admin.Select{})
	if e := new(admin.Error); errors.As(err, &e) {
		code := "gateway_refuses"
		if e.Code == admin.CodeOtherConfig {
			code = "gateway_of_others"
		}
		d.find(finding{Code: code, Text: e.Detail, Mend: e.Mend})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !ready.Ready {
		d.find(finding{Code: "gateway_not_ready", Text: "it waits for " + strings.Join(ready.Waiting, ", "), Mend: "what follows says why"})
	}
	var names []string
	for _, u := range ups {
		names = append(names, u.Name)
		if d.about(u.Name) {
			d.running(u)
		}
	}
	d.stale(ctx, c)
	return names, nil
}

func (d *doctor) unreachable(c *admin.Client, asked string, err error) {
	code, mend := "gateway_down", "interlock serve runs it"
	if asked != "" {
		code, mend = "gateway_unreachable", "interlock serve says at which address it is"
	}
	if path, ok := strings.CutPrefix(c.Target(), "unix:"); ok {
		if info, statErr := os.Lstat(path); statErr == nil && info.Mode()&os.ModeSocket != 0 {
			d.find(finding{Code: "socket_dead", Text: "nobody listens at " + path, Mend: "the next gateway replaces it; interlock serve runs one"})
		}
	}
	d.find(finding{Code: code, Text: err.Error(), Mend: mend})
}

// running looks at an upstream of the running gateway.
func (d *doctor) running(u admin.Upstream) {
	switch {
	case needsSignIn(u):
		d.find(finding{Code: "needs_auth", Upstream: u.Name, Text: whyLacking(u.SignIn), Mend: howToSignIn(u)})
	case u.State == "error" && u.LastFailure != nil && u.LastFailure.Stage == "dependency":
		d.find(finding{Code: "dependency_failed", Upstream: u.Name, Text: u.LastFailure.Message, Mend: "it starts by itself when that recovers"})
	case u.State == "error":
		text, lines := "it is in error", []string(nil)
		if u.LastFailure != nil {
			text, lines = why(u)+retry(u), u.LastFailure.Stderr
		}
		mend := "interlock restart " + u.Name + " tries it at once, when what is wrong is mended"
		d.find(finding{Code: errorCode(u), Upstream: u.Name, Text: text, Mend: mend, Stderr: lines})
	case u.State == "stopped" && !u.Idle:
		d.find(finding{Code: "upstream_stopped", Upstream: u.Name, Text: strings.TrimSpace("it was stopped " + age(u.Since) + " ago " + u.Because), Mend: "interlock start " + u.Name})
	case u.Health == "degraded" && u.State != "starting":
		d.find(finding{Code: "upstream_degraded", Upstream: u.Name, Text: fmt.Sprintf("it is %s, and its last check was not fine", u.State), Mend: "interlock check " + u.Name + " asks it again"})
	}
	if in := u.SignIn; in != nil && u.State != "error" {
		switch {
		case in.Error != "":
			d.find(finding{Code: "token_not_renewed", Upstream: u.Name, Text: in.Error, Mend: "see that its authorization server answers: " + in.Issuer})
		case in.Why != "":
			d.find(finding{Code: "needs_scope", Upstream: u.Name, Text: whyLacking(in), Mend: howToSignIn(u)})
		}
	}
	if u.SkippedLines > 0 {
		d.find(finding{
			Code: "stdout_noise", Upstream: u.Name, Text: fmt.Sprintf("%d lines on its stdout were no messages; interlock logs %s shows them", u.SkippedLines, u.Name),
			Mend: "have it log to stderr: on stdout it costs time, and one day a call",
		})
	}
}

// stale compares the file with what runs.
func (d *doctor) stale(ctx context.Context, c *admin.Client) {
	plan, err := c.Reload(ctx, true)
	if err != nil || d.cfg == nil {
		return // its file is another's, or has a fault that is told already
	}
	var parts []string
	for _, p := range []struct {
		word  string
		names []string
	}{{"added", plan.Added}, {"removed", plan.Removed}, {"restarted", plan.Restarted}, {"changed", plan.Changed}, {"to apply at the next start", plan.NeedRestart}} {
		if len(p.names) > 0 {
			parts = append(parts, p.word+": "+strings.Join(p.names, ", "))
		}
	}
	if parts != nil {
		d.find(finding{Code: "config_not_read", Text: strings.Join(parts, "; "), Mend: "interlock reload"})
	}
}

// errorCode is the code of an upstream in error.
func errorCode(u admin.Upstream) string {
	if u.Exhausted {
		return "upstream_exhausted"
	}
	return "upstream_error"
}
