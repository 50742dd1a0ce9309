package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const agentLabel = "io.interlock.gateway"

// launchd keeps agents of a user (launchd.plist(5)).
type launchd struct {
	home   string
	domain string // gui/UID
}

func newLaunchd() (launchd, error) {
	home, err := os.UserHomeDir()
	return launchd{home, "gui/" + strconv.Itoa(os.Getuid())}, err
}

func (l launchd) path() string {
	return filepath.Join(l.home, "Library", "LaunchAgents", agentLabel+".plist")
}

func (l launchd) logs() string { return filepath.Join(l.home, "Library", "Logs", "interlock.log") }

func (launchd) hint() string { return "it starts when you log in" }

// text is the agent's property list.
func (l launchd) text(r running) ([]byte, error) {
	var b strings.Builder
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + agentLabel + `</string>
	<key>ProgramArguments</key>
	<array>
`)
	args := []string{r.program, "serve"}
	for _, f := range r.files {
		args = append(args, "-c", f)
	}
	for _, a := range args {
		b.WriteString("\t\t" + plistString(a) + "\n")
	}
	b.WriteString("\t</array>\n\t<key>WorkingDirectory</key>\n\t" + plistString(filepath.Dir(r.files[0])) + "\n\t<key>EnvironmentVariables</key>\n\t<dict>\n")
	for _, kv := range r.env {
		b.WriteString("\t\t<key>" + kv[0] + "</key>\n\t\t" + plistString(kv[1]) + "\n")
	}
	b.WriteString("\t</dict>\n")
	for _, key := range []string{"StandardOutPath", "StandardErrorPath"} {
		b.WriteString("\t<key>" + key + "</key>\n\t" + plistString(l.logs()) + "\n")
	}
	fmt.Fprintf(&b, `	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>5</integer>
	<key>ExitTimeOut</key>
	<integer>%d</integer>
</dict>
</plist>
`, int(r.stop.Seconds()))
	return []byte(b.String()), nil
}

func plistString(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return "<string>" + b.String() + "</string>"
}

func (l launchd) service() string { return l.domain + "/" + agentLabel }

func (l launchd) begin(ctx context.Context, changed change) error {
	_, err := tool(ctx, "launchctl", "print", l.service())
	loaded := err == nil
	if loaded && bool(changed) {
		if _, err := tool(ctx, "launchctl", "bootout", l.service()); err != nil {
			return err
		}
		loaded = false
	}
	if _, err := tool(ctx, "launchctl", "enable", l.service()); err != nil {
		return err
	}
	if !loaded {
		return l.bootstrap(ctx)
	}
	_, err = tool(ctx, "launchctl", "kickstart", l.service())
	return err
}

// bootstrap loads the agent, which fails for as long as the one before is on its
// way out.
func (l launchd) bootstrap(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		_, err := tool(ctx, "launchctl", "bootstrap", l.domain, l.path())
		if err == nil || !strings.Contains(err.Error(), "in progress") {
			return err
		}
		if aMoment(ctx, lookAgain) != nil {
			return err
		}
	}
}

func (l launchd) remove(ctx context.Context) error {
	if _, err := tool(ctx, "launchctl", "print", l.service()); err == nil { // it is loaded
		if _, err := tool(ctx, "launchctl", "bootout", l.service()); err != nil {
			return err
		}
	}
	return os.Remove(l.path())
}

func (l launchd) look(ctx context.Context) (enabled, active bool, err error) {
	if _, err := exec.LookPath("launchctl"); err != nil {
		return false, false, &failure{exitFailed, errors.New("there is no launchctl on PATH"), "have what starts your programs run interlock serve -c FILE"}
	}
	disabled, _ := tool(ctx, "launchctl", "print-disabled", l.domain)
	_, rest, _ := strings.Cut(disabled, `"`+agentLabel+`" => `)
	_, notInstalled := os.Stat(l.path())
	enabled = notInstalled == nil && !strings.HasPrefix(rest, "disabled") && !strings.HasPrefix(rest, "true")
	state, err := tool(ctx, "launchctl", "print", l.service())
	return enabled, err == nil && strings.Contains(state, "state = running"), nil
}
