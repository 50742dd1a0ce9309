package main

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"runtime"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// showable returns an error for an address that is not to be opened: one that is
// not https, or http to this machine, or that has a character which some program
// on its way might obey.
func showable(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("it is no URL")
	case u.User != nil || u.Hostname() == "":
		return errors.New("it names no host, or a user")
	case u.Scheme != "https" && (u.Scheme != "http" || !oauth.Loopback(u.Hostname())):
		return fmt.Errorf("it is %s, not https", u.Scheme)
	}
	// RFC 3986 section 2: nothing that a URL may not have as it is.
	const marks = "-._~:/?#[]@!$&'()*+,;=%"
	if i := strings.IndexFunc(address, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(marks, r))
	}); i >= 0 {
		return fmt.Errorf("no URL has the character %q", address[i])
	}
	return nil
}

// browserless says why no browser is opened here, "" if one would be in front of
// the person. env returns the value of a variable.
func browserless(goos string, env func(string) string) string {
	switch {
	case env("SSH_CONNECTION") != "" || env("SSH_TTY") != "":
		return "this is a session over SSH"
	case goos == "windows" || goos == "darwin":
		return ""
	case env("DISPLAY") == "" && env("WAYLAND_DISPLAY") == "":
		return "this machine has no screen"
	}
	return ""
}

// browserCommand is the program that shows an address to the person at a system.
// The address is one argument of it: no shell reads it.
func browserCommand(goos, address string) []string {
	switch goos {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", address}
	case "darwin":
		return []string{"open", address}
	}
	return []string{"xdg-open", address}
}

// openBrowser has the system show an address, which must be showable. The browser
// outlives this program. What the returned channel gets, if anything, is why no
// browser came.
func openBrowser(address string) (<-chan error, error) {
	if err := showable(address); err != nil {
		return nil, err
	}
	words := browserCommand(runtime.GOOS, address)
	cmd := exec.Command(words[0], words[1:]...) //nolint:noctx // it may be the browser itself, and is not to end with us
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	failed := make(chan error, 1) // nobody may listen any more
	go func() {
		if err := cmd.Wait(); err != nil {
			failed <- fmt.Errorf("%s: %w", words[0], err)
		}
	}()
	return failed, nil
}
