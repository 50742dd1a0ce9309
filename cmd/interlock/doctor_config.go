package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// config reads the configuration.
func (d *doctor) config(files []string) {
	cfg, err := config.Load(config.LoadOptions{Files: files})
	faults := new(config.Errors)
	switch {
	case errors.Is(err, config.ErrNoFile):
		d.find(finding{Code: "config_missing", Text: strings.SplitN(err.Error(), "\n", 2)[0], Mend: "write interlock.yaml, or name a file with -c; interlock validate says how to begin"})
		return
	case errors.As(err, &faults):
		for _, p := range faults.Problems {
			mend := p.Mend
			if mend == "" {
				mend = "correct it there; interlock schema describes every key"
			}
			d.find(finding{Code: faultCode(p), At: whereIs(p), Text: p.Text, Mend: mend})
		}
		return
	case err != nil:
		d.find(finding{Code: "config_invalid", Text: err.Error()})
		return
	}
	d.cfg, d.told.Files = cfg, cfg.Sources
	for _, p := range cfg.Warnings {
		if !strings.HasPrefix(p.Text, "command ") { // said better by programs
			d.find(finding{Code: "config_warning", At: whereIs(p), Text: p.Text, Mend: p.Mend})
		}
	}
}

// faultCode is the code of a fault of the configuration.
func faultCode(p config.Problem) string {
	if strings.HasPrefix(p.Text, "variable ") {
		return "variable_unset"
	}
	return "config_invalid"
}

// whereIs is where a problem of the configuration is.
func whereIs(p config.Problem) string {
	switch {
	case p.File == "":
		return p.Key
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// programs looks for the commands and folders of the upstreams, and returns the
// names of those that can be started.
func (d *doctor) programs() []string {
	var runnable []string
	for i := range d.cfg.Upstreams {
		u := &d.cfg.Upstreams[i]
		if !u.Enabled || !d.about(u.Name) {
			continue
		}
		if u.Kind() != upstream.Stdio {
			runnable = append(runnable, u.Name)
			continue
		}
		key := "upstreams." + u.Name
		if u.Cwd != "" {
			if info, err := os.Stat(u.Cwd); err != nil || !info.IsDir() {
				d.find(finding{Code: "cwd_missing", Upstream: u.Name, At: key + ".cwd", Text: "there is no folder " + u.Cwd, Mend: "make it, or set cwd to one that is there"})
				continue
			}
		}
		if _, err := u.Program(os.Environ()); err != nil {
			d.find(finding{
				Code: "command_missing", Upstream: u.Name, At: key + ".command", Text: err.Error(),
				Mend: "install it, write its full path, or have its folder in PATH where the gateway is started",
			})
			continue
		}
		runnable = append(runnable, u.Name)
	}
	return runnable
}
