package main

import (
	"context"
	"errors"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/config"
)

// reload reads the configuration anew and says what came of it. It returns
// whether the files to watch are others now. An error changes nothing.
func (s *service) reload() (moved bool) {
	tellSystemd(reloading())
	defer tellSystemd("READY=1")
	cfg, err := s.o.load()
	if err != nil {
		s.refuse(err)
		return false
	}
	report, err := s.gw.Apply(context.Background(), cfg)
	if err != nil {
		s.refuse(err)
		return false
	}
	for _, w := range cfg.Warnings {
		w.Render(s.app.errs, s.app.errs.colour)
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{
		{"added", report.Added}, {"removed", report.Removed}, {"restarted", report.Restarted}, {"changed", report.Changed},
	} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	if parts == nil {
		parts = []string{"no server is concerned"}
	}
	s.say.printf("%s: %s\n", s.say.bold("reloaded"), strings.Join(parts, "; "))
	if len(report.NeedRestart) > 0 {
		s.say.printf("%s %s\n", s.say.yellow("applies after a restart of the gateway:"), strings.Join(report.NeedRestart, ", "))
	}
	moved = strings.Join(cfg.Sources, "\n") != strings.Join(s.cfg.Sources, "\n")
	s.cfg = cfg
	return moved
}

// refuse says why a reload changed nothing.
func (s *service) refuse(err error) {
	errs := s.app.errs
	if faults := new(config.Errors); errors.As(err, &faults) {
		faults.Render(errs, errs.colour)
	} else {
		errs.printf("%s %v\n", errs.red("interlock:"), err)
	}
	errs.printf("%s\n", errs.yellow("not reloaded: the gateway goes on with the configuration it has"))
}
