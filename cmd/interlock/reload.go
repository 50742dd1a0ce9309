package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// reloads are the outcomes of reloads that were not shown yet. Operators ask for
// them, too, so that they come on any goroutine; the one of run shows them.
type reloads struct {
	came chan struct{} // capacity 1: there are some

	mu   sync.Mutex     // guards the rest
	read *config.Config // by the reload that is under way
	list []reloaded
}

// reloaded is the outcome of one reload.
type reloaded struct {
	cfg  *config.Config
	plan admin.Plan
	err  error
}

// load is the gateway's way to the files.
func (s *service) load() (*config.Config, error) {
	cfg, err := s.o.load()
	s.reloads.mu.Lock()
	defer s.reloads.mu.Unlock()
	s.reloads.read = cfg
	return cfg, err
}

// note keeps an outcome for run to show.
func (r *reloads) note(p admin.Plan, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, reloaded{r.read, p, err})
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// reload reads the configuration anew because of what by says. An error changes
// nothing; what came of it is noted.
func (s *service) reload(ctx context.Context, by string) {
	tellSystemd(reloading())
	defer tellSystemd("READY=1")
	_, _ = s.gw.Reload(admin.WithCaller(ctx, admin.Caller{Who: by}))
}

// showReloads says what came of reloads, and returns whether the files to watch
// are others now.
func (s *service) showReloads() (moved bool) {
	s.reloads.mu.Lock()
	list := s.reloads.list
	s.reloads.list = nil
	s.reloads.mu.Unlock()
	for _, r := range list {
		if r.err != nil {
			s.refuse(r.err)
			continue
		}
		moved = strings.Join(r.cfg.Sources, "\n") != strings.Join(s.cfg.Sources, "\n") || moved
		s.cfg = r.cfg
		s.showPlan(r.cfg, &r.plan)
	}
	return moved
}

func (s *service) showPlan(cfg *config.Config, p *admin.Plan) {
	for _, w := range cfg.Warnings {
		if !s.app.errs.terminal {
			s.log.Warn("warning of the configuration", "at", w.Place(), "warning", w.Text, "mend", w.Mend)
			continue
		}
		w.Render(s.app.errs, s.app.errs.colour)
	}
	for _, w := range p.Warnings[min(len(cfg.Warnings), len(p.Warnings)):] {
		s.app.errs.printf("%s\n", w)
	}
	var parts []string
	for _, x := range []struct {
		what  string
		names []string
	}{
		{"added", p.Added}, {"removed", p.Removed}, {"restarted", p.Restarted}, {"changed", p.Changed},
	} {
		if len(x.names) > 0 {
			parts = append(parts, x.what+" "+strings.Join(x.names, ", "))
		}
	}
	if parts == nil {
		parts = []string{"no server is concerned"}
	}
	s.say.printf("%s: %s\n", s.say.bold("reloaded"), strings.Join(parts, "; "))
	if len(p.NeedRestart) > 0 {
		s.say.printf("%s %s\n", s.say.yellow("applies after a restart of the gateway:"), strings.Join(p.NeedRestart, ", "))
	}
}

// refuse says why a reload changed nothing.
func (s *service) refuse(err error) {
	errs := s.app.errs
	if !errs.terminal { // the log goes there, and has said that nothing was changed
		s.logFaults(err)
		return
	}
	if faults := new(config.Errors); errors.As(err, &faults) {
		faults.Render(errs, errs.colour)
	} else {
		errs.printf("%s %v\n", errs.red("interlock:"), err)
	}
	errs.printf("%s\n", errs.yellow("not reloaded: the gateway goes on with the configuration it has"))
}

// logFaults writes a line of the log for each fault of a configuration.
func (s *service) logFaults(err error) {
	faults := new(config.Errors)
	if !errors.As(err, &faults) {
		return
	}
	for _, p := range faults.Problems {
		s.log.Warn("fault of the configuration", "at", p.Place(), "fault", p.Text, "mend", p.Mend)
	}
}
