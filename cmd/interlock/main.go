// Command interlock runs the gateway and talks to a running one.
//
// It knows flags, signals, exit codes and what a terminal shows; everything
// else is in the packages it calls. Data goes to stdout, errors and progress to
// stderr.
package main

import (
	"io"
	"os"
	"runtime/debug"
)

// version is set by the linker.
var version string

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs one command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: newScreen(out), errs: newScreen(errs), version: buildVersion()}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	return a.fail(err, cmd.CommandPath())
}

// app is what all commands share.
type app struct {
	in        io.Reader
	out, errs *screen
	version   string
}

// buildVersion is the linker's, else that of the module, else "dev".
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
