package policy

// Principal is who makes a call. The zero value is the anonymous local user.
type Principal struct {
	// Issuer and Subject together are who it is: the issuer of its token, or
	// "interlock" for those whom the gateway knows itself.
	Issuer, Subject string
	// Name is what people call it, for logs and the audit; not unique.
	Name string
	// Scopes are what its credential of this request allows.
	Scopes []string
	// Groups are those its issuer says it is in.
	Groups []string
	// Credential names the key or token that was used, never its value.
	Credential string
}

// Key returns a string that differs between principals, "" for the anonymous one.
// Two credentials of one principal have the same key.
func (p *Principal) Key() string {
	if p == nil || p.Issuer == "" && p.Subject == "" {
		return ""
	}
	return p.Issuer + "\x00" + p.Subject
}

// Anonymous reports whether nobody said who it is.
func (p *Principal) Anonymous() bool { return p.Key() == "" }

// String is the name if there is one, else the subject, else "anonymous".
func (p *Principal) String() string {
	switch {
	case p.Anonymous():
		return "anonymous"
	case p.Name != "":
		return p.Name
	}
	return p.Subject
}
