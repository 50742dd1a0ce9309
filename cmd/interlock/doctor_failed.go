package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// failed explains a start that went wrong.
func (d *doctor) failed(u *upstream.Config, i admin.Info) {
	f := i.LastFailure
	if f == nil { // it is only on its way
		d.find(finding{Code: "start_failed", Upstream: u.Name, Text: "it is " + i.State})
		return
	}
	code, mend := d.cause(u, i)
	if code == "needs_auth" && slices.ContainsFunc(d.told.Findings, func(f finding) bool { return f.Code == code && f.Upstream == u.Name }) {
		return // the running gateway has said so
	}
	text, lines := why(i.Upstream), f.Stderr
	switch code {
	case "dependency_failed":
		lines = nil
	case "needs_auth":
		text = whyLacking(i.SignIn)
	}
	d.find(finding{Code: code, Upstream: u.Name, Text: text, Mend: mend, Stderr: lines})
	for _, name := range wanted(u, lines) {
		d.find(finding{
			Code: "variable_wanted", Upstream: u.Name, Text: "its stderr names " + name + ", which it does not get",
			Mend: fmt.Sprintf("add env: {%s: \"${%s}\"}, or pass_env: [%s] if it is set where the gateway is started", name, name, name),
		})
	}
}

// cause is the code of a failed start, and what to do about it.
func (d *doctor) cause(u *upstream.Config, i admin.Info) (code, mend string) {
	f := i.LastFailure
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(f.Message, w) })
	}
	remote := u.Kind() != upstream.Stdio
	switch {
	case f.Stage == "dependency":
		return "dependency_failed", "it starts by itself when that does"
	case has("start_timeout was over"):
		mend = "raise start_timeout (now " + u.StartTimeout.String() + ") if it needs longer"
		if by := downloader(u); by != "" {
			mend += "; " + by + " may have been downloading: try it once by hand"
		}
		return "start_timeout", mend
	case needsSignIn(i.Upstream):
		mend = howToSignIn(i.Upstream)
		if u.Auth.Flow == "" && i.SignIn.Why == string(oauth.NotSignedIn) {
			mend += "; or, if it takes a token that you have, set headers: {Authorization: \"Bearer ${TOKEN}\"}"
		}
		return "needs_auth", mend
	case remote && has(oauth.ErrUnknown.Error()):
		return "sign_ins_unreadable", "when that is done, it starts by itself, or after interlock login " + u.Name
	case remote && has("knows who asks and refuses"):
		return "auth_refused", "the credentials in headers are valid, and may not do this: ask for more rights, or use others"
	case remote && has("wants other credentials"):
		return "auth_required", "set headers: {Authorization: \"Bearer ${TOKEN}\"} with a token that it takes"
	case remote && has("x509", "tls:", "certificate"):
		mend = "set tls.ca to the authority that signed it; NODE_EXTRA_CA_CERTS is for children only"
		if has("expired", "not yet valid") {
			mend = "see that the clock of this machine is right, and have the certificate renewed"
		}
		return "tls_failed", mend
	case remote && has("no such host", "connection refused", "unreachable", "i/o timeout", "dial"):
		return "upstream_unreachable", "see that the server runs and that url is right: curl -i " + bare(u.URL)
	}
	if remote {
		return "start_failed", "see that url is the MCP endpoint and transport (" + string(u.Kind()) + ") is right"
	}
	return "start_failed", "run it by hand and see what it says: " + d.byHand(u)
}

// byHand is the command of an upstream as a shell takes it, without secrets.
func (d *doctor) byHand(u *upstream.Config) string {
	shown := d.cfg.Redact(*u)
	words := append([]string{shown.Command}, shown.Args...)
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// bare is a URL without what may be secret.
func bare(url string) string {
	url, _, _ = strings.Cut(url, "?")
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		if _, host, found := strings.Cut(rest, "@"); found {
			rest = host
		}
		return scheme + "://" + rest
	}
	return url
}

var (
	variableName = regexp.MustCompile(`\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b`)
	wantingWords = regexp.MustCompile(`(?i)not set|unset|missing|required|undefined|not found|must be|please set|no .*key|environment variable|KeyError`)
)

// wanted are the variables that the stderr of an upstream asks for and that its
// configuration does not give.
func wanted(u *upstream.Config, stderr []string) []string {
	var names []string
	for _, line := range stderr {
		if !wantingWords.MatchString(line) {
			continue
		}
		for _, name := range variableName.FindAllString(line, -1) {
			if _, given := u.Env[name]; !given && !slices.Contains(names, name) && !slices.Contains(u.PassEnv, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
