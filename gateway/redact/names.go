package redact

import "strings"

// maxNameLen is how long the name of a secret may be where it could be any text.
const maxNameLen = 64

// secretParts make a name one of a secret, wherever they stand in it. They are
// compared without case and punctuation: API-Key, api_key and apiKey are one.
var secretParts = [...]string{ // never changed
	"password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "authorization", "bearer",
	"apikey", "accesskey", "authkey", "privatekey", "signingkey", "encryptionkey", "sshkey", "masterkey", "sharedkey", "accountkey",
	"licensekey", "authcode", "accesscode", "connectionstring", "cookie", "sessionid", "signature", "creditcard", "cardnumber", "webhookurl",
}

// secretEnds make a name one of a secret at its end: dbPass, x-auth.
var secretEnds = [...]string{"pass", "pwd", "auth", "jwt", "cvv", "dsn", "otp", "ssn"} // never changed

// secretNames are the names of secrets that would be part of other words.
var secretNames = [...]string{"pin", "pw", "sid", "sig", "csrf", "xsrf", "iban", "mfa", "totp", "creds", "cred"} // never changed

// secretName reports whether something of that name is a secret.
func secretName(name string) bool {
	var buf [maxKey]byte
	n := folded(buf[:0], name)
	if n == "" {
		return false
	}
	for _, part := range secretParts {
		if strings.Contains(n, part) {
			return true
		}
	}
	for _, end := range secretEnds {
		if strings.HasSuffix(n, end) {
			return true
		}
	}
	for _, whole := range secretNames {
		if n == whole {
			return true
		}
	}
	return false
}

// folded returns the letters and digits of a name in lower case; buf is room for it.
func folded(buf []byte, name string) string {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			buf = append(buf, c|0x20)
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 0x80:
			buf = append(buf, c)
		}
	}
	return string(buf)
}

// counts reports whether a number of that name is no secret: maxTokens.
func counts(name string) bool {
	var buf [maxKey]byte
	return strings.Contains(folded(buf[:0], name), "token")
}

// isName and isValue are the two members of {"name": "API_KEY", "value": "..."}.
func isName(key string) bool {
	switch key {
	case "name", "Name", "key", "Key", "header", "field", "variable", "env", "id", "label":
		return true
	}
	return false
}

func isValue(key string) bool {
	switch key {
	case "value", "Value", "val", "values", "default":
		return true
	}
	return false
}
