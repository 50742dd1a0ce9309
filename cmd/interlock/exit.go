package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy/pin"
)

// The exit codes; 0 is fine.
const (
	exitFailed      = 1
	exitBadConfig   = 2 // or bad usage
	exitUnreachable = 3 // no gateway answers
	exitUnhealthy   = 4 // some upstream is
)

// exitCodes is what the exit codes mean to who calls this from a script.
var exitCodes = []struct {
	code  int
	means string
}{
	{0, "fine"},
	{exitFailed, "failed"},
	{exitBadConfig, "bad configuration or usage"},
	{exitUnreachable, "no gateway can be reached"},
	{exitUnhealthy, "some server is unhealthy"},
}

// failure is an error with its exit code and what to do about it.
type failure struct {
	code int
	err  error  // nil if all is said already
	mend string // "" for nothing
}

func (f *failure) Error() string { return fmt.Sprint(f.err) }

func (f *failure) Unwrap() error { return f.err }

// fail shows err and returns its exit code. An error that no command made is
// cobra's, about the command line; command is what was called, "interlock pins".
func (a *app) fail(err error, command string) int {
	if err == nil {
		return 0
	}
	f := new(failure)
	if !errors.As(err, &f) {
		f = &failure{exitBadConfig, err, command + " --help shows how"}
	}
	if f.err == nil {
		return f.code
	}
	if faults := new(config.Errors); errors.As(f.err, &faults) {
		faults.Render(a.errs, a.errs.colour)
	} else {
		code := ""
		if e := new(admin.Error); errors.As(f.err, &e) {
			code = a.errs.faint(" [" + e.Code + "]")
		}
		a.errs.printf("%s %s%s\n", a.errs.red("interlock:"), harmless(strings.TrimRight(f.err.Error(), "\n")), code)
		a.eachFault(f.err)
	}
	if f.mend != "" {
		a.errs.printf("%s\n", a.errs.faint("  "+f.mend))
	}
	return f.code
}

// eachFault writes the faults of a configuration that the gateway refused.
func (a *app) eachFault(err error) {
	e := new(admin.Error)
	if !errors.As(err, &e) {
		return
	}
	for _, fault := range e.Errors {
		text := "  "
		if fault.At != "" {
			text += fault.At + ": "
		}
		if text += fault.Text; fault.Mend != "" {
			text += " (" + fault.Mend + ")"
		}
		a.errs.printf("%s\n", text)
	}
}

// failed gives err the exit code and the advice that its kind has.
func failed(err error) error {
	var (
		f *failure
		e *admin.Error
		c *config.Errors
		l *pin.LockError
	)
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.As(err, &c), errors.Is(err, config.ErrNoFile), errors.As(err, &l) && !errors.As(err, &e):
		return &failure{exitBadConfig, err, ""}
	case errors.Is(err, admin.ErrUnreachable):
		return &failure{exitUnreachable, err, "start it with interlock serve, or name the one that runs with -c FILE or --admin ADDRESS; interlock doctor finds out more"}
	case errors.As(err, &e) && e.Code == admin.CodeUnauthorized:
		return &failure{exitUnreachable, err, "name its configuration with -c FILE, or set INTERLOCK_ADMIN__TOKEN"}
	case errors.As(err, &e) && e.Code == admin.CodeInvalidConfig:
		return &failure{exitBadConfig, err, e.Mend}
	case errors.As(err, &e):
		return &failure{exitFailed, err, e.Mend}
	case errors.Is(err, context.Canceled):
		return &failure{exitFailed, errors.New("interrupted"), ""}
	}
	return &failure{exitFailed, err, ""}
}

// usage is a mistake on the command line.
func usage(mend, format string, args ...any) error {
	return &failure{exitBadConfig, fmt.Errorf(format, args...), mend}
}
