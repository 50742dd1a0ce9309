package config

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
)

// Profile is a named view of the catalog, and who is given it: an item of the
// `profiles` section. It is served at <server.path>/p/<name>.
type Profile struct {
	router.Profile `koanf:",squash"`
	// Description says what the profile is for, to those who look at the gateway.
	Description string `koanf:"description"`
	// Principals are those who get this profile and no more: globs on their subjects,
	// or group:<glob>, on the groups they are in; <issuer>#<glob> means those of one
	// issuer alone. Of several profiles with the same principal the first is what it
	// gets at the endpoint, and the others may be asked for by their paths. Without
	// principals a profile is for all who are given none.
	Principals []string `koanf:"principals"`
	// Default makes this the profile of all who are given none.
	Default bool `koanf:"default"`
}

// Profile returns the profile of that name, nil for none.
func (c *Config) Profile(name string) *Profile {
	for i := range c.Profiles {
		if c.Profiles[i].Name == name {
			return &c.Profiles[i]
		}
	}
	return nil
}

// Lists reports whether the profile names p among its principals. Whoever is
// anonymous is in no profile's list.
func (p *Profile) Lists(who *policy.Principal) bool {
	if who.Anonymous() {
		return false
	}
	for _, entry := range p.Principals {
		issuer, glob, group := principalGlob(entry)
		if issuer != "" && issuer != who.Issuer {
			continue
		}
		if !group && matches(glob, who.Subject) {
			return true
		}
		if group {
			for _, g := range who.Groups {
				if matches(glob, g) {
					return true
				}
			}
		}
	}
	return false
}

// principalGlob takes an entry of principals apart. An issuer is a URL, which has
// no fragment (OpenID Connect Core 1.0 section 2), the gateway itself, or x509: and
// the authority of a client's certificate.
func principalGlob(entry string) (issuer, glob string, group bool) {
	if before, after, ok := strings.Cut(entry, "#"); ok && (before == "interlock" || strings.HasPrefix(before, "x509:") || strings.Contains(before, "://")) {
		issuer, entry = before, after
	}
	glob, group = strings.CutPrefix(entry, "group:")
	return issuer, glob, group
}

// matches is path.Match, but for * and ?, which match / as well.
func matches(glob, s string) bool {
	unslashed := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(unslashed(glob), unslashed(s))
	return ok && err == nil
}

// profilesOf returns the profiles in the order of the file.
func (l *loader) profilesOf(all map[string]Profile) []Profile {
	var out []Profile
	for _, name := range l.profileNames {
		if p, ok := all[name]; ok {
			p.Name = name
			out = append(out, p)
		}
	}
	return out
}

// profiles reports what profiles may not be.
func (l *loader) profiles(cfg *Config) {
	isDefault := ""
	for i := range cfg.Profiles {
		p := &cfg.Profiles[i]
		section := []string{"profiles", p.Name}
		bad := func(text, mend string, path ...string) {
			l.section(&policy.FieldError{Path: path, Text: text, Mend: mend}, section...)
		}
		if !legalName.MatchString(p.Name) || strings.Trim(p.Name, ".") == "" {
			bad("is not a legal name", "use 1 to 64 letters, digits, _ . or -")
			continue
		}
		for _, err := range flatten(p.Validate(cfg.Names)) {
			if fe := (*router.FieldError)(nil); errors.As(err, &fe) {
				bad(fe.Text, fe.Mend, fe.Path...)
			}
		}
		l.chosen(cfg, p)
		for j, entry := range p.Principals {
			at := []string{"principals", strconv.Itoa(j)}
			_, glob, _ := principalGlob(entry)
			switch _, err := path.Match(glob, ""); {
			case glob == "":
				bad("names nobody: "+quote(entry), "", at...)
			case err != nil:
				bad("is not a glob: "+quote(glob), `write *, ? and [a-z], and \ before one that is meant`, at...)
			}
		}
		if len(p.Principals) > 0 && !cfg.Server.Auth.Enabled() && cfg.Server.TLS.ClientCA == "" {
			path := child(section, "principals")
			l.problems.warn(l.places.find(path), dotted(path), `"principals" name nobody: without server.auth every client is anonymous`, "set server.auth, or choose the profile by its path or with default: true")
		}
		if p.Default && isDefault != "" {
			bad("is set twice: the profile "+quote(isDefault)+" has it", "", "default")
		}
		if p.Default {
			isDefault = p.Name
		}
	}
}

// chosen checks the names of upstreams and tags of a profile: a word that is none
// is a slip, which may hide what is meant to be shown, or show what is not.
func (l *loader) chosen(cfg *Config, p *Profile) {
	var names, tags []string
	for i := range cfg.Upstreams {
		names = append(names, cfg.Upstreams[i].Name)
		tags = append(tags, cfg.Upstreams[i].Tags...)
	}
	for _, list := range []struct {
		key, what  string
		globs, all []string
		report     func(path []string, what, mend string)
	}{
		{"upstreams", "which is no upstream", p.Upstreams, names, func(path []string, what, mend string) {
			if mend == "" {
				mend = "write a glob for one that will be added at run time"
			}
			l.section(&policy.FieldError{Path: path[2:], Text: what, Mend: mend}, path[:2]...)
		}},
		{"tags", "which no upstream has", p.Tags, tags, func(path []string, what, mend string) {
			l.problems.warn(l.places.find(path), dotted(path), l.places.subject(path)+" "+what, mend)
		}},
	} {
		for i, glob := range list.globs {
			word := strings.TrimPrefix(glob, "!")
			if word == "" || strings.ContainsAny(word, `*?[\`) || slices.Contains(list.all, word) {
				continue
			}
			list.report([]string{"profiles", p.Name, list.key, strconv.Itoa(i)}, "names "+quote(word)+", "+list.what, didYouMean(word, list.all))
		}
	}
}
